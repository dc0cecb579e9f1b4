"""The lines of the canary's log group: one for each line that was sent, one for its arrival.

The log group is the canary's only memory. A run writes `sent` with an id of its own. The run that
first finds this line in Loki writes `arrived` with the same id.
"""

from collections.abc import Iterable

import msgspec
from msgspec import Struct


class Sent(Struct, frozen=True, tag="sent", tag_field="canary"):
    """A run has written this line; its time is that of the log event."""

    run: str


class Arrived(Struct, frozen=True, tag="arrived", tag_field="canary"):
    """Loki has returned the line of a run, so many seconds after the run wrote it."""

    run: str
    seconds: float


class CanaryLine(Struct, frozen=True):
    """A line of the log group, and its time in ms since 1970."""

    at: int
    content: Sent | Arrived


class Journey(Struct, frozen=True):
    """A line that was sent at a time in ms since 1970; `seconds` is None until it has arrived."""

    run: str
    at: int
    seconds: float | None = None


def encode_line(content: Sent | Arrived) -> str:
    """Write a line as JSON."""
    return msgspec.json.encode(content).decode()


def decode_line(text: str) -> Sent | Arrived | None:
    """Read a line; None if something else wrote it."""
    try:
        return msgspec.json.decode(text, type=Sent | Arrived)
    except (msgspec.MsgspecError, UnicodeError):
        return None


def journeys(lines: Iterable[CanaryLine]) -> list[Journey]:
    """Join each line that was sent with its arrival, in the order of their times."""
    sent: dict[str, int] = {}
    seconds: dict[str, float] = {}
    for line in lines:
        match line.content:
            case Sent(run=run):
                sent[run] = line.at
            case Arrived(run=run):
                # Two runs at once may both have found the line. The first one was sooner.
                seconds[run] = min(line.content.seconds, seconds.get(run, line.content.seconds))
    found = (Journey(run, at, seconds.get(run)) for run, at in sent.items())
    return sorted(found, key=lambda journey: journey.at)
