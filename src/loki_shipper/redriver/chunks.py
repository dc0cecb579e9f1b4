"""Divides objects into chunks that fit into memory."""

from collections.abc import Iterable, Iterator

from loki_shipper.redriver.attempt import DeadLetter
from loki_shipper.redriver.bucket import StoredObject

_MAX_OBJECTS = 256
_MAX_BYTES = 4 * 1024 * 1024
"""The most objects, and the most bytes of objects, in one chunk."""

_MAX_TEXT_BYTES = 8 * 1024 * 1024
"""The most text in memory, plus one object. Compressed text may be a hundred times larger."""


def chunks(objects: Iterable[StoredObject]) -> Iterator[list[StoredObject]]:
    """Divide objects, in their order, by number and stored size."""
    chunk: list[StoredObject] = []
    size = 0
    for stored in objects:
        if chunk and (len(chunk) == _MAX_OBJECTS or size + stored.size > _MAX_BYTES):
            yield chunk
            chunk, size = [], 0
        chunk.append(stored)
        size += stored.size
    if chunk:
        yield chunk


def by_log_group(letters: Iterable[DeadLetter]) -> Iterator[list[list[DeadLetter]]]:
    """Group dead letters by log group, and yield the groups each time they have enough text."""
    groups: dict[tuple[str, str], list[DeadLetter]] = {}
    size = 0
    for letter in letters:
        first = letter.payloads[0]
        groups.setdefault((first.owner, first.log_group), []).append(letter)
        size += sum(len(event.message) for data in letter.payloads for event in data.log_events)
        if size > _MAX_TEXT_BYTES:
            yield [*groups.values()]
            groups, size = {}, 0
    yield [*groups.values()]
