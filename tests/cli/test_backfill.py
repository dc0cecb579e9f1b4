"""`loki-shipper backfill` ships the past, reports lines that it did not ship, and can continue."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from inspect import signature
from typing import Any

import pytest
from moto.logs.models import LogsBackend

from loki_shipper.local.aws import FunctionFailure
from loki_shipper.model import LogEvent
from loki_shipper.subscriber.first_lines.backfill import Progress, Span, backfill
from loki_shipper.subscriber.first_lines.payloads import FilteredGroup
from tests.cli.past import GROUP, Shipper, log, rest
from tests.local_deployment import Deployment, Skipping, deployed
from tests.moto_gaps import real_event_ids

HOUR = timedelta(hours=1)


@pytest.fixture
def shipper() -> Shipper:
    return Shipper()


@pytest.fixture
def here(shipper: Shipper) -> Iterator[Deployment]:
    with real_event_ids(), deployed(shipper) as here:
        here.make_stack()
        here.group(GROUP)
        yield here


def test_ships_the_past(here: Deployment, shipper: Shipper) -> None:
    ages = [HOUR * n - timedelta(minutes=5) for n in range(1, 30)]
    a, b = log(here, "a", *ages), log(here, "b", *ages)
    result = here.run("backfill", GROUP, "--since", "1d")
    assert result.exit_code == 0, result.output
    assert sorted(shipper.lines) == sorted(a[-24:] + b[-24:])
    assert result.stdout == "48 lines shipped, 0 of them late\n"


def test_warns_before_it_starts_about_lines_that_loki_would_refuse(
    here: Deployment, shipper: Shipper
) -> None:
    lines = log(here, "a", *(HOUR * 24 * days + HOUR for days in (1, 6, 8, 10)))
    result = here.run("backfill", GROUP, "--since", "12d")
    assert "Loki would refuse lines older than --max-age, so this begins at" in result.stderr
    assert shipper.lines == lines[2:]
    shipper.lines.clear()
    result = here.run("backfill", GROUP, "--since", "12d", "--max-age", "30d")
    assert not result.stderr
    assert shipper.lines == lines


def test_ends_at_the_time_from_which_the_filter_delivers(
    here: Deployment, shipper: Shipper
) -> None:
    before = log(here, "a", HOUR * 3, HOUR * 2)
    here.run("link", GROUP)
    here.aws.put_lines(GROUP, "a", ["delivered by the filter"])
    shipper.lines.clear()
    clock = Skipping()
    clock.clock.sleep(3600)
    here.aws.put_lines(GROUP, "b", ["delivered, too"])
    shipper.lines.clear()
    result = here.run("backfill", GROUP, "--since", "12h", clock=clock.clock)
    assert result.exit_code == 0, result.output
    # Within a minute of the filter lines are shipped again, and fold.
    assert shipper.lines == [*before, "delivered by the filter", "delivered, too"]


def test_counts_without_shipping(here: Deployment, shipper: Shipper) -> None:
    log(here, "a", HOUR * 3, HOUR * 2)
    result = here.run("backfill", GROUP, "--since", "12h", "--dry-run")
    assert result.stdout.startswith("2 lines to ship")
    assert not shipper.lines


def test_is_json_for_programs(here: Deployment) -> None:
    log(here, "a", HOUR)
    result = here.run("backfill", GROUP, "--since", "2h", "--json")
    assert json.loads(result.stdout)[0]["lines"] == 1


def test_adds_up_what_the_shipper_reports_step_by_step() -> None:
    minute = 60_000
    events = {1: "one", 10: "ten", 40: "forty"}
    spans: list[tuple[int, int]] = []

    def read(start: int, end: int) -> Iterator[list[tuple[str, LogEvent]]]:
        spans.append((start, end))
        found = {at * minute: line for at, line in events.items()}
        yield [("s", LogEvent(line, at, line)) for at, line in found.items() if start <= at < end]

    steps = backfill(
        Span(5 * minute, 65 * minute),
        FilteredGroup("123456789012", GROUP, "loki-shipper"),
        read=read,
        ship=lambda _: {
            "late": 1,
            "dropped": {"noise": 5},
            "rejected": {"too_old": 2, "labels": 1},
            "deferred": {"tenant_unknown": 2},
            "errored": {"rate_limited": 1, "timeout": 3},
        },
    )
    assert list(steps) == [
        Progress(35 * minute, lines=1, late=1, dropped=5, rejected=3, deferred=2, errored=4),
        Progress(65 * minute, lines=2, late=2, dropped=10, rejected=6, deferred=4, errored=8),
    ]
    assert spans == [(5 * minute, 35 * minute), (35 * minute, 65 * minute)]


def test_says_where_undelivered_lines_are(here: Deployment, shipper: Shipper) -> None:
    log(here, "a", *(HOUR * n for n in range(2, 12)))
    shipper.report = lambda lines: {"errored": {"rate_limited": len(lines)} if hard(lines) else {}}

    def hard(lines: list[str]) -> bool:
        return any(line.startswith(f"a {hour}:") for hour in range(2, 6) for line in lines)

    result = here.run("backfill", GROUP, "--since", "1d")
    assert result.exit_code == 1
    assert result.stdout == "6 lines shipped, 0 of them late\n"
    assert "4 lines could not be delivered: they are in the bucket, under failed/" in result.stderr
    assert "redriver ships them" in result.stderr
    result = here.run("backfill", GROUP, "--since", "1d", "--json")
    assert (result.exit_code, json.loads(result.stdout)[0]["errored"]) == (1, 4)


def test_counts_only_lines_in_loki_as_shipped(here: Deployment, shipper: Shipper) -> None:
    log(here, "a", *(HOUR * n for n in range(2, 12)))
    shipper.report = lambda lines: {
        "deferred": {"tenant_unknown": sum(line.startswith("a 2:") for line in lines)},
        "dropped": {"noise": sum(line.startswith(("a 3:", "a 4:")) for line in lines)},
    }
    result = here.run("backfill", GROUP, "--since", "1d")
    assert result.exit_code == 1
    assert result.stdout == "7 lines shipped, 0 of them late; rules dropped 2 lines\n"
    assert "1 line waits in the bucket, under failed/ or later/" in result.stderr
    result = here.run("backfill", GROUP, "--since", "1d", "--json")
    assert (result.exit_code, json.loads(result.stdout)[0]["deferred"]) == (1, 1)


def test_after_a_failed_invocation_it_says_how_to_continue(
    here: Deployment, shipper: Shipper
) -> None:
    lines = log(here, "a", *(HOUR * n for n in range(2, 12)))

    def down(some: list[str]) -> dict[str, Any]:
        if len(shipper.lines) > 4:
            raise FunctionFailure("not delivered: no_connection")
        return {"delivered": len(some)}

    shipper.report = down
    result = here.run("backfill", GROUP, "--since", "1d")
    assert result.exit_code == 1
    assert "Z: 5 lines shipped, 0 of them late; go on with: loki-shipper" in result.stderr
    assert "DeliveryError: not delivered: no_connection" in result.stderr
    assert "not in the bucket" in result.stderr
    shipper.report = lambda _: {}
    assert here.run(*rest(result)).exit_code == 0
    assert sorted(set(shipper.lines)) == sorted(lines)


def test_a_reported_failure_is_a_failure_too(here: Deployment, shipper: Shipper) -> None:
    log(here, "a", HOUR)
    shipper.report = lambda _: {"failure": "the bucket cannot be written"}
    result = here.run("backfill", GROUP, "--since", "2h")
    assert result.exit_code == 1
    assert "the bucket cannot be written" in result.stderr


def test_ships_by_the_log_groups_own_filter_pattern(shipper: Shipper) -> None:
    asked: list[str] = []
    with real_event_ids(), deployed(shipper) as here:
        here.make_stack(FILTER_PATTERN="ERROR", FILTER_PATTERN_TAG="pattern")
        here.group(GROUP, pattern="?b")
        log(here, "a", HOUR)
        client = here.aws.client("logs")
        with filter_patterns(asked):
            here.run("backfill", GROUP, "--since", "2h")
            client.untag_log_group(logGroupName=GROUP, tags=["pattern"])
            here.run("backfill", GROUP, "--since", "2h")
    assert asked == ["?b"] * 4 + ["ERROR"] * 4


@contextmanager
def filter_patterns(asked: list[str]) -> Iterator[None]:
    """Note by which patterns moto is asked for log events; it takes no notice of most itself."""
    backend: Any = LogsBackend
    original = backend.filter_log_events

    def filter_log_events(self: Any, *values: Any, **named: Any) -> Any:
        asked.append(signature(original).bind(self, *values, **named).arguments["filter_pattern"])
        return original(self, *values, **named)

    backend.filter_log_events = filter_log_events
    try:
        yield
    finally:
        backend.filter_log_events = original


def test_ships_at_one_megabyte_a_second_at_most(here: Deployment, shipper: Shipper) -> None:
    logs = here.aws.client("logs")
    now = datetime.now(UTC)
    for number in range(8):
        name = f"s{number}"
        logs.create_log_stream(logGroupName=GROUP, logStreamName=name)
        when = int((now - HOUR * 2).timestamp() * 1000)
        event = {"timestamp": when, "message": "x" * 250_000}
        logs.put_log_events(logGroupName=GROUP, logStreamName=name, logEvents=[event])
    skipping = Skipping()
    shipped: list[int] = []

    def note(lines: list[str]) -> dict[str, Any]:
        shipped.append(skipping.clock.now())
        return {"delivered": len(lines)}

    shipper.report = note
    result = here.run("backfill", GROUP, "--since", "3h", clock=skipping.clock)
    assert result.exit_code == 0, result.output
    assert len(shipped) == 8
    # Two megabytes, of which nobody waits for the last quarter; a call may come a moment late.
    assert shipped[-1] - shipped[0] > 1_700
    skipping = Skipping()
    result = here.run("backfill", GROUP, "--since", "3h", "--dry-run", clock=skipping.clock)
    assert result.stdout == "8 lines to ship\n"
    # For reading alone: six calls, four a second.
    assert skipping.skipped <= 1.5


def test_says_that_the_filter_has_delivered_the_rest(here: Deployment) -> None:
    here.run("link", GROUP)
    clock = Skipping()
    clock.clock.sleep(3 * 3600)
    result = here.run("backfill", GROUP, "--since", "1h", clock=clock.clock)
    assert result.exit_code == 2
    assert (
        f"nothing to ship: {GROUP} is linked, and its filter delivers the lines since 20"
        in result.stderr
    )
    assert "--until ships some of them again" in result.stderr


def test_until_in_the_future_means_now(here: Deployment, shipper: Shipper) -> None:
    lines = log(here, "a", HOUR)
    words = ("backfill", GROUP, "--since", "2h", "--until", "2100-01-01", "--json")
    [shown] = json.loads(here.run(*words).stdout)
    assert shipper.lines == lines
    assert datetime.fromisoformat(shown["until"]) <= datetime.now(UTC)


def test_ctrl_c_prints_the_progress_and_the_command_that_continues(
    here: Deployment, shipper: Shipper
) -> None:
    lines = log(here, "a", *(HOUR * n - timedelta(minutes=5) for n in range(1, 10)))

    def ctrl_c() -> None:
        if len(shipper.lines) > 4:
            raise KeyboardInterrupt

    words = ("backfill", GROUP, "--since", "1d", "--max-age", "3d", "--region", "eu-west-1")
    result = here.run(*words, clock=Skipping(before_sleep=ctrl_c).clock)
    assert result.exit_code == 130
    assert result.stdout == ""
    [said] = result.stderr.splitlines()
    assert re.match(r"stopped: up to 20\S+Z: [45] lines shipped, 0 of them late; go on ", said)
    command = rest(result)
    assert command[:2] == ["backfill", GROUP]
    assert command[6:] == ["--max-age", "3d", "--region", "eu-west-1", "--stack", here.name]
    assert here.run(*command).exit_code == 0
    assert sorted(set(shipper.lines)) == sorted(lines)
    # What was not complete is repeated, and nothing else.
    assert len(shipper.lines) <= len(lines) + 1


def test_the_bar_shows_hours_lines_and_a_rate(here: Deployment) -> None:
    log(here, "a", HOUR, HOUR * 2)

    def shown_of(since: str) -> str:
        return here.run(
            *("backfill", GROUP, "--since", since),
            FORCE_COLOR="1",
            TERM="xterm",
            COLUMNS="60",
            NO_COLOR="1",
        ).stderr

    shown = shown_of("5h")
    assert re.search(r"[\d.]+ of 5\.0 hours, 2 lines, [\d,]+/s", shown)
    assert "left" in shown
    assert "of 3.0 days" in shown_of("3d")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([GROUP], "give the start: --since 2d"),
        ([GROUP, "--since", "1d", "--from", "2026-11-20T00:00:00Z"], "give the start: --since 2d"),
        ([GROUP, "--from", "yesterday"], "'yesterday' is not a time"),
        (["/aws/lambda/none", "--since", "1d"], "there is no log group /aws/lambda/none"),
        ([GROUP, "--from", "2100-01-01"], "--from 2100-01-01T00:00:00.000Z is in the future: it"),
        (
            [GROUP, "--from", "2026-01-02", "--until", "2026-01-01"],
            "--from 2026-01-02T00:00:00.000Z is not before --until 2026-01-01T00:00:00.000Z",
        ),
        ([GROUP, "--since", "1h", "--until", "2026-01-01"], "is not before --until 2026-01-01T"),
        ([GROUP, "--from", "2026-01-01", "--until", "2026-01-02"], "older than --max-age"),
    ],
)
def test_says_what_is_wrong(here: Deployment, words: list[str], said: str) -> None:
    result = here.run("backfill", *words)
    assert result.exit_code == 2
    assert said in result.stderr
