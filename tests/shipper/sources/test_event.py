import base64
import gzip
import hashlib
from typing import Any

import pytest
from msgspec.structs import replace

from loki_shipper.local.sample import from_lines, invocation_event
from loki_shipper.model import LogData, LogSource, log_source
from loki_shipper.shipper.entries.protobuf import field
from loki_shipper.shipper.sources.decode import UndecodableError
from loki_shipper.shipper.sources.event import Record, read_records, records, takes_item_failures
from loki_shipper.shipper.sources.pack import pack

DATA = from_lines(["a"], log_group="g", log_stream="s", newest=1_000)


def test_a_subscription_event_is_one_record() -> None:
    event = invocation_event(DATA)
    assert [*read_records(event)] == [Record(event, [DATA])]
    assert [*read_records(event | {"more": 2})] == [Record(event | {"more": 2}, [DATA])]
    assert records(event) == [DATA]
    assert not takes_item_failures(event)


@pytest.mark.parametrize(
    "event",
    [None, "text", 1, [], {}, {"awslogs": None}, {"awslogs": {}}, {"awslogs": {"data": 1}}],
)
def test_another_event_is_one_record_that_cannot_be_decoded(event: Any) -> None:
    [record] = read_records(event)
    assert record == Record(event, fault="the event has no text at awslogs.data")
    with pytest.raises(UndecodableError, match=r"awslogs\.data"):
        records(event)


def test_the_fault_does_not_show_the_event() -> None:
    [record] = read_records({"hunter2": {"data": "hunter2"}})
    assert "hunter2" not in str(record.fault)


def of_kinesis(*data: Any, **members: Any) -> dict[str, Any]:
    """Give an event of Kinesis with these records, numbered from 1."""
    return {
        "Records": [
            {
                "eventSource": "aws:kinesis",
                "eventID": f"shardId-000000000006:{number}",
                "kinesis": {
                    "sequenceNumber": str(number),
                    "data": each,
                    "approximateArrivalTimestamp": 1545084650.987,
                },
                **members,
            }
            for number, each in enumerate(data, 1)
        ]
    }


def aggregated(*data: bytes) -> str:
    """Put records together as the Kinesis Producer Library does."""
    message = field(1, b"partition key") + b"".join(
        field(3, b"\x08\x00" + field(3, each) + field(4, b"a tag")) for each in data
    )
    digest = hashlib.md5(message, usedforsecurity=False).digest()
    return base64.b64encode(b"\xf3\x89\x9a\xc2" + message + digest).decode()


def test_each_record_of_kinesis_is_named_by_its_sequence_number() -> None:
    other = replace(DATA, log_group="other")
    event = of_kinesis(pack(DATA), pack(other))
    first, second = event["Records"]
    assert [*read_records(event)] == [
        Record({"Records": [first]}, [DATA], None, "1"),
        Record({"Records": [second]}, [other], None, "2"),
    ]
    assert takes_item_failures(event)


@pytest.mark.parametrize("event", [{}, {"Records": []}, {"Records": [{"eventSource": "aws:s3"}]}])
def test_only_kinesis_takes_an_answer_for_each_record(event: Any) -> None:
    assert not takes_item_failures(event)


def test_one_bad_record_of_kinesis_does_not_hide_the_others() -> None:
    found = [*read_records(of_kinesis(pack(DATA), "?", pack(DATA)))]
    assert [(record.fault, record.item_identifier) for record in found] == [
        (None, "1"),
        ("the record is not base64", "2"),
        (None, "3"),
    ]


def test_a_control_message_of_kinesis_has_no_payload() -> None:
    control = LogData("CONTROL_MESSAGE", "CloudwatchLogs", "", "", [])
    [record] = read_records(of_kinesis(pack(control)))
    assert (record.payloads, record.fault) == ([], None)


@pytest.mark.parametrize("record", [None, 1, {}, {"kinesis": {}}, {"kinesis": {"data": "H4sI"}}])
def test_a_record_without_a_number_is_answered_for_the_whole_batch(record: Any) -> None:
    [found] = read_records({"Records": [record]})
    assert (found.fault, found.item_identifier) == ("the record has no text at kinesis.data", "")


