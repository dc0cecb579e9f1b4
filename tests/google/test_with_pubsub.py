"""Redelivery, and the doctor, with Google's own emulator of Pub/Sub."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from loki_shipper.cli import main
from loki_shipper.local.receiver import Receiver, ScriptedAnswer
from tests.google.emulator import PROJECT, Emulator
from tests.google.logged import log_entry, message
from tests.google.processes import run_service


def test_an_entry_that_loki_does_not_take_comes_again_until_it_does(
    emulator: Emulator, receiver: Receiver, tmp_path: Path
) -> None:
    receiver.script([ScriptedAnswer(403)] * 2)
    with run_service({"LOKI_URL": receiver.url}, tmp_path / "log") as service:
        emulator.subscribe(service.url)
        emulator.publish([message(log_entry()).data])
        receiver.wait_for_attempts(3, seconds=60)
        service.stop()
    assert len(receiver.held()) == 1
    log = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    assert {**log[1]["errored"]} == {"denied": 1}


def test_the_doctor_reads_the_subscription(
    emulator: Emulator, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    emulator.subscribe("http://127.0.0.1:1/", deadline=10)
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", emulator.url.removeprefix("http://"))
    monkeypatch.setenv("LOKI_URL", receiver.url)
    monkeypatch.setenv("VERIFY_PUSHES", "off")
    name = f"projects/{PROJECT}/subscriptions/loki-shipper-0"
    result = CliRunner().invoke(main, ["google", "doctor", "--json", "--subscription", name])
    found = {each["check"]: each["level"] for each in json.loads(result.stdout)}
    assert found["push"] == "ok"
    assert found["deadline"] == "wrong"
