"""Models Lambda's asynchronous invocation: two retries, then the on-failure destination."""

import json
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from datetime import UTC, datetime
from typing import Any, Final, assert_never

from loki_shipper.local.runtime_api import (
    Died,
    ExecutionEnvironment,
    FunctionError,
    InvocationOutcome,
    Response,
    TimedOut,
)

_TRIES: Final = 3

type Start = Callable[[], AbstractContextManager[ExecutionEnvironment]]
type KeepEvent = Callable[[str, bytes], object]
"""Writes an object to the destination: key and body."""


class AsynchronousFunction:
    """An asynchronously invoked function, made by `run_function`; not thread-safe.

    The next try replaces an execution environment that ended. Lambda waits one minute, then two,
    between tries; this model does not wait. `kept` counts the events at the destination.
    """

    def __init__(self, start: Start, keep: KeepEvent, stack: ExitStack) -> None:
        self._start = start
        self._keep = keep
        self._stack = stack
        self._environment: ExecutionEnvironment | None = None
        self.tries = 0
        self.kept = 0

    def invoke(self, event: Any, *, deadline_ms: int = 60_000) -> InvocationOutcome:
        """Invoke the function; keep the event if every try fails. Return the last result."""
        for _ in range(_TRIES):
            result = self._try(event, deadline_ms)
            if isinstance(result, Response):
                return result
        self.kept += 1
        self._keep(*on_failure(event, result, datetime.now(UTC)))
        return result

    def invoke_synchronously(self, event: Any, *, deadline_ms: int = 60_000) -> InvocationOutcome:
        """Invoke the function once; Lambda keeps no event of a synchronous invocation."""
        return self._try(event, deadline_ms)

    def kill(self) -> None:
        """Kill the execution environment."""
        environment, self._environment = self._environment, None
        if environment is not None:
            environment.kill()

    def _try(self, event: Any, deadline_ms: int) -> InvocationOutcome:
        self.tries += 1
        result = self._running().invoke(event, deadline_ms=deadline_ms)
        if not isinstance(result, Response | FunctionError):
            self.kill()
        return result

    def _running(self) -> ExecutionEnvironment:
        environment = self._environment
        if environment is None or not environment.wait_for_init():
            # This removes what is left of the previous one.
            self._stack.close()
            environment = self._environment = self._stack.enter_context(self._start())
        return environment


@contextmanager
def run_function(start: Start, keep: KeepEvent) -> Iterator[AsynchronousFunction]:
    """Run a function inside a `with` block; `start` starts its execution environments."""
    with ExitStack() as stack:
        yield AsynchronousFunction(start, keep, stack)


def on_failure(event: Any, result: InvocationOutcome, now: datetime) -> tuple[str, bytes]:
    """Return key and body of the object that Lambda writes, as its documentation shows them."""
    request_id = str(uuid.uuid4())
    function = "loki-shipper-local"
    record = {
        "version": "1.0",
        "timestamp": now.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "requestContext": {
            "requestId": request_id,
            "functionArn": f"arn:aws:lambda:eu-central-1:123456789012:function:{function}:$LATEST",
            "condition": "RetriesExhausted",
            "approximateInvokeCount": _TRIES,
        },
        "requestPayload": event,
        "responseContext": {
            "statusCode": 200,
            "executedVersion": "$LATEST",
            "functionError": "Unhandled",
        },
        "responsePayload": error_payload(result, request_id),
    }
    key = f"aws/lambda/async/{function}/{now:%Y/%m/%d/%Y-%m-%dT%H.%M.%S}-{uuid.uuid4()}"
    return key, json.dumps(record).encode()


def error_payload(result: InvocationOutcome, request_id: str) -> dict[str, Any]:
    """Return what Lambda says of an invocation that failed."""
    match result:
        case FunctionError(message, kind, trace):
            return {"errorMessage": message, "errorType": kind, "stackTrace": trace}
        case TimedOut():
            return {"errorMessage": f"{request_id} Task timed out after 60.00 seconds"}
        case Died():
            error = "Error: Runtime exited with error: signal: killed"
            return {
                "errorMessage": f"RequestId: {request_id} {error}",
                "errorType": "Runtime.ExitError",
            }
        case Response():
            raise AssertionError
        case _:
            assert_never(result)
