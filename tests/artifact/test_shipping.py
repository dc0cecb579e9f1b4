"""The built function under Lambda's own runtime interface: payloads in, pushes out."""

import json
import logging
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from loki_shipper.local.aws import LocalAws
from loki_shipper.local.find_loki import Running
from loki_shipper.local.loki import Loki
from loki_shipper.local.query_loki import query_range
from loki_shipper.local.receiver import Receiver, ScriptedAnswer
from loki_shipper.local.runtime_api import ExecutionEnvironment, FunctionError, Response
from loki_shipper.local.sample import from_lines, invocation_event

type Start = Callable[[Mapping[str, str]], AbstractContextManager[ExecutionEnvironment]]

EVENTS = Path(__file__).parents[2] / "events"
LINES = ["first", "second", "third"]


def payload(*lines: str, log_group: str = "/aws/lambda/fun-checkout") -> dict[str, Any]:
    now = int(time.time() * 1000)
    data = from_lines(lines or LINES, log_group=log_group, log_stream="stream", newest=now)
    return invocation_event(data)


def lines(receiver: Receiver) -> list[str]:
    return [entry.line for push in receiver.pushes for entry in push.entries]


@pytest.fixture
def log_group(aws: LocalAws) -> str:
    name = f"/aws/lambda/fun-{uuid.uuid4().hex}"
    aws.create_log_group(name, {"driver": "python", "team": "payments"})
    return name


@pytest.fixture
def everything_on(aws: LocalAws, receiver: Receiver) -> dict[str, str]:
    """Return settings that need tags, a bucket and a secret of AWS."""
    name = f"loki-{uuid.uuid4().hex}"
    location = {"LocationConstraint": aws.region}
    aws.client("s3").create_bucket(Bucket=name, CreateBucketConfiguration=location)
    secrets = aws.client("secretsmanager")
    secret = secrets.create_secret(Name=name, SecretString='{"token": "glc_1234"}')["ARN"]
    return aws.environ | {"LOKI_URL": receiver.url, "BUCKET": name, "LOKI_SECRET": secret}


def test_a_payload_is_delivered_and_counted(
    environment: ExecutionEnvironment, receiver: Receiver
) -> None:
    answer = environment.invoke(payload())
    assert isinstance(answer, Response)
    assert answer.payload["received"] == answer.payload["delivered"] == 3
    assert lines(receiver) == LINES


def test_lines_reach_a_real_loki_under_the_tags_of_their_log_group(
    start: Start, aws: LocalAws, log_group: str, loki: Loki | Running, tenant: str
) -> None:
    env = aws.environ | {"LOKI_URL": loki.url, "LOKI_TENANT": tenant}
    with start(env) as environment:
        answer = environment.invoke(payload(log_group=log_group))
    assert isinstance(answer, Response)
    now = time.time_ns()
    held = query_range(
        loki.url,
        '{driver="python", team="payments", region="eu-central-1"}',
        start_ns=now - 60_000_000_000,
        end_ns=now + 60_000_000_000,
        tenant=tenant,
    )
    assert [line.line for line in held] == LINES


def test_a_control_message_pushes_nothing(
    environment: ExecutionEnvironment, receiver: Receiver
) -> None:
    answer = environment.invoke((EVENTS / "control.json").read_bytes())
    assert isinstance(answer, Response)
    assert receiver.attempts == []


def test_its_own_log_group_is_not_shipped(
    environment: ExecutionEnvironment, receiver: Receiver
) -> None:
    answer = environment.invoke(payload(log_group="/aws/lambda/loki-shipper-local"))
    assert isinstance(answer, Response)
    assert answer.payload["received"] == 3
    assert receiver.attempts == []


def test_an_invocation_fails_when_loki_takes_nothing(
    environment: ExecutionEnvironment, receiver: Receiver
) -> None:
    receiver.script(lambda _: ScriptedAnswer(status=500, body=b"no\n"))
    error = environment.invoke(payload(), deadline_ms=10_000)
    assert isinstance(error, FunctionError)
    assert error.error_type == "DeliveryError"
    assert receiver.attempts


