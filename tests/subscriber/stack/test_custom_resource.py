"""A request of CloudFormation fails only if a person has to fix something."""

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
def test_succeeds_if_everything_was_done(fake: FakeAws, stack: StackChanged) -> None:
    fake.group("/aws/lambda/a")
    assert run(fake, stack) is None


# Nothing could be linked


@pytest.mark.parametrize("stack", [CREATE, UPDATE])
@pytest.mark.parametrize("operation", ["PutSubscriptionFilter", "DescribeSubscriptionFilters"])
def test_fails_with_the_first_reason_if_nothing_could_be_linked(
    fake: FakeAws, stack: StackChanged, operation: str
) -> None:
    for name in "ab":
        fake.group(f"/aws/lambda/{name}")
    fake.before[operation] = deny
    reason = run(fake, stack)
    assert reason is not None
    assert "no log group could be linked: 2 failed" in reason
    assert "/aws/lambda/a with AccessDeniedException" in reason


def test_fails_if_no_filter_could_be_changed(fake: FakeAws) -> None:
    fake.group("/aws/lambda/a")
    assert run(fake, CREATE) is None
    fake.before["PutSubscriptionFilter"] = deny
    reason = run(fake, UPDATE, filter_pattern="ERROR")
    assert reason is not None
    assert "no identity-based policy allows it" in reason


@pytest.mark.parametrize("stack", [CREATE, UPDATE])
def test_one_failed_log_group_does_not_fail_the_deployment(
    fake: FakeAws, stack: StackChanged
) -> None:
    def deny_one(asked: dict[str, Any]) -> None:
        if asked["logGroupName"] == "/aws/lambda/a":
            raise DENIED

    for name in "ab":
        fake.group(f"/aws/lambda/{name}")
    fake.before["PutSubscriptionFilter"] = deny_one
    assert run(fake, stack) is None


def test_a_log_group_without_a_place_does_not_fail_the_deployment(fake: FakeAws) -> None:
    fake.group("/aws/lambda/a", filters={"x": OTHERS, "y": OTHERS})
    assert run(fake, CREATE) is None


def test_throttling_does_not_fail_the_deployment(fake: FakeAws) -> None:
    def throttle(_: Any) -> None:
        raise error("ThrottlingException", "Rate exceeded")

    fake.group("/aws/lambda/a")
    fake.before["PutSubscriptionFilter"] = throttle
    assert run(fake, CREATE) is None


def test_a_filter_that_cannot_be_deleted_does_not_fail_the_deployment(fake: FakeAws) -> None:
    fake.group("/aws/lambda/a")
    assert run(fake, CREATE) is None
    fake.before["DeleteSubscriptionFilter"] = deny
    assert run(fake, UPDATE, include=("/none",)) is None


def test_a_filter_left_beside_the_policy_does_not_fail_the_deployment(fake: FakeAws) -> None:
    fake.group("/aws/lambda/a")
    assert run(fake, CREATE) is None
    fake.before["DeleteSubscriptionFilter"] = deny
    assert run(fake, UPDATE, link_mode="account") is None


def test_unreadable_filters_do_not_fail_the_deployment_with_the_policy(
    fake: FakeAws,
) -> None:
    fake.group("/aws/lambda/a")
    fake.before["DescribeSubscriptionFilters"] = deny
    assert run(fake, CREATE, link_mode="account") is None
    assert fake.policy is not None


@pytest.mark.parametrize("stack", [CREATE, UPDATE])
def test_fails_without_the_account_policy_that_was_set(stack: StackChanged) -> None:
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
def test_a_deletion_fails_while_filters_are_left(fields: dict[str, Any], reason: str) -> None:
    said = failure(DELETE, structs.replace(SWEEP, **fields))
    assert said is not None
    assert reason in said


# What a sweep says of itself


def test_a_sweep_with_every_filter_denied_is_not_complete(fake: FakeAws) -> None:
    fake.group("/aws/lambda/a")
    fake.before["PutSubscriptionFilter"] = deny
    said = measured(respond(Sweep(), fake.dependencies()))
    assert said["LinkErrors"] == 1
    assert "SweepsComplete" not in said
    fake.before.clear()
    said = measured(respond(Sweep(), fake.dependencies()))
    assert (said["LinkErrors"], said["SweepsComplete"]) == (0, 1)


def test_waiting_first_lines_are_no_link_error(fake: FakeAws) -> None:
    fake.group("/aws/lambda/a", age=30)
    fake.log("/aws/lambda/a", "s", "first")
    fake.refused = lambda _: True
    report = respond(Sweep(), fake.dependencies())
    assert [each.step for each in report.failed] == ["first_lines"]
    assert measured(report)["LinkErrors"] == 0
    assert "SweepsComplete" in measured(report)
