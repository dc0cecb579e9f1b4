"""Counts the different lines that Loki holds of log groups, by the hour of their time."""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import batched
from typing import Any, Final

import msgspec
from msgspec import Struct

from loki_shipper.audit.model import AuditedGroup, LokiCounts, NotRead
from loki_shipper.model import Pairs
from loki_shipper.shipper.delivery.answer import NoAnswer
from loki_shipper.shipper.delivery.hourly import HOUR_NS

_COUNT: Final = "/loki/api/v1/query"
_LINES: Final = "/loki/api/v1/query_range"
_GROUPS: Final = 100
"""Log groups in one query. Stock Loki returns 500 series (`max_query_series`)."""

_PAGE: Final = 1_000
"""Lines of one answer. Loki 3.7.8 returns an empty 200 for an answer beyond gRPC's 4 MiB."""

_MOST_LINES: Final = 20_000
"""Lines that are read of one log group and hour."""

_MOST_HOURS: Final = 500
"""Hours of log groups of which an audit reads the lines."""

_ATTEMPTS: Final = 4
_OK: Final = 200
_DENIED: Final = (401, 403)
_TOO_MANY: Final = 429
_FAILING: Final = 500


class LokiReply(Struct, frozen=True):
    """An answer to a query."""

    status: int
    body: bytes


type AskLoki = Callable[[str, Mapping[str, str], str | None], LokiReply | NoAnswer]
"""Sends a query: its path, its parameters, and the tenant (None: no header)."""


class LokiQueries(Struct, frozen=True):
    """How to query Loki: the effects, the label of the log group, and labels of all our lines.

    `sleep` takes seconds. `now` is in ms since 1970.
    """

    ask: AskLoki
    sleep: Callable[[float], None]
    group_label: str
    fixed_labels: Pairs
    now: int


class UnreadLokiError(Exception):
    """Raised when a query fails; the message has no secret."""


