"""CloudFormation hears of a failure where there is one that somebody has to mend."""

from typing import Any

import pytest
from msgspec import structs

from loki_shipper.subscriber.filters.apply import Failed
from loki_shipper.subscriber.request import StackChanged, Sweep
from loki_shipper.subscriber.respond import respond
from loki_shipper.subscriber.run.report import RunReport, metrics
from loki_shipper.subscriber.stack.custom_resource import failure
from tests.conftest import SWEEP
from tests.subscriber.fake_aws import OTHERS, FakeAws, configured, error

CREATE, UPDATE, DELETE = (
    StackChanged(kind, "https://example.com", {}) for kind in ("Create", "Update", "Delete")
)
DENIED = error("AccessDeniedException", "no identity-based policy allows it")


def deny(_: Any) -> None:
    raise DENIED


def run(fake: FakeAws, stack: StackChanged, **fields: Any) -> str | None:
    return failure(stack, respond(stack, fake.dependencies(configured(**fields))))


def measured(report: RunReport) -> dict[str, float]:
    return {name: value for name, _, value in metrics(report)}


@pytest.mark.parametrize("stack", [CREATE, UPDATE, DELETE])
def test_all_is_well_where_all_was_done(fake: FakeAws, stack: StackChanged) -> None:
    fake.group("/aws/lambda/a")
    assert run(fake, stack) is None


# Nothing could be linked


@pytest.mark.parametrize("stack", [CREATE, UPDATE])
@pytest.mark.parametrize("operation", ["PutSubscriptionFilter", "DescribeSubscriptionFilters"])
def test_fails_with_the_first_reason_where_nothing_could_be_linked(
    fake: FakeAws, stack: StackChanged, operation: str
) -> None:
    for name in "ab":
        fake.group(f"/aws/lambda/{name}")
    fake.before[operation] = deny
    reason = run(fake, stack)
    assert reason is not None
    assert "no log group could be linked: 2 failed" in reason
    assert "/aws/lambda/a with AccessDeniedException" in reason


def test_fails_where_what_was_linked_cannot_be_linked_anew(fake: FakeAws) -> None:
    fake.group("/aws/lambda/a")
    assert run(fake, CREATE) is None
    fake.before["PutSubscriptionFilter"] = deny
    reason = run(fake, UPDATE, filter_pattern="ERROR")
    assert reason is not None
    assert "no identity-based policy allows it" in reason


@pytest.mark.parametrize("stack", [CREATE, UPDATE])
def test_one_log_group_stops_no_deployment(fake: FakeAws, stack: StackChanged) -> None:
    def deny_one(asked: dict[str, Any]) -> None:
        if asked["logGroupName"] == "/aws/lambda/a":
            raise DENIED

    for name in "ab":
        fake.group(f"/aws/lambda/{name}")
    fake.before["PutSubscriptionFilter"] = deny_one
    assert run(fake, stack) is None


def test_places_that_are_all_taken_stop_no_deployment(fake: FakeAws) -> None:
    fake.group("/aws/lambda/a", filters={"x": OTHERS, "y": OTHERS})
    assert run(fake, CREATE) is None


def test_an_aws_that_is_busy_stops_no_deployment(fake: FakeAws) -> None:
    def throttle(_: Any) -> None:
        raise error("ThrottlingException", "Rate exceeded")

    fake.group("/aws/lambda/a")
    fake.before["PutSubscriptionFilter"] = throttle
    assert run(fake, CREATE) is None


def test_what_is_not_selected_and_cannot_be_unlinked_stops_no_deployment(fake: FakeAws) -> None:
    fake.group("/aws/lambda/a")
    assert run(fake, CREATE) is None
    fake.before["DeleteSubscriptionFilter"] = deny
    assert run(fake, UPDATE, include=("/none",)) is None


def test_filters_that_the_policy_could_not_replace_stop_no_deployment(fake: FakeAws) -> None:
    fake.group("/aws/lambda/a")
    assert run(fake, CREATE) is None
    fake.before["DeleteSubscriptionFilter"] = deny
    assert run(fake, UPDATE, link_mode="account") is None


def test_log_groups_that_cannot_be_looked_at_stop_no_deployment_under_the_policy(
    fake: FakeAws,
) -> None:
    fake.group("/aws/lambda/a")
    fake.before["DescribeSubscriptionFilters"] = deny
    assert run(fake, CREATE, link_mode="account") is None
    assert fake.policy is not None


@pytest.mark.parametrize("stack", [CREATE, UPDATE])
def test_does_not_go_on_without_the_account_policy_that_was_asked_for(stack: StackChanged) -> None:
    report = structs.replace(SWEEP, policy_failure="LimitExceededException: one a Region")
    assert failure(stack, report) == (
        "the account policy is not in force (LimitExceededException: one a Region), so nothing was "
        "unlinked: put that right, or set LinkMode to groups, and deploy again"
    )


# Not all was unlinked


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"failed": [Failed("/a", "AccessDenied")]}, "such as /a (AccessDenied)"),
        ({"left": 7}, "7 log groups left: delete the stack again to go on"),
    ],
)
def test_keeps_the_stack_while_filters_are_left(fields: dict[str, Any], reason: str) -> None:
    said = failure(DELETE, structs.replace(SWEEP, **fields))
    assert said is not None
    assert reason in said


# What a sweep says of itself


def test_a_sweep_in_which_every_filter_is_denied_is_not_complete(fake: FakeAws) -> None:
    fake.group("/aws/lambda/a")
    fake.before["PutSubscriptionFilter"] = deny
    said = measured(respond(Sweep(), fake.dependencies()))
    assert said["LinkErrors"] == 1
    assert "SweepsComplete" not in said
    fake.before.clear()
    said = measured(respond(Sweep(), fake.dependencies()))
    assert (said["LinkErrors"], said["SweepsComplete"]) == (0, 1)


def test_first_lines_that_wait_are_no_link_error(fake: FakeAws) -> None:
    fake.group("/aws/lambda/a", age=30)
    fake.log("/aws/lambda/a", "s", "first")
    fake.refused = lambda _: True
    report = respond(Sweep(), fake.dependencies())
    assert [each.step for each in report.failed] == ["first_lines"]
    assert measured(report)["LinkErrors"] == 0
    assert "SweepsComplete" in measured(report)
