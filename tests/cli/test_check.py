"""`loki-shipper check` names every fault, and shows what rules do to events."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from loki_shipper.shipper.rules.presets import DEFAULT_PRESETS

type Run = Callable[..., Result]

EVENTS = Path(__file__).resolve().parents[2] / "events"
LAMBDA = str(EVENTS / "lambda.json")
RULES = """
[[rule]]
name = "amounts"
replace = '\\d+\\.\\d\\d EUR'
with = "[amount]"

[[rule]]
name = "noise"
drop = 'basket'

[[rule]]
preset = "lambda"
"""


@pytest.fixture
def rules(tmp_path: Path) -> str:
    path = tmp_path / "rules.toml"
    path.write_text(RULES)
    return str(path)


def test_without_rules_the_default_is_checked(run: Run) -> None:
    result = run("check")
    assert result.exit_code == 0
    shown = result.stdout.splitlines()
    assert shown[:4] == [
        "settings  good, but LOKI_URL is not set: a deployment needs it",
        "rules     the default: 17 rules, good",
        "  a log group has the first one that names it",
        "  level              metadata             /aws/lambda/*, s3://*/json, s3://*/te…",
    ]
    assert shown[-1] == "  vendedlogs         timestamp, metadata  /aws/vendedlogs/*"
    assert len(shown) == 3 + len(DEFAULT_PRESETS)


def test_a_line_is_shown_before_and_after_with_what_each_rule_did(run: Run, rules: str) -> None:
    result = run("check", rules, "--event", LAMBDA)
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert f"{LAMBDA}: /aws/lambda/fun-checkout"[:60] in result.stdout
    charged = lines.index("09:14:05.941  card charged: 59.90 EUR")
    assert lines[charged + 1 : charged + 3] == [
        "              amounts: redacts the line",
        "            → card charged: [amount]",
    ]
    basket = next(place for place, line in enumerate(lines) if "[DEBUG]" in line)
    assert lines[basket + 1] == "              noise: drops the line"
    assert '              lambda: metadata detected_level="info"' in lines
    assert lines[-1] == "kept 13 in 1 stream, dropped 2 (1 empty, 1 noise)"
    assert max(map(len, lines)) <= 80


def test_json_has_everything(run: Run, rules: str) -> None:
    result = run("check", rules, "--json", "--event", LAMBDA)
    settings, of_rules, event = json.loads(result.stdout)
    assert settings == {"kind": "settings", "faults": []}
    assert of_rules["rules"][0] == {
        "name": "amounts",
        "groups": ["*"],
        "actions": ["replace"],
    }
    assert event["dropped"] == {"empty": 1, "noise": 1}
    assert event["matched"] == {"amounts": 1, "noise": 1, "lambda": 11}
    [paid] = [line for line in event["lines"] if "card charged" in line["before"]]
    assert paid["after"] == "card charged: [amount]"
    assert paid["effects"] == [{"rule": "amounts", "what": "redacts the line"}]
    assert [stream["entries"] for stream in event["streams"]] == [13]


def test_every_fault_is_named_in_full_and_no_event_is_tried(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "rules.toml"
    path.write_text('[[rule]]\ndrop = "("\n[[rule]]\nlabel = {a = "b"}\n')
    result = run("check", str(path), "--event", LAMBDA, MAX_LABELS="1", LONG_LINES="cut")
    assert result.exit_code == 1
    assert result.stdout.splitlines() == [
        "settings  MAX_LABELS must be a whole number from 2 to 100",
        "settings  LONG_LINES must be one of split, truncate",
        "rules     line 1, rule 1: drop is not a regular expression that RE2 takes: missing ): (",
        (
            'rules     line 3, rule 2: label needs either values = ["a", "b"] or at_most = 20, '
            "to limit the streams"
        ),
    ]
    assert result.stderr == "Error: correct the faults above\n"


def test_the_variable_names_the_rules_too(run: Run, rules: str) -> None:
    assert f"rules     {rules}"[:70] in run("check", RULES=rules).stdout
    assert run("check", RULES="none").stdout.splitlines()[1] == "rules     none: 0 rules, good"
    missing = run("check", RULES="nowhere.toml")
    assert missing.exit_code == 1
    assert "nowhere.toml cannot be read: No such file or directory" in missing.stdout


@pytest.mark.parametrize(
    ("words", "stdin", "error"),
    [
        (("nowhere.toml",), None, "nowhere.toml cannot be read: No such file or directory"),
        (("--event", "-"), "{", "<stdin> is not JSON"),
        (("--event", "-"), "{}", "<stdin> is not an event of CloudWatch Logs"),
        (("--event", str(EVENTS / "control.json")), None, "carries no log events"),
    ],
)
def test_an_unusable_file_or_event_is_an_error_of_one_line(
    run: Run, words: tuple[str, ...], stdin: str | None, error: str
) -> None:
    result = run("check", *words, stdin=stdin)
    assert result.exit_code == 2
    assert error in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_limit_limits_the_lines_that_are_shown(run: Run) -> None:
    lines = run("check", "--limit", "1", "--event", LAMBDA).stdout.splitlines()
    at = lines.index("… and 14 more; --limit 0 shows all")
    assert "INIT_START" in lines[at - 1]


def test_a_line_that_no_tenant_may_read_counts_as_rejected(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "rules.toml"
    path.write_text("[[rule]]\ntenant = 'errorMessage'\n")
    event = str(EVENTS / "lambda-json.json")
    result = run("check", str(path), "--event", event)
    assert result.stdout.splitlines()[-1] == (
        "kept 8 in 2 streams, dropped 0, rejected 1 (1 tenant_invalid)"
    )
    [_, _, found] = json.loads(run("check", str(path), "--json", "--event", event).stdout)
    assert found["rejected"] == {"tenant_invalid": 1}
