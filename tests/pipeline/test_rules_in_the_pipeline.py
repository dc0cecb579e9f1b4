"""Redacted text appears nowhere, and rules keep tenants and streams separate."""

import json
from pathlib import Path
from typing import Any

import pytest

from loki_shipper.local.receiver import Receiver, ScriptedAnswer
from loki_shipper.local.sample import invocation_event
from loki_shipper.model import LogData
from loki_shipper.settings import settings
from loki_shipper.shipper.entries.transform import RuleState
from loki_shipper.shipper.rules.model import RulesError
from loki_shipper.shipper.rules.parse import parse_rules
from loki_shipper.shipper.shipper import Shipper
from loki_shipper.shipper.sources.event import records
from tests.pipeline.execution_environment import ExecutionEnvironment, lines

CARD = "4111111111111111"
REDACT = "[[rule]]\nname = 'cards'\nreplace = '\\d{12,}'\nwith = '[card]'\n"
ARN = "arn:aws:lambda:eu-central-1:123456789012:function:shipper"


def open_environment(receiver: Receiver, body: str, **options: Any) -> ExecutionEnvironment:
    environment = ExecutionEnvironment(receiver.url, receiver=None, **options)
    environment.rule_state = RuleState(parse_rules(body), {})
    return environment


def dead_letters(environment: ExecutionEnvironment) -> list[LogData]:
    assert environment.bucket is not None
    bodies = environment.bucket.values()
    return [data for body in bodies for data in records(json.loads(body)["requestPayload"])]


def pushed(receiver: Receiver) -> str:
    return repr([push.entries for push in receiver.attempts])


@pytest.mark.parametrize(("status", "folder"), [(400, "rejected/"), (500, "failed/")])
def test_dead_letters_are_redacted(receiver: Receiver, status: int, folder: str) -> None:
    environment = open_environment(receiver, REDACT, one_line_a_batch=True)
    receiver.script(lambda push: ScriptedAnswer(status if "bad" in push.entries[0].line else 204))
    report = environment.ship(lines(f"good {CARD}", f"bad {CARD}\n"))
    assert report.matched == {"cards": 2}
    assert environment.kept(folder) == ["bad [card]\n"]
    assert [entry.line for _, entry in receiver.held()] == ["good [card]"]
    assert CARD not in pushed(receiver)
    assert CARD not in repr(dead_letters(environment))


def test_a_redrive_of_dead_letters_delivers_the_same_entries(receiver: Receiver) -> None:
    body = REDACT + "[[rule]]\nlabel = {env = 'env'}\nat_most = 2\n[[rule]]\nunwrap = 'log'"
    environment = open_environment(receiver, body, one_line_a_batch=True)
    payload = lines(*(json.dumps({"log": f"{n} {CARD}", "env": f"e{n % 2}"}) for n in range(4)))
    environment.ship(payload)
    complete = receiver.held()
    receiver.reset()
    receiver.script(lambda push: ScriptedAnswer(400 if push.entries[0].line[0] in "12" else 204))
    environment.ship(payload)
    receiver.script(())
    for data in dead_letters(environment):
        ExecutionEnvironment.ship(open_environment(receiver, body), data)
    assert sorted(receiver.held(), key=str) == sorted(complete, key=str)


def test_one_push_has_one_tenant_and_one_stream(receiver: Receiver) -> None:
    environment = open_environment(
        receiver, "[[rule]]\ntenant = 't'\n[[rule]]\nlabel = {env = 'e'}\nat_most = 9"
    )
    environment.ship(lines(*(json.dumps({"t": f"t{n % 3}", "e": f"e{n % 2}"}) for n in range(12))))
    found = {(push.tenant, push.streams[0].labels["env"]) for push in receiver.attempts}
    assert len(receiver.attempts) == len(found) == 6
    assert all(len(push.streams) == 1 and len(push.entries) == 2 for push in receiver.attempts)


def test_one_tenants_failure_does_not_stop_another(receiver: Receiver) -> None:
    environment = open_environment(receiver, "[[rule]]\ntenant = 't'")
    receiver.script(lambda push: ScriptedAnswer(404 if push.tenant == "bad" else 204))
    report = environment.ship(lines(*(json.dumps({"t": name}) for name in ("bad", "good", "bad"))))
    assert (report.delivered, report.errored) == (1, {"status_404": 2})


def test_a_dropped_line_is_neither_pushed_nor_kept(receiver: Receiver) -> None:
    environment = open_environment(receiver, "[[rule]]\nname = 'noise'\ndrop = 'noise'")
    receiver.script([ScriptedAnswer(400)])
    report = environment.ship(lines("noise", "more noise", "signal"))
    assert (report.dropped, report.rejected) == ({"noise": 2}, {"other": 1})
    assert environment.kept("") == ["signal"]


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        ("[[rule]]\nreplace = '('\nwith = ''", "line 1, rule 1: replace is not a regular"),
        (None, "cannot be read: No such file or directory"),
    ],
)
def test_rules_that_cannot_be_used_stop_delivery(
    receiver: Receiver, tmp_path: Path, body: str | None, fault: str
) -> None:
    path = tmp_path / "rules.toml"
    if body is not None:
        path.write_text(body)
    read = settings({"LOKI_URL": receiver.url, "RULES": str(path), "TAG_LABELS": "none"})
    environment = Shipper(read, ARN)
    for _ in range(2):
        with pytest.raises(RulesError, match=fault):
            environment.ship(invocation_event(lines(CARD)), lambda: 30.0)
    assert receiver.attempts == []


def test_a_shipper_applies_the_rules_of_its_file(receiver: Receiver, tmp_path: Path) -> None:
    path = tmp_path / "rules.toml"
    path.write_text(REDACT)
    read = settings({"LOKI_URL": receiver.url, "RULES": str(path), "TAG_LABELS": "none"})
    report = Shipper(read, ARN).ship(invocation_event(lines(CARD)), lambda: 30.0)
    assert report.matched == {"cards": 1}
    assert [entry.line for _, entry in receiver.held()] == ["[card]"]


def test_a_redrive_of_sampled_lines_drops_none_of_those_that_were_kept(receiver: Receiver) -> None:
    body = "[[rule]]\nname = 'some'\nsample = 4\n"
    environment = open_environment(receiver, body)
    payload = lines(*(f"line {number}" for number in range(200)))
    first = environment.ship(payload)
    complete = receiver.held()
    assert first.dropped == {"some": 200 - len(complete)}
    assert 20 < len(complete) < 80
    receiver.reset()
    receiver.script(lambda _: ScriptedAnswer(400))
    environment.ship(payload)
    receiver.script(())
    for data in dead_letters(environment):
        report = ExecutionEnvironment.ship(open_environment(receiver, body), data)
        assert not report.dropped
    assert sorted(receiver.held(), key=str) == sorted(complete, key=str)
