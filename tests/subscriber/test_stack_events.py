"""The function as CloudFormation's custom resource, on sockets."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from loki_shipper.local.runtime_api import FunctionError, Response, run_sandbox
from tests.subscriber.deployment import Deployment, deployed

HANDLER = "loki_shipper.subscriber.handler.handle"


class Answers(HTTPServer):
    """Stands for the bucket to which CloudFormation has its answers put."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.came: list[dict[str, Any]] = []
        self.content_types: list[str | None] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/answer?signature=x"


class _Answer(BaseHTTPRequestHandler):
    server: Answers

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.came.append(json.loads(body))
        self.server.content_types.append(self.headers["Content-Type"])
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@contextmanager
def answers() -> Iterator[Answers]:
    with Answers() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def event(kind: str, url: str) -> dict[str, Any]:
    return {
        "RequestType": kind,
        "ResponseURL": url,
        "StackId": "stack",
        "RequestId": kind,
        "LogicalResourceId": "Links",
        "ResourceType": "Custom::Links",
        "ResourceProperties": {},
    }


@pytest.fixture
def here() -> Iterator[Deployment]:
    with deployed() as here:
        here.make_stack()
        yield here


def test_links_updates_and_unlinks_with_the_stack_and_answers_each_time(here: Deployment) -> None:
    linked = {
        "Create": {"/aws/lambda/a"},
        "Update": {"/aws/lambda/a", "/aws/lambda/b"},
        "Delete": set[str](),
    }
    env = {**here.aws.environ, **here.environ}
    with answers() as server, run_sandbox(HANDLER, env=env) as function:
        for kind, name in zip(linked, "abc", strict=True):
            here.group(f"/aws/lambda/{name}", foreign=1)
            result = function.invoke(event(kind, server.url), deadline_ms=120_000)
            assert isinstance(result, Response), result
            assert here.linked == linked[kind]
    assert [(each["RequestId"], each["Status"]) for each in server.came] == [
        ("Create", "SUCCESS"),
        ("Update", "SUCCESS"),
        ("Delete", "SUCCESS"),
    ]
    assert {each["PhysicalResourceId"] for each in server.came} == {"loki-shipper-links"}
    # CloudFormation's signature covers an empty content type.
    assert server.content_types == ["", "", ""]
    assert here.filters["/aws/lambda/a"] == ["foreign-0"]


@pytest.mark.parametrize("kind", ["Create", "Update", "Delete"])
def test_answers_where_it_cannot_even_start(here: Deployment, kind: str) -> None:
    with answers() as server, run_sandbox(HANDLER, env=here.aws.environ) as function:
        result = function.invoke(event(kind, server.url))
    assert isinstance(result, FunctionError), result
    [answer] = server.came
    assert answer["Status"] == "FAILED"
    assert answer["Reason"] == "SettingsError: SHIPPER_ARN is not set"


def test_answers_before_its_time_is_up(here: Deployment) -> None:
    for number in range(30):
        here.group(f"/aws/lambda/{number}")
    env = {**here.aws.environ, **here.environ}
    with answers() as server, run_sandbox(HANDLER, env=env) as function:
        # A minute is kept back: three seconds are for looking.
        result = function.invoke(event("Create", server.url), deadline_ms=63_000)
    assert isinstance(result, Response), result
    assert result.payload["left"] > 0
    assert [each["Status"] for each in server.came] == ["SUCCESS"]
