"""What deploying needs: an AWS in the Region that tests deploy to."""

from collections.abc import Iterator

import pytest

from loki_shipper.local.aws import LocalAws, run_aws
from tests.deployment.account import REGION


@pytest.fixture
def aws() -> Iterator[LocalAws]:
    """An AWS of this machine, which is empty when the test begins."""
    with run_aws(REGION) as aws:
        yield aws
