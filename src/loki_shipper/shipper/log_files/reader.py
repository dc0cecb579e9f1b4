"""Makes log events of the lines of a log file."""

import sys
from collections.abc import Callable, Sequence
from hashlib import blake2b
from typing import Literal

from msgspec import Struct

from loki_shipper.model import LogEvent, LogFile, S3Object
from loki_shipper.shipper.log_files.times import TimeOf

_BLOCK = 10_000
"""Lines that keep their order within one millisecond (`entries/offsets.py`)."""

_ID_DIGITS = 56
_MS_BIT = 144
_BLOCK_BIT = 16
_HASH_BYTES = (_MS_BIT - _BLOCK_BIT) // 8
_EARLIEST_MS = 10**12
"""2001. An earlier number is no time."""

_LATEST_MS = 10 * 60 * 1000
"""A line is logged before its file is written. A later time is a wrong clock."""


class Layout(Struct, frozen=True):
    """How a log file holds its lines.

    `array`: the name of the array in one JSON object whose elements are the lines; None for lines
    of text. `time_of` gives a line's own time. `is_header` tells whether a line is no log event.
    `fields` are the names of a line's fields, if the file begins with them.
    """

    time_of: TimeOf
    array: str | None = None
    is_header: Callable[[str], bool] | None = None
    fields: tuple[str, ...] = ()


class RefusedObject(Struct, frozen=True):
    """The object is no log file that can be read, for a reason that is a sentence."""

    reason: str


class SkippedObject(Struct, frozen=True):
    """AWS writes the object beside log files, and it has no log events of its own."""

    reason: str


class LogFileReader:
    """Makes log events of the lines of one log file.

    A line's nanosecond depends only on the object, the line's number and the times in the file.
    `time` is that of the last line, in ms. Who goes on in the middle of a file sets it again.
    """

    def __init__(self, found: S3Object, log_file: LogFile, layout: Layout) -> None:
        self.log_file = log_file
        self.array = layout.array
        self.time = found.written or 0
        self._latest = sys.maxsize if found.written is None else found.written + _LATEST_MS
        self._time_of = layout.time_of
        self._is_header = layout.is_header
        # Lists of objects name no versions. Versions with the same ETag have the same lines.
        self._object = "\0".join((found.bucket, found.key, found.etag or found.version or ""))

    @property
    def layout(self) -> Literal["lines", "array"]:
        """`array` if the lines are the elements of the array `self.array` of a JSON object."""
        return "lines" if self.array is None else "array"

    def events(self, first_number: int, lines: Sequence[bytes]) -> list[LogEvent]:
        """Give the log events of lines; `first_number` is that of the first line, from 0.

        Headers and empty lines give none. A line without a time of its own has the time of the
        line before it, and the first one the time when the object was written. A byte that is no
        UTF-8 becomes U+FFFD: Loki takes only UTF-8, and JSON stays JSON.
        """
        found: list[LogEvent] = []
        time, latest = self.time, self._latest
        time_of, is_header = self._time_of, self._is_header
        block = -1
        base = 0
        for number, line in enumerate(lines, first_number):
            index = number % _BLOCK
            if number - index != block:
                block = number - index
                base = self._block(block)
            text = line.decode("utf-8", "replace").rstrip("\r")
            own = time_of(text)
            if own is not None and _EARLIEST_MS < own <= latest:
                time = own
            elif index == 0 and number:
                # More lines than one millisecond can hold in order.
                time += 1
            if text and not (is_header is not None and is_header(text)):
                id_ = f"{(time << _MS_BIT) + base + index:0{_ID_DIGITS}d}"
                found.append(LogEvent(id_, time, text))
        self.time = time
        return found

    def _block(self, first: int) -> int:
        text = f"{self._object}\0{first}".encode("utf-8", "surrogatepass")
        return int.from_bytes(blake2b(text, digest_size=_HASH_BYTES).digest()) << _BLOCK_BIT
