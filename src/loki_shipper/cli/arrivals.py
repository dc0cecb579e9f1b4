"""Finds the lines that are new in Loki, and the lines that only CloudWatch Logs or Loki has."""

from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Iterator
from typing import Literal

from msgspec import Struct

from loki_shipper.cli.formatting import NS_PER_MS
from loki_shipper.local.query_loki import LokiLine


class Arrival(Struct, frozen=True):
    """A line that is new in Loki; `delay` is in ms since its log event.

    `delay` is None for a line of the first query, because its arrival is unknown.
    """

    line: LokiLine
    delay: int | None


class Arrivals:
    """Finds the lines of a query that no earlier query returned."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, int, str], None] = {}
        self._is_first = True

    def new(self, lines: Iterable[LokiLine], now: int, oldest: int) -> list[Arrival]:
        """Return the new ones of these lines.

        `now` is the time of the query. No later query goes back beyond `oldest`. Both are in ms
        since 1970.
        """
        found = [Arrival(line, self._delay(line, now)) for line in lines if self._is_new(line)]
        self._is_first = False
        self._seen = {key: None for key in self._seen if key[1] >= oldest * NS_PER_MS}
        return found

    def _delay(self, line: LokiLine, now: int) -> int | None:
        return None if self._is_first else max(0, now - line.timestamp // NS_PER_MS)

    def _is_new(self, line: LokiLine) -> bool:
        key = (repr(sorted(line.labels.items())), line.timestamp, line.line)
        is_new = key not in self._seen
        self._seen[key] = None
        return is_new


class ExpectedLine(Struct, frozen=True):
    """A line that Loki should have for a log event; `timestamp` is in ms since 1970."""

    timestamp: int
    line: str


type Presence = Literal["both", "cloudwatch", "loki"]
"""Where a line is: in CloudWatch Logs and in Loki, or only in one of them."""


class ComparedLine(Struct, frozen=True):
    """A line and where it is; `delay` is as in Arrival."""

    expected: ExpectedLine
    presence: Presence
    delay: int | None


class Comparison:
    """Compares the lines in CloudWatch Logs with the lines in Loki.

    It reports a line once when both have it, and once before that if only one of them has it for
    `grace` ms.
    """

    def __init__(self, grace: int) -> None:
        self.in_both = 0
        self._grace = grace
        self._cloudwatch: dict[ExpectedLine, deque[int]] = defaultdict(deque)
        self._loki: dict[ExpectedLine, deque[tuple[int, int | None]]] = defaultdict(deque)
        self._reported: Counter[tuple[ExpectedLine, Presence]] = Counter()

    def add_cloudwatch(self, lines: Iterable[ExpectedLine], now: int) -> None:
        """Add lines that CloudWatch Logs has."""
        for line in lines:
            self._cloudwatch[line].append(now)

    def add_loki(self, arrivals: Iterable[Arrival], now: int) -> None:
        """Add lines that Loki has."""
        for each in arrivals:
            line = ExpectedLine(each.line.timestamp // NS_PER_MS, each.line.line)
            self._loki[line].append((now, each.delay))

    def missing(self, now: int) -> list[ExpectedLine]:
        """List the lines that CloudWatch Logs has for at least `grace`, and Loki has not."""
        return [
            line
            for line, times in self._cloudwatch.items()
            for since in times
            if now - since >= self._grace
        ]

    def report(self, now: int) -> Iterator[ComparedLine]:
        """Return the lines that have something new to report, in the order of their time."""
        yield from sorted(
            [*self._matched(), *self._unmatched(now)], key=lambda each: each.expected.timestamp
        )

    def _matched(self) -> Iterator[ComparedLine]:
        for line in [*self._cloudwatch.keys() & self._loki.keys()]:
            seen, arrived = self._cloudwatch[line], self._loki[line]
            for _ in range(min(len(seen), len(arrived))):
                seen.popleft()
                _, delay = arrived.popleft()
                self.in_both += 1
                yield ComparedLine(line, "both", delay)
            for sides in (self._cloudwatch, self._loki):
                if not sides[line]:
                    del sides[line]

    def _unmatched(self, now: int) -> Iterator[ComparedLine]:
        for line, times in self._cloudwatch.items():
            yield from self._once(line, "cloudwatch", [(since, None) for since in times], now)
        for line, arrived in self._loki.items():
            yield from self._once(line, "loki", arrived, now)

    def _once(
        self,
        line: ExpectedLine,
        presence: Presence,
        times: Iterable[tuple[int, int | None]],
        now: int,
    ) -> Iterator[ComparedLine]:
        due = [delay for since, delay in times if now - since >= self._grace]
        for delay in due[self._reported[line, presence] :]:
            self._reported[line, presence] += 1
            yield ComparedLine(line, presence, delay)
