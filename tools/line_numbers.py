"""Shows which lines of a large log file arrived, and whether repeated ones were the same.

A stand-in for Loki writes pushes to a file while a program is measured, and they are read after
it. So counting takes no time of the program.
"""

import re
import threading
from array import array
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, override

from cramjam import snappy
from msgspec import Struct

from loki_shipper.local.logproto_pb2 import PushRequest
from tools.bench.sink import InstantLoki

_NUMBER: Final = re.compile(r"/orders/(\d+) HTTP")
"""The number in a line of `tools.log_file_lines`."""

_LENGTH: Final = 4
"""Bytes of the length before each push in the file."""


class Arrived(Struct, frozen=True):
    """How many of the lines arrived, and how many came again.

    `same` came again with the labels, the nanosecond and the text of before: Loki stores them
    once. `other` came again with others: Loki stores them twice.
    """

    lines: int
    arrived: int
    same: int
    other: int

    @property
    def is_each_once(self) -> bool:
        """Tell whether Loki would hold every line exactly once."""
        return self.arrived == self.lines and not self.other


class LokiOnDisk(InstantLoki):
    """Counts pushes and their bytes before compression, and keeps their bodies in a file.

    `watch` is called with the bytes so far before a push is answered.
    """

    def __init__(self, url: str, file: Path | None) -> None:
        super().__init__(url)
        self.pushes = 0
        self.watch: Callable[[int], None] = lambda _: None
        self.bytes = 0
        self._lock = threading.Lock()
        self._file = file

    @override
    def keep(self, headers: dict[str, str], body: bytes) -> None:
        with self._lock:
            self.pushes += 1
            if self._file is None:
                return
            with self._file.open("ab") as file:
                file.write(len(body).to_bytes(_LENGTH) + body)
            self.bytes += snappy.decompress_raw_len(body)
            self.watch(self.bytes)


def read_arrived(file: Path, lines: int) -> Arrived:
    """Read the pushes of a file, and give how many of so many lines are in them."""
    # The hash of each line by its number; 0 for one that has not arrived.
    hashes = array("q", bytes(8 * lines))
    same = other = 0
    for labels, nanoseconds, line in _entries(file):
        number = int(_NUMBER.findall(line)[0])
        found = hash((labels, nanoseconds, line)) or 1
        if not hashes[number]:
            hashes[number] = found
        elif hashes[number] == found:
            same += 1
        else:
            other += 1
    return Arrived(lines, lines - hashes.count(0), same, other)


def _entries(file: Path) -> Iterator[tuple[str, int, str]]:
    """Give the labels, the nanosecond and the text of each line."""
    for body in _bodies(file):
        for stream in PushRequest.FromString(bytes(snappy.decompress_raw(body))).streams:
            labels = stream.labels
            for entry in stream.entries:
                moment = entry.timestamp
                yield labels, moment.seconds * 1_000_000_000 + moment.nanos, entry.line


def _bodies(file: Path) -> Iterator[bytes]:
    with file.open("rb") as kept:
        while length := kept.read(_LENGTH):
            yield kept.read(int.from_bytes(length))
