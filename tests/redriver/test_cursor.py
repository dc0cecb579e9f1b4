"""What a run leaves for the next one."""

import pytest

from loki_shipper.redriver.bucket import EVERYTHING, Share
from loki_shipper.redriver.cursor import BEGINNING, Cursor, cursor_key, read_cursor, write_cursor
from tests.redriver.memory import MemoryBucket

CURSOR = Cursor("failed/a", {"failed/b": 3})


def test_it_is_read_as_it_was_written() -> None:
    memory = MemoryBucket()
    write_cursor(BEGINNING, CURSOR, EVERYTHING, memory.write)
    assert read_cursor(memory.bucket(), EVERYTHING) == CURSOR


def test_a_cursor_of_an_older_version_is_read() -> None:
    memory = MemoryBucket()
    memory.put(cursor_key(EVERYTHING), b'{"after": "failed/a", "doubts": {"failed/b": 3}}')
    assert read_cursor(memory.bucket(), EVERYTHING) == CURSOR


def test_each_worker_has_its_own() -> None:
    keys = {
        cursor_key(Share(worker, workers)) for workers in (1, 2, 4) for worker in range(workers)
    }
    assert len(keys) == 7
    assert all(key.startswith("redriver/") for key in keys)


def test_what_has_not_changed_is_not_written() -> None:
    memory = MemoryBucket()
    write_cursor(CURSOR, CURSOR, EVERYTHING, memory.write)
    assert memory.objects == {}


@pytest.mark.parametrize("body", [None, b"", b"[]", b"\xff", b'{"after": 1}'])
def test_what_is_missing_or_unreadable_is_the_beginning(body: bytes | None) -> None:
    memory = MemoryBucket()
    if body is not None:
        memory.put(cursor_key(EVERYTHING), body)
    assert read_cursor(memory.bucket(), EVERYTHING) == BEGINNING


def test_what_may_not_be_read_is_the_beginning() -> None:
    memory = MemoryBucket()
    memory.unreadable[cursor_key(EVERYTHING)] = "AccessDenied"
    assert read_cursor(memory.bucket(), EVERYTHING) == BEGINNING
