"""AWS's list prices, in US dollars: us-east-1, first tier, without the free tiers.

`docs/cost.md` has the same table. A test compares them.
"""

from typing import Final

from msgspec import Struct

_LAMBDA: Final = "https://aws.amazon.com/lambda/pricing/"
_CLOUDWATCH: Final = "https://aws.amazon.com/cloudwatch/pricing/"

GB: Final = 1_000_000_000
"""Bytes of a gigabyte."""


class ListPrice(Struct, frozen=True):
    """The price of one unit, AWS's page with the price, and the day on which we read it."""

    what: str
    dollars: float
    page: str
    as_of: str


LAMBDA_REQUEST: Final = ListPrice("Lambda: a request", 0.20 / 1e6, _LAMBDA, "2026-11-21")
LAMBDA_GB_SECOND: Final = {
    "arm64": ListPrice("Lambda: a GB-second, arm64", 0.0000133334, _LAMBDA, "2026-11-21"),
    "x86_64": ListPrice("Lambda: a GB-second, x86_64", 0.0000166667, _LAMBDA, "2026-11-21"),
}
"""By architecture."""

LOGS_GB: Final = ListPrice("CloudWatch Logs: a GB", 0.50, _CLOUDWATCH, "2026-11-21")
VENDED_S3_GB: Final = ListPrice(
    "CloudWatch: a GB of vended logs to S3", 0.25, _CLOUDWATCH, "2026-11-30"
)
LOGS_STORED_GB: Final = ListPrice(
    "CloudWatch Logs: a GB stored for a month", 0.03, _CLOUDWATCH, "2026-11-30"
)
LOGS_INSIGHTS_GB: Final = ListPrice(
    "CloudWatch Logs Insights: a GB read", 0.005, _CLOUDWATCH, "2026-11-30"
)
METRIC: Final = ListPrice("CloudWatch: a metric", 0.30, _CLOUDWATCH, "2026-11-21")
METRIC_READ: Final = ListPrice(
    "CloudWatch: a metric in GetMetricData", 0.01 / 1_000, _CLOUDWATCH, "2026-11-30"
)
ALARM_METRIC: Final = ListPrice("CloudWatch: an alarm's metric", 0.10, _CLOUDWATCH, "2026-11-29")
DASHBOARD: Final = ListPrice("CloudWatch: a dashboard", 3.00, _CLOUDWATCH, "2026-11-29")
S3_GET: Final = ListPrice(
    "S3: a GET request", 0.0004 / 1_000, "https://aws.amazon.com/s3/pricing/", "2026-11-30"
)
S3_LIST: Final = ListPrice(
    "S3: a LIST request", 0.005 / 1_000, "https://aws.amazon.com/s3/pricing/", "2026-11-30"
)
TRANSFER_GB: Final = ListPrice(
    "data transfer out: a GB", 0.09, "https://aws.amazon.com/ec2/pricing/on-demand/", "2026-11-29"
)
SECRET: Final = ListPrice(
    "Secrets Manager: a secret",
    0.40,
    "https://aws.amazon.com/secrets-manager/pricing/",
    "2026-11-29",
)

ALL: Final = (
    LAMBDA_REQUEST,
    *LAMBDA_GB_SECOND.values(),
    LOGS_GB,
    VENDED_S3_GB,
    LOGS_STORED_GB,
    LOGS_INSIGHTS_GB,
    METRIC,
    METRIC_READ,
    ALARM_METRIC,
    DASHBOARD,
    S3_GET,
    S3_LIST,
    TRANSFER_GB,
    SECRET,
)
