"""`loki-shipper invoke` runs the deployed pipeline on an event and shows the result."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from loki_shipper.local.receiver import Receiver, ScriptedAnswer
from loki_shipper.local.sample import Call, invocation_event, log_data
from loki_shipper.settings import variables

type Run = Callable[..., Result]

EVENTS = Path(__file__).resolve().parents[2] / "events"
LAMBDA = str(EVENTS / "lambda.json")
AT = 1_763_000_000_000
"""2025-11-13T02:13:20Z in ms."""

NOT_AN_EVENT = "Error: <stdin> is not an event of CloudWatch Logs"


def event(*lines: str) -> str:
    calls = [Call(AT, [(AT, line) for line in lines])]
    return json.dumps(invocation_event(log_data("/ecs/shop", "web-1", calls)))


def test_prints_tenant_labels_entries_and_what_was_dropped(run: Run) -> None:
    result = run("invoke", "--tag", "team=payments", LAMBDA, LOKI_TENANT="shop")
    assert result.exit_code == 0
    lines = [line.rstrip() for line in result.stdout.splitlines()]
    assert lines[0] == "push 1 of 1: 14 entries"
    assert "tenant     shop" in lines
    assert 'labels     account_id="123456789012"' in lines
    assert '           team="payments"' in lines
    assert '           log_group="/aws/lambda/fun-checkout"' in lines
    assert "entries of 2026-11-10" in lines
    [charged] = [line for line in lines if line.endswith("  card charged: 59.90 EUR")]
    assert charged.startswith("  09:14:05.941")
    assert "answer     not pushed: give --loki URL to push" in lines
    assert lines[-1] == "received 15, to deliver 14, dropped 1 (1 empty), rejected 0, errored 0"


def test_a_line_of_several_lines_stays_in_its_column(run: Run) -> None:
    result = run("invoke", "-", stdin=event("first\nsecond"))
    [at] = [n for n, text in enumerate(result.stdout.splitlines()) if text.endswith("first")]
    first, second = result.stdout.splitlines()[at : at + 2]
    assert second == " " * first.index("first") + "second"


def test_control_characters_are_escaped(run: Run) -> None:
    result = run("invoke", "-", stdin=event("\x1b[31mred\x00\x9b\r", "[bold]not markup[/bold]"))
    assert r"  \x1b[31mred\x00\x9b\r" in result.stdout
    assert "  [bold]not markup[/bold]" in result.stdout
    assert "\x1b" not in result.stdout


def test_only_terminals_with_colours_get_colours(run: Run) -> None:
    assert "\x1b[" in run("invoke", LAMBDA, FORCE_COLOR="1", TERM="xterm").stdout
    assert "\x1b[3" not in run("invoke", LAMBDA, FORCE_COLOR="1", TERM="xterm", NO_COLOR="1").stdout
    assert "\x1b[" not in run("invoke", LAMBDA).stdout


def test_a_long_line_is_one_line_in_a_pipe(run: Run) -> None:
    result = run("invoke", "-", stdin=event("x" * 500), COLUMNS="80")
    assert "x" * 500 in result.stdout


def test_prints_a_limited_number_of_entries_and_says_how_many_more_there_are(run: Run) -> None:
    shown = run("invoke", "--limit", "2", "-", stdin=event("one", "two", "three")).stdout
    assert "  two\n  … and 1 more; --limit 0 shows all\n" in shown
    everything = run("invoke", "--limit", "0", "-", stdin=event(*map(str, range(100)))).stdout
    assert "  99\n" in everything
    assert "more" not in everything


def test_json_has_everything_in_the_shape_of_lokis_own(run: Run) -> None:
    result = run("invoke", "--json", "--tag", "team=", "--tag", "q=a=b", "-", stdin=event("a", ""))
    [document] = json.loads(result.stdout)
    [push] = document.pop("pushes")
    assert document == {
        "pushed": False,
        "received": 2,
        "delivered": 1,
        "late": 0,
        "dropped": {"empty": 1},
        "rejected": {},
        "deferred": {},
        "errored": {},
        "log_files": {},
    }
    assert push["tenant"] is None
    assert push["labels"]["q"] == "a=b"
    assert push["answer"] is None
    [[timestamp, line, _]] = push["values"]
    assert int(timestamp) // 1_000_000 == AT
    assert line == "a"


def test_the_region_comes_from_the_environment_unless_an_option_names_it(run: Run) -> None:
    def region(*words: str, **environ: str) -> Any:
        result = run("invoke", "--json", *words, LAMBDA, **environ)
        return json.loads(result.stdout)[0]["pushes"][0]["labels"]["region"]

    assert region(AWS_REGION="us-west-2") == "us-west-2"
    assert region(AWS_DEFAULT_REGION="us-west-1") == "us-west-1"
    assert region("--region", "eu-west-3", AWS_REGION="us-west-2") == "eu-west-3"


def test_settings_come_from_the_environment(run: Run) -> None:
    result = run(
        "invoke", "--json", "--tag", "team=payments", LAMBDA, TAG_LABELS="none", STATIC_LABELS="a=b"
    )
    stream = json.loads(result.stdout)[0]["pushes"][0]["labels"]
    assert "team" not in stream
    assert stream["a"] == "b"


def test_a_control_message_ships_nothing_and_says_so(run: Run) -> None:
    result = run("invoke", str(EVENTS / "control.json"))
    assert result.exit_code == 0
    assert result.stdout.startswith("nothing to ship: the event carries no log events\n")


def test_loki_url_in_the_environment_pushes_nothing(run: Run, receiver: Receiver) -> None:
    result = run("invoke", LAMBDA, LOKI_URL=receiver.url)
    assert result.exit_code == 0
    assert receiver.attempts == []


def test_pushes_to_the_loki_that_is_named_and_prints_its_answer(
    run: Run, receiver: Receiver
) -> None:
    result = run("invoke", "--loki", receiver.url, "--tag", "team=payments", LAMBDA)
    assert result.exit_code == 0
    assert "answer     204\n" in result.stdout
    assert result.stdout.splitlines()[-1].startswith("received 15, delivered 14, ")
    [push] = receiver.pushes
    assert push.streams[0].labels["team"] == "payments"
    assert len(push.entries) == 14


def test_pushes_what_it_shows_without_pushing(run: Run, receiver: Receiver) -> None:
    shown = json.loads(run("invoke", "--json", LAMBDA).stdout)[0]["pushes"][0]
    run("invoke", "--loki", receiver.url, LAMBDA)
    assert [(str(entry.timestamp), entry.line) for entry in receiver.pushes[0].entries] == [
        (timestamp, line) for timestamp, line, _ in shown["values"]
    ]


def test_now_gives_the_newest_line_the_present_time(run: Run) -> None:
    before = time.time_ns() // 1_000_000
    result = run("invoke", "--now", "--json", LAMBDA)
    after = time.time_ns() // 1_000_000
    values = json.loads(result.stdout)[0]["pushes"][0]["values"]
    assert before <= int(values[-1][0]) // 1_000_000 <= after
    assert (int(values[-1][0]) - int(values[0][0])) // 1_000_000_000 == 5


def test_lines_that_loki_rejects_give_exit_code_1_and_advice(run: Run, receiver: Receiver) -> None:
    body = (
        b"entry for stream '{}' has timestamp too old: 2025-11-13T02:13:20Z, "
        b"oldest acceptable timestamp is: 2026-11-14T00:00:00Z"
    )
    receiver.script([ScriptedAnswer(400, body)])
    result = run("invoke", "--loki", receiver.url, "-", stdin=event("a", "b"))
    assert result.exit_code == 1
    assert "answer     400 entry for stream '{}' has timestamp too old" in result.stdout
    assert result.stdout.splitlines()[-1].endswith("rejected 2 (2 too_old), errored 0")
    assert result.stderr == (
        "Error: Loki did not take 2 of 2: too_old; move the event to now with --now\n"
    )


def test_an_html_page_is_not_loki_at_any_status(run: Run, receiver: Receiver) -> None:
    page = ScriptedAnswer(
        200, b"<!DOCTYPE html><title>Sign in</title>", {"Content-Type": "text/html"}
    )
    receiver.script(lambda _: page)
    result = run("invoke", "--loki", receiver.url, "-", stdin=event("a"))
    assert result.exit_code == 1
    assert result.stderr == (
        "Error: Loki did not take 1 of 1: not_loki; a web page answers, such as a login page: "
        "correct --loki, or give the credentials that the gateway asks for\n"
    )


def test_deferred_lines_do_not_count_as_delivered(run: Run, receiver: Receiver) -> None:
    body = b"entry for stream '{}' has timestamp too new: 2025-11-13T00:00:00Z"
    receiver.script([ScriptedAnswer(400, body)])
    result = run("invoke", "--now", "--loki", receiver.url, "-", stdin=event("a", "b"))
    assert result.exit_code == 1
    assert result.stdout.splitlines()[-1].endswith("rejected 0, deferred 2 (2 too_new), errored 0")
    assert result.stderr.startswith("Error: Loki did not take 2 of 2: too_new; ")


def test_undelivered_lines_give_exit_code_1_also_with_json(run: Run, receiver: Receiver) -> None:
    receiver.script(lambda _: ScriptedAnswer(404, b"no such page"))
    result = run("invoke", "--json", "--loki", receiver.url, "-", stdin=event("a"))
    assert result.exit_code == 1
    [document] = json.loads(result.stdout)
    assert document["errored"] == {"status_404": 1}
    assert document["pushes"][0]["answer"] == {
        "status": 404,
        "reason": None,
        "body": "no such page",
    }
    assert result.stderr.startswith("Error: Loki did not take 1 of 1: status_404; ")


def test_a_repeated_push_does_not_print_its_entries_again(run: Run, receiver: Receiver) -> None:
    receiver.script([ScriptedAnswer(413), ScriptedAnswer(), ScriptedAnswer()])
    result = run("invoke", "--loki", receiver.url, "-", stdin=event("a", "b"))
    assert result.exit_code == 0
    assert [
        line for line in result.stdout.splitlines() if line.startswith(("push", "entries"))
    ] == [
        "push 1 of 3: 2 entries",
        "entries of 2025-11-13",
        "push 2 of 3: 1 entry",
        "entries    as above",
        "push 3 of 3: 1 entry",
        "entries    as above",
    ]


@pytest.mark.parametrize(
    ("stdin", "sentence"),
    [
        ("{", "Error: <stdin> is not JSON: name an event, or a sample such as lambda\n"),
        ("[" * 100_000, "Error: <stdin> is not JSON: name an event, or a sample such as lambda\n"),
        (
            '{"detail": {}}',
            f"{NOT_AN_EVENT}: the event has no text at awslogs.data\n",
        ),
        (
            '{"awslogs": {"data": "?"}}',
            f"{NOT_AN_EVENT}: the record is not base64\n",
        ),
    ],
    ids=["not JSON", "nested too deep", "another event", "not base64"],
)
@pytest.mark.parametrize("options", [[], ["--now"]], ids=["as it is", "now"])
def test_a_file_that_is_not_an_event_gives_exit_code_2_and_one_sentence(
    run: Run, stdin: str, sentence: str, options: list[str]
) -> None:
    result = run("invoke", *options, "-", stdin=stdin)
    assert (result.exit_code, result.stdout, result.stderr) == (2, "", sentence)


def test_a_profile_reads_secrets_and_rules_that_settings_name(run: Run) -> None:
    rules = {"RULES": "s3://bucket/rules.toml"}
    result = run("invoke", LAMBDA, "--profile", "nobody", **rules)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "there is no AWS profile nobody: correct --profile" in result.stderr


def test_bad_settings_are_an_exit_code_of_2_and_name_every_fault(run: Run) -> None:
    result = run("invoke", LAMBDA, MAX_LABELS="many", LONG_LINES="cut")
    assert result.exit_code == 2
    assert result.stderr == (
        "Error: correct --loki or the environment: "
        "MAX_LABELS must be a whole number from 2 to 100; "
        "LONG_LINES must be one of split, truncate\n"
    )


def test_a_tag_needs_a_key_and_a_value(run: Run) -> None:
    for tag in ("team", "=payments"):
        result = run("invoke", "--tag", tag, LAMBDA)
        assert result.exit_code == 2
        assert "is not a tag: write KEY=VALUE" in result.stderr


def test_a_token_is_sent_and_never_printed(run: Run, receiver: Receiver) -> None:
    assert "LOKI_TOKEN" in variables()
    receiver.script(lambda _: ScriptedAnswer(401, b"no"))
    words = ["--loki", receiver.url, "-"]
    result = run("invoke", *words, stdin=event("a"), LOKI_TOKEN="glc-secret")
    assert receiver.attempts[0].headers["authorization"] == "Bearer glc-secret"
    assert "glc-secret" not in result.output
    assert result.exit_code == 1


def test_a_name_without_a_file_means_the_sample_event(run: Run, tmp_path: Path) -> None:
    result = run("invoke", str(tmp_path / "lambda.json"))
    assert result.exit_code == 2
    assert "there is no file" in result.stderr
    named = run("invoke", "lambda")
    assert named.exit_code == 0
    assert named.stdout == run("invoke", LAMBDA).stdout


def test_a_file_wins_over_the_sample_event_of_the_same_name(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lambda").write_text("{}")
    assert run("invoke", "lambda").exit_code == 2
