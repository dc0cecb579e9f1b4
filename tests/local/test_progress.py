"""Progress reports are neither missing nor too many."""

import io
from collections.abc import Iterator

from loki_shipper.local.progress import clock_face, on_stream


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def ticking(*times: float) -> Iterator[float]:
    yield from times


def test_durations_have_units() -> None:
    assert [clock_face(s) for s in (0, 59.9, 60, 80, 3605)] == [
        "0s",
        "59s",
        "1m00s",
        "1m20s",
        "60m05s",
    ]


def test_a_short_step_shows_no_progress() -> None:
    out = io.StringIO()
    tell = on_stream(out, clock=ticking(0, 0.5, 0.9).__next__)
    for text in ("starting: 0s", "starting: 0s", ""):
        tell(text)
    assert out.getvalue() == ""


def test_a_pipe_gets_a_line_at_intervals() -> None:
    out = io.StringIO()
    tell = on_stream(out, clock=iter(range(100)).__next__)
    for second in range(30):
        tell(f"building: {second}s")
    assert out.getvalue() == "building: 1s\nbuilding: 16s\n"


def test_a_terminal_gets_one_line_that_is_erased() -> None:
    out = Terminal()
    tell = on_stream(out, clock=iter(range(100)).__next__)
    for text in ("building: 0s", "building: 1s", "building: 2s", ""):
        tell(text)
    assert out.getvalue() == "\r\x1b[Kbuilding: 1s\r\x1b[Kbuilding: 2s\r\x1b[K"
