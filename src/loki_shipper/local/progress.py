"""Says on stderr what takes long, so that nobody looks at silence."""

import sys
import time
from collections.abc import Callable
from typing import TextIO

type Tell = Callable[[str], None]
"""Takes one line on what is going on, again and again; an empty line says that it is over."""

_PATIENCE = 1.0
_PIPE_EVERY = 15.0


def clock_face(seconds: float) -> str:
    """Write a duration as people read it: `8s`, `1m20s`."""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}m{rest:02}s" if minutes else f"{rest}s"


def on_stream(stream: TextIO | None = None, *, clock: Callable[[], float] = time.monotonic) -> Tell:
    """Make a `Tell` that says nothing of what is over within a second.

    On a terminal it rewrites one line; elsewhere it writes a line every 15 s. The text up to the
    first colon is the subject, and a new subject is written without waiting for those 15 s.
    """
    out = sys.stderr if stream is None else stream
    subject, began, due = "", 0.0, 0.0

    def tell(text: str) -> None:
        nonlocal subject, began, due
        head, now = text.partition(":")[0], clock()
        if head != subject:
            _end_line(out, shown=bool(subject) and due > began + _PATIENCE)
            subject, began, due = head, now, now + _PATIENCE
        if head and now >= due:
            terminal = out.isatty()
            out.write(f"\r\x1b[K{text}" if terminal else f"{text}\n")
            out.flush()
            due = now + (_PATIENCE / 10 if terminal else _PIPE_EVERY)

    return tell


def _end_line(out: TextIO, *, shown: bool) -> None:
    """Take the rewritten line away."""
    if shown and out.isatty():
        out.write("\r\x1b[K")
        out.flush()
