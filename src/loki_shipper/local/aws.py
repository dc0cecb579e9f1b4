"""Runs AWS on loopback (moto): log groups with tags, and subscription filters that deliver."""

import io
import json
import logging
import threading
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Final

ACCOUNT: Final = "123456789012"
"""Moto's own account."""

type Deliver = Callable[[dict[str, Any]], object]
"""Takes the event of one Lambda invocation: `{"awslogs": {"data": …}}`, gzipped and all.

A dict that it returns is the function's answer.
"""


class FunctionFailure(Exception):  # noqa: N818 -- it is Lambda's own answer
    """Raised by a `Deliver` to fail as a function does; the message is its error message."""


class LocalAws:
    """An AWS for one test run; `url` is its endpoint, made by `run_aws`."""

    def __init__(self, url: str, region: str) -> None:
        self.url = url
        self.region = region
        self.errors: list[Exception] = []
        """What deliveries raised; like AWS, `PutLogEvents` does not show it."""
        self._targets: dict[str, Deliver] = {}
        self._clients: dict[str, Any] = {}

    @property
    def environ(self) -> dict[str, str]:
        """The variables that lead any AWS SDK here."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": "local",
            "AWS_SECRET_ACCESS_KEY": "local",
            "AWS_DEFAULT_REGION": self.region,
            "AWS_REGION": self.region,
        }

    def client(self, service: str) -> Any:
        """Return a boto3 client of this AWS."""
        import boto3  # noqa: PLC0415 -- slow to load, and not everybody in this room needs it

        if service not in self._clients:
            self._clients[service] = boto3.client(
                service,  # type: ignore[call-overload] # of a name not known here
                endpoint_url=self.url,
                region_name=self.region,
                aws_access_key_id="local",
                aws_secret_access_key="local",  # noqa: S106 -- moto asks for none
            )
        return self._clients[service]

    def create_log_group(self, name: str, tags: Mapping[str, str]) -> None:
        """Make a log group; without tags when `tags` is empty."""
        self.client("logs").create_log_group(
            logGroupName=name, **({"tags": dict(tags)} if tags else {})
        )

    def create_function(self, name: str, deliver: Deliver) -> str:
        """Make a Lambda function whose invocations go to `deliver`; return its ARN."""
        role = self.client("iam").create_role(
            RoleName=name, AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17"})
        )
        function = self.client("lambda").create_function(
            FunctionName=name,
            Runtime="python3.13",
            Role=role["Role"]["Arn"],
            Handler="none.none",
            Code={"ZipFile": _empty_zip()},
        )
        self.deliver_to(name, deliver)
        arn: str = function["FunctionArn"]
        return arn

    def deliver_to(self, function: str, deliver: Deliver) -> None:
        """Give the invocations of a function that exists to `deliver`."""
        self._targets[function] = deliver

    def subscribe(self, log_group: str, function_arn: str, name: str = "loki-shipper") -> None:
        """Put a subscription filter that sends all of a log group to a function."""
        self.client("logs").put_subscription_filter(
            logGroupName=log_group, filterName=name, filterPattern="", destinationArn=function_arn
        )

    def put_lines(self, log_group: str, log_stream: str, lines: Sequence[str]) -> None:
        """Write lines as of now; its subscription filters have delivered when this returns.

        The log stream is made when it is not there.
        """
        logs = self.client("logs")
        with suppress(logs.exceptions.ResourceAlreadyExistsException):
            logs.create_log_stream(logGroupName=log_group, logStreamName=log_stream)
        now = int(time.time() * 1000)
        logs.put_log_events(
            logGroupName=log_group,
            logStreamName=log_stream,
            logEvents=[{"timestamp": now, "message": line} for line in lines],
        )

    def invoked(self, function: str, event: dict[str, Any], headers: dict[str, str]) -> str:
        """Hand an invocation over and give its answer; an error is kept in `errors`."""
        try:
            answer = self._targets[function](event)
        except FunctionFailure as failure:
            headers["x-amz-function-error"] = "Unhandled"
            return json.dumps({"errorType": "DeliveryError", "errorMessage": str(failure)})
        except Exception as error:  # noqa: BLE001 -- whatever a test's callable raises
            self.errors.append(error)
            return "null"
        return json.dumps(answer) if isinstance(answer, dict) else "null"


_open: Final[list[LocalAws]] = []
"""What `run_aws` runs in this process, whose state moto keeps in one place."""


@contextmanager
def run_aws(region: str = "eu-central-1") -> Iterator[LocalAws]:
    """Run moto's server on loopback as long as the block lasts.

    It is empty at first, whatever ran in this process before. Inside another one it has what the
    other one has.

    Raises:
        ExceptionGroup: at the end, when deliveries failed and `errors` still holds why.
    """
    with _quiet("werkzeug"), _served() as url:
        if not _open:
            _forget_everything(url)
        aws = LocalAws(url, region)
        _open.append(aws)
        try:
            with _delivering(aws):
                yield aws
        finally:
            _open.remove(aws)
    if aws.errors:
        raise ExceptionGroup("deliveries failed", aws.errors)


@contextmanager
def _served() -> Iterator[str]:
    """Serve moto, whose own `ThreadedMotoServer` takes half a second to stop."""
    from moto.moto_server.werkzeug_app import (  # noqa: PLC0415 -- only developers have moto
        DomainDispatcherApplication,
        MotoRequestHandler,
        create_backend_app,
    )
    from werkzeug.serving import make_server  # noqa: PLC0415 -- as above

    server = make_server(
        "127.0.0.1",
        0,
        DomainDispatcherApplication(create_backend_app),
        threaded=True,
        request_handler=MotoRequestHandler,
    )
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _forget_everything(url: str) -> None:
    import requests  # noqa: PLC0415 -- as boto3 above

    requests.post(f"{url}/moto-api/reset", timeout=60).raise_for_status()


@contextmanager
def _delivering(aws: LocalAws) -> Iterator[None]:
    """Let moto's Lambda call us: its own would start Docker, or lose the event silently."""
    from moto.awslambda.models import LambdaFunction  # noqa: PLC0415 -- as above

    def invoke(self: Any, body: str, _request: Any, response: dict[str, str]) -> str:
        return aws.invoked(self.function_name, json.loads(body), response)

    functions: Any = LambdaFunction
    original = functions.invoke
    functions.invoke = invoke
    try:
        yield
    finally:
        functions.invoke = original


@contextmanager
def _quiet(name: str) -> Iterator[None]:
    """Keep a library's request log off the terminal."""
    logger = logging.getLogger(name)
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def _empty_zip() -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("none.py", "")
    return content.getvalue()
