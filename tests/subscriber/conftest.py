"""Fixtures of the subscriber's tests."""

import pytest

from tests.subscriber.fake_aws import FakeAws


@pytest.fixture
def fake() -> FakeAws:
    """An AWS in memory, empty."""
    return FakeAws()
