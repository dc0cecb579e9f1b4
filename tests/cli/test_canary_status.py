"""`status` shows the last lines of the canary, if the stack has one."""

import time
from collections.abc import Iterator

import pytest

from loki_shipper.canary.lines import Arrived, Journey, Sent, encode_line
from loki_shipper.cli.canary_status import CanaryStatus, canary_text
from tests.local_deployment import Deployment, deployed

MINUTE = 60_000
NOW = 100 * 24 * 60 * MINUTE
GROUP = "/loki-shipper/ours/canary"
CANARY = {"CanaryFunction": {"CANARY_LOG_GROUP": GROUP}}


def journey(minutes: int, seconds: float | None) -> Journey:
    return Journey(str(minutes), NOW - minutes * MINUTE, seconds)


@pytest.mark.parametrize(
    ("journeys", "text"),
    [
        (
            [journey(12, 3.14), journey(7, 2.0), journey(2, 400.0)],
            "3 lines in an hour, none missing; 2m ago: 6m40s, 7m ago: 2.0s, 12m ago: 3.1s",
        ),
        (
            [journey(12, 3.14), journey(7, None), journey(0, None)],
            "3 lines in an hour, 1 missing; 0m ago: on its way, 7m ago: missing, 12m ago: 3.1s",
        ),
        (
            [journey(minutes, 1.0) for minutes in (22, 17, 12, 7)],
            "4 lines in an hour, none missing; 7m ago: 1.0s, 12m ago: 1.0s, 17m ago: 1.0s",
        ),
        ([], "no line in an hour: it is less than five minutes old, or does not run"),
    ],
    ids=["all arrived", "one is missing", "many", "none"],
)
def test_the_last_three_lines_are_shown_and_the_missing_ones_counted(
    journeys: list[Journey], text: str
) -> None:
    assert canary_text(CanaryStatus(journeys), NOW) == f"canary: {text}"


def test_a_log_group_that_cannot_be_read_is_named() -> None:
    status = CanaryStatus(fault="ResourceNotFoundException")
    expected = "canary: its log group could not be read (ResourceNotFoundException)"
    assert canary_text(status, NOW) == expected


@pytest.fixture
def here() -> Iterator[Deployment]:
    with deployed() as here:
        yield here


def test_the_lines_are_read_from_the_log_group_that_the_function_writes_to(
    here: Deployment,
) -> None:
    here.more_functions = CANARY
    here.make_stack()
    here.group(GROUP)
    logs, at = here.aws.client("logs"), time.time_ns() // 1_000_000 - 3 * MINUTE
    logs.create_log_stream(logGroupName=GROUP, logStreamName="canary")
    texts = [encode_line(Sent("a")), encode_line(Arrived("a", 4.2))]
    events = [{"timestamp": at, "message": text} for text in texts]
    logs.put_log_events(logGroupName=GROUP, logStreamName="canary", logEvents=events)
    *_, last = here.run("status").stdout.splitlines()
    assert last == "canary: 1 line in an hour, none missing; 3m ago: 4.2s"


def test_a_deleted_log_group_does_not_stop_status(here: Deployment) -> None:
    here.more_functions = CANARY
    here.make_stack()
    result = here.run("status")
    assert (result.exit_code, "could not be read (ResourceNotFoundException)" in result.stdout) == (
        0,
        True,
    )


def test_without_a_canary_there_is_no_line_about_it(here: Deployment) -> None:
    here.make_stack()
    assert "canary" not in here.run("status").stdout
