"""Runs Lambda functions as processes, where LocalStack has only Docker.

Each execution environment is one process of `awslambdaric` with a Runtime API of its own. The
function's code and its layers are unzipped, and are all that the process can import. Runs in
LocalStack's own Python.
"""

import json
import os
from contextlib import ExitStack
from pathlib import Path
from threading import Lock
from typing import Any, assert_never, override

from localstack.services.lambda_ import provider
from localstack.services.lambda_.invocation import (
    execution_environment,
    runtime_executor,
    version_manager,
)
from localstack.services.lambda_.invocation.executor_endpoint import StatusErrorException
from localstack.services.lambda_.invocation.lambda_models import InvocationResult

from loki_shipper.local.runtime_api import (
    Died,
    ExecutionEnvironment,
    FunctionError,
    Interpreter,
    InvocationOutcome,
    Response,
    TimedOut,
    run_execution_environment,
)

PYTHON = "LAMBDA_PYTHON"
"""Variable that names the Python which runs the functions."""

RUNTIME = "LAMBDA_RUNTIME"
"""Variable that names the folder with `awslambdaric`."""


def install() -> None:
    """Have LocalStack run functions as processes."""
    for module in (provider, runtime_executor, execution_environment, version_manager):
        module.get_runtime_executor = lambda: LambdaProcess


class LambdaProcess(runtime_executor.RuntimeExecutor):
    """One execution environment, as LocalStack's Lambda asks for it."""

    def __init__(self, id: str, function_version: Any) -> None:  # noqa: A002 - LocalStack's name
        super().__init__(id, function_version)
        self._environment: dict[str, str] = {}
        self._sandbox: ExecutionEnvironment | None = None
        self._process = ExitStack()
        self._logged = 0
        self._working = Lock()
        self._stopped = False

    @override
    def start(self, env_vars: dict[str, Any]) -> None:
        """Start the process, and wait until the handler is imported."""
        self._environment = {name: str(value) for name, value in env_vars.items()}
        environment = self._running()
        if not environment.wait_for_init() and environment.init_error is not None:
            raise StatusErrorException("init", payload=_payload(environment.init_error, "", 0))

    @override
    def stop(self) -> None:
        """End the process, after the event that it works on: an update kills nothing."""
        with self._working:
            self._stopped = True
            self._process.close()

    @override
    def invoke(self, payload: dict[str, str]) -> Any:
        """Run the handler on one event."""
        seconds: int = self.function_version.config.timeout
        with self._working:
            if self._stopped:
                # LocalStack then takes another one.
                raise runtime_executor.LambdaRuntimeException("it has ended")
            environment = self._running()
            environment.arn = payload["invoked-function-arn"]
            result = environment.invoke(payload["payload"].encode(), deadline_ms=seconds * 1000)
            request_id = environment.request_id or ""
            return InvocationResult(
                request_id=payload["invoke-id"],
                payload=_payload(result, request_id, seconds),
                is_error=not isinstance(result, Response),
                logs=self._new_log(environment, request_id),
            )

    @override
    def get_logs(self) -> str:
        """Give all that the process wrote."""
        return "\n".join(self._sandbox.log_lines) if self._sandbox else ""

    @override
    def get_address(self) -> str:
        return "127.0.0.1"

    @override
    def get_endpoint_from_executor(self) -> str:
        return "127.0.0.1"

    @override
    def get_runtime_endpoint(self) -> str:
        """LocalStack's Go program asks for it; there is none here."""
        return ""

    @classmethod
    @override
    def validate_environment(cls) -> bool:
        """Processes can always be started."""
        return True

    @classmethod
    @override
    def prepare_version(cls, function_version: Any) -> None:
        """Unzip the code and the layers."""
        for code in _codes(function_version):
            code.prepare_for_execution()

    @classmethod
    @override
    def cleanup_version(cls, function_version: Any) -> None:
        """Leave the unzipped code: LocalStack deletes it with the function."""

    def _running(self) -> ExecutionEnvironment:
        """Give the process, a new one where the last one has ended, as Lambda does."""
        if self._sandbox is None or not self._sandbox.wait_for_init():
            self._process.close()
            code, *layers = [
                Path(c.get_unzipped_code_location()) for c in _codes(self.function_version)
            ]
            self._logged = 0
            self._sandbox = self._process.enter_context(
                run_execution_environment(
                    self.function_version.config.handler,
                    paths=[code, *(layer / "python" for layer in layers)],
                    cwd=code,
                    env=self._environment,
                    interpreter=Interpreter(Path(os.environ[PYTHON]), Path(os.environ[RUNTIME])),
                )
            )
        return self._sandbox

    def _new_log(self, environment: ExecutionEnvironment, request_id: str) -> str:
        """Give what was written since the last invocation, between Lambda's own lines."""
        lines = environment.log_lines
        written, self._logged = lines[self._logged :], len(lines)
        first = f"START RequestId: {request_id} Version: {self.function_version.id.qualifier}"
        last = (f"END RequestId: {request_id}", f"REPORT RequestId: {request_id}")
        return "\n".join((first, *written, *last))


def _codes(function_version: Any) -> list[Any]:
    config = function_version.config
    return [config.code, *(layer.code for layer in config.layers)]


def _payload(result: InvocationOutcome, request_id: str, seconds: int) -> bytes:
    """Give the answer to an invocation as Lambda words it."""
    match result:
        case Response(payload):
            answer = payload
        case FunctionError(message, kind, trace):
            answer = {"errorMessage": message, "errorType": kind, "stackTrace": trace}
        case TimedOut():
            answer = {"errorMessage": f"{request_id} Task timed out after {seconds}.00 seconds"}
        case Died():
            message = f"RequestId: {request_id} Error: Runtime exited"
            answer = {"errorMessage": message, "errorType": "Runtime.ExitError"}
        case _:
            assert_never(result)
    return json.dumps(answer).encode()
