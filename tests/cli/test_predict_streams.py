"""The streams of a day are predicted from those of an hour."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from loki_shipper.cli.compare_lines import LabelInputs
from loki_shipper.cli.predict_streams import (
    LabelForecast,
    LoggedEvent,
    Sample,
    StreamForecast,
    predict_streams,
    read_sample,
)
from loki_shipper.model import LogEvent
from loki_shipper.settings import Settings
from loki_shipper.shipper.rules.parse import parse_rules
from loki_shipper.subscriber.first_lines.payloads import FilteredGroup

START = 1_795_206_000_000
MINUTE, HOUR = 60_000, 3_600_000
GROUP = FilteredGroup("123456789012", "/ecs/shop", "")
LABEL = "[[rule]]\nname = 'pods'\nlabel = {pod = 'pod'}\nat_most = 5\n"


def forecast(
    lines: list[tuple[float, str]], rules: str = "", *, late: int = 0, **fields: Any
) -> StreamForecast:
    """Predict from lines with the minutes at which they were ingested, `late` after their time."""
    events = [
        LoggedEvent(
            "s",
            LogEvent(str(number), START + int(minute * MINUTE) - late, text),
            START + int(minute * MINUTE),
        )
        for number, (minute, text) in enumerate(lines)
    ]
    inputs = LabelInputs(Settings(loki_url="http://loki", **fields), "123456789012", "r", {})
    sample = Sample(events, START, START + HOUR)
    return predict_streams(sample, GROUP, inputs, parse_rules(rules))


def pods(count: int) -> list[tuple[float, str]]:
    """Give a line a minute, with a new pod at each of so many equal steps of the hour."""
    return [(minute, f'{{"pod": "{minute * count // 60}"}}') for minute in range(60)]


def test_a_log_group_without_label_rules_makes_one_stream() -> None:
    assert forecast([(40, "a"), (59, "b")]) == StreamForecast(2, 60, 1, 0, 1, [])


def test_no_lines_make_no_stream() -> None:
    assert forecast([]) == StreamForecast(0, 60, 0, 0, 0, [])


def test_new_streams_keep_coming_as_in_the_second_half() -> None:
    rules = LABEL.replace("at_most = 5", "at_most = 500")
    found = forecast(pods(6), rules)
    # Three in half an hour are six an hour, for 23 hours more.
    assert (found.seen, found.a_day) == (6, 6 + 23 * 6)
    assert found.labels == [LabelForecast("pods", "pod", 6, 500, None)]


def test_the_day_has_no_more_streams_than_the_rules_allow() -> None:
    found = forecast(pods(4), LABEL)
    assert (found.seen, found.a_day) == (4, 6)
    # Two in half an hour: the fifth comes a quarter of an hour later.
    assert found.labels == [LabelForecast("pods", "pod", 4, 5, 75)]


def test_a_label_that_is_full_says_since_when() -> None:
    found = forecast(pods(12), LABEL)
    # Five pods and the lines of the others, which have the pod as structured metadata.
    assert (found.seen, found.a_day) == (6, 6)
    assert found.labels == [LabelForecast("pods", "pod", 5, 5, 20)]


def test_a_fixed_list_of_values_needs_no_forecast() -> None:
    rules = "[[rule]]\nlabel = {pod = 'pod'}\nvalues = ['0', '1']\n"
    found = forecast(pods(6), rules)
    assert (found.seen, found.a_day, found.labels) == (3, 3, [])


def test_rules_that_name_the_tenant_have_no_bound() -> None:
    rules = "[[rule]]\ntenant = 'pod'\n"
    assert forecast(pods(6), rules).a_day == 144


def test_lines_that_rules_drop_are_counted_by_rule() -> None:
    rules = "[[rule]]\nname = 'no a'\ndrop = 'a'\n[[rule]]\nname = 'some'\nsample = 10\n"
    lines = [(minute / 10, f"RequestId: {minute} b") for minute in range(500)]
    found = forecast([(1, "a"), *lines], rules)
    assert (found.sampled_by, found.one_of) == ("some", 10)
    assert found.dropped["no a"] == 1
    assert 400 < found.dropped["some"] < 490
    assert found.seen == 1


def test_late_lines_make_late_streams() -> None:
    found = forecast([(minute, "a") for minute in range(60)], late=HOUR)
    assert (found.seen, found.late) == (3, 3)
    assert found.a_day == 3 + 2 * 23


def test_lines_without_a_tenant_make_no_stream() -> None:
    assert forecast([(1, "a")], tenant_tag="tenant").seen == 0


@pytest.fixture
def logs() -> Callable[..., Any]:
    class Logs:
        """A client with so many pages of 4,000 lines, one a second."""

        def __init__(self, pages: int) -> None:
            self.pages = pages
            self.asked: list[str | None] = []

        def filter_log_events(self, **asked: Any) -> Any:
            self.asked.append(asked.get("nextToken"))
            page = len(self.asked)
            more = {"nextToken": str(page)} if page < self.pages else {}
            return {"events": [*events((page - 1) * 4000)], **more}

    return Logs


def events(first: int) -> Iterator[dict[str, Any]]:
    for number in range(first, first + 4000):
        when = START + number * 100
        yield {
            "eventId": str(number),
            "timestamp": when,
            "ingestionTime": when,
            "message": "m",
            "logStreamName": "s",
        }


def test_a_sample_of_few_lines_covers_the_time(logs: Callable[..., Any]) -> None:
    sample = read_sample(logs(2), "g", "", START, START + HOUR)
    assert (len(sample.events), sample.minutes) == (8000, 60)


def test_a_sample_ends_after_ten_thousand_lines(logs: Callable[..., Any]) -> None:
    client = logs(9)
    sample = read_sample(client, "g", "", START, START + HOUR)
    assert client.asked == [None, "1", "2"]
    assert (len(sample.events), round(sample.minutes)) == (12_000, 20)
