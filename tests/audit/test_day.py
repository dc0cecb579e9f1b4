"""A day of 50 log groups and a real Loki: no difference, until lines are lost on purpose."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import Result

from loki_shipper.local.loki import Loki
from tests.audit.day import RULES, Day
from tests.local_deployment import deployed
from tests.moto_insights import insights

HEALTHY = [f"/ecs/service-{number}" for number in range(44)]


@pytest.fixture
def day(loki: Loki, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Day]:
    rules = tmp_path / "rules.toml"
    rules.write_text(RULES)
    with deployed() as here, insights():
        yield Day(here, loki.url, str(rules), monkeypatch)


def fill(day: Day, groups: list[str]) -> None:
    """Let log groups log in every hour, and in the two hours before the day."""
    for number, name in enumerate(groups):
        for hour in range(-2, 24):
            lines = (f"{name} {hour} {n}" for n in range(1 + (number + hour) % 4))
            # A line of the hour before comes late, and one is dropped by a rule.
            day.log(name, hour, *lines, "health check")
            if number % 10 == 0:
                day.log(name, hour, "late", age=3)


def test_a_healthy_day_of_50_log_groups_has_no_difference(day: Day, tenant: str) -> None:
    groups = [*HEALTHY, *(f"/aws/lambda/function-{number}" for number in range(6))]
    for name in groups:
        day.group(name, tenant)
    fill(day, groups)
    result = day.audit()
    assert result.exit_code == 0, result.output
    assert "50 of 50 log groups agree" in result.stdout
    assert "(dropped by sampled: " in result.stdout
    assert "not read" not in result.stdout
    assert "note:" not in result.stdout
    assert "it costs less than $0.01" in result.stderr


DROPPING = {"block_ingestion_until": "2099-01-01T00:00:00Z", "block_ingestion_status_code": 200}
BLOCKED = {"block_ingestion_until": "2099-01-01T00:00:00Z"}
STRICT = {"reject_old_samples": True, "reject_old_samples_max_age": "1h"}


def differences(result: Result) -> dict[str, list[tuple[str, int, str]]]:
    """Give the kind, the size and the place of each difference, by log group."""
    return {
        each["log_group"]: [
            (found["kind"], found["lines"], found["place"]) for found in each["differences"]
        ]
        for each in json.loads(result.stdout)
        if not each["agrees"]
    }


def test_each_kind_of_loss_is_named_with_its_size_and_its_place(
    day: Day, loki: Loki, tenant: str
) -> None:
    """Each log group of `lost` loses lines in one hour of a day that is healthy otherwise."""
    tenants = {name: f"{tenant}-{name}" for name in ("dropping", "blocked", "back", "strict")}
    lost = {
        "/lost/unfiltered": tenant,
        "/lost/dropped-by-loki": tenants["dropping"],
        "/lost/dropped-by-rule": tenant,
        "/lost/rejected": tenants["strict"],
        "/lost/deleted": tenants["blocked"],
        "/lost/blocked": tenants["blocked"],
        "/lost/redriven": tenants["back"],
    }
    for name in HEALTHY:
        day.group(name, tenant)
    for name, of in lost.items():
        day.group(name, of)
    fill(day, [*HEALTHY, *lost])

    day.log("/lost/unfiltered", 7, "a", "b", "c", filtered=False)
    loki.override(tenants["dropping"], DROPPING)
    day.log("/lost/dropped-by-loki", 8, *"abcd")
    loki.override(tenants["dropping"], {})
    day.log("/lost/dropped-by-rule", 9, *["health check"] * 5)
    loki.override(tenants["strict"], STRICT)
    day.log("/lost/rejected", 10, *"abcdef")
    loki.override(tenants["blocked"], BLOCKED)
    before = {*day.keys()}
    day.log("/lost/deleted", 11, *"abcdefg")
    [key] = {*day.keys()} - before
    day.delete(key)
    day.log("/lost/blocked", 12, *"abcdefgh")
    loki.override(tenants["back"], BLOCKED)
    day.log("/lost/redriven", 13, *"abcdefghi")
    loki.override(tenants["back"], {})
    assert day.redrive(14)["lines"] == 9

    result = day.audit("--json")
    assert result.exit_code == 1, result.output
    deleted = (
        "sent to the shipper, but neither reported by it nor in aws/lambda/: an object was "
        "deleted, or Lambda lost an event"
    )
    assert differences(result) == {
        "/lost/unfiltered": [
            ("missing", 3, "not forwarded by CloudWatch Logs: was the filter there?")
        ],
        "/lost/dropped-by-loki": [("missing", 4, "accepted by Loki, and not in it")],
        "/lost/rejected": [("rejected", 6, "in rejected/, too_old")],
        "/lost/deleted": [("missing", 7, deleted)],
        "/lost/blocked": [("waiting", 8, "in aws/lambda/")],
    }
    dropped = {each["log_group"]: each["dropped"] for each in json.loads(result.stdout)}
    assert dropped["/lost/dropped-by-rule"] == {"health": 24 + 5}


def test_the_stack_audits_itself_and_measures_the_lines_that_are_missing(
    day: Day, loki: Loki, tenant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    dropping = f"{tenant}-dropping"
    groups = ["/ecs/a", "/ecs/b", "/lost/dropped-by-loki", "/lost/unfiltered"]
    for name in groups:
        day.group(name, dropping if name == "/lost/dropped-by-loki" else tenant)
    fill(day, groups)
    found = day.self_audit(monkeypatch, LOKI_READ_URL=loki.url)
    assert (found["LinesMissing"], found["LogGroupsAudited"], found["level"]) == (0, 4, "INFO")
    assert found["report"]["loki"] == ""

    loki.override(dropping, DROPPING)
    day.log("/lost/dropped-by-loki", 8, *"abcd")
    day.log("/lost/unfiltered", 7, "a", "b", "c", filtered=False)
    found = day.self_audit(monkeypatch, LOKI_READ_URL=loki.url)
    assert (found["LinesMissing"], found["level"]) == (7, "WARNING")
    assert {each["log_group"]: each["lines"] for each in found["report"]["differences"]} == {
        "/lost/dropped-by-loki": 4,
        "/lost/unfiltered": 3,
    }
    without = day.self_audit(monkeypatch, LOKI_READ_URL="")
    assert without["LinesMissing"] == 3
    assert without["report"]["loki"] == "not read: set LokiReadSecret or LokiReadUrl"
