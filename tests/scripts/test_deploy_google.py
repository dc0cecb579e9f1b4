"""`scripts/deploy-google` makes what is missing, and upgrades what is there.

A gcloud of the test's own says what exists, and keeps each call.
"""

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

CLONE = Path(__file__).resolve().parents[2]
MODULE = (CLONE / "terraform" / "google" / "main.tf").read_text("utf-8")
GCLOUD = """#!/usr/bin/env python3
import json, os, sys
words = sys.argv[4:]
with open(os.environ["CALLS"], "a") as calls:
    calls.write(json.dumps(words) + "\\n")
if words[:2] == ["projects", "describe"]:
    print("4711")
elif "--format=value(writerIdentity)" in words:
    print("serviceAccount:writer@logging")
elif "describe" in words:
    sys.exit(os.environ["EXISTS"] != "yes")
"""
WORDS = ("--project", "shop", "--region", "europe-west3", "--loki-url", "https://loki.example")


def deploy(tmp_path: Path, *words: str, exists: bool = False) -> list[list[str]]:
    gcloud, calls = tmp_path / "gcloud", tmp_path / "calls"
    gcloud.write_text(GCLOUD)
    gcloud.chmod(0o755)
    environ = {
        **os.environ,
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "CALLS": str(calls),
        "EXISTS": "yes" if exists else "no",
    }
    script = CLONE / "scripts" / "deploy-google"
    subprocess.run([script, *WORDS, *words], env=environ, check=True, capture_output=True)
    return [json.loads(line) for line in calls.read_text().splitlines()]


def named(calls: list[list[str]], *begin: str) -> list[str]:
    [found] = [words for words in calls if words[: len(begin)] == [*begin]]
    return found


def option(words: list[str], name: str) -> str:
    return words[words.index(name) + 1]


@pytest.mark.parametrize(("exists", "verb"), [(False, "create"), (True, "update")])
def test_the_subscription_keeps_the_promise(tmp_path: Path, verb: str, *, exists: bool) -> None:
    made = named(deploy(tmp_path, exists=exists), "pubsub", "subscriptions", verb)
    url = "https://loki-shipper-4711.europe-west3.run.app"
    assert option(made, "--push-endpoint") == f"{url}/"
    assert option(made, "--push-auth-token-audience") == url
    assert option(made, "--ack-deadline") == "60"
    assert option(made, "--message-retention-duration") == "7d"
    assert (option(made, "--min-retry-delay"), option(made, "--max-retry-delay")) == ("10s", "600s")
    assert option(made, "--expiration-period") == "never"
    assert not any("dead-letter" in word for word in made)


def test_the_service_has_its_settings_and_takes_no_other_callers(tmp_path: Path) -> None:
    calls = deploy(tmp_path, "--secret", "LOKI_TOKEN=loki:latest", "--set", "TENANT_TAG=team")
    made = named(calls, "run", "deploy")
    separator, _, variables = option(made, "--set-env-vars").removeprefix("^").partition("^")
    assert dict(each.split("=", 1) for each in variables.split(separator)) == {
        "LOKI_URL": "https://loki.example",
        "BUCKET": "shop-loki-shipper",
        "PUSH_AUDIENCE": "https://loki-shipper-4711.europe-west3.run.app",
        "PUSH_SERVICE_ACCOUNT": "loki-shipper-push@shop.iam.gserviceaccount.com",
        "TENANT_TAG": "team",
    }
    assert option(made, "--set-secrets") == "LOKI_TOKEN=loki:latest"
    assert "--no-allow-unauthenticated" in made
    access = named(calls, "secrets", "add-iam-policy-binding")
    assert access[2] == "loki"


def test_pubsub_may_sign_as_the_only_caller(tmp_path: Path) -> None:
    calls = deploy(tmp_path)
    account = "loki-shipper-push@shop.iam.gserviceaccount.com"
    signer = named(calls, "iam", "service-accounts", "add-iam-policy-binding")
    assert signer[3] == account
    assert option(signer, "--member").startswith("serviceAccount:service-4711@gcp-sa-pubsub.")
    caller = named(calls, "run", "services", "add-iam-policy-binding")
    assert option(caller, "--member") == f"serviceAccount:{account}"
    assert option(caller, "--role") == "roles/run.invoker"


def test_the_sink_leaves_out_the_log_of_the_service(tmp_path: Path) -> None:
    calls = deploy(tmp_path, "--filter", "severity>=ERROR", "--name", "shipper")
    made = named(calls, "logging", "sinks", "create")
    assert made[4] == "pubsub.googleapis.com/projects/shop/topics/shipper"
    assert option(made, "--log-filter") == (
        '(severity>=ERROR) AND NOT (resource.type="cloud_run_revision" '
        'AND resource.labels.service_name="shipper")'
    )
    publisher = named(calls, "pubsub", "topics", "add-iam-policy-binding")
    assert option(publisher, "--member") == "serviceAccount:writer@logging"


def test_what_exists_is_not_made_again(tmp_path: Path) -> None:
    calls = deploy(tmp_path, exists=True)
    assert [words for words in calls if "create" in words] == []


def test_without_its_options_it_shows_how_it_is_called() -> None:
    script = CLONE / "scripts" / "deploy-google"
    ended = subprocess.run([script], check=False, capture_output=True, text=True)
    assert ended.returncode == 2
    assert "scripts/deploy-google --project PROJECT" in ended.stderr


def test_the_module_of_terraform_sets_the_same() -> None:
    for text in (
        "ack_deadline_seconds       = 60",
        'message_retention_duration = "604800s"',
        'minimum_backoff = "10s"',
        'maximum_backoff = "600s"',
        "max_instance_request_concurrency = 200",
        '"(${var.filter}) AND NOT (${local.own})"',
    ):
        assert text in MODULE
    assert "dead_letter" not in MODULE
    variables = (CLONE / "terraform" / "google" / "variables.tf").read_text("utf-8")
    declared = set(re.findall(r'^variable "(\w+)"', variables, re.MULTILINE))
    assert declared == set(re.findall(r"var\.(\w+)", MODULE))
