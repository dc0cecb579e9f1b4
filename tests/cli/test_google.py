"""`loki-shipper google` and `loki-shipper invoke` with events of Google Cloud."""

import json
from collections.abc import Callable

import pytest
from click.testing import Result

from loki_shipper.google.keep import REJECTED, keep_rejected
from loki_shipper.google.ship import ship_entries
from loki_shipper.google.storage import CloudStorage
from loki_shipper.local.receiver import Receiver, ScriptedAnswer
from loki_shipper.shipper.delivery.answer import Answer
from tests.google.bucket import BUCKET
from tests.google.logged import logged
from tests.google.pushing import LokiInMemory
from tests.google.test_keep import REFUSAL

type Run = Callable[..., Result]

SAMPLES = ("audit", "cloud-run", "gke", "request", "skypilot", "text")


def kept(storage: CloudStorage) -> None:
    entries = [logged()]
    refused = ship_entries(entries, LokiInMemory(lambda _: Answer(400, REFUSAL)).deps())
    keep_rejected(entries, refused, storage.put)


@pytest.mark.parametrize("name", SAMPLES)
def test_invoke_shows_what_loki_gets_of_an_entry(run: Run, name: str) -> None:
    result = run("invoke", "--json", f"google-{name}")
    assert result.exit_code == 0
    [shown] = json.loads(result.stdout)
    assert shown["delivered"] == 1
    [push] = shown["pushes"]
    assert push["labels"]["source"] == "cloud-logging"


def test_invoke_pushes_an_entry_moved_to_now(run: Run, receiver: Receiver) -> None:
    result = run("invoke", "--now", "--loki", receiver.url, "google-text")
    assert result.exit_code == 0
    [(labels, _)] = receiver.held()
    assert "late" not in labels


def test_invoke_takes_the_settings_of_google_cloud(run: Run) -> None:
    result = run("invoke", "google-text", BUILTIN_LABELS="project=project_id", TAG_LABELS="none")
    assert 'labels     project_id="shop-prod"' in result.stdout


def test_invoke_says_why_a_message_is_no_entry(run: Run) -> None:
    result = run("invoke", "-", stdin='{"message": {"data": "eA=="}}')
    assert result.exit_code == 2
    assert result.stderr == ("Error: <stdin> is not an event of Cloud Logging: no_log_entry\n")


def test_redrive_ships_what_waits_and_deletes_it(
    run: Run, receiver: Receiver, storage: CloudStorage, storage_url: str
) -> None:
    kept(storage)
    environ = {"LOKI_URL": receiver.url, "BUCKET": BUCKET, "STORAGE_EMULATOR_HOST": storage_url}
    dry = run("google", "redrive", "--dry-run", **environ)
    assert dry.stdout.startswith("1 object, ")
    result = run("google", "redrive", **environ)
    assert result.stdout.startswith("redriven 1 object: 1 lines delivered")
    assert [*storage.objects(REJECTED)] == []
    assert len(receiver.held()) == 1


def test_redrive_says_what_is_left_and_why(
    run: Run, receiver: Receiver, storage: CloudStorage, storage_url: str
) -> None:
    kept(storage)
    receiver.script(lambda _: ScriptedAnswer(400, REFUSAL.encode()))
    environ = {"LOKI_URL": receiver.url, "BUCKET": BUCKET, "STORAGE_EMULATOR_HOST": storage_url}
    result = run("google", "redrive", "--json", **environ)
    assert result.exit_code == 1
    assert result.stderr == "Error: 1 object left: see why [too_old (1 times)]\n"
    assert json.loads(result.stdout)[0]["left"] == 1


def test_redrive_says_that_there_is_no_such_bucket(
    run: Run, receiver: Receiver, storage_url: str
) -> None:
    environ = {"LOKI_URL": receiver.url, "STORAGE_EMULATOR_HOST": storage_url}
    result = run("google", "redrive", "--bucket", "other", **environ)
    assert result.exit_code == 2
    assert "bucket other failed" in result.stderr


def test_serve_says_which_setting_is_missing(run: Run) -> None:
    result = run("google", "serve", LOKI_URL="http://loki")
    assert result.exit_code == 2
    assert "correct the environment: PUSH_AUDIENCE is not set" in result.stderr


def test_doctor_says_which_setting_is_missing(run: Run) -> None:
    result = run("google", "doctor", "--json")
    assert result.exit_code == 1
    assert "LOKI_URL is not set" in result.stdout


def test_doctor_checks_loki_and_the_bucket(
    run: Run, receiver: Receiver, storage: CloudStorage, storage_url: str
) -> None:
    environ = {
        "LOKI_URL": receiver.url,
        "BUCKET": BUCKET,
        "STORAGE_EMULATOR_HOST": storage_url,
        "VERIFY_PUSHES": "off",
    }
    result = run("google", "doctor", "--json", **environ)
    found = {each["check"]: each["level"] for each in json.loads(result.stdout)}
    assert found["bucket"] == "ok"
    assert found["token"] == "warn"
    assert "write" in found
    assert [*storage.objects("")] == []
