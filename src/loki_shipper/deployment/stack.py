"""A CloudFormation stack: what it is, how it is changed, and what comes of that, event by event."""

import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Literal

from botocore.exceptions import ClientError
from msgspec import Struct

CAPABILITIES: Final = ["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"]
"""The stack makes roles, and its template is SAM's."""

_POLL_SECONDS = 2.0
_NOTHING_CHANGES = ("didn't contain changes", "No updates are to be performed")
_OF_OTHERS = ("Resource creation cancelled", "Resource update cancelled")
"""Reasons of resources that were stopped because another one failed."""

type Phase = Literal["absent", "ready", "broken", "stuck", "busy"]
type Sleep = Callable[[float], None]


class Stack(Struct, frozen=True):
    """A stack as CloudFormation describes it; `absent` is none."""

    name: str
    arn: str = ""
    status: str = ""
    reason: str = ""
    parameters: Mapping[str, str] = {}
    outputs: Mapping[str, str] = {}
    changed: datetime | None = None

    @property
    def phase(self) -> Phase:
        """Tell what can be done with it.

        A `broken` one was never finished or half deleted and has to be deleted first; a `stuck` one
        has to finish an earlier rollback.
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
    """Something that happened to a resource of the stack, or to the stack itself."""

    id: str
    resource: str
    type: str
    status: str
    reason: str
    at: datetime

    @property
    def failed(self) -> bool:
        """Tell whether the resource failed by itself, not because another one did."""
        return self.status.endswith("_FAILED") and not self.reason.startswith(_OF_OTHERS)


class ResourceChange(Struct, frozen=True):
    """What a change set does to one resource."""

    action: str
    resource: str
    type: str


class ChangeSet(Struct, frozen=True):
    """Changes that are ready to be made."""

    arn: str
    changes: list[ResourceChange]


class StackError(Exception):
    """Raised when the stack cannot be changed; the message names the resource and what to do."""


def read_stack(client: Any, name: str) -> Stack:
    """Look at a stack, by its name or ARN."""
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
    """Ask CloudFormation what a template would change; None where that is nothing.

    Raises:
        StackError: CloudFormation refuses the template or a parameter.
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
    """Make the changes, and give each event as it comes. Raises StackError where they failed."""
    seen = _last_event(client, stack.name)
    client.execute_change_set(ChangeSetName=change_set.arn)
    yield from _follow(client, stack.name, seen, sleep)


def delete(
    client: Any, stack: Stack, sleep: Sleep, retained: Sequence[str] = ()
) -> Iterator[Event]:
    """Delete the stack, and give each event as it comes. Raises StackError where that failed.

    CloudFormation forgets the `retained` resources, all of which must have failed before.
    """
    seen = _last_event(client, stack.arn)
    client.delete_stack(StackName=stack.arn, RetainResources=[*retained])
    # A deleted stack is known by its ARN only.
    yield from _follow(client, stack.arn, seen, sleep)


def finish_rollback(client: Any, stack: Stack, sleep: Sleep) -> Iterator[Event]:
    """Finish an earlier rollback, and give each event as it comes. Raises StackError."""
    seen = _last_event(client, stack.name)
    client.continue_update_rollback(StackName=stack.name)
    try:
        yield from _follow(client, stack.name, seen, sleep)
    except StackError:
        # It ends in a rollback, which is what was asked for.
        if read_stack(client, stack.name).phase == "stuck":
            raise


def wait(client: Any, stack: Stack, sleep: Sleep) -> Stack:
    """Wait until whatever somebody else began has ended; return the stack as it is then."""
    while stack.phase == "busy":
        sleep(_POLL_SECONDS)
        stack = read_stack(client, stack.arn)
    return stack


def _follow(client: Any, name: str, seen: str, sleep: Sleep) -> Iterator[Event]:
    failure: Event | None = None
    while True:
        # Looked at first, so that no event comes after the last look.
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
        raise StackError(_explained(stack, failure))


def _last_event(client: Any, name: str) -> str:
    events = _page(client, name, {})["StackEvents"]
    return str(events[0]["EventId"]) if events else ""


def _events_after(client: Any, name: str, seen: str) -> list[Event]:
    """List what came after an event, oldest first; CloudFormation gives the newest first."""
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


def _explained(stack: Stack, failure: Event | None) -> str:
    if failure is None:
        return f"the stack {stack.name} is {stack.status}: {stack.reason or 'AWS gives no reason'}"
    return f"{failure.resource} ({failure.type}) failed: {failure.reason}\n{_advice(failure)}"


def _advice(failure: Event) -> str:
    """Say what to do about a resource that failed; the stack is as it was before."""
    reason = failure.reason.lower()
    match failure.type:
        case _ if "not authorized" in reason or "denied" in reason:
            return "get the right that AWS names (see docs/deploy-permissions.json), and repeat"
        case _ if "already exists" in reason:
            return "another stack, or an earlier one, has it: choose another --stack, or delete it"
        case "AWS::Lambda::Function" if "concurrency" in reason:
            return "set ReservedConcurrency lower, or empty, and repeat the command"
        case "AWS::Lambda::Function" if "subnet" in reason or "security group" in reason:
            return "correct SubnetIds and SecurityGroupIds, and repeat the command"
        case "Custom::Links":
            return "put right what it names; the log group of the subscriber function says more"
        case _ if "throttl" in reason or "rate exceeded" in reason or "internal" in reason:
            return "AWS could not do it now: repeat the command"
        case _:
            return "put right what it names, and repeat the command, which goes on from here"
