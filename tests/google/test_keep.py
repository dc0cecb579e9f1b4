import json
from typing import Any

from loki_shipper.google.entry import LoggedEntry, read_entry
from loki_shipper.google.keep import keep_message, keep_rejected
from loki_shipper.google.request import read_messages
from loki_shipper.google.ship import ship_entries
from loki_shipper.model import Batch
from loki_shipper.shipper.delivery.answer import Answer
from tests.google.logged import AT_NS, line, logged, message, sample
from tests.google.pushing import LokiInMemory

REFUSAL = (
    "entry for stream '{}' has timestamp too old: 2026-11-10T09:40:01Z, "
    "oldest acceptable timestamp is: 2026-11-20T00:00:00Z"
)
REDACT = '[[rule]]\nreplace = "hell?o|card expired|okhttp"\nwith = "***"\n'


def refuse(batch: Batch) -> Answer:
    del batch
    return Answer(400, REFUSAL)


def kept(entries: list[LoggedEntry], rules: str | None = None) -> dict[str, Any]:
    bucket: dict[str, bytes] = {}
    shipped = ship_entries(entries, LokiInMemory(refuse).deps(rules))
    keep_rejected(entries, shipped, bucket.__setitem__)
    return {key: json.loads(body) for key, body in bucket.items()}


def lines(letter: dict[str, Any]) -> list[str]:
    return [line(read_entry(each)) for each in read_messages(letter["requestPayload"])]


def test_refused_entries_are_one_object_in_the_shape_of_a_dead_letter() -> None:
    [(key, letter)] = kept([logged(), logged(insertId="b")]).items()
    assert key.startswith("rejected/2026/11/10/2026-11-10T09.40.01-")
    assert letter["requestContext"]["condition"] == "Rejected"
    assert letter["responsePayload"]["errorMessage"] == "too_old"
    assert lines(letter) == ["hello", "hello"]


def test_a_kept_entry_has_the_same_time_when_it_is_read_again() -> None:
    [letter] = kept([logged()], REDACT).values()
    [again] = [read_entry(each) for each in read_messages(letter["requestPayload"])]
    [event] = again.data.log_events
    assert event.timestamp * 1_000_000 + int(event.id) == AT_NS


def test_a_redacted_line_is_redacted_in_the_bucket() -> None:
    names = ("cloud-run", "request")
    letters = kept([logged(), *map(sample, names)], REDACT)
    text = json.dumps(letters)
    found = sorted(text for letter in letters.values() for text in lines(letter))
    assert [each for each in found if "***" not in each] == []
    assert len(found) == 3
    assert "card expired" not in text


def test_json_that_a_rule_breaks_is_kept_as_text() -> None:
    rules = '[[rule]]\nreplace = "}"\nwith = ""\n'
    [letter] = kept([logged(textPayload=None, jsonPayload={"a": 1})], rules).values()
    assert lines(letter) == ['{"a": 1']


def test_an_object_has_at_most_a_thousand_messages() -> None:
    entries = [logged(insertId=str(number)) for number in range(1500)]
    letters = kept(entries)
    assert sorted(len(lines(letter)) for letter in letters.values()) == [500, 1000]


def test_a_message_that_is_no_entry_is_kept_as_it_is() -> None:
    bucket: dict[str, bytes] = {}
    odd = message({"logName": 1})
    keep_message(odd, "no_log_entry", bucket.__setitem__)
    [body] = bucket.values()
    assert read_messages(json.loads(body)["requestPayload"]) == [odd]
