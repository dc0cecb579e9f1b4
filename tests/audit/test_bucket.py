"""The lines of objects in the bucket are counted by log group, folder and reason."""

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from loki_shipper.audit.bucket import BucketObject, StoredObjectCalls, read_bucket
from loki_shipper.audit.model import BucketCounts, StoredLines
from loki_shipper.local.sample import from_lines, invocation_event, kinesis_event
from loki_shipper.shipper.delivery.dead_letters import write_dead_letter, write_records

SINCE = datetime(2026, 11, 30, tzinfo=UTC)


class Memory:
    """A bucket in memory, whose objects were written after SINCE."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.written = SINCE

    def put(self, key: str, body: bytes) -> None:
        self.objects[key] = body

    def read(self) -> tuple[dict[str, BucketCounts], bool]:
        return read_bucket(StoredObjectCalls(self._list, self._read), DATA.owner, SINCE)

    def _list(self, folder: str) -> Iterator[BucketObject]:
        return (BucketObject(key, self.written) for key in self.objects if key.startswith(folder))

    def _read(self, keys: Sequence[str]) -> list[bytes | None]:
        return [self.objects.get(key) for key in keys]


DATA = from_lines(["a", "b"], log_group="/a", log_stream="s", newest=1)
OTHER = from_lines(["c"], log_group="/b", log_stream="s", newest=1)


def test_dead_letters_have_their_reason() -> None:
    memory = Memory()
    events = DATA.log_events
    write_dead_letter(DATA, events, folder="rejected", reason="too_old", put=memory.put)
    write_dead_letter(
        DATA, events[:1], folder="failed", reason="not delivered: blocked", put=memory.put
    )
    write_dead_letter(
        OTHER, OTHER.log_events, folder="later", reason="too_new", put=memory.put, due=5
    )
    found, is_complete = memory.read()
    assert found["/a"].stored == [
        StoredLines("failed/", "blocked", 1),
        StoredLines("rejected/", "too_old", 2),
    ]
    assert found["/b"].stored == [StoredLines("later/", "too_new", 1)]
    assert is_complete


def test_lambdas_own_objects_have_no_reason() -> None:
    memory = Memory()
    body = {
        "requestPayload": invocation_event(DATA),
        "responsePayload": {"errorType": "DeliveryError", "errorMessage": "not delivered: tls"},
    }
    memory.put("aws/lambda/async/f/2026/11/30/x", json.dumps(body).encode())
    assert memory.read()[0]["/a"].stored == [StoredLines("aws/lambda/", "", 2)]


def test_a_batch_of_kinesis_has_several_log_groups() -> None:
    memory = Memory()
    event = kinesis_event([DATA, OTHER])
    memory.put("aws/lambda/1/2/2026/11/30/x", json.dumps({"payload": json.dumps(event)}).encode())
    write_records([event], newest=1, reason="not delivered: tls", put=memory.put)
    found, _ = memory.read()
    assert [each.lines for each in found["/a"].stored] == [2, 2]
    assert found["/b"].stored == [
        StoredLines("aws/lambda/", "", 1),
        StoredLines("failed/", "tls", 1),
    ]


def test_lines_of_another_account_are_left_out() -> None:
    memory = Memory()
    theirs = replace(DATA, owner="999999999999")
    write_dead_letter(theirs, theirs.log_events, folder="failed", reason="tls", put=memory.put)
    assert memory.read() == ({}, True)


def test_objects_from_before_the_window_are_left_out() -> None:
    memory = Memory()
    write_dead_letter(DATA, DATA.log_events, folder="failed", reason="tls", put=memory.put)
    memory.written = SINCE - timedelta(seconds=1)
    assert memory.read() == ({}, True)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff", b'{"requestPayload": 1}'])
def test_an_object_without_log_data_has_no_lines(body: bytes) -> None:
    memory = Memory()
    memory.put("failed/x", body)
    assert memory.read() == ({}, True)


def test_of_too_many_objects_some_are_read_and_no_count_is_complete(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("loki_shipper.audit.bucket._MOST_READ", 1)
    memory = Memory()
    for data in (DATA, OTHER):
        write_dead_letter(data, data.log_events, folder="failed", reason="tls", put=memory.put)
    found, is_complete = memory.read()
    assert (len(found), is_complete) == (1, False)
    assert not any(each.is_complete for each in found.values())
