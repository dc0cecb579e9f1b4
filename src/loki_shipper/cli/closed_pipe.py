"""Keeps a command running when the reader of its output goes away, as `head` does."""

import io
import os
import stat
import sys
from typing import TextIO, override


class _UntilClosedIO(io.FileIO):
    """A pipe that takes every write, and drops the data once the reader is gone."""

    reader_is_gone = False

    @override
    def write(self, data: object, /) -> int:
        if not self.reader_is_gone:
            try:
                return super().write(data)  # type: ignore[arg-type] # any buffer, as the base takes
            except BrokenPipeError:
                self.reader_is_gone = True
        return len(memoryview(data))  # type: ignore[arg-type] # as above


def survive_closed_pipes() -> None:
    """Let a command finish its work when the reader of stdout or stderr goes away.

    Otherwise Python ends the command with a traceback at the next line that it prints.
    """
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if isinstance(stream, io.TextIOWrapper) and _is_pipe(stream):
            setattr(sys, name, _surviving(stream))


def stdout_is_closed() -> bool:
    """Tell whether the reader of stdout is gone, so that an endless command can stop."""
    raw = getattr(getattr(sys.stdout, "buffer", None), "raw", None)
    return isinstance(raw, _UntilClosedIO) and raw.reader_is_gone


def _is_pipe(stream: TextIO) -> bool:
    try:
        kind = os.fstat(stream.fileno()).st_mode
    except OSError:
        return False
    return stat.S_ISFIFO(kind) or stat.S_ISSOCK(kind)


def _surviving(stream: io.TextIOWrapper) -> io.TextIOWrapper:
    raw = _UntilClosedIO(stream.fileno(), "w", closefd=False)
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=stream.encoding,
        errors=stream.errors,
        line_buffering=stream.line_buffering,
    )
