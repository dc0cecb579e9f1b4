"""`loki-shipper backfill` ships the past, says what it will not, and goes on."""

import json
from collections.abc import Iterator
from datetime import timedelta

import pytest

from loki_shipper.model import LogEvent
from loki_shipper.subscriber.backfill import Progress, Span, backfill
from loki_shipper.subscriber.payload import Origin
from tests.subscriber.deployment import Deployment, Skipping, deployed
from tests.subscriber.moto_gaps import real_event_ids
from tests.subscriber.past import GROUP, Shipper, log

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


def test_says_before_it_starts_what_loki_would_refuse(here: Deployment, shipper: Shipper) -> None:
    lines = log(here, "a", *(HOUR * 24 * days + HOUR for days in (1, 6, 8, 10)))
    result = here.run("backfill", GROUP, "--since", "12d")
    assert "Loki would refuse what is older than --max-age, so this begins at" in result.stderr
    assert shipper.lines == lines[2:]
    shipper.lines.clear()
    result = here.run("backfill", GROUP, "--since", "12d", "--max-age", "30d")
    assert not result.stderr
    assert shipper.lines == lines


def test_ends_where_the_filter_began(here: Deployment, shipper: Shipper) -> None:
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
    assert json.loads(result.stdout)["lines"] == 1


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
        Origin("123456789012", GROUP, "loki-shipper"),
        read=read,
        ship=lambda _: {"late": 1, "rejected": {"too_old": 2, "labels": 1}},
    )
    assert list(steps) == [
        Progress(35 * minute, lines=1, late=1, rejected=3),
        Progress(65 * minute, lines=2, late=2, rejected=6),
    ]
    assert spans == [(5 * minute, 35 * minute), (35 * minute, 65 * minute)]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([GROUP], "say how far back"),
        ([GROUP, "--since", "1d", "--from", "2026-11-20T00:00:00Z"], "say how far back"),
        ([GROUP, "--from", "yesterday"], "'yesterday' is not a time"),
        (["/aws/lambda/none", "--since", "1d"], "there is no log group /aws/lambda/none"),
        ([GROUP, "--from", "2100-01-01"], "nothing to ship"),
    ],
)
def test_says_what_is_wrong(here: Deployment, words: list[str], said: str) -> None:
    result = here.run("backfill", *words)
    assert result.exit_code == 2
    assert said in result.stderr
