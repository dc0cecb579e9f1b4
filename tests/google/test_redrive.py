from collections.abc import Sequence

import pytest
from msgspec.structs import replace

from loki_shipper.google.entry import LoggedEntry
from loki_shipper.google.keep import REJECTED, keep_message, keep_rejected
from loki_shipper.google.redrive import GoogleRedriveReport, redrive_google
from loki_shipper.google.ship import ship_entries
from loki_shipper.google.storage import CloudStorage
from loki_shipper.model import Batch
from loki_shipper.shipper.delivery.answer import Answer
from loki_shipper.shipper.delivery.outcome import Shipped
from tests.google.logged import AT_NS, logged, message
from tests.google.pushing import LokiInMemory
from tests.google.test_keep import REFUSAL


@pytest.fixture
def letters(storage: CloudStorage) -> CloudStorage:
    """A bucket with three entries in two objects."""
    for entries in ([logged(), logged(insertId="b")], [logged(logName="projects/p/logs/bad")]):
        refused = ship_entries(entries, LokiInMemory(lambda _: Answer(400, REFUSAL)).deps())
        keep_rejected(entries, refused, storage.put)
    return storage


def run(storage: CloudStorage, loki: LokiInMemory) -> GoogleRedriveReport:
    def ship(entries: Sequence[LoggedEntry]) -> list[Shipped]:
        return ship_entries(entries, loki.deps(remaining=lambda: 1.0))

    return redrive_google([*storage.objects(REJECTED)], storage, ship)


def test_what_loki_takes_now_is_deleted(letters: CloudStorage) -> None:
    loki = LokiInMemory()
    assert run(letters, loki) == GoogleRedriveReport(objects=2, lines=3)
    assert [*letters.objects("")] == []
    assert {entry.timestamp for batch in loki.batches for entry in batch.entries} == {AT_NS}


def test_what_loki_refuses_again_stays(letters: CloudStorage) -> None:
    def answer(batch: Batch) -> Answer:
        is_bad = ("log_name", "bad") in batch.stream.labels
        return Answer(400, REFUSAL) if is_bad else Answer(204)

    report = run(letters, LokiInMemory(answer))
    assert report == GoogleRedriveReport(objects=1, lines=2, left=1, failures={"too_old": 1})
    assert len([*letters.objects("")]) == 1


def test_a_run_ends_when_loki_fails_three_times(storage: CloudStorage) -> None:
    for number in range(5):
        keep_message(message({"n": number}), "x", storage.put)
        entry = logged(insertId=str(number))
        refused = ship_entries([entry], LokiInMemory(lambda _: Answer(400, REFUSAL)).deps())
        keep_rejected([entry], refused, storage.put)
    report = run(storage, LokiInMemory(lambda _: Answer(503)))
    assert report.ended == "loki_down"
    assert report.failures == {"no_entry": 5, "server_error": 3}
    assert len([*storage.objects("")]) == 10


def test_an_object_of_another_shape_stays(storage: CloudStorage) -> None:
    for body in (b"{", b"[]", b'{"requestPayload": 1}'):
        storage.put(f"{REJECTED}{len(body)}", body)
    assert run(storage, LokiInMemory()).failures == {"no_entry": 3}


def test_an_object_that_another_run_deleted_is_no_fault(letters: CloudStorage) -> None:
    listed = [*letters.objects(REJECTED)]
    gone = replace(listed[0], key="rejected/gone")
    loki = LokiInMemory()
    report = redrive_google([gone], letters, lambda some: ship_entries(some, loki.deps()))
    assert report.left == 0
