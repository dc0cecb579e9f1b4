"""Reads and changes a CloudFormation stack, and follows its events."""

import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Literal

from botocore.exceptions import ClientError
from msgspec import Struct

CAPABILITIES: Final = ["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"]
"""The stack has IAM roles, and its template uses the SAM transform."""

_POLL_SECONDS = 2.0
_NOTHING_CHANGES = ("didn't contain changes", "No updates are to be performed")
_CANCELLED = ("Resource creation cancelled", "Resource update cancelled")
"""Reasons of resources that CloudFormation stopped after the failure of another one."""

type Phase = Literal["absent", "ready", "broken", "stuck", "busy"]
type Sleep = Callable[[float], None]


class Stack(Struct, frozen=True):
    """A stack as CloudFormation describes it, or an absent one."""

    name: str
    arn: str = ""
    status: str = ""
    reason: str = ""
    parameters: Mapping[str, str] = {}
    outputs: Mapping[str, str] = {}
    changed: datetime | None = None

    @property
    def phase(self) -> Phase:
        """Classify its status.

        A `broken` stack failed during creation or deletion: it must be deleted first. A `stuck` one
        must finish a rollback.
        """
        match self.status:
            case "" | "REVIEW_IN_PROGRESS" | "DELETE_COMPLETE":
                return "absent"
            case "ROLLBACK_COMPLETE" | "ROLLBACK_FAILED" | "CREATE_FAILED" | "DELETE_FAILED":
                return "broken"
            case "UPDATE_ROLLBACK_FAILED":
                return "stuck"
            case status if status.endswith("_IN_PROGRESS"):
                return "busy"
            case _:
                return "ready"


class Event(Struct, frozen=True):
    """A stack event: a change of status of a resource, or of the stack."""

    id: str
    resource: str
    type: str
    status: str
    reason: str
    at: datetime

    @property
    def failed(self) -> bool:
        """Tell whether the resource failed, and was not only cancelled."""
        return self.status.endswith("_FAILED") and not self.reason.startswith(_CANCELLED)


class ResourceChange(Struct, frozen=True):
    """A change set's action on one resource."""

    action: str
    resource: str
    type: str


class ChangeSet(Struct, frozen=True):
    """A change set that can be executed."""

    arn: str
    changes: list[ResourceChange]


class StackError(Exception):
    """Raised when the stack cannot be changed; the message has the reason and advice."""


def read_stack(client: Any, name: str) -> Stack:
    """Read a stack by its name or ARN."""
    try:
        [described] = client.describe_stacks(StackName=name)["Stacks"]
    except ClientError as error:
        if error.response["Error"]["Code"] == "ValidationError":
            return Stack(name)
        raise
    parameters = described.get("Parameters", [])
    outputs = described.get("Outputs", [])
    return Stack(
        described["StackName"],
        described["StackId"],
        described["StackStatus"],
        described.get("StackStatusReason", ""),
        {each["ParameterKey"]: each["ParameterValue"] for each in parameters},
        {each["OutputKey"]: each["OutputValue"] for each in outputs},
        described.get("LastUpdatedTime", described["CreationTime"]),
    )


def prepare(
    client: Any,
    stack: Stack,
    template_url: str,
    parameters: list[dict[str, Any]],
    sleep: Sleep,
) -> ChangeSet | None:
    """Make a change set of a template; None without changes.

    Raises:
        StackError: CloudFormation rejects the template or a parameter.
    """
    made = client.create_change_set(
        StackName=stack.name,
        ChangeSetName=f"loki-shipper-{uuid.uuid4().hex}",
        ChangeSetType="CREATE" if stack.phase == "absent" else "UPDATE",
        TemplateURL=template_url,
        Parameters=parameters,
        Capabilities=CAPABILITIES,
    )
    described = client.describe_change_set(ChangeSetName=made["Id"])
    while described["Status"] in {"CREATE_PENDING", "CREATE_IN_PROGRESS"}:
        sleep(_POLL_SECONDS)
        described = client.describe_change_set(ChangeSetName=made["Id"])
    if described["Status"] == "FAILED":
        client.delete_change_set(ChangeSetName=made["Id"])
        reason = described.get("StatusReason", "")
        if any(each in reason for each in _NOTHING_CHANGES):
            return None
        raise StackError(f"CloudFormation refuses the change: {reason}")
    return ChangeSet(made["Id"], _changes(client, described))


def _changes(client: Any, described: Any) -> list[ResourceChange]:
    found = [*described["Changes"]]
    while token := described.get("NextToken"):
        described = client.describe_change_set(
            ChangeSetName=described["ChangeSetId"], NextToken=token
        )
        found += described["Changes"]
    changes = [each["ResourceChange"] for each in found if "ResourceChange" in each]
    return [
        ResourceChange(each["Action"], each["LogicalResourceId"], each["ResourceType"])
        for each in changes
    ]


