"""docs/reliability.md says of each alarm of the template what it means, and names real metrics."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/reliability.md").read_text("utf-8")
TEMPLATE = (ROOT / "template.yaml").read_text("utf-8")
PROMISES = [
    promise.rstrip(".").lower() for promise in re.findall(r"^\| \*\*(.+?)\*\* ", PAGE, re.MULTILINE)
]
STATES = ("Lost", "**Lost**", "Waiting", "Late", "Unknown", "In Loki")


def rows() -> list[list[str]]:
    table = PAGE.partition("<!-- alarms -->\n")[2].partition("<!-- /alarms -->")[0]
    lines = table.splitlines()[2:]
    return [[cell.strip(" `") for cell in line[1:-1].split("|")] for line in lines if line]


def test_every_alarm_has_its_row_and_no_other() -> None:
    raised = re.findall(r"^  (\w+):\n    Type: AWS::CloudWatch::Alarm$", TEMPLATE, re.MULTILINE)
    assert sorted(alarm for alarm, *_ in rows()) == sorted(raised)


def test_every_row_names_a_promise_and_what_becomes_of_the_lines() -> None:
    assert len(PROMISES) == 4
    for _, promise, lines in rows():
        assert promise in {*PROMISES, "none"}
        assert lines.startswith(STATES)


def test_every_promise_has_an_alarm() -> None:
    assert {promise for _, promise, _ in rows()} >= {*PROMISES}


def test_the_metrics_that_it_names_are_measured(measured: set[tuple[str, str, str]]) -> None:
    promises = PAGE.partition("## Error budgets")[0]
    cells = re.findall(r"^\| \*\*.*?\|(.*?)\|", promises, re.MULTILINE)
    named = {name for cell in cells for name in re.findall(r"`(\w+)`", cell)}
    assert named >= {"EndToEndSeconds", "LinesReceived", "OldestAge"}
    assert named <= {name for _, _, name in measured}


def test_the_command_for_the_budget_asks_for_the_metric_of_the_canary(
    measured: set[tuple[str, str, str]],
) -> None:
    found = re.search(
        r"--namespace (\w+) --metric-name (\w+).*Name=service,Value=([\w-]+) Name=stack",
        PAGE,
        re.DOTALL,
    )
    assert found is not None
    assert (found[1], found[3], found[2]) in measured


@pytest.mark.parametrize("page", ["README.md", "docs/operating.md"])
def test_it_is_linked(page: str) -> None:
    assert re.search(r"\]\((docs/)?reliability\.md\)", (ROOT / page).read_text("utf-8"))


def test_its_numbers_follow_from_the_schedule() -> None:
    canary = TEMPLATE.partition("\n  CanaryFunction:\n")[2].partition("\n  CanaryLines:\n")[0]
    [minutes] = re.findall(r"Schedule: rate\((\d+) minutes\)", canary)
    in_thirty_days = 30 * 24 * 60 // int(minutes)
    assert f"{in_thirty_days:,} lines in 30 days, so {in_thirty_days // 1000} of" in PAGE
    assert f"an outage of {in_thirty_days // 1000 * int(minutes)} minutes" in PAGE
    assert f"of a day with {24 * 60 // int(minutes)}" in PAGE
