"""Reports on stderr the progress of what takes long."""

import sys
import time
from collections.abc import Callable
from typing import TextIO

type Tell = Callable[[str], None]
"""Takes the current progress as one line; an empty line ends it."""

_SILENT_SECONDS = 1.0
_PIPE_EVERY = 15.0


def clock_face(seconds: float) -> str:
    """Format a duration: `8s`, `1m20s`."""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}m{rest:02}s" if minutes else f"{rest}s"


def on_stream(stream: TextIO | None = None, *, clock: Callable[[], float] = time.monotonic) -> Tell:
    """Make a `Tell` that writes nothing during the first second of a subject.

    The subject is the text before the first colon. On a terminal, `Tell` rewrites one line.
    Elsewhere, it writes a line every 15 s, and one for each new subject.
    """
    out = sys.stderr if stream is None else stream
    subject, began, due = "", 0.0, 0.0

    def tell(text: str) -> None:
        nonlocal subject, began, due
        head, now = text.partition(":")[0], clock()
        if head != subject:
            _end_line(out, shown=bool(subject) and due > began + _SILENT_SECONDS)
            subject, began, due = head, now, now + _SILENT_SECONDS
        if head and now >= due:
            terminal = out.isatty()
            out.write(f"\r\x1b[K{text}" if terminal else f"{text}\n")
            out.flush()
            due = now + (_SILENT_SECONDS / 10 if terminal else _PIPE_EVERY)

    return tell


def _end_line(out: TextIO, *, shown: bool) -> None:
    """Erase the rewritten line."""
    if shown and out.isatty():
        out.write("\r\x1b[K")
        out.flush()
