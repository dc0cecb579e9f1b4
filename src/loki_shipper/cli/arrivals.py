"""Which lines have arrived in Loki and when, and which of CloudWatch Logs have not."""

from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Iterator
from typing import Literal

from msgspec import Struct

from loki_shipper.local.query_loki import LokiLine

_MS = 1_000_000


class Arrival(Struct, frozen=True):
    """A line that is new in Loki; `delay` is in ms since its log event.

    None: the line was there before anybody looked, so nobody knows.
    """

    line: LokiLine
    delay: int | None


class Arrivals:
    """Tells the lines of a look that no look before had."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, int, str], None] = {}
        self._is_first = True

    def new(self, lines: Iterable[LokiLine], now: int, oldest: int) -> list[Arrival]:
        """Give the lines that were not there before.

        `now` is when they were read, and no look goes back beyond `oldest`; both are in ms since
        1970.
        """
        found = [Arrival(line, self._delay(line, now)) for line in lines if self._is_new(line)]
        self._is_first = False
        self._seen = {key: None for key in self._seen if key[1] >= oldest * _MS}
        return found

    def _delay(self, line: LokiLine, now: int) -> int | None:
        return None if self._is_first else max(0, now - line.timestamp // _MS)

    def _is_new(self, line: LokiLine) -> bool:
        key = (repr(sorted(line.labels.items())), line.timestamp, line.line)
        is_new = key not in self._seen
        self._seen[key] = None
        return is_new


class Expected(Struct, frozen=True):
    """A line that Loki should have of a log event; `timestamp` is in ms since 1970."""

    timestamp: int
    line: str


type State = Literal["both", "cloudwatch", "loki"]
"""Where a line is: in CloudWatch Logs and in Loki, or only in one of them."""


class Compared(Struct, frozen=True):
    """A line of which one knows where it is; `delay` as in Arrival."""

    expected: Expected
    state: State
    delay: int | None


class Comparison:
    """Joins the lines that CloudWatch Logs has with those that Loki has.

    A line is told once it is in both, and once more before that if it is in only one of them for
    `grace` ms.
    """

    def __init__(self, grace: int) -> None:
        self.in_both = 0
        self._grace = grace
        self._cloudwatch: dict[Expected, deque[int]] = defaultdict(deque)
        self._loki: dict[Expected, deque[tuple[int, int | None]]] = defaultdict(deque)
        self._told: Counter[tuple[Expected, State]] = Counter()

    def add_cloudwatch(self, lines: Iterable[Expected], now: int) -> None:
        """Take lines that CloudWatch Logs has."""
        for line in lines:
            self._cloudwatch[line].append(now)

    def add_loki(self, arrivals: Iterable[Arrival], now: int) -> None:
        """Take lines that Loki has."""
        for each in arrivals:
            line = Expected(each.line.timestamp // _MS, each.line.line)
            self._loki[line].append((now, each.delay))

    def missing(self, now: int) -> list[Expected]:
        """List the lines that CloudWatch Logs has for `grace`, and Loki has not."""
        return [
            line
            for line, times in self._cloudwatch.items()
            for since in times
            if now - since >= self._grace
        ]

    def tell(self, now: int) -> Iterator[Compared]:
        """Give the lines of which there is something new to tell, in the order of their time."""
        yield from sorted(
            [*self._joined(), *self._alone(now)], key=lambda each: each.expected.timestamp
        )

    def _joined(self) -> Iterator[Compared]:
        for line in [*self._cloudwatch.keys() & self._loki.keys()]:
            seen, arrived = self._cloudwatch[line], self._loki[line]
            for _ in range(min(len(seen), len(arrived))):
                seen.popleft()
                _, delay = arrived.popleft()
                self.in_both += 1
                yield Compared(line, "both", delay)
            for sides in (self._cloudwatch, self._loki):
                if not sides[line]:
                    del sides[line]

    def _alone(self, now: int) -> Iterator[Compared]:
        for line, times in self._cloudwatch.items():
            yield from self._once(line, "cloudwatch", [(since, None) for since in times], now)
        for line, arrived in self._loki.items():
            yield from self._once(line, "loki", arrived, now)

    def _once(
        self, line: Expected, state: State, times: Iterable[tuple[int, int | None]], now: int
    ) -> Iterator[Compared]:
        due = [delay for since, delay in times if now - since >= self._grace]
        for delay in due[self._told[line, state] :]:
            self._told[line, state] += 1
            yield Compared(line, state, delay)
