"""Shows how many streams the lines of a log group make, and when labels are full."""

from collections.abc import Iterator

from rich.text import Text

from loki_shipper.cli.formatting import count_text, delay_text
from loki_shipper.cli.predict_streams import StreamForecast

_HOUR = 60
_MINUTE_MS = 60_000


def forecast_lines(streams: StreamForecast) -> Iterator[Text]:
    """Say how many streams there are, what is extrapolated from that, and when labels are full."""
    minutes = count_text(streams.minutes, "minute")
    span = "the last hour" if streams.minutes == _HOUR else minutes
    if not streams.lines:
        yield Text(f"streams   none, as there are no lines in {span}")
        return
    late = f" ({streams.late:,} late)" if streams.late else ""
    seen = f"{streams.seen:,}{late} from {count_text(streams.lines, 'line')} of {span}"
    as_before = "if new ones keep coming as in the second half of these lines"
    a_day = f"about {streams.a_day:,} a day, {as_before}"
    yield Text(f"streams   {seen}; {a_day if streams.a_day > streams.seen else 'no more in a day'}")
    for label in streams.labels:
        full = _full_text(label.full_after_minutes, streams.minutes)
        counts = f"{label.values:,} of at most {label.at_most:,} values"
        yield Text(f"rule      {label.rule}: label {label.label} has {counts}; {full}")
    if streams.sampled_by is not None:
        keeps = f"keeps one of {streams.one_of:,} requests, and every error"
        yield Text(f"rule      {streams.sampled_by}: {keeps}")
    for rule, lines in streams.dropped.items():
        yield Text(f"rule      {rule}: drops {lines:,} of {count_text(streams.lines, 'line')}")


def _full_text(minutes: int | None, sample: int) -> str:
    then = "other values become structured metadata"
    if minutes is None:
        return "not full within a day"
    if minutes <= sample:
        return f"full after {count_text(minutes, 'minute')}, so {then}"
    return f"full after about {delay_text(minutes * _MINUTE_MS)}, then {then}"
