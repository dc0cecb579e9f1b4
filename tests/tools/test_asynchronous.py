"""The model of asynchronous invocation: tries, new execution environments, kept events."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from loki_shipper.local.runtime_api import (
    Died,
    FunctionError,
    Response,
    TimedOut,
    run_execution_environment,
)
from tools.asynchronous import AsynchronousFunction, on_failure, run_function

NOW = datetime(2026, 11, 20, 18, 16, 5, 568_000, UTC)

HANDLER = """
import os, signal

def handle(event, context):
    tries = int(open(event["file"]).read()) - 1 if event["file"] else -1
    if event["file"]:
        open(event["file"], "w").write(str(tries))
    if tries == 0:
        return os.getpid()
    if event["how"] == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if event["how"] == "hang":
        signal.pause()
    raise ValueError("no")
"""


@pytest.fixture
def kept() -> list[tuple[str, bytes]]:
    return []


@pytest.fixture
def function(tmp_path: Path, kept: list[tuple[str, bytes]]) -> Iterator[AsynchronousFunction]:
    (tmp_path / "app.py").write_text(HANDLER)

    def keep(key: str, body: bytes) -> None:
        kept.append((key, body))

    with run_function(
        lambda: run_execution_environment("app.handle", paths=[tmp_path]), keep
    ) as function:
        yield function


@pytest.mark.parametrize("how", ["raise", "die"])
def test_tries_three_times(
    function: AsynchronousFunction, kept: list[tuple[str, bytes]], tmp_path: Path, how: str
) -> None:
    file = tmp_path / "tries"
    file.write_text("3")
    assert isinstance(function.invoke({"file": str(file), "how": how}), Response)
    assert (function.tries, function.kept, kept) == (3, 0, [])


def test_keeps_the_event_after_three_tries(
    function: AsynchronousFunction, kept: list[tuple[str, bytes]]
) -> None:
    event = {"file": "", "how": "raise"}
    assert isinstance(function.invoke(event), FunctionError)
    [(key, body)] = kept
    assert (function.tries, function.kept) == (3, 1)
    assert key.startswith("aws/lambda/async/loki-shipper-local/")
    assert json.loads(body)["requestPayload"] == event


def test_an_execution_environment_that_hangs_is_killed_and_replaced(
    function: AsynchronousFunction,
) -> None:
    assert function.invoke({"file": "", "how": "hang"}, deadline_ms=300) == TimedOut()
    assert function.tries == 3


def test_the_record_has_the_shape_of_lambdas_record() -> None:
    key, body = on_failure(
        {"awslogs": {"data": "H4sI"}}, FunctionError("no", "ValueError", []), NOW
    )
    record = json.loads(body)
    folder, name = key.rsplit("/", 1)
    assert folder == "aws/lambda/async/loki-shipper-local/2026/11/20"
    assert name.startswith("2026-11-20T18.16.05-")
    assert record["timestamp"] == "2026-11-20T18:16:05.568Z"
    assert record["requestContext"]["condition"] == "RetriesExhausted"
    assert record["requestContext"]["approximateInvokeCount"] == 3
    assert record["requestPayload"] == {"awslogs": {"data": "H4sI"}}
    assert record["responsePayload"] == {
        "errorMessage": "no",
        "errorType": "ValueError",
        "stackTrace": [],
    }


def test_the_record_of_a_killed_execution_environment_says_so() -> None:
    record = json.loads(on_failure({}, Died(-9), NOW)[1])
    assert record["responsePayload"]["errorType"] == "Runtime.ExitError"