def queries_of(log_groups: int, hours: int, tenants: int) -> int:
    """Give the number of queries that `read_loki` sends if Loki agrees."""
    return hours * tenants * -(-log_groups // _GROUPS)


def read_loki(
    groups: Iterable[AuditedGroup],
    expected: Mapping[str, Mapping[int, int]],
    queries: LokiQueries,
    *,
    skipped: Mapping[str, frozenset[int]],
) -> dict[str, LokiCounts] | NotRead:
    """Count the lines of log groups in the hours for which a number of entries is `expected`.

    The lines of an hour with another number are read, so that a line that Loki holds twice counts
    once. `skipped` hours of a log group are not counted.
    """
    try:
        return _read(tuple(groups), expected, queries, skipped)
    except UnreadLokiError as error:
        return NotRead(str(error))


def _read(
    groups: Sequence[AuditedGroup],
    expected: Mapping[str, Mapping[int, int]],
    queries: LokiQueries,
    skipped: Mapping[str, frozenset[int]],
) -> dict[str, LokiCounts]:
    lines: defaultdict[str, dict[int, int]] = defaultdict(dict)
    sampled: defaultdict[str, set[int]] = defaultdict(set)
    left = _MOST_HOURS
    for hour in sorted({hour for hours in expected.values() for hour in hours}):
        of_hour = [each for each in groups if hour in expected.get(each.name, {})]
        counts = _counts(of_hour, hour, queries)
        for each in of_hour:
            wanted, count = expected[each.name][hour], counts.get(each.name, 0)
            if count not in (0, wanted) and hour not in skipped.get(each.name, ()):
                if left:
                    left -= 1
                    count, is_sample = _different(each, hour, count, queries)
                else:
                    is_sample = True
                if is_sample:
                    sampled[each.name].add(hour)
            lines[each.name][hour] = count
    return {
        each.name: LokiCounts(
            lines[each.name],
            frozenset(sampled[each.name]),
            skipped.get(each.name, frozenset()),
        )
        for each in groups
    }


def _counts(groups: Sequence[AuditedGroup], hour: int, queries: LokiQueries) -> dict[str, int]:
    """Count the lines of one hour; a line that Loki holds twice may count twice."""
    counts: defaultdict[str, int] = defaultdict(int)
    for tenant in sorted({t for each in groups for t in each.tenants}, key=str):
        names = [each.name for each in groups if tenant in each.tenants]
        for some in batched(names, _GROUPS):
            label = queries.group_label
            query = f"sum by ({label}) (count_over_time({_selector(some, queries)}[1h]))"
            # The time of a range is before its end, or equal to it.
            parameters = {"query": query, "time": str((hour + 1) * HOUR_NS - 1)}
            for sample in _result(_COUNT, parameters, tenant, queries):
                counts[sample["metric"].get(label, "")] += int(sample["value"][1])
    return dict(counts)


def _selector(names: Sequence[str], queries: LokiQueries) -> str:
    """Write the stream selector of log groups, whose names have letters, digits and `.-_/#`."""
    fixed = [
        f"{name}={msgspec.json.encode(value).decode()}" for name, value in queries.fixed_labels
    ]
    pattern = "|".join(re.sub(r"\.", "[.]", name) for name in names)
    matcher = f"{queries.group_label}=~`{pattern}`"
    return "{" + ",".join([matcher, *fixed]) + "}"


def _different(
    group: AuditedGroup, hour: int, count: int, queries: LokiQueries
) -> tuple[int, bool]:
    """Count the different lines of one hour, and tell whether that is from a sample."""
    read = 0
    seen: set[tuple[int, str]] = set()
    for tenant in group.tenants:
        for line in _lines(group.name, hour, tenant, queries):
            read += 1
            seen.add(line)
            if read == _MOST_LINES and count > read:
                return round(count * len(seen) / read), True
    return len(seen), False


def _lines(
    name: str, hour: int, tenant: str | None, queries: LokiQueries
) -> Iterator[tuple[int, str]]:
    """Give the time and text of each line of an hour, page by page."""
    start, end = hour * HOUR_NS, (hour + 1) * HOUR_NS
    # Loki caches that a query found nothing. The filter excludes no line and makes the query new.
    query = f"{_selector([name], queries)} != `audited at {queries.now}`"
    last: set[tuple[int, str]] = set()
    while True:
        parameters = {
            "query": query,
            "start": str(start),
            "end": str(end),
            "limit": str(_PAGE),
            "direction": "forward",
        }
        page = sorted(
            (int(at), line)
            for stream in _result(_LINES, parameters, tenant, queries)
            for at, line, *_ in stream["values"]
        )
        yield from (line for line in page if line not in last)
        if len(page) < _PAGE:
            return
        newest = page[-1][0]
        # The page may end between two lines of the same nanosecond.
        last = {line for line in page if line[0] == newest}
        start = newest if newest > start else newest + 1


def _result(
    path: str, parameters: Mapping[str, str], tenant: str | None, queries: LokiQueries
) -> list[Any]:
    for attempt in range(_ATTEMPTS):
        reply = queries.ask(path, parameters, tenant)
        may_pass = isinstance(reply, NoAnswer) or (
            reply.status == _TOO_MANY or reply.status >= _FAILING
        )
        if not may_pass or attempt == _ATTEMPTS - 1:
            return _samples(reply)
        queries.sleep(2.0**attempt)
    raise AssertionError


def _samples(reply: LokiReply | NoAnswer) -> list[Any]:
    match reply:
        case NoAnswer(reason=reason):
            raise UnreadLokiError(f"it does not answer ({reason})")
        case LokiReply(status=200, body=body):
            try:
                found: list[Any] = msgspec.json.decode(body)["data"]["result"]
            except (msgspec.DecodeError, KeyError, TypeError):
                raise UnreadLokiError("something other than Loki answers queries") from None
            return found
        case LokiReply(status=status) if status in _DENIED:
            raise UnreadLokiError(
                f"it refuses queries with these credentials ({status}): set LokiReadSecret"
            )
        case LokiReply(status=status):
            raise UnreadLokiError(f"it answers a query with {status}")
