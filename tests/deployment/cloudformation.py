"""A CloudFormation on loopback that makes stacks of any template: moto's stops at ours.

It keeps parameters and resources as AWS does, makes some with each look at a busy stack, and
lets a resource fail where a test says so. The resources themselves are made by nobody: `made` is
called when a stack is complete, and may make of them what a test needs.
"""

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, override
from urllib.parse import parse_qsl, urlsplit
from xml.sax.saxutils import escape

from loki_shipper.local.aws import ACCOUNT, LocalAws
from tests.template.conftest import holds

_EVENTS_OF_A_LOOK = 40


class Refused(Exception):  # noqa: N818 - it is CloudFormation's own answer
    """Raised to answer a ValidationError."""


class FakeStack:
    """A stack: what it was made of, and what has happened to it, newest first."""

    def __init__(self, name: str, region: str) -> None:
        self.name = name
        self.arn = f"arn:aws:cloudformation:{region}:{ACCOUNT}:stack/{name}/1"
        self.status = "REVIEW_IN_PROGRESS"
        self.parameters: dict[str, str] = {}
        self.template: dict[str, Any] = {"Resources": {}}
        self.events: list[dict[str, Any]] = []
        self.pending: list[tuple[str, str, str]] = []
        self.failed: set[str] = set()
        """Resources that could not be deleted."""

    def tell(self, resource: str, status: str, reason: str = "") -> None:
        """Add an event."""
        kind = self.template["Resources"].get(resource, {}).get("Type")
        event = {
            "EventId": f"{self.name}-{len(self.events)}",
            "StackId": self.arn,
            "StackName": self.name,
            "LogicalResourceId": resource,
            "ResourceType": _own_type(kind) if kind else "AWS::CloudFormation::Stack",
            "ResourceStatus": status,
            "Timestamp": datetime.now(UTC).isoformat(),
        }
        self.events.insert(0, event | ({"ResourceStatusReason": reason} if reason else {}))