def test_a_warm_invocation_does_not_call_aws(
    start: Start,
    everything_on: dict[str, str],
    log_group: str,
    receiver: Receiver,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with start(everything_on) as environment, caplog.at_level(logging.INFO, "werkzeug"):
        cold = environment.invoke(payload("cold", log_group=log_group))
        assert isinstance(cold, Response)
        asked_when_cold = list(caplog.messages)
        caplog.clear()
        for number in range(3):
            warm = environment.invoke(payload(f"warm {number}", log_group=log_group))
            assert isinstance(warm, Response)
        asked_when_warm = list(caplog.messages)
    assert asked_when_cold
    assert asked_when_warm == []
    assert len(receiver.pushes) == 4
    for push in receiver.pushes:
        assert push.streams[0].labels["driver"] == "python"
        assert push.headers["authorization"] == "Bearer glc_1234"


def test_a_warm_invocation_uses_the_same_connection_to_loki(
    environment: ExecutionEnvironment, receiver: Receiver
) -> None:
    for number in range(3):
        assert isinstance(environment.invoke(payload(f"line {number}")), Response)
    assert len(receiver.pushes) == 3
    assert receiver.connections == 1


def test_boto3_is_not_loaded_without_calls_to_aws(
    artifact_without_boto3: Start, receiver: Receiver
) -> None:
    env = {"LOKI_URL": receiver.url, "TAG_LABELS": "none", "BUCKET": "a-bucket"}
    with artifact_without_boto3(env) as environment:
        assert isinstance(environment.invoke(payload()), Response)
    assert lines(receiver) == LINES


def test_neither_lines_nor_secrets_are_in_its_own_log(start: Start, receiver: Receiver) -> None:
    receiver.script([ScriptedAnswer(status=400, body=b"entry refused: card 4111-1111\n")])
    token = "glc_" + "s3cr3t" * 4
    env = {
        "LOKI_URL": receiver.url,
        "TAG_LABELS": "none",
        "LOKI_TOKEN": token,
        "LOG_LEVEL": "DEBUG",
    }
    with start(env) as environment:
        environment.invoke(payload("card 4111-1111"))
        environment.invoke(payload("card 4222-2222"))
        log = "\n".join(environment.log_lines)
    assert receiver.attempts[0].headers["authorization"] == f"Bearer {token}"
    assert log
    assert token not in log
    assert "4111" not in log
    assert "4222" not in log


def test_its_log_and_metrics_are_json(environment: ExecutionEnvironment) -> None:
    environment.invoke(payload())
    records = [json.loads(line) for line in environment.log_lines]
    (one,) = [record for record in records if "_aws" in record]
    assert one["LinesReceived"] == one["LinesDelivered"] == 3
    assert (one["level"], one["message"], one["received"]) == ("INFO", "shipped", 3)


def test_a_successful_invocation_logs_one_line(environment: ExecutionEnvironment) -> None:
    """CloudWatch Logs charges for each byte."""
    environment.invoke(payload())
    before = environment.log_lines
    environment.invoke(payload())
    [line] = environment.log_lines[len(before) :]
    assert len(line) < 1_300


def test_all_faults_of_the_settings_are_named_at_once_and_no_secret(
    start: Start, receiver: Receiver
) -> None:
    env = {
        "LOKI_URL": "loki:3100",
        "LONG_LINES": "cut",
        "MAX_LABELS": "many",
        "LOKI_TOKEN": "glc_s3cr3t",
        "LOKI_PASSWORD": "pa55word",
    }
    with start(env) as environment:
        error = environment.invoke(payload())
        log = "\n".join(environment.log_lines)
    assert isinstance(error, FunctionError)
    assert error.error_type == "SettingsError"
    for name in ("LOKI_URL", "LONG_LINES", "MAX_LABELS", "LOKI_USERNAME and LOKI_PASSWORD"):
        assert name in error.error_message
    for secret in ("s3cr3t", "pa55word"):
        assert secret not in f"{error}{log}"
    assert receiver.attempts == []
