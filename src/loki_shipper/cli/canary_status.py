"""Reads and prints the last lines of the canary."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from msgspec import Struct

from loki_shipper.aws.boto import call_boto
from loki_shipper.aws.errors import AwsError
from loki_shipper.canary.lines import Journey, journeys
from loki_shipper.canary.log_group import CanaryLogGroup
from loki_shipper.canary.measure import LATE_MS
from loki_shipper.cli.formatting import ago_text, count_text, delay_text

_HOUR_MS = 3_600_000
_SHOWN = 3


class CanaryStatus(Struct, frozen=True):
    """The lines of the last hour. `fault` is the error code if AWS did not give them."""

    journeys: Sequence[Journey] = ()
    fault: str = ""


def read_canary(log_group: str, logs: Any, now: int) -> CanaryStatus:
    """Read the lines of the last hour; `logs` is boto3's client, `now` in ms since 1970."""

    def call(_: str, arguments: Mapping[str, Any]) -> Any:
        return call_boto(partial(logs.filter_log_events, **arguments))

    try:
        lines = CanaryLogGroup(log_group, call).read(now - _HOUR_MS)
    except AwsError as error:
        return CanaryStatus(fault=error.code)
    return CanaryStatus(journeys(lines))


def canary_text(status: CanaryStatus, now: int) -> str:
    """Return the line to print: the newest lines, and how many of the last hour are missing."""
    if status.fault:
        return f"canary: its log group could not be read ({status.fault})"
    if not status.journeys:
        return "canary: no line in an hour: it is less than five minutes old, or does not run"
    count = count_text(len(status.journeys), "line")
    missing = sum(_is_missing(each, now) for each in status.journeys)
    newest = [*reversed(status.journeys)][:_SHOWN]
    shown = ", ".join(f"{ago_text(each.at, now)}: {_outcome(each, now)}" for each in newest)
    return f"canary: {count} in an hour, {missing or 'none'} missing; {shown}"


def _outcome(journey: Journey, now: int) -> str:
    if journey.seconds is not None:
        return delay_text(round(journey.seconds * 1000))
    return "missing" if _is_missing(journey, now) else "on its way"


def _is_missing(journey: Journey, now: int) -> bool:
    return journey.seconds is None and now - journey.at >= LATE_MS