class CloudFormation:
    """The service; `url` is its endpoint, `calls` the actions that it was asked for.

    `fails` says why a resource fails. `made` is called with a stack that is complete.
    """

    def __init__(self, aws: LocalAws) -> None:
        self.region = aws.region
        self._s3 = aws.client("s3")
        self.url = ""
        self.calls: list[str] = []
        self.stacks: dict[str, FakeStack] = {}
        self.deleted: dict[str, FakeStack] = {}
        self.fails: dict[str, str] = {}
        self.made: Callable[[FakeStack], None] = lambda _: None
        self._change_sets: dict[str, dict[str, Any]] = {}

    @property
    def changes(self) -> list[str]:
        """The actions that change something."""
        return [call for call in self.calls if not call.startswith(("Describe", "Get", "List"))]

    def answer(self, form: Mapping[str, str]) -> dict[str, Any]:
        """Answer a request."""
        self.calls.append(form["Action"])
        found: dict[str, Any] = getattr(self, f"_{form['Action']}")(form)
        return found

    def _stack(self, name: str) -> FakeStack:
        stacks = [*self.stacks.values(), *self.deleted.values()]
        by_arn = next((stack for stack in stacks if stack.arn == name), None)
        if (stack := self.stacks.get(name) or by_arn) is None:
            raise Refused(f"Stack with id {name} does not exist")
        return stack

    def _DescribeStacks(self, form: Mapping[str, str]) -> dict[str, Any]:  # noqa: N802
        stack = self._stack(form["StackName"])
        self._go_on(stack)
        described = {
            "StackName": stack.name,
            "StackId": stack.arn,
            "StackStatus": stack.status,
            "CreationTime": "2026-11-29T18:00:00Z",
            "Parameters": [
                {"ParameterKey": key, "ParameterValue": value}
                for key, value in stack.parameters.items()
            ],
            "Outputs": [{"OutputKey": "BucketName", "OutputValue": f"{stack.name}-bucket"}],
        }
        return {"Stacks": [described]}

    def _go_on(self, stack: FakeStack) -> None:
        if not stack.status.endswith("_IN_PROGRESS") or stack.status.startswith("REVIEW"):
            return
        if stack.pending:
            for _ in range(min(_EVENTS_OF_A_LOOK, len(stack.pending))):
                self._happen(stack)
            return
        stack.status = stack.status.replace("_IN_PROGRESS", "_COMPLETE")
        stack.tell(stack.name, stack.status)
        if stack.status == "DELETE_COMPLETE":
            self.deleted[stack.name] = self.stacks.pop(stack.name)
        elif "ROLLBACK" not in stack.status:
            self.made(stack)

    @staticmethod
    def _happen(stack: FakeStack) -> None:
        if stack.pending:
            resource, status, reason = stack.pending.pop(0)
            stack.tell(resource, status, reason)
            if status == "DELETE_FAILED":
                stack.failed.add(resource)
                stack.status = status
                stack.tell(stack.name, status, f"The following resource(s) failed: [{resource}].")
            elif status.endswith("_FAILED"):
                back = "ROLLBACK" if stack.status.startswith("CREATE") else "UPDATE_ROLLBACK"
                stack.status = f"{back}_IN_PROGRESS"
                stack.pending = []

    def _DescribeStackEvents(self, form: Mapping[str, str]) -> dict[str, Any]:  # noqa: N802
        return {"StackEvents": self._stack(form["StackName"]).events}

    def _ListStackResources(self, form: Mapping[str, str]) -> dict[str, Any]:  # noqa: N802
        stack = self._stack(form["StackName"])
        return {"StackResourceSummaries": [*self._functions(stack).values()]}

    def _DescribeStackResource(self, form: Mapping[str, str]) -> dict[str, Any]:  # noqa: N802
        functions = self._functions(self._stack(form["StackName"]))
        return {"StackResourceDetail": functions[form["LogicalResourceId"]]}

    def _functions(self, stack: FakeStack) -> dict[str, Any]:
        return {
            name: {
                "LogicalResourceId": name,
                "PhysicalResourceId": f"{stack.name}-{name.removesuffix('Function').lower()}",
                "ResourceType": "AWS::Lambda::Function",
                "ResourceStatus": "CREATE_COMPLETE",
                "LastUpdatedTimestamp": "2026-11-29T18:00:00Z",
            }
            for name, resource in _resources(stack.template, stack.parameters).items()
            if resource["Type"] == "AWS::Serverless::Function"
        }

    def _GetTemplate(self, form: Mapping[str, str]) -> dict[str, Any]:  # noqa: N802
        return {"TemplateBody": json.dumps(self._stack(form["StackName"]).template)}

    def _CreateChangeSet(self, form: Mapping[str, str]) -> dict[str, Any]:  # noqa: N802
        name, kind = form["StackName"], form["ChangeSetType"]
        if kind == "CREATE":
            stack = self.stacks.setdefault(name, FakeStack(name, self.region))
            if stack.status != "REVIEW_IN_PROGRESS":
                raise Refused(f"Stack {name} already exists")
        else:
            stack = self._stack(name)
            if not stack.status.endswith("_COMPLETE") or stack.status == "ROLLBACK_COMPLETE":
                raise Refused(f"Stack {name} is in {stack.status} state and can not be updated")
        bucket, _, key = urlsplit(form["TemplateURL"]).path.lstrip("/").partition("/")
        template = json.loads(self._s3.get_object(Bucket=bucket, Key=key)["Body"].read())
        parameters = self._parameters(form, template, stack)
        arn = f"arn:aws:cloudformation:{self.region}:{ACCOUNT}:changeSet/{form['ChangeSetName']}/1"
        same = (template, parameters) == (stack.template, stack.parameters)
        action = "Add" if kind == "CREATE" else "Modify"
        self._change_sets[arn] = {
            "stack": stack,
            "template": template,
            "parameters": parameters,
            "kind": kind,
            "described": {
                "ChangeSetId": arn,
                "Status": "FAILED" if same else "CREATE_COMPLETE",
                "StatusReason": "The submitted information didn't contain changes." if same else "",
                "Changes": [
                    {
                        "Type": "Resource",
                        "ResourceChange": {
                            "Action": action,
                            "LogicalResourceId": resource,
                            "ResourceType": _own_type(described["Type"]),
                        },
                    }
                    for resource, described in _resources(template, parameters).items()
                ],
            },
        }
        return {"Id": arn, "StackId": stack.arn}

    def _parameters(
        self, form: Mapping[str, str], template: Mapping[str, Any], stack: FakeStack
    ) -> dict[str, str]:
        found = {
            name: str(parameter["Default"])
            for name, parameter in template["Parameters"].items()
            if "Default" in parameter
        }
        number = 1
        while (key := form.get(f"Parameters.member.{number}.ParameterKey")) is not None:
            if key not in template["Parameters"]:
                raise Refused(f"Parameters: [{key}] do not exist in the template")
            if form.get(f"Parameters.member.{number}.UsePreviousValue") == "true":
                found[key] = stack.parameters[key]
            else:
                found[key] = form[f"Parameters.member.{number}.ParameterValue"]
            number += 1
        if without := template["Parameters"].keys() - found.keys():
            raise Refused(f"Parameters: [{', '.join(without)}] must have values")
        return found

    def _DescribeChangeSet(self, form: Mapping[str, str]) -> dict[str, Any]:  # noqa: N802
        found: dict[str, Any] = self._change_sets[form["ChangeSetName"]]["described"]
        return found

    def _DeleteChangeSet(self, form: Mapping[str, str]) -> dict[str, Any]:  # noqa: N802
        del self._change_sets[form["ChangeSetName"]]
        return {}

    def _ExecuteChangeSet(self, form: Mapping[str, str]) -> dict[str, Any]:  # noqa: N802
        change = self._change_sets.pop(form["ChangeSetName"])
        stack: FakeStack = change["stack"]
        word = "CREATE" if change["kind"] == "CREATE" else "UPDATE"
        before = stack.template, stack.parameters
        stack.template, stack.parameters = change["template"], change["parameters"]
        stack.status = f"{word}_IN_PROGRESS"
        stack.tell(stack.name, stack.status, "User Initiated")
        for resource in _resources(stack.template, stack.parameters):
            stack.pending.append((resource, f"{word}_IN_PROGRESS", ""))
            if resource in self.fails:
                stack.pending.append((resource, f"{word}_FAILED", self.fails[resource]))
                if word == "UPDATE":
                    stack.template, stack.parameters = before
                break
            stack.pending.append((resource, f"{word}_COMPLETE", ""))
        return {}

    def _ContinueUpdateRollback(self, form: Mapping[str, str]) -> dict[str, Any]:  # noqa: N802
        stack = self._stack(form["StackName"])
        stack.status = "UPDATE_ROLLBACK_IN_PROGRESS"
        return {}

    def _DeleteStack(self, form: Mapping[str, str]) -> dict[str, Any]:  # noqa: N802
        stack = self._stack(form["StackName"])
        stack.status = "DELETE_IN_PROGRESS"
        retained = {form[key] for key in form if key.startswith("RetainResources.member.")}
        if retained - stack.failed:
            raise Refused("RetainResources are for resources whose deletion has failed")
        stack.failed = set()
        for resource in reversed(_resources(stack.template, stack.parameters)):
            kept = resource == "Bucket" or resource in retained
            if resource in self.fails and not kept:
                stack.pending.append((resource, "DELETE_FAILED", self.fails[resource]))
                break
            stack.pending.append((resource, "DELETE_SKIPPED" if kept else "DELETE_COMPLETE", ""))
        return {}


