"""Formats the figures as Markdown tables."""

from collections.abc import Iterator, Sequence
from typing import Final

from msgspec import Struct

from tools.bench.cost import MEMORIES, MEMORY, per_gb, per_million, price, seconds
from tools.bench.measure import (
    BY_API,
    EMPTY,
    FLOOR,
    OURS,
    PEAK_EVENTS,
    THEIRS,
    THEIRS_WITH_AWS,
    WITH_AWS,
    WITHOUT_RULES,
    Cold,
    Measured,
)

_MOST: Final = {1: 1.6, 100: 0.95, 1_000: 0.5, 10_000: 0.45}
"""Targets for the ratio of our time to lambda-promtail's, by number of log events."""

_MOST_CPU: Final = 0.4
_MOST_INIT: Final = 2.6
_MOST_WITH_AWS: Final = 1.6
_MOST_PEAK: Final = 48e6
_MOST_PEAK_WITH_AWS: Final = 62e6
_LARGEST: Final = 256e6
_MB: Final = 1e6
_COST_EVENTS: Final = (1, 100, 1_000, 10_000)
_PRECISE = 10
_COARSE = 100


class BenchmarkTarget(Struct, frozen=True):
    """A value and its upper limit."""

    value: float
    most: float

    @property
    def is_met(self) -> bool:
        """Tell whether the printed value meets the limit."""
        return round(self.value, 2) <= self.most


type _Rows = Iterator[tuple[str, ...]]


def table(measured: Measured) -> str:
    """Return all tables."""
    tables = (times(measured), starts(measured), peaks(measured), dollars(measured))
    return "\n\n".join(tables)


def times(measured: Measured) -> str:
    """Return the median wall time of warm invocations, and processor time, by program."""
    return _markdown(_times(measured), right=5)


def _times(measured: Measured) -> _Rows:
    yield ("", EMPTY, FLOOR, THEIRS, OURS, "without rules", "ratio to Go", "target")
    shown = (EMPTY, FLOOR, THEIRS, OURS, WITHOUT_RULES)
    for events, by_name in measured.warm.items():
        cells = [_ms(by_name[name].median) if name in by_name else "-" for name in shown]
        ratio = _ratio(measured, events, "median", _MOST.get(events))
        yield (_events(events), *cells, *ratio)
    for events, by_name in measured.warm.items():
        cells = [_ms(by_name[name].cpu) if name in by_name else "-" for name in shown]
        most = _MOST_CPU if events == PEAK_EVENTS else None
        yield (f"CPU, {_events(events)}", *cells, *_ratio(measured, events, "cpu", most))


def _ratio(measured: Measured, events: int, of: str, most: float | None) -> tuple[str, str]:
    by_name = measured.warm[events]
    if THEIRS not in by_name:
        return "-", "" if most is None else f"≤ {most}"
    value: float = getattr(by_name[OURS], of) / getattr(by_name[THEIRS], of)
    return _against(value, most)


def _against(value: float, most: float | None) -> tuple[str, str]:
    if most is None:
        return f"{value:.2f}", ""
    target = BenchmarkTarget(value, most)
    return f"**{value:.2f}**", f"≤ {most}" if target.is_met else f"≤ {most}: missed"


def starts(measured: Measured) -> str:
    """Return the times of a cold start."""
    return _markdown(_starts(measured), right=4)


def _starts(measured: Measured) -> _Rows:
    cold = measured.cold
    yield ("", EMPTY, THEIRS, OURS, "ratio", "target")
    empty, ours, theirs = cold[EMPTY], cold[OURS], cold.get(THEIRS)
    yield (
        "init",
        *(_ms(each.init) if each else "-" for each in (empty, theirs, ours)),
        *_to(ours.init / empty.init, "the empty handler", _MOST_INIT),
    )
    yield (
        "init and first event",
        *(_cold(each) for each in (empty, theirs, ours)),
        *_to(_total(ours) / _total(empty), "the empty handler", None),
    )
    for name, text, compared in (
        (WITH_AWS, "with the secret in SSM, the tag index in S3", THEIRS_WITH_AWS),
        (BY_API, "with tags from CloudWatch Logs", ""),
    ):
        most = _MOST_WITH_AWS if name == WITH_AWS else None
        yield (
            f"init and first event, {text}",
            "-",
            _cold(cold.get(compared)),
            _cold(cold[name]),
            *_to(_total(cold[name]) / _total(ours), "without", most),
        )


def _to(value: float, what: str, most: float | None) -> tuple[str, str]:
    ratio, target = _against(value, most)
    return f"{ratio} of {what}", target


def _total(cold: Cold) -> float:
    return cold.init + cold.first


def _cold(cold: Cold | None) -> str:
    return "-" if cold is None else _ms(_total(cold))


