from typing import Any

import pytest

from loki_shipper.shipper.sources.event import UndecodableError, source


def test_the_record_is_the_text_at_awslogs_data() -> None:
    assert source({"awslogs": {"data": "H4sI"}}) == "H4sI"
    assert source({"awslogs": {"data": "", "more": 1}, "more": 2}) == ""


@pytest.mark.parametrize(
    "event",
    [None, "text", 1, [], {}, {"awslogs": None}, {"awslogs": {}}, {"awslogs": {"data": 1}}],
)
def test_another_event_is_refused(event: Any) -> None:
    with pytest.raises(UndecodableError, match=r"awslogs\.data"):
        source(event)


def test_the_refusal_does_not_show_the_event() -> None:
    with pytest.raises(UndecodableError) as raised:
        source({"hunter2": {"data": "hunter2"}})
    assert "hunter2" not in str(raised.value)
