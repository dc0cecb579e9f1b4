"""A log group with old lines, and a shipper that keeps the lines it gets."""

import re
import shlex
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from click.testing import Result

from loki_shipper.shipper.sources.event import records
from tests.local_deployment import Deployment

if TYPE_CHECKING:
    from collections.abc import Callable

GROUP = "/aws/lambda/a"


class Shipper:
    """Takes shipped lines, and answers as the test says."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.report: Callable[[list[str]], dict[str, Any]] = lambda _: {}
        """What it says of lines; it may raise FunctionFailure, and has kept nothing then."""

    def __call__(self, event: dict[str, Any]) -> dict[str, Any]:
        [data] = records(event)
        assert data.log_group == GROUP
        lines = [each.message for each in data.log_events]
        report = self.report(lines)
        self.lines += lines
        return report


def log(here: Deployment, log_stream: str, *ages: timedelta) -> list[str]:
    """Write a line of each age; give the lines, the oldest first."""
    logs = here.aws.client("logs")
    logs.create_log_stream(logGroupName=GROUP, logStreamName=log_stream)
    now = datetime.now(UTC)
    oldest_first = sorted(ages, reverse=True)
    lines = [f"{log_stream} {age}" for age in oldest_first]
    times = [int((now - age).timestamp() * 1000) for age in oldest_first]
    logs.put_log_events(
        logGroupName=GROUP,
        logStreamName=log_stream,
        logEvents=[{"timestamp": t, "message": m} for t, m in zip(times, lines, strict=True)],
    )
    return lines


def rest(result: Result) -> list[str]:
    """Return the words of the command that the output gives for continuing."""
    [command] = re.findall(r"go on with: loki-shipper (.*)$", result.stderr, re.MULTILINE)
    return shlex.split(command)
