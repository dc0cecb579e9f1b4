"""No secret, log line or label value appears in our output after any failure."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from msgspec import Struct

from loki_shipper.local.aws import LocalAws
from loki_shipper.local.pushes import Push
from loki_shipper.local.receiver import Receiver, ScriptedAnswer
from loki_shipper.local.runtime_api import (
    ExecutionEnvironment,
    FunctionError,
    Response,
    run_execution_environment,
)
from loki_shipper.local.sample import from_lines, invocation_event
from tests.pipeline.servers import closed

SECRET = "hunter2"
LINE = "walrus"
VALUE = "pelican"
NEVER = (SECRET, LINE, VALUE, "aHVudGVyMg", "dXNlcjpodW50ZXIy")
"""And the secret in base64, alone and as basic auth."""

GROUP = "/secrets/orders"
KEY = f"-----BEGIN PRIVATE KEY-----\n{SECRET}\n-----END PRIVATE KEY-----"


class Scene(Struct, frozen=True):
    """The environment of the handler, and Loki's answers, one for each invocation."""

    name: str
    environ: dict[str, str]
    answers: tuple[ScriptedAnswer, ...] = (ScriptedAnswer(),)
    url: str | None = None


def says(status: int) -> ScriptedAnswer:
    """Answer as Loki does, which repeats labels, and as a gateway may, which repeats all."""
    body = (
        f"""entry for stream '{{team="{VALUE}"}}' has timestamp too old: {LINE}; """
        f"Authorization: Bearer {SECRET}"
    )
    headers = {"X-Echo": SECRET, "Location": f"/{SECRET}", "Retry-After": "999"}
    return ScriptedAnswer(status, body.encode(), headers)


TOKEN = {"LOKI_TOKEN": SECRET}
STATUSES = (200, 204, 260, 302, 400, 401, 403, 404, 408, 413, 418, 429, 500, 503)
ANSWERS = (
    *map(says, STATUSES),
    ScriptedAnswer(hangs_up=True),
    ScriptedAnswer(400, f"entry too far behind {LINE} {VALUE}".encode()),
    ScriptedAnswer(
        400, f"includes structured metadata, but this feature is disallowed {LINE}".encode()
    ),
)
CLIENT = {"LOKI_CLIENT_CERT": KEY, "LOKI_CLIENT_KEY": KEY}
SCENES = [
    Scene("token", TOKEN, ANSWERS),
    Scene(
        "debug",
        {
            "LOKI_USERNAME": "user",
            "LOKI_PASSWORD": SECRET,
            "LOG_LEVEL": "DEBUG",
            "TENANT_TAG": "team",
        },
        ANSWERS,
    ),
    Scene("nobody listens", TOKEN, url=closed()),
    Scene("nobody knows", TOKEN, url="http://loki.invalid"),
    Scene("token that is none", {"LOKI_TOKEN": f"{SECRET} größe"}),
    Scene("url", {"LOKI_URL": f"http://user:{SECRET}@127.0.0.1"}),
    Scene("too many", {"LOKI_PASSWORD": SECRET, **TOKEN, "LOKI_TENANT": f"{SECRET} {SECRET}"}),
    Scene("key that is none", {**CLIENT, "LOKI_URL": "https://127.0.0.1:1"}),
    Scene("key that is no path", {**CLIENT, "LOKI_CLIENT_KEY": SECRET * 999}),
    Scene("secret that is not there", {"LOKI_SECRET": f"/{SECRET}"}),
]

LINES = [LINE, f"{LINE} again", f"{LINE} " * 200_000]
DATA = from_lines(LINES, log_group=GROUP, log_stream=VALUE, newest=1_795_206_163_123)
EVENTS: list[Any] = [
    invocation_event(DATA),
    {"awslogs": {"data": LINE}},
    {"awslogs": LINE},
    invocation_event(from_lines([LINE], log_group=GROUP, log_stream=VALUE, newest=0)),
    {LINE: LINE},
    LINE,
]


@pytest.fixture
def bucket(aws: LocalAws) -> str:
    aws.create_log_group(GROUP, {"team": VALUE})
    name = "secrets"
    aws.client("s3").create_bucket(
        Bucket=name, CreateBucketConfiguration={"LocationConstraint": aws.region}
    )
    return name


@contextmanager
def playing(
    scene: Scene, receiver: Receiver, aws: LocalAws, bucket: str
) -> Iterator[ExecutionEnvironment]:
    environ = {**aws.environ, "LOKI_URL": scene.url or receiver.url, "BUCKET": bucket}
    with run_execution_environment(
        "loki_shipper.shipper.handler.handle", env={**environ, **scene.environ}
    ) as environment:
        yield environment


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.name)
def test_no_secret_line_or_label_value_is_in_any_output(
    scene: Scene, receiver: Receiver, aws: LocalAws, bucket: str
) -> None:
    results = []
    with playing(scene, receiver, aws, bucket) as environment:
        for answer in scene.answers:
            receiver.script([answer] * 20)
            # The handler keeps eight seconds of it.
            results.append(environment.invoke(EVENTS[0], deadline_ms=9_500))
        results += [environment.invoke(event, deadline_ms=9_500) for event in EVENTS[1:]]
        told = "\n".join([*environment.log_lines, *map(repr, results)])
    assert all(isinstance(result, Response | FunctionError) for result in results)
    assert "LinesReceived" in told or "SettingsError" in told
    for word in NEVER:
        assert word not in told, told[max(0, told.index(word) - 200) :][:400]


def test_each_case_contains_the_texts_that_must_not_appear(
    receiver: Receiver, aws: LocalAws, bucket: str
) -> None:
    seen: list[Push] = []

    def note(push: Push) -> ScriptedAnswer:
        seen.append(push)
        return ScriptedAnswer()

    scene = Scene("", TOKEN)
    with playing(scene, receiver, aws, bucket) as environment:
        receiver.script(note)
        assert isinstance(environment.invoke(EVENTS[0]), Response)
    push, *_ = seen
    assert push.headers["authorization"] == f"Bearer {SECRET}"
    assert push.streams[0].labels["team"] == VALUE
    assert push.entries[0].line == LINE
