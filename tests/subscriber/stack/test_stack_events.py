"""The function as CloudFormation's custom resource, on sockets."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from moto.backends import get_backend

from loki_shipper.local.aws import ACCOUNT
from loki_shipper.local.runtime_api import Response, run_execution_environment
from loki_shipper.subscriber.stack.answer import LINKS, NOTHING_LINKED
from tests.local_deployment import REGION, Deployment, deployed
from tests.subscriber.stack.answers import answers, stack_event

HANDLER = "loki_shipper.subscriber.handler.handle"


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
    with answers() as server, run_execution_environment(HANDLER, env=env) as function:
        for kind, name in zip(linked, "abc", strict=True):
            here.group(f"/aws/lambda/{name}", foreign=1)
            result = function.invoke(stack_event(kind, server.url), deadline_ms=120_000)
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


def follow(here: Deployment, kind: str, env: dict[str, str], **fields: Any) -> dict[str, Any]:
    """Have the function follow the stack, and give its answer."""
    with answers() as server, run_execution_environment(HANDLER, env=env) as function:
        result = function.invoke(stack_event(kind, server.url, here.name, **fields))
    # What it raised Lambda would try again, when CloudFormation has long given it up.
    assert result == Response({})
    [answer] = server.came
    return answer


def set_status(here: Deployment, status: str) -> None:
    stacks = get_backend("cloudformation")[ACCOUNT][REGION].stacks.values()
    [stack] = [each for each in stacks if each.name == here.name]
    stack.status = status


@pytest.mark.parametrize("kind", ["Create", "Update", "Delete"])
def test_answers_even_if_it_cannot_start(here: Deployment, kind: str) -> None:
    answer = follow(here, kind, here.aws.environ)
    assert answer["Status"] == "FAILED"
    assert "SettingsError: SHIPPER_ARN is not set" in answer["Reason"]


def test_an_update_during_a_rollback_always_succeeds(here: Deployment) -> None:
    set_status(here, "UPDATE_ROLLBACK_IN_PROGRESS")
    assert follow(here, "Update", here.aws.environ)["Status"] == "SUCCESS"


def test_an_update_succeeds_if_the_stack_status_cannot_be_read(here: Deployment) -> None:
    answer = follow(here, "Update", here.aws.environ, StackId="not-there")
    assert answer["Status"] == "SUCCESS"


def test_a_stack_whose_links_were_never_made_can_be_deleted(here: Deployment) -> None:
    answer = follow(here, "Create", here.aws.environ)
    assert answer["PhysicalResourceId"] == NOTHING_LINKED
    answer = follow(here, "Delete", here.aws.environ, PhysicalResourceId=NOTHING_LINKED)
    assert answer["Status"] == "SUCCESS"


def test_without_its_settings_it_says_how_to_delete_the_stack(
    here: Deployment,
) -> None:
    answer = follow(here, "Delete", here.aws.environ, PhysicalResourceId=LINKS)
    assert answer["Status"] == "FAILED"
    assert "`loki-shipper deploy --delete`, which does not need the function" in answer["Reason"]


def test_answers_before_its_time_is_up(here: Deployment) -> None:
    for number in range(30):
        here.group(f"/aws/lambda/{number}")
    env = {**here.aws.environ, **here.environ}
    with answers() as server, run_execution_environment(HANDLER, env=env) as function:
        # A minute is kept back: three seconds are for looking.
        result = function.invoke(stack_event("Create", server.url), deadline_ms=63_000)
    assert isinstance(result, Response), result
    assert result.payload["left"] > 0
    assert [each["Status"] for each in server.came] == ["SUCCESS"]


def records(*bodies: str) -> dict[str, Any]:
    """Messages of the queue, as Lambda hands them over."""
    found = [{"messageId": str(number), "body": body} for number, body in enumerate(bodies)]
    return {"Records": [{**each, "eventSource": "aws:sqs"} for each in found]}


def test_takes_changes_of_log_groups_from_its_queue(here: Deployment) -> None:
    here.group("/aws/lambda/a", foreign=1, team="pay")
    here.group("/aws/lambda/b", foreign=2)
    created = [
        {
            "source": "aws.logs",
            "detail": {"eventName": "CreateLogGroup", "requestParameters": {"logGroupName": name}},
        }
        for name in ("/aws/lambda/a", "/aws/lambda/b", "/aws/lambda/gone")
    ]
    env = {**here.aws.environ, **here.environ}
    with run_execution_environment(HANDLER, env=env) as function:
        messages = records(*map(json.dumps, created), "no JSON", "{}")
        result = function.invoke(messages, deadline_ms=120_000)
    # What is no change of a log group ends in the dead-letter queue.
    failures = [{"itemIdentifier": "3"}, {"itemIdentifier": "4"}]
    assert result == Response({"batchItemFailures": failures}), function.log_lines
    assert here.linked == {"/aws/lambda/a"}


def test_a_deletion_that_runs_out_of_time_continues_through_the_queue(here: Deployment) -> None:
    sqs = here.aws.client("sqs")
    queue = sqs.create_queue(QueueName=f"{here.name}-changes")["QueueUrl"]
    for number in range(12):
        here.group(f"/aws/lambda/{number:02}")
        here.aws.subscribe(f"/aws/lambda/{number:02}", here.shipper)
    env = {**here.aws.environ, **here.environ, "BUCKET": "", "QUEUE_URL": queue}
    with answers() as server, run_execution_environment(HANDLER, env=env) as function:
        # A minute is kept back: two seconds are for unlinking.
        result = function.invoke(stack_event("Delete", server.url, here.name), deadline_ms=62_000)
        assert isinstance(result, Response), result
        assert here.linked
        assert server.came == []
        [message] = sqs.receive_message(QueueUrl=queue)["Messages"]
        result = function.invoke(records(message["Body"]), deadline_ms=120_000)
    assert result == Response({"batchItemFailures": []}), function.log_lines
    assert here.linked == set()
    [answer] = server.came
    assert (answer["Status"], answer["RequestId"]) == ("SUCCESS", "Delete")


def test_a_deletion_that_cannot_continue_is_answered_at_once(here: Deployment) -> None:
    for number in range(12):
        here.group(f"/aws/lambda/{number:02}")
        here.aws.subscribe(f"/aws/lambda/{number:02}", here.shipper)
    gone = f"{here.aws.url}/123456789012/gone"
    env = {**here.aws.environ, **here.environ, "BUCKET": "", "QUEUE_URL": gone}
    with answers() as server, run_execution_environment(HANDLER, env=env) as function:
        function.invoke(stack_event("Delete", server.url, here.name), deadline_ms=62_000)
    [answer] = server.came
    assert answer["Status"] == "FAILED"
    assert "log groups left: delete the stack again to go on" in answer["Reason"]