def peaks(measured: Measured) -> str:
    """Return the peak memory."""
    return _markdown(_peaks(measured), right=4)


def _peaks(measured: Measured) -> _Rows:
    peaks = measured.peaks
    yield ("", EMPTY, THEIRS, OURS, "target")
    yield (
        f"peak memory, {PEAK_EVENTS:,} events",
        _mb(peaks[EMPTY]),
        _mb(peaks.get(THEIRS)),
        _mb(peaks[OURS]),
        _most_mb(peaks[OURS], _MOST_PEAK),
    )
    with_aws = peaks[WITH_AWS]
    yield (
        "with the secret and tags",
        "-",
        "-",
        _mb(with_aws),
        _most_mb(with_aws, _MOST_PEAK_WITH_AWS),
    )
    largest = measured.largest_peak
    yield ("1 MB that unpacks to 30 MB", "-", "-", _mb(largest), _most_mb(largest, _LARGEST))


def dollars(measured: Measured) -> str:
    """Return the cost of a GB of lines, for Lambda and for the function's own log."""
    return _markdown(_dollars(measured), right=5)


def _dollars(measured: Measured) -> _Rows:
    yield ("dollars per GB of lines", "log events", "Lambda", "its log", "together", "pushes")
    for name in (THEIRS, OURS):
        for events in _COST_EVENTS:
            warm = measured.warm[events].get(name)
            if warm is not None:
                paid = price(warm)
                both = per_gb(paid.function + paid.log, events)
                parts = (per_gb(paid.function, events), per_gb(paid.log, events), both)
                shown = (f"{part:.4g}" for part in parts)
                yield (name, f"{events:,}", *shown, f"{warm.pushes:.0f}")


def memories(measured: Measured) -> str:
    """Return the cost of a million log events and the time of an invocation, by memory."""
    return _markdown(_memories(measured), right=len(_COST_EVENTS))


def _memories(measured: Measured) -> _Rows:
    yield ("memory", *map(_events, _COST_EVENTS))
    for memory in MEMORIES:
        cells = []
        for events in _COST_EVENTS:
            warm = measured.warm[events][OURS]
            paid = per_million(price(warm, memory).function, events)
            cells.append(f"{paid:.2g} ({seconds(warm, memory) * 1000:.0f} ms)")
        yield (f"**{memory} MB**" if memory == MEMORY else f"{memory:,} MB", *cells)


def x86(measured: Measured) -> str:
    """Return the cost of a million log events on x86_64 with the default memory."""
    return _markdown(_x86(measured), right=len(_COST_EVENTS))


def _x86(measured: Measured) -> _Rows:
    yield ("memory", *map(_events, _COST_EVENTS))
    paid = (price(measured.warm[events][OURS], MEMORY, "x86_64") for events in _COST_EVENTS)
    dollars = (
        per_million(each.function, events) for each, events in zip(paid, _COST_EVENTS, strict=True)
    )
    yield (f"{MEMORY} MB, x86_64", *(f"{each:.2g}" for each in dollars))


def processor(measured: Measured) -> str:
    """Return the processor time of an invocation by size, and of a cold start."""
    return _markdown(_processor(measured), right=len(_COST_EVENTS) + 2)


def _processor(measured: Measured) -> _Rows:
    yield ("", *map(_events, _COST_EVENTS), "cold start", "with secret and tags")
    warm = (_ms(measured.warm[events][OURS].cpu) for events in _COST_EVENTS)
    cold = (_ms(measured.cold[name].cpu) for name in (OURS, WITH_AWS))
    yield ("processor time", *warm, *cold)


def log(measured: Measured) -> str:
    """Return the bytes that an invocation logs, and the cost of a million invocations."""
    warm = measured.warm[1][OURS]
    return (
        f"An invocation writes {warm.log_bytes / 1000:.1f} KB. "
        f"A million of them cost ${price(warm).log * 1e6:.2f}."
    )


def _markdown(rows: _Rows, *, right: int) -> str:
    head, *body = rows
    aligned = ["---", *["---:"] * right, *["---"] * (len(head) - 1 - right)]
    return "\n".join(map(_line, [head, aligned, *body]))


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _events(count: int) -> str:
    return f"{count:,} event{'s' * (count > 1)}"


def _ms(value: float) -> str:
    ms = value * 1000
    digits = 2 if ms < _PRECISE else 1 if ms < _COARSE else 0
    return f"{ms:.{digits}f} ms"


def _mb(value: int | None) -> str:
    return "-" if value is None else f"{value / _MB:.0f} MB"


def _most_mb(value: int, most: float) -> str:
    text = f"≤ {most / _MB:.0f} MB"
    return text if round(value / _MB) <= most / _MB else f"{text}: missed"
