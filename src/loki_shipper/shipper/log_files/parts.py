"""Divides a log file into payloads of limited size."""

from collections.abc import Iterable, Iterator
from typing import Final

from msgspec import Struct

from loki_shipper.model import LogData
from loki_shipper.shipper.log_files.content import UnreadableError, elements, lines
from loki_shipper.shipper.log_files.effects import FileProgress
from loki_shipper.shipper.log_files.reader import LogFileReader

PART_BYTES: Final = 4 * 1024 * 1024
HEAD_BYTES: Final = 64 * 1024
"""Bytes of a text that say what it is."""


class Part(Struct, frozen=True):
    """Some lines of a log file, their size in bytes, and the progress once they are shipped."""

    data: LogData
    size: int
    progress: FileProgress


def with_head(blocks: Iterator[bytes]) -> tuple[bytes, Iterator[bytes]]:
    """Give the first bytes of a text, and all of its blocks; a fault comes with the blocks."""
    first: list[bytes] = []
    fault: UnreadableError | None = None
    try:
        while sum(map(len, first)) < HEAD_BYTES and (block := next(blocks, None)) is not None:
            first.append(block)
    except UnreadableError as error:
        fault = error

    def everything() -> Iterator[bytes]:
        yield from first
        if fault is not None:
            raise fault
        yield from blocks

    return b"".join(first)[:HEAD_BYTES], everything()


def parts(
    reader: LogFileReader, blocks: Iterable[bytes], start: FileProgress, account: str
) -> Iterator[Part]:
    """Give the lines of a log file after `start`. Raises UnreadableError after the last part."""
    if start.lines:
        reader.time = start.time
    array = reader.layout == "array"
    found = elements(blocks, reader.array) if array else lines(blocks)
    done, size = start.lines, 0
    gathered: list[bytes] = []
    fault: UnreadableError | None = None
    try:
        for fresh in _after(start.lines, found):
            gathered += fresh
            size += sum(map(len, fresh))
            if size >= PART_BYTES:
                yield _part(reader, done, gathered, size, account)
                done += len(gathered)
                gathered, size = [], 0
    except UnreadableError as error:
        fault = error
    if gathered:
        yield _part(reader, done, gathered, size, account)
    if fault is not None:
        raise fault


def _after(done: int, found: Iterator[list[bytes]]) -> Iterator[list[bytes]]:
    """Leave out the lines that are done."""
    place = 0
    for some in found:
        fresh = some[max(0, done - place) :]
        place += len(some)
        if fresh:
            yield fresh


def _part(reader: LogFileReader, number: int, found: list[bytes], size: int, account: str) -> Part:
    log_file = reader.log_file
    data = LogData(
        "DATA_MESSAGE",
        account,
        f"s3://{log_file.bucket}/{log_file.type}",
        log_file.key,
        reader.events(number, found),
        log_file=log_file,
    )
    return Part(data, size, FileProgress(number + len(found), reader.time))