def execute(client: Any, stack: Stack, change_set: ChangeSet, sleep: Sleep) -> Iterator[Event]:
    """Execute a change set; yield each event when it happens. Raises StackError."""
    seen = _last_event(client, stack.name)
    client.execute_change_set(ChangeSetName=change_set.arn)
    yield from _follow(client, stack.name, seen, sleep)


def delete(
    client: Any, stack: Stack, sleep: Sleep, retained: Sequence[str] = ()
) -> Iterator[Event]:
    """Delete the stack; yield each event when it happens. Raises StackError.

    CloudFormation keeps the `retained` resources, whose deletion must have failed before.
    """
    seen = _last_event(client, stack.arn)
    client.delete_stack(StackName=stack.arn, RetainResources=[*retained])
    # CloudFormation finds a deleted stack only by its ARN.
    yield from _follow(client, stack.arn, seen, sleep)


def finish_rollback(client: Any, stack: Stack, sleep: Sleep) -> Iterator[Event]:
    """Finish a rollback; yield each event when it happens. Raises StackError."""
    seen = _last_event(client, stack.name)
    client.continue_update_rollback(StackName=stack.name)
    try:
        yield from _follow(client, stack.name, seen, sleep)
    except StackError:
        # UPDATE_ROLLBACK_COMPLETE is a success here.
        if read_stack(client, stack.name).phase == "stuck":
            raise


def wait(client: Any, stack: Stack, sleep: Sleep) -> Stack:
    """Wait until the stack is not busy; return its new state."""
    while stack.phase == "busy":
        sleep(_POLL_SECONDS)
        stack = read_stack(client, stack.arn)
    return stack


def _follow(client: Any, name: str, seen: str, sleep: Sleep) -> Iterator[Event]:
    failure: Event | None = None
    while True:
        # The status is read before the events, so that the last events are not missed.
        stack = read_stack(client, name)
        for event in _events_after(client, name, seen):
            seen = event.id
            if event.failed and failure is None and event.type != "AWS::CloudFormation::Stack":
                failure = event
            yield event
        if stack.phase != "busy" and stack.status != "REVIEW_IN_PROGRESS":
            break
        sleep(_POLL_SECONDS)
    if stack.status not in {"", "CREATE_COMPLETE", "UPDATE_COMPLETE", "DELETE_COMPLETE"}:
        raise StackError(_explain(stack, failure))


def _last_event(client: Any, name: str) -> str:
    events = _page(client, name, {})["StackEvents"]
    return str(events[0]["EventId"]) if events else ""


def _events_after(client: Any, name: str, seen: str) -> list[Event]:
    """List the events after one, oldest first; CloudFormation lists the newest first."""
    found: list[Event] = []
    page: dict[str, Any] = {"NextToken": ""}
    while (token := page.get("NextToken")) is not None:
        page = _page(client, name, {"NextToken": token} if token else {})
        for each in page["StackEvents"]:
            if each["EventId"] == seen:
                return found[::-1]
            found.append(
                Event(
                    each["EventId"],
                    each["LogicalResourceId"],
                    each["ResourceType"],
                    each.get("ResourceStatus", ""),
                    each.get("ResourceStatusReason", ""),
                    each["Timestamp"],
                )
            )
    return found[::-1]


def _page(client: Any, name: str, token: Mapping[str, str]) -> Any:
    try:
        return client.describe_stack_events(StackName=name, **token)
    except ClientError as error:
        if error.response["Error"]["Code"] == "ValidationError":
            return {"StackEvents": []}
        raise


def _explain(stack: Stack, failure: Event | None) -> str:
    if failure is None:
        return f"the stack {stack.name} is {stack.status}: {stack.reason or 'AWS gives no reason'}"
    return f"{failure.resource} ({failure.type}) failed: {failure.reason}\n{_advice(failure)}"


def _advice(failure: Event) -> str:
    """Return advice for a failed resource; CloudFormation has rolled back the stack."""
    reason = failure.reason.lower()
    match failure.type:
        case _ if "not authorized" in reason or "denied" in reason:
            return "get the right that AWS names (see docs/deploy-permissions.json), and try again"
        case _ if "already exists" in reason:
            return "another stack, or an earlier one, has it: choose another --stack, or delete it"
        case "AWS::Lambda::Function" if "concurrency" in reason:
            return "set ReservedConcurrency lower, or empty, and repeat the command"
        case "AWS::Lambda::Function" if "subnet" in reason or "security group" in reason:
            return "correct SubnetIds and SecurityGroupIds, and repeat the command"
        case "Custom::Links":
            return "fix what it names; the log group of the subscriber function says more"
        case _ if "throttl" in reason or "rate exceeded" in reason or "internal" in reason:
            return "AWS could not do it now: repeat the command"
        case _:
            return "fix what it names, and repeat the command"
