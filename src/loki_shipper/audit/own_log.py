"""Reads the counts of the shipper and the redriver from their own logs, by Logs Insights.

The counts are objects `hourly` in lines of JSON (shipper/delivery/hourly.py). Logs Insights finds
their members and adds them up
(https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/CWL_QuerySyntax-Stats.html).
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, Literal

import msgspec
from msgspec import Struct

from loki_shipper.audit.model import LoggedCount, OwnLog, Window
from loki_shipper.aws.errors import AwsError

_HOUR: Final = 3600
_MOST: Final = 10_000
"""Rows that a query returns without pages. With so many, there may be more."""

_SHORTEST: Final = 60
"""Seconds of log that are not divided any further."""

_AHEAD: Final = 2
"""Hours by which the time of a line may be ahead of its ingestion, by CloudWatch Logs."""

_FIELDS: Final = (
    "received",
    "delivered",
    "dropped",
    "rejected",
    "saved",
    "entries",
    "elsewhere",
)
_COUNTED: Final = "filter ispresent(hourly.log_group)"
SUMS: Final = (
    f"{_COUNTED} | stats "
    + ", ".join(f"sum(hourly.{field}) as {field}" for field in _FIELDS)
    + " by hourly.account, hourly.log_group, hourly.hour, bin(1h)"
)
_HOURS: Final = {"hourly.hour", "bin(1h)"}
"""Members of every row of an answer. Simulated clouds may lack `stats`, and leave them out."""

NOT_DELIVERED: Final = (
    f"{_COUNTED} and (ispresent(hourly.dropped) or ispresent(hourly.rejected)) | fields @message"
)
_ENDED: Final = {"Failed", "Cancelled", "Timeout", "Unknown"}


class FunctionLogs(Struct, frozen=True):
    """The names of the log groups of the functions that ship, and of the redriver."""

    shippers: tuple[str, ...]
    redrivers: tuple[str, ...]


class InsightsCalls(Struct, frozen=True):
    """The calls of Logs Insights: both raise AwsError. `sleep` takes seconds."""

    start_query: Callable[..., Any]
    get_query_results: Callable[..., Any]
    sleep: Callable[[float], None]


def read_own_log(
    logs: FunctionLogs, account: str, window: Window, calls: InsightsCalls, *, with_reasons: bool
) -> dict[str, OwnLog]:
    """Read what the functions logged of an account, by log group; `""` is for all others.

    `with_reasons`: read also the reasons of lines that were not delivered, from the newest 10,000
    invocations with such lines. Raises AwsError.
    """
    start, end = (window.start - _AHEAD) * _HOUR, (window.now + 1) * _HOUR
    counts: list[LoggedCount] = []
    for by, groups in _by_function(logs):
        sums: defaultdict[tuple[str, int, int], Counter[str]] = defaultdict(Counter)
        for row in _all_rows(groups, SUMS, start, end, calls):
            # A hub counts lines of other accounts, whose log groups may have the same names.
            if row.get("hourly.account", "") not in {account, ""}:
                continue
            name = row.get("hourly.log_group", "")
            if not row.keys() >= _HOURS:
                raise AwsError("refused", "NoSumsInAnswer", "an answer without the sums of a query")
            key = (name, int(row["hourly.hour"]), _hour(row["bin(1h)"]))
            sums[key].update({field: _number(row.get(field)) for field in _FIELDS})
        counts += [
            LoggedCount(by=by, log_group=name, hour=hour, at=at, **some)
            for (name, hour, at), some in sums.items()
        ]
    reasons = _reasons(logs, account, window, calls) if with_reasons else {}
    first = min((each.at for each in counts), default=None)
    grouped: defaultdict[str, list[LoggedCount]] = defaultdict(list)
    for each in counts:
        grouped[each.log_group].append(each)
    unnamed = sum(each.received for each in grouped.pop("", ()))
    found = {
        name: OwnLog(some, first, reasons.get(name, {}), unnamed) for name, some in grouped.items()
    }
    return {"": OwnLog((), first, {}, unnamed), **found}


def _by_function(
    logs: FunctionLogs,
) -> Iterator[tuple[Literal["shipper", "redriver"], tuple[str, ...]]]:
    yield "shipper", logs.shippers
    if logs.redrivers:
        yield "redriver", logs.redrivers


def _reasons(
    logs: FunctionLogs, account: str, window: Window, calls: InsightsCalls
) -> dict[str, Mapping[str, int]]:
    rows, _ = _rows(
        (*logs.shippers, *logs.redrivers),
        NOT_DELIVERED,
        window.start * _HOUR,
        window.end * _HOUR,
        calls,
    )
    reasons: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for row in rows:
        match _decoded(row.get("@message", "")):
            case {"hourly": {"account": of, "log_group": str(name), "reasons": dict(some)}} if (
                of == account
            ):
                reasons[name].update({str(key): int(count) for key, count in some.items()})
    return dict(reasons)


def _decoded(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return None


def _all_rows(
    groups: Sequence[str], query: str, start: int, end: int, calls: InsightsCalls
) -> Iterator[Mapping[str, str]]:
    """Give all rows of a query, from times in seconds; a time with too many rows is divided."""
    rows, is_whole = _rows(groups, query, start, end, calls)
    if is_whole or end - start <= _SHORTEST:
        yield from rows
        return
    middle = (start + end) // 2
    yield from _all_rows(groups, query, start, middle, calls)
    yield from _all_rows(groups, query, middle, end, calls)


def _rows(
    groups: Sequence[str], query: str, start: int, end: int, calls: InsightsCalls
) -> tuple[list[Mapping[str, str]], bool]:
    """Give the rows of a query, and whether these are all."""
    began = calls.start_query(
        logGroupNames=[*groups],
        # Both times are inclusive.
        startTime=start,
        endTime=end - 1,
        queryString=query,
        limit=_MOST,
    )
    seconds = 0.5
    while True:
        answer = calls.get_query_results(queryId=began["queryId"])
        if answer["status"] == "Complete":
            rows: list[Mapping[str, str]] = [
                {each["field"]: each["value"] for each in row} for row in answer["results"]
            ]
            return rows, len(rows) < _MOST
        if answer["status"] in _ENDED:
            raise AwsError("refused", f"Query{answer['status']}", "a query of Logs Insights failed")
        calls.sleep(seconds)
        seconds = min(seconds * 1.5, 5.0)


def _number(text: str | None) -> int:
    return int(float(text)) if text else 0


def _hour(text: str) -> int:
    """Read a time such as `2026-11-30 10:00:00.000`, which is in UTC."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) // _HOUR
