"""Estimates what it costs to ship log files that are in S3."""

from typing import Final

from msgspec import Struct

from loki_shipper import prices
from loki_shipper.deployment.cost import OWN_LOG_BYTES, PUSHED_BYTES

TEXT_BYTES: Final = 10
"""Bytes of text in a byte of gzip, of a load balancer's log files: docs/performance.md."""

_SECONDS_A_GB: Final = 32.0
"""Processor seconds for a GB of their text, with the presets."""

_SECONDS_AN_OBJECT: Final = 0.03
"""Processor seconds of an invocation for a small file: an assumption."""
_PROCESSOR_MB: Final = 1_769
"""MB of memory with which Lambda gives one processor."""


class LogFilesCost(Struct, frozen=True):
    """The cost of shipping log files once, in US dollars: of AWS's services, and of transfer."""

    services: float
    transfer: float


def log_files_cost(objects: int, packed_bytes: int) -> LogFilesCost:
    """Estimate the cost of shipping gzipped log files, each in an invocation of its own."""
    gb = packed_bytes * TEXT_BYTES / prices.GB
    seconds = gb * _SECONDS_A_GB + objects * _SECONDS_AN_OBJECT
    compute = seconds * _PROCESSOR_MB / 1024 * prices.LAMBDA_GB_SECOND["arm64"].dollars
    requests = prices.LAMBDA_REQUEST.dollars + prices.S3_GET.dollars
    own_log = OWN_LOG_BYTES / prices.GB * prices.LOGS_GB.dollars
    return LogFilesCost(
        services=compute + objects * (requests + own_log),
        transfer=gb * PUSHED_BYTES * prices.TRANSFER_GB.dollars,
    )
