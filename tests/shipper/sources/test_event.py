from typing import Any

import pytest

from loki_shipper.local.sample import from_lines, invocation_event
from loki_shipper.shipper.sources.decode import UndecodableError
from loki_shipper.shipper.sources.event import Record, read_records, records, takes_item_failures

DATA = from_lines(["a"], log_group="g", log_stream="s", newest=1_000)


def test_a_subscription_event_is_one_record() -> None:
    event = invocation_event(DATA)
    assert [*read_records(event)] == [Record(event, (DATA,))]
    assert [*read_records(event | {"more": 2})] == [Record(event | {"more": 2}, (DATA,))]
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
