"""Runs the demo: two functions log on an AWS of this machine, and the shipper ships to Loki.

The shipper's handler runs under Lambda's runtime, with the events of subscription filters.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, assert_never

from msgspec import Struct

from loki_shipper.local.aws import LocalAws, run_aws
from loki_shipper.local.find_loki import Executable, Image, NotFound, Running, find_loki
from loki_shipper.local.loki import start
from loki_shipper.local.progress import Tell
from loki_shipper.local.query_loki import LokiLine, query_range
from loki_shipper.local.receiver import Receiver, run_receiver
from loki_shipper.local.runtime_api import (
    ExecutionEnvironment,
    FunctionError,
    InvocationOutcome,
    Response,
    run_execution_environment,
)

REGION: Final = "eu-central-1"
_LOG_STREAM = "2026/01/01/[$LATEST]0123456789abcdef"
QUERY: Final = '{driver="python", region="eu-central-1", name=~"fun.*"}'

type Ask = Callable[[int, int], list[LokiLine]]
"""Returns the lines that `QUERY` finds between two times, in ns."""


class DemoFunction(Struct, frozen=True):
    """A function that logs: its handler, the tags of its log group, its environment."""

    name: str
    handler: str
    tags: Mapping[str, str]
    environ: Mapping[str, str] = {}

    @property
    def log_group(self) -> str:
        """The log group that Lambda writes to."""
        return f"/aws/lambda/{self.name}"


def _tags(name: str, owner: str) -> dict[str, str]:
    return {"driver": "python", "name": name, "owner": owner, "region": REGION}


FUNCTIONS: Final = (
    DemoFunction(
        "fun-checkout",
        "loki_shipper.local.functions.fun_checkout",
        _tags("fun-checkout", "shop"),
    ),
    DemoFunction(
        "fun-report",
        "loki_shipper.local.functions.fun_report",
        _tags("fun-report", "finance"),
        {"AWS_LAMBDA_LOG_FORMAT": "JSON"},
    ),
)


class DemoResult(Struct, frozen=True):
    """The number of logged lines, Loki's lines, and the error messages of the shipper."""

    logged: int
    held: list[LokiLine]
    failures: list[str]

    @property
    def is_complete(self) -> bool:
        """Tell whether Loki has every logged line exactly once."""
        return self.logged == len(self.held) and not self.failures


class DemoDestination(Struct, frozen=True):
    """The Loki that receives the lines; `what` describes it, `is_loki` is False for a stand-in."""

    url: str
    what: str
    ask: Ask
    is_loki: bool = True


@contextmanager
def demo_destination(environ: Mapping[str, str], tell: Tell) -> Iterator[DemoDestination]:
    """Find or start a Loki, else a stand-in, for a `with` block.

    Raises:
        LokiError: the Loki does not start.
    """
    found = find_loki(environ, tell)
    match found:
        case Running(url):
            yield DemoDestination(url, "runs already", _ask_loki(url, environ.get("LOKI_TENANT")))
        case Executable() | Image():
            what = found.name if isinstance(found, Image) else str(found.path)
            with (
                TemporaryDirectory(prefix="loki-shipper-demo-") as directory,
                start(found, Path(directory), profile="demo", tell=tell) as loki,
            ):
                yield DemoDestination(loki.url, what, _ask_loki(loki.url, None))
        case NotFound(why):
            with run_receiver() as receiver:
                yield DemoDestination(receiver.url, why, _ask_receiver(receiver), is_loki=False)
        case _:
            assert_never(found)


def _ask_loki(url: str, tenant: str | None) -> Ask:
    # Stock Loki allows 5000 lines; the demo logs fewer.
    return lambda start, end: query_range(
        url, QUERY, start_ns=start, end_ns=end, tenant=tenant, limit=5000
    )


def _ask_receiver(receiver: Receiver) -> Ask:
    """Do what `QUERY` does: the stand-in does not know LogQL."""

    def ask(start: int, end: int) -> list[LokiLine]:
        return [
            LokiLine(labels, entry.timestamp, entry.line, entry.metadata)
            for labels, entry in receiver.held()
            if start <= entry.timestamp < end
            and labels.get("driver") == "python"
            and labels.get("region") == REGION
            and labels.get("name", "").startswith("fun")
        ]

    return ask


def run_demo(to: DemoDestination, tenant: str | None, *, seconds: int, tell: Tell) -> DemoResult:
    """Let the functions log once a second, ship the lines, and query them.

    This takes a little longer than `seconds`.

    Raises:
        LokiError: Loki does not answer the query.
    """
    failures: list[str] = []
    environ = {"LOKI_URL": to.url} | ({"LOKI_TENANT": tenant} if tenant else {})
    # CloudWatch Logs has times in milliseconds.
    began = time.time_ns() // 1_000_000 * 1_000_000
    with run_aws(REGION) as aws, _shipper(aws, environ, failures) as arn:
        logged = _log(aws, arn, seconds, tell)
    tell("")
    return DemoResult(logged, to.ask(began, time.time_ns() + 1_000_000_000), failures)


@contextmanager
def _shipper(aws: LocalAws, environ: Mapping[str, str], failures: list[str]) -> Iterator[str]:
    """Make the shipper of this AWS and return its ARN, for subscription filters."""
    env = {**aws.environ, **environ}
    with run_execution_environment("loki_shipper.shipper.handler.handle", env=env) as shipper:

        def deliver(event: dict[str, Any]) -> None:
            failures.extend(_failure(shipper.invoke(event), shipper))

        yield aws.create_function("loki-shipper", deliver)


def _failure(result: InvocationOutcome, environment: ExecutionEnvironment) -> Iterator[str]:
    match result:
        case Response():
            return
        case FunctionError(error_message=message):
            yield message
        case _:
            error = environment.init_error
            yield error.error_message if error else f"the function ended: {result}"


def _log(aws: LocalAws, arn: str, seconds: int, tell: Tell) -> int:
    """Run the functions once a second; return how many lines they logged."""
    with ExitStack() as stack:
        running = [(each, stack.enter_context(_started(aws, arn, each))) for each in FUNCTIONS]
        logged, began = 0, time.monotonic()
        for number in range(seconds):
            for function, environment in running:
                lines = _run(environment, number)
                aws.put_lines(function.log_group, _LOG_STREAM, lines)
                logged += len(lines)
            tell(f"logging: {number + 1}s of {seconds}s, {logged} lines")
            time.sleep(max(0.0, began + number + 1 - time.monotonic()))
    return logged


@contextmanager
def _started(aws: LocalAws, arn: str, function: DemoFunction) -> Iterator[ExecutionEnvironment]:
    aws.create_log_group(function.log_group, function.tags)
    aws.subscribe(function.log_group, arn)
    with run_execution_environment(function.handler, env=function.environ) as environment:
        yield environment


def _run(environment: ExecutionEnvironment, number: int) -> list[str]:
    """Invoke a function; return its log lines with those that Lambda adds."""
    before = len(environment.log_lines)
    began = time.monotonic()
    environment.invoke({"number": number})
    request, spent = environment.request_id, (time.monotonic() - began) * 1000
    return [
        f"START RequestId: {request} Version: $LATEST",
        *environment.log_lines[before:],
        f"END RequestId: {request}",
        f"REPORT RequestId: {request}\tDuration: {spent:.2f} ms\tBilled Duration: {spent:.0f} ms",
    ]
