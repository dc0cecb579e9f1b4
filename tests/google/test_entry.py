import json
from base64 import b64encode
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loki_shipper.google.entry import LoggedEntry, NotALogEntryError, read_entry
from loki_shipper.google.request import PubSubMessage
from loki_shipper.shipper.entries.offsets import offsets
from tests.google.logged import AT, AT_NS, line, log_entry, logged, message, sample

MS = 1_000_000
BROKEN = (
    b'{"logName":"projects/p/logs/a","timestamp":"%b","jsonPayload":{"a":"\xff"}}' % AT.encode()
)


def b64(raw: bytes) -> str:
    return b64encode(raw).decode()


def moment(entry: LoggedEntry) -> int:
    [event], [place] = entry.data.log_events, offsets(entry.data.log_events)
    return event.timestamp * MS + place


def at(nanoseconds: int) -> str:
    return f"2026-11-10T09:40:01.{nanoseconds:09}Z"


@given(st.integers(0, 999_999_999))
def test_a_time_of_nanoseconds_is_the_time_in_loki(nanoseconds: int) -> None:
    found = moment(logged(timestamp=at(nanoseconds)))
    free = next(size for size in (MS, 1_000, 1) if nanoseconds % size == 0)
    assert 0 <= found - (AT_NS // 10**9 * 10**9 + nanoseconds) < free


def test_a_redelivered_entry_has_the_same_time() -> None:
    assert moment(logged(timestamp=at(0))) == moment(logged(timestamp=at(0)))


def test_entries_of_the_same_microsecond_with_equal_lines_stay_apart_by_insert_id() -> None:
    times = {moment(logged(timestamp=at(1_000), insertId=each)) for each in ("a", "b", "c")}
    assert len(times) == 3


def test_an_entry_without_time_has_that_of_its_arrival() -> None:
    entry = log_entry(receiveTimestamp=at(5)) | {"timestamp": None}
    assert moment(read_entry(message(entry))) % 1_000_000_000 == 5


def test_a_time_with_an_offset_is_the_same_moment() -> None:
    there = moment(logged(timestamp="2026-11-10T11:40:01.904318702+02:00"))
    assert there == moment(logged()) == AT_NS


def test_the_line_of_a_text_payload_is_the_text() -> None:
    assert line(sample("text")).startswith("Nov 10 09:40:01 vm-1 sshd[2211]")


def test_the_line_of_a_json_payload_is_the_json_that_google_wrote() -> None:
    data = '{"logName":"projects/p/logs/a","timestamp":"%s","jsonPayload":{"n":1.50,"a":[1, 2]}}'
    raw = (data % at(1)).encode()
    found = read_entry(PubSubMessage(b64(raw)))
    assert line(found) == '{"n":1.50,"a":[1, 2]}'


def test_the_line_of_an_audit_log_is_its_proto_payload() -> None:
    assert json.loads(line(sample("audit")))["methodName"] == "v1.compute.instances.delete"


def test_a_request_without_payload_is_a_line_of_its_own() -> None:
    assert json.loads(line(sample("request")))["httpRequest"]["status"] == 402


def test_a_request_is_added_to_a_payload_and_to_a_text() -> None:
    request = {"status": 200}
    found = logged(textPayload=None, jsonPayload={"a": 1}, httpRequest=request)
    assert json.loads(line(found)) == {"a": 1, "httpRequest": request}
    assert json.loads(line(logged(httpRequest=request))) == {
        "message": "hello",
        "httpRequest": request,
    }


def test_a_line_of_skypilot_is_as_in_cloudwatch() -> None:
    found = sample("skypilot")
    members = json.loads(line(found))
    assert members["skypilot.cluster_name"] == "finetune"
    assert members["skypilot.cluster_id"] == "finetune-8f3a2c1d"
    assert found.data.log_group == "skypilot-logs"


def test_the_name_of_a_log_is_decoded() -> None:
    assert sample("cloud-run").origin.log_name == "run.googleapis.com/stdout"


@pytest.mark.parametrize(
    ("log_name", "resource", "project"),
    [
        ("projects/a/logs/b", {}, "a"),
        ("organizations/1/logs/b", {"labels": {"project_id": "c"}}, "c"),
        ("organizations/1/logs/b", {}, "organizations/1"),
    ],
)
def test_the_project_is_that_of_the_log(log_name: str, resource: Any, project: str) -> None:
    assert logged(logName=log_name, resource=resource).origin.project == project


def test_labels_of_an_entry_do_not_change_its_origin() -> None:
    resource = {"type": "cloud_run_revision", "labels": {"location": "here", "service_name": "a"}}
    found = logged(resource=resource, labels={"location": "there", "service_name": "b"}).origin
    assert (found.location, found.service) == ("here", "a")


@pytest.mark.parametrize(
    ("severity", "level"),
    [("DEFAULT", ""), ("NOTICE", "info"), ("WARNING", "warn"), ("ALERT", "critical"), (None, "")],
)
def test_severity_is_a_level_of_loki(severity: str | None, level: str) -> None:
    assert logged(severity=severity).level == level


@pytest.mark.parametrize("odd", [1, "x", ["a"], {"a": {"b": 1}}, None, True])
@pytest.mark.parametrize(
    "field",
    ["resource", "labels", "severity", "trace", "operation", "split", "sourceLocation", "new"],
)
def test_a_field_of_an_unexpected_type_loses_no_line(field: str, odd: Any) -> None:
    assert line(logged(**{field: odd})) == "hello"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ("%", "not_base64"),
        (b64(b"hello"), "no_log_entry"),
        (b64(b"[]"), "no_log_entry"),
        (b64(b'{"logName":"projects/p/logs/a","textPayload":"x"}'), "no_time"),
        (b64(b"\xff"), "no_log_entry"),
        (b64(BROKEN), "no_log_entry"),
        (b64(b"[" * 100_000), "no_log_entry"),
    ],
)
def test_what_is_no_entry_has_a_reason_of_one_word(data: str, reason: str) -> None:
    with pytest.raises(NotALogEntryError, match=f"^{reason}$"):
        read_entry(PubSubMessage(data))