def test_records_that_were_put_together_come_apart() -> None:
    other = replace(DATA, log_group="other")
    parts = [base64.b64decode(pack(data)) for data in (DATA, other)]
    event = of_kinesis(aggregated(*parts))
    assert records(event) == [DATA, other]
    assert {record.item_identifier for record in read_records(event)} == {"1"}


@pytest.mark.parametrize("cut", [slice(5), slice(-1), slice(None, 40)])
def test_a_broken_aggregate_cannot_be_decoded(cut: slice) -> None:
    whole = base64.b64decode(aggregated(base64.b64decode(pack(DATA))))
    [record] = read_records(of_kinesis(base64.b64encode(whole[cut]).decode()))
    assert record.fault == "the aggregated record is broken"


def test_a_line_without_a_time_has_that_of_its_payload() -> None:
    timed, untimed = from_lines(["a", "b"], log_group="g", log_stream="s", newest=1_000).log_events
    data = replace(DATA, log_events=[replace(untimed, timestamp=0), timed])
    [found] = records(of_kinesis(pack(data)))
    assert [event.timestamp for event in found.log_events] == [timed.timestamp] * 2


def test_lines_without_any_time_have_that_of_their_arrival() -> None:
    data = replace(DATA, log_events=[replace(DATA.log_events[0], timestamp=0)])
    [found] = records(of_kinesis(pack(data)))
    assert [event.timestamp for event in found.log_events] == [1545084650987]


def test_log_events_of_several_accounts_come_apart() -> None:
    def of(account: str, **more: str) -> Any:
        fields = {"@aws.account": account, "@aws.region": "eu-west-1", **more}
        return replace(DATA.log_events[0], extracted_fields=fields)

    mixed = [of("1"), of("2"), of("1"), of("1", **{"@source.log": "theirs"}), DATA.log_events[0]]
    found = records(invocation_event(replace(DATA, log_events=mixed)))
    assert [(log_source(data, "us-east-1"), len(data.log_events)) for data in found] == [
        (LogSource("1", "eu-west-1", "g"), 2),
        (LogSource("2", "eu-west-1", "g"), 1),
        (LogSource("1", "eu-west-1", "theirs"), 1),
        (LogSource(DATA.owner, "us-east-1", "g"), 1),
    ]
    assert {data.owner for data in found} == {DATA.owner}


def test_log_events_of_several_accounts_come_apart_again_when_they_are_read_back() -> None:
    fields = {"@aws.account": "1", "@aws.region": "eu-west-1", "@source.log": "theirs"}
    event = replace(DATA.log_events[0], extracted_fields=fields)
    [data] = records(invocation_event(replace(DATA, log_events=[event])))
    assert records(invocation_event(data)) == [data]


@pytest.mark.parametrize(
    "identifier",
    [
        "/ecs/shop",
        "210987654321:/ecs/shop",
        "arn:aws:logs:eu-west-1:210987654321:log-group:/ecs/shop",
        "arn:aws:logs:eu-west-1:210987654321:log-group:/ecs/shop:*",
    ],
)
def test_a_source_is_named_by_any_identifier_of_its_log_group(identifier: str) -> None:
    fields = {"@aws.account": "210987654321", "@source.log": identifier}
    event = replace(DATA.log_events[0], extracted_fields=fields)
    [data] = records(invocation_event(replace(DATA, log_events=[event])))
    assert log_source(data, "us-east-1") == LogSource("210987654321", "us-east-1", "/ecs/shop")


def test_fields_of_a_filter_pattern_keep_a_payload_whole() -> None:
    event = replace(DATA.log_events[0], extracted_fields={"ip": "1.2.3.4", "status": "200"})
    data = replace(DATA, log_events=[event])
    assert records(invocation_event(data)) == [data]


def test_a_timestamp_that_is_missing_costs_no_line() -> None:
    text = b'{"messageType":"DATA_MESSAGE","owner":"1","logGroup":"g","logStream":"s",'
    text += b'"logEvents":[{"id":"1","message":"a"},{"id":"2","timestamp":7,"message":"b"}]}'
    event = of_kinesis(base64.b64encode(gzip.compress(text)).decode())
    [data] = records(event)
    assert [(each.timestamp, each.message) for each in data.log_events] == [(7, "a"), (7, "b")]
