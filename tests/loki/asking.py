"""What a real Loki holds."""

import json
import re
import time
from collections.abc import Mapping

import requests

from loki_shipper.local.find_loki import Running
from loki_shipper.local.loki import Loki
from loki_shipper.local.query_loki import LokiLine, query_range
from tests.pipeline.execution_environment import ExecutionEnvironment

DAY = 86_400_000
HOUR = 3_600_000
MINUTE = 60_000

ALL = '{source="cloudwatch"}'


def now() -> int:
    """Give the time in ms."""
    return int(time.time() * 1000)


def open_environment(
    loki: Loki | Running, tenant: str, environ: Mapping[str, str] | None = None, **options: object
) -> ExecutionEnvironment:
    """Make a sandbox that ships to a tenant of a real Loki."""
    given = {"LOKI_TENANT": tenant, **(environ or {})}
    return ExecutionEnvironment(loki.url, receiver=None, environ=given, now=now, **options)  # type: ignore[arg-type] # any


def held(
    loki: Loki | Running, tenant: str, selector: str = ALL, *, page: int = 5_000
) -> list[LokiLine]:
    """Ask for a tenant's entries, in the order of time, so many at a time.

    An answer beyond gRPC's 4 MiB comes back empty, with status 200 (3.7.8).
    """
    today = time.time_ns()
    start, end = today - 20 * DAY * 1_000_000, today + DAY * 1_000_000
    lines: list[LokiLine] = []
    while True:
        found = query_range(
            loki.url, selector, start_ns=start, end_ns=end, tenant=tenant, limit=page
        )
        lines += found
        if len(found) < page:
            return lines
        start = found[-1].timestamp + 1


def selector(labels: Mapping[str, str]) -> str:
    """Select the stream of exactly these labels and perhaps more."""
    return "{" + ", ".join(f"{name}={_quoted(value)}" for name, value in labels.items()) + "}"


def _quoted(value: str) -> str:
    # As people have to write it: LogQL takes no control characters as they are.
    return json.dumps(value, ensure_ascii=False)


def discarded(loki: Loki | Running, tenant: str) -> dict[str, int]:
    """Ask Loki what it refused of a tenant, by reason."""
    metrics = requests.get(f"{loki.url}/metrics", timeout=10).text
    found = re.findall(
        rf'^loki_discarded_samples_total{{.*reason="(\w+)".*tenant="{tenant}"}} (\d+)',
        metrics,
        re.MULTILINE,
    )
    return {reason: int(count) for reason, count in found}
