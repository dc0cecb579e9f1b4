"""An execution environment runs handlers as Lambda does: answers, errors, deaths and deadlines."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from loki_shipper.local.runtime_api import (
    Died,
    ExecutionEnvironment,
    FunctionError,
    Response,
    TimedOut,
    run_execution_environment,
)

type Install = Callable[[str], Path]

HANDLER = """
import os, sys, time

calls = 0

def handle(event, context):
    global calls
    calls += 1
    match event:
        case {"raise": message}:
            raise ValueError(message)
        case {"exit": code}:
            os._exit(code)
        case {"sleep": seconds}:
            time.sleep(seconds)
        case {"print": text}:
            print(text)
            print(text.upper(), file=sys.stderr)
        case {"hold": size}:
            bytearray(size)
        case {"import": name}:
            __import__(name)
        case {"env": name}:
            return os.environ.get(name)
        case {"left": _}:
            return context.get_remaining_time_in_millis()
        case {"arn": _}:
            return context.invoked_function_arn
    return {"got": event, "calls": calls}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "app.py").write_text(HANDLER)
    return tmp_path


@pytest.fixture
def environment(folder: Path) -> object:
    with run_execution_environment(
        "app.handle", paths=[folder], env={"MY_SETTING": "on"}
    ) as environment:
        yield environment


def test_a_warm_process_answers_again(environment: ExecutionEnvironment) -> None:
    assert environment.invoke({"a": 1}) == Response({"got": {"a": 1}, "calls": 1})
    assert environment.invoke({"a": 2}) == Response({"got": {"a": 2}, "calls": 2})


def test_bytes_are_sent_unchanged(environment: ExecutionEnvironment) -> None:
    assert environment.invoke(b'{"a":\n1}') == Response({"got": {"a": 1}, "calls": 1})
    broken = environment.invoke(b"{")
    assert isinstance(broken, FunctionError)
    assert broken.error_type == "Runtime.UnmarshalError"


def test_an_error_of_the_handler_is_a_function_error_and_the_process_continues(
    environment: ExecutionEnvironment,
) -> None:
    error = environment.invoke({"raise": "no such thing"})
    assert isinstance(error, FunctionError)
    assert (error.error_type, error.error_message) == ("ValueError", "no such thing")
    assert "app.py" in error.stack_trace[0]
    assert isinstance(environment.invoke({}), Response)


def test_a_process_that_ends_is_dead_and_stays_dead(environment: ExecutionEnvironment) -> None:
    assert environment.invoke({"exit": 3}) == Died(3)
    assert environment.invoke({}) == Died(3)
    assert environment.peak_rss is None


def test_the_deadline_kills(environment: ExecutionEnvironment) -> None:
    environment.invoke({})
    assert environment.invoke({"sleep": 600}, deadline_ms=100) == TimedOut()
    assert environment.invoke({}) == Died(-9)


def test_the_handler_knows_the_time_that_is_left(environment: ExecutionEnvironment) -> None:
    left = environment.invoke({"left": True}, deadline_ms=50_000)
    assert isinstance(left, Response)
    assert 0 < left.payload <= 50_000


def test_the_handler_knows_its_arn_and_settings(environment: ExecutionEnvironment) -> None:
    arn = "arn:aws:lambda:eu-central-1:123456789012:function:loki-shipper-local"
    assert environment.invoke({"arn": True}) == Response(arn)
    assert environment.invoke({"env": "MY_SETTING"}) == Response("on")


def test_the_handler_gets_no_variable_of_our_environment(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example")
    with run_execution_environment("app.handle", paths=[folder]) as environment:
        assert environment.invoke({"env": "HTTPS_PROXY"}) == Response(None)


def test_printed_text_is_returned_with_the_answer(environment: ExecutionEnvironment) -> None:
    environment.invoke({"print": "hello"})
    assert environment.log_lines == ["hello", "HELLO"]


def test_the_peak_of_memory_is_measured(environment: ExecutionEnvironment) -> None:
    environment.invoke({})
    before = environment.peak_rss
    environment.invoke({"hold": 64 * 1024 * 1024})
    after = environment.peak_rss
    assert before
    assert after
    assert after - before > 60 * 1024 * 1024


@pytest.mark.parametrize(
    ("handler", "error_type"),
    [
        ("app.nothing", "Runtime.HandlerNotFound"),
        ("nowhere.handle", "Runtime.ImportModuleError"),
        ("broken.handle", "Runtime.UserCodeSyntaxError"),
    ],
)
def test_a_handler_that_cannot_be_loaded_is_an_init_error(
    folder: Path, handler: str, error_type: str
) -> None:
    (folder / "broken.py").write_text("def")
    with run_execution_environment(handler, paths=[folder]) as environment:
        assert environment.invoke({}) == Died(1)
        assert environment.init_error
        assert environment.init_error.error_type == error_type


def test_an_isolated_process_imports_only_from_its_own_paths(folder: Path) -> None:
    with run_execution_environment("app.handle", paths=[folder], alone=True) as environment:
        for absent in ("msgspec", "boto3", "loki_shipper"):
            error = environment.invoke({"import": absent})
            assert isinstance(error, FunctionError)
            assert error.error_type == "ModuleNotFoundError"
        assert isinstance(environment.invoke({"import": "json"}), Response)


def test_a_killed_process_answers_no_more(environment: ExecutionEnvironment) -> None:
    environment.invoke({})
    environment.kill()
    assert environment.invoke({}) == Died(-9)


def test_the_process_ends_with_the_block(folder: Path) -> None:
    with run_execution_environment("app.handle", paths=[folder]) as environment:
        environment.invoke({})
        assert Path(f"/proc/{environment.pid}").exists()
    assert not Path(f"/proc/{environment.pid}").exists()


def test_init_is_measured(environment: ExecutionEnvironment) -> None:
    began = time.monotonic()
    assert environment.wait_for_init()
    assert environment.init_seconds is not None
    assert 0 < environment.init_seconds < began
