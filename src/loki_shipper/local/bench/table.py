"""From what was measured to what people read: a table of multiples of the empty handler."""

from collections.abc import Iterator, Mapping
from typing import Final

from loki_shipper.local.bench.measure import (
    BY_API,
    BY_INDEX,
    EMPTY,
    FLOOR,
    OURS,
    Measured,
    Timing,
)

# Targets; and lambda-promtail (Go) as it was once measured in one run with a sketch of ours. Its
# module is not on the Go module proxy, so it cannot be measured here.
_WARM: Final = {1: ("3.0", "1.9"), 100: ("5.0", "6.7"), 1_000: ("9.0", "22"), 10_000: ("25", "62")}
_COLD: Final = ("3.0", "0.4")
_COLD_TAGS = "2.0"
_PEAK: Final = ("58 MB", "58 MB")
_LARGEST = "256 MB"
_FEW = 100
"""With fewer log events than this, what an invocation costs by itself hides what an event costs."""

_MB = 1_000_000
_HEAD = (
    "",
    f"{EMPTY}, {FLOOR}, {OURS}",
    "times empty",
    "fastest",
    "CPU",
    "target",
    "lambda-promtail (quoted)",
)


def table(measured: Measured) -> str:
    """Write Markdown: median times, and ours in multiples of the empty handler's.

    Multiples are of medians, of the fastest, and of the processor's time. The latter two hold on a
    busy machine too; the last is harsher, as it lacks what the Runtime API takes of everybody.
    """
    cells = [_HEAD, *_warm_rows(measured.warm), *_cold_rows(measured.cold), *_peak_rows(measured)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [
        "| " + " | ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)) + " |"
        for row in cells
    ]
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([lines[0], rule, *lines[1:], "", *_slope(measured.warm)])


def _warm_rows(warm: Mapping[int, Mapping[str, Timing]]) -> Iterator[tuple[str, ...]]:
    for events, timings in warm.items():
        target, promtail = _WARM.get(events, ("", ""))
        shown = (timings[EMPTY], timings[FLOOR], timings[OURS])
        name = f"warm, {events:,} event{'s' * (events > 1)}"
        yield (name, _times(*shown), *_multiples(timings[OURS], timings[EMPTY]), target, promtail)


def _cold_rows(cold: Mapping[str, Timing]) -> Iterator[tuple[str, ...]]:
    empty, ours = cold[EMPTY], cold[OURS]
    yield ("init + 1 event", _times(empty, None, ours), *_multiples(ours, empty), *_COLD)
    for name in (BY_API, BY_INDEX):
        times = _times(empty, None, cold[name])
        yield (f"init + 1 event, {name}", times, *_multiples(cold[name], empty), "", "")
        yield ("- in multiples of ours without", "", *_multiples(cold[name], ours), _COLD_TAGS, "")


def _peak_rows(measured: Measured) -> Iterator[tuple[str, ...]]:
    peaks = ", ".join(f"{measured.peaks[name] / _MB:.0f}" for name in (EMPTY, FLOOR, OURS))
    yield ("peak memory, 10,000 events", f"{peaks} MB", "", "", "", *_PEAK)
    largest = f"{measured.largest_peak / _MB:.0f} MB"
    yield ("peak memory, 1 MB that unpacks to 30 MB", largest, "", "", "", _LARGEST, "")


def _slope(warm: Mapping[int, Mapping[str, Timing]]) -> Iterator[str]:
    each = [
        f"{timings[OURS].cpu / events * 1e6:.1f} µs of {events:,}"
        for events, timings in warm.items()
        if events >= _FEW
    ]
    yield f"CPU per log event, which must not rise: {', '.join(each)}."


def _times(*timings: Timing | None) -> str:
    return (
        ", ".join("-" if each is None else f"{each.seconds * 1000:.1f}" for each in timings) + " ms"
    )


def _multiples(ours: Timing, empty: Timing) -> tuple[str, str, str]:
    return (
        f"{ours.seconds / empty.seconds:.1f}",
        f"{ours.fastest / empty.fastest:.1f}",
        f"{ours.cpu / empty.cpu:.1f}",
    )
