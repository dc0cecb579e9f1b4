"""CloudFormation always gets its answer."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from loki_shipper.subscriber.apply import Failed
from loki_shipper.subscriber.custom_resource import custom_resource
from loki_shipper.subscriber.request import StackChanged
from loki_shipper.subscriber.tally import Report

URL = "https://cloudformation.example.com/answer"


def report(**fields: Any) -> Report:
    empty = {"seen": 3, "linked": 2, "put": 1, "deleted": 0, "skipped": {}, "failed": []}
    rest = {"caught_up": 0, "behind": [], "given_up": [], "waiting": 0, "left": 0, "whole": True}
    rest["policy_failure"] = None
    return Report(**{**empty, **rest, **fields})


def answered(kind: Any, run: Callable[[], Report], **event: Any) -> dict[str, Any]:
    sent: list[tuple[str, bytes]] = []
    event = {"StackId": "s", "RequestId": "r", "LogicalResourceId": "Links", **event}
    try:
        custom_resource(StackChanged(kind, URL, event), run, lambda *each: sent.append(each))
    finally:
        [(url, body)] = sent
        assert url == URL
        answer: dict[str, Any] = json.loads(body)
        assert {key: answer[key] for key in ("StackId", "RequestId", "LogicalResourceId")} == {
            "StackId": "s",
            "RequestId": "r",
            "LogicalResourceId": "Links",
        }
    return answer


@pytest.mark.parametrize("kind", ["Create", "Update", "Delete"])
def test_answers_that_it_is_done(kind: str) -> None:
    answer = answered(kind, report)
    assert (answer["Status"], answer["PhysicalResourceId"]) == ("SUCCESS", "loki-shipper-links")


def test_keeps_its_id_so_that_an_update_deletes_nothing() -> None:
    assert answered("Update", report, PhysicalResourceId="old")["PhysicalResourceId"] == "old"


@pytest.mark.parametrize("kind", ["Create", "Update"])
def test_lets_no_single_log_group_stop_a_deployment(kind: str) -> None:
    answer = answered(kind, lambda: report(failed=[Failed("/a", "AccessDenied")], left=7))
    assert answer["Status"] == "SUCCESS"


@pytest.mark.parametrize("kind", ["Create", "Update"])
def test_does_not_go_on_without_the_account_policy_that_was_asked_for(kind: str) -> None:
    answer = answered(kind, lambda: report(policy_failure="LimitExceededException: one a Region"))
    assert answer["Status"] == "FAILED"
    assert answer["Reason"] == (
        "the account policy is not in force (LimitExceededException: one a Region), so nothing was "
        "unlinked: put that right, or set LinkMode to groups, and deploy again"
    )


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"failed": [Failed("/a", "AccessDenied")]}, "such as /a (AccessDenied)"),
        ({"left": 7}, "7 log groups left: delete the stack again to go on"),
    ],
)
def test_keeps_the_stack_while_filters_are_left(fields: dict[str, Any], reason: str) -> None:
    answer = answered("Delete", lambda: report(**fields))
    assert answer["Status"] == "FAILED"
    assert reason in answer["Reason"]


@pytest.mark.parametrize("kind", ["Create", "Update", "Delete"])
@pytest.mark.parametrize("fault", [ValueError("so it is"), SystemExit("so it is")])
def test_answers_also_when_the_run_fails(kind: str, fault: BaseException) -> None:
    sent: list[bytes] = []

    def run() -> Report:
        raise fault

    with pytest.raises(type(fault)):
        custom_resource(StackChanged(kind, URL, {}), run, lambda _, body: sent.append(body))  # type: ignore[arg-type]
    [answer] = map(json.loads, sent)
    assert answer["Status"] == "FAILED"
    assert answer["Reason"] == f"{type(fault).__name__}: so it is"


def test_cuts_a_long_reason() -> None:
    def run() -> Report:
        raise ValueError("x" * 10_000)

    sent: list[bytes] = []
    with pytest.raises(ValueError, match="xxx"):
        custom_resource(StackChanged("Create", URL, {}), run, lambda _, body: sent.append(body))
    assert len(sent[0]) < 4096
