"""What the subscriber's tests share."""

import pytest

from tests.subscriber.fake_aws import FakeAws


@pytest.fixture
def fake() -> FakeAws:
    """An AWS in memory, empty."""
    return FakeAws()