@contextmanager
def run_cloudformation(aws: LocalAws) -> Iterator[CloudFormation]:
    """Run it on loopback as long as the block lasts; templates are in the bucket of `aws`."""
    service = CloudFormation(aws)

    class Connection(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            form = dict(parse_qsl(self.rfile.read(length).decode(), keep_blank_values=True))
            action = form["Action"]
            try:
                content = _xml(service.answer(form))
                body = (
                    f"<{action}Response><{action}Result>{content}</{action}Result>"
                    f"<ResponseMetadata><RequestId>1</RequestId></ResponseMetadata></{action}Response>"
                )
                self.send_response(200)
            except Refused as refused:
                error = {"Type": "Sender", "Code": "ValidationError", "Message": str(refused)}
                body = f"<ErrorResponse><Error>{_xml(error)}</Error></ErrorResponse>"
                self.send_response(400)
            self.send_header("x-amzn-RequestId", "1")
            self.send_header("Content-Type", "text/xml")
            self.send_header("Content-Length", str(len(body.encode())))
            self.end_headers()
            self.wfile.write(body.encode())

        @override
        def log_message(self, *_: Any) -> None:
            """Write no log."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Connection) as server:
        service.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield service
        finally:
            server.shutdown()
            thread.join()


def _resources(template: dict[str, Any], parameters: dict[str, str]) -> dict[str, Any]:
    """Give the resources that a stack with these parameters has."""
    return {
        name: resource
        for name, resource in template["Resources"].items()
        if "Condition" not in resource or holds(template, resource["Condition"], parameters)
    }


def _own_type(kind: str) -> str:
    """Give the type that SAM's transform makes of a function or layer."""
    return kind.replace("AWS::Serverless::", "AWS::Lambda::")


def _xml(value: Any) -> str:
    match value:
        case dict():
            return "".join(f"<{key}>{_xml(each)}</{key}>" for key, each in value.items())
        case list():
            return "".join(f"<member>{_xml(each)}</member>" for each in value)
        case _:
            return escape(str(value))
