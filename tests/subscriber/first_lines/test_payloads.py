"""Log events that were read back become payloads like those of a filter."""

from hypothesis import given
from hypothesis import strategies as st

from loki_shipper.model import LogEvent
from loki_shipper.subscriber.first_lines.payloads import FilteredGroup, payloads

ORIGIN = FilteredGroup("123456789012", "/aws/lambda/pay", "loki-shipper")


def event(at: int, message: str = "x", number: int = 0) -> LogEvent:
    return LogEvent(f"{at << 144 | number:056d}", at, message)


def test_a_payload_looks_like_one_that_the_filter_sends() -> None:
    [data] = payloads([("a", event(1, "one")), ("a", event(2, "two"))], ORIGIN)
    assert data.message_type == "DATA_MESSAGE"
    assert (data.owner, data.log_group, data.log_stream) == ("123456789012", "/aws/lambda/pay", "a")
    assert data.subscription_filters == ["loki-shipper"]
    assert [each.message for each in data.log_events] == ["one", "two"]


def test_gives_each_log_stream_payloads_of_its_own() -> None:
    events = [(log_stream, event(hour)) for hour in range(24) for log_stream in "ab"]
    packed = [(data.log_stream, len(data.log_events)) for data in payloads(events, ORIGIN)]
    assert packed == [("a", 24), ("b", 24)]


def test_keeps_payloads_under_a_megabyte() -> None:
    events = [("a", event(number, "x" * 400_000, number)) for number in range(5)]
    sizes = [len(data.log_events) for data in payloads(events, ORIGIN)]
    assert sizes == [2, 2, 1]


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 10**8), st.text(max_size=9))))
def test_loses_no_log_event_and_keeps_each_once(some: list[tuple[str, int, str]]) -> None:
    events = [
        (log_stream, event(at, text, number)) for number, (log_stream, at, text) in enumerate(some)
    ]
    packed = [
        (data.log_stream, each) for data in payloads(events, ORIGIN) for each in data.log_events
    ]
    assert sorted(map(repr, packed)) == sorted(map(repr, events))
