"""No line is lost when the mode or a selection changes: docs/decisions/transitions.md.

Each log group is written to all the while, and what is put takes a minute to become effective.
"""

import json
from collections.abc import Callable
from typing import Any

import pytest

from loki_shipper.subscriber.groups.inventory import take_inventory
from loki_shipper.subscriber.groups.select import manual_choices
from loki_shipper.subscriber.memory import MemoryUpdate
from loki_shipper.subscriber.request import GroupsChanged, StackChanged, Sweep
from loki_shipper.subscriber.respond import respond
from loki_shipper.subscriber.run.dependencies import read_memory, remember
from loki_shipper.subscriber.run.reconcile import current_selection
from loki_shipper.subscriber.run.report import RunReport, metrics
from loki_shipper.subscriber.settings import conditions
from loki_shipper.subscriber.stack.custom_resource import failure
from tests.subscriber.fake_aws import NAME, OTHERS, SHIPPER, FakeAws, configured, error

CREATE = StackChanged("Create", "https://example.com", {})
UPDATE = StackChanged("Update", "https://example.com", {})
DELETE = StackChanged("Delete", "https://example.com", {})
GROUPS = configured(include=("/app/*",), exclude=("*-test",))
ACCOUNT = configured(link_mode="account", exclude=("*-test",), own_log_groups=("/own",))
NAMES = [f"/app/{number:02}" for number in range(12)]
THEIRS = {"policyName": "theirs", "policyType": "SUBSCRIPTION_FILTER_POLICY"}


@pytest.fixture
def fake() -> FakeAws:
    """Log groups that are written to, and filters that take a minute."""
    fake = FakeAws()
    fake.effective_after = 60
    for name in (*NAMES, "/app/x-test"):
        fake.group(name)
    fake.log_every(5)
    return fake


def run(fake: FakeAws, asked: Any = None, **deps: Any) -> RunReport:
    return respond(asked or Sweep(), fake.dependencies(**deps))


def linked(fake: FakeAws) -> None:
    """Bring the fake to a mode of groups that has been at rest for an hour."""
    run(fake, settings=GROUPS)
    settle(fake)


def covered(fake: FakeAws) -> None:
    """Bring the fake to a mode of account that has been at rest for an hour."""
    run(fake, settings=ACCOUNT)
    settle(fake)


def settle(fake: FakeAws) -> None:
    fake.sleep(3600)
    for group in fake.groups.values():
        group["events"].clear()
    fake.delivered.clear()
    fake.shipped.clear()


def excluded(fake: FakeAws) -> list[str]:
    assert fake.policy is not None
    names: str = fake.policy["selectionCriteria"].removeprefix("LogGroupName NOT IN ")
    return [name.strip('"') for name in names.strip("[]").split(", ")]


def told(fake: FakeAws, stack: StackChanged, **deps: Any) -> str | None:
    """Why CloudFormation hears that it has failed; None: it hears that it is done."""
    return failure(stack, run(fake, stack, **deps))


def measured(report: RunReport) -> dict[str, float]:
    return {name: value for name, _, value in metrics(report)}


# groups to account


@pytest.mark.parametrize("asked", [Sweep(), UPDATE], ids=["a sweep", "the stack's update"])
def test_to_account_no_line_falls_between_the_filters_and_the_policy(
    fake: FakeAws, asked: Any
) -> None:
    linked(fake)
    report = run(fake, asked, settings=ACCOUNT)
    fake.sleep(600)
    assert (fake.linked, report.deleted, report.left) == ({}, 12, 0)
    assert excluded(fake) == ["/app/x-test", "/own"]
    assert fake.lost(*NAMES) == []


def test_to_account_the_next_run_continues_a_killed_one_without_a_gap(fake: FakeAws) -> None:
    linked(fake)

    def die(_: Any) -> None:
        raise KeyboardInterrupt

    fake.before["DeleteSubscriptionFilter"] = die
    with pytest.raises(KeyboardInterrupt):
        run(fake, settings=ACCOUNT)
    fake.before.clear()
    fake.sleep(5)
    run(fake, settings=ACCOUNT)
    fake.sleep(600)
    assert not fake.linked
    assert fake.lost(*NAMES) == []


def test_to_account_filters_stay_if_there_is_no_time_to_wait_for_the_policy(fake: FakeAws) -> None:
    linked(fake)
    report = run(fake, settings=ACCOUNT, seconds=40)
    assert (report.deleted, report.left > 0, len(fake.linked)) == (0, True, 12)
    run(fake, settings=ACCOUNT)
    fake.sleep(600)
    assert not fake.linked
    assert fake.lost(*NAMES) == []


def refuse(code: str) -> Callable[[Any], None]:
    def refuse(_: Any) -> None:
        raise error(code, "no")

    return refuse


OBSTACLES = {
    "another policy is there": ("LimitExceededException", {"policy": THEIRS}, None, {}),
    "the policy may not be put": (
        "AccessDeniedException",
        {},
        ("PutAccountPolicy", "AccessDeniedException"),
        {},
    ),
    "the policy may not be read": (
        "AccessDeniedException",
        {},
        ("DescribeAccountPolicies", "AccessDeniedException"),
        {},
    ),
    "AWS refuses the policy": (
        "InvalidParameterException",
        {},
        ("PutAccountPolicy", "InvalidParameterException"),
        {},
    ),
    "AWS throttles for too long": (
        "ThrottlingException",
        {},
        ("PutAccountPolicy", "ThrottlingException"),
        {},
    ),
    "too many are excluded": ("TooManyExcluded", {}, None, {"own_log_groups": ("x" * 26_000,)}),
}


@pytest.mark.parametrize("obstacle", OBSTACLES)
@pytest.mark.parametrize("stack", [CREATE, UPDATE], ids=["create", "update"])
def test_to_account_nothing_is_unlinked_if_the_policy_cannot_be_put(
    fake: FakeAws, stack: StackChanged, obstacle: str
) -> None:
    why, fields, refused, changed = OBSTACLES[obstacle]
    linked(fake)
    for name, value in fields.items():
        setattr(fake, name, value)
    if refused is not None:
        fake.before[refused[0]] = refuse(refused[1])
    settings = configured(link_mode="account", exclude=("*-test",), **changed)
    report = run(fake, settings=settings)
    assert (report.deleted, len(fake.linked)) == (0, 12)
    assert [each.why for each in report.failed] == [why]
    assert "SweepsComplete" not in measured(report)
    reason = told(fake, stack, settings=settings)
    assert reason is not None
    assert why in reason
    assert "nothing was unlinked" in reason
    # CloudFormation goes back to what was before.
    assert told(fake, UPDATE, settings=GROUPS) is None
    fake.sleep(600)
    assert len(fake.linked) == 12
    assert fake.lost(*NAMES) == []
    assert fake.policy == fields.get("policy")


def test_to_account_a_sweep_of_no_log_groups_is_incomplete_without_the_policy() -> None:
    fake = FakeAws()
    fake.policy = THEIRS
    assert "SweepsComplete" not in measured(run(fake, settings=ACCOUNT))
    fake.policy = None
    assert "SweepsComplete" in measured(run(fake, settings=ACCOUNT))


def test_to_account_waits_for_a_right_that_is_not_effective_yet(fake: FakeAws) -> None:
    linked(fake)
    effective = fake.time + 20

    def deny(_: Any) -> None:
        if fake.time < effective:
            raise error("AccessDeniedException")

    fake.before["PutAccountPolicy"] = deny
    assert told(fake, UPDATE, settings=ACCOUNT) is None
    assert fake.policy is not None


def test_to_account_an_event_before_the_stacks_own_run_writes_no_policy(fake: FakeAws) -> None:
    linked(fake)
    fake.group("/app/new", age=0)
    report = run(fake, GroupsChanged(("/app/new",)), settings=ACCOUNT)
    assert (fake.policy, len(fake.linked), report.put) == (None, 12, 0)
    assert [each.group for each in report.failed] == ["(account policy)"]
    fake.sleep(120)
    assert told(fake, UPDATE, settings=ACCOUNT) is None
    assert excluded(fake) == ["/app/x-test", "/own"]
    run(fake, settings=ACCOUNT)
    fake.sleep(600)
    # What the new log group wrote before the policy was effective is among its first lines.
    assert fake.lost(*NAMES, "/app/new") == []


def test_to_account_an_event_deletes_no_filter_while_the_policy_differs(fake: FakeAws) -> None:
    linked(fake)
    fake.policy = THEIRS
    run(fake, GroupsChanged((NAMES[0],)), settings=ACCOUNT)
    assert len(fake.linked) == 12


# account to groups


@pytest.mark.parametrize("asked", [Sweep(), UPDATE], ids=["a sweep", "the stack's update"])
def test_to_groups_no_line_falls_between_the_policy_and_the_filters(
    fake: FakeAws, asked: Any
) -> None:
    covered(fake)
    run(fake, asked, settings=GROUPS)
    fake.sleep(600)
    assert len(fake.linked) == 12
    assert fake.policy is None
    assert fake.lost(*NAMES) == []


def test_to_groups_the_policy_stays_until_the_last_filter_is_there(fake: FakeAws) -> None:
    covered(fake)
    for _ in range(8):
        report = run(fake, settings=GROUPS, seconds=1)
        assert report.left
        assert fake.policy is not None
        if len(fake.linked) > 6:
            break
    run(fake, settings=GROUPS)
    fake.sleep(600)
    assert len(fake.linked) == 12
    assert fake.policy is None
    assert fake.lost(*NAMES) == []


def test_to_groups_the_policy_stays_if_a_filter_could_not_be_put(fake: FakeAws) -> None:
    def deny(asked: dict[str, Any]) -> None:
        if asked["logGroupName"] == NAMES[3]:
            raise error("AccessDeniedException", "an explicit deny")

    covered(fake)
    fake.before["PutSubscriptionFilter"] = deny
    assert [each.group for each in run(fake, settings=GROUPS).failed] == [NAMES[3]]
    assert fake.policy is not None
    fake.before.clear()
    run(fake, settings=GROUPS)
    fake.sleep(600)
    assert len(fake.linked) == 12
    assert fake.policy is None
    assert fake.lost(*NAMES) == []


def test_to_groups_the_policy_stays_if_there_is_no_time_to_wait_for_the_filters(
    fake: FakeAws,
) -> None:
    covered(fake)
    run(fake, settings=GROUPS, seconds=30)
    assert (len(fake.linked), fake.policy is None) == (12, False)
    fake.sleep(600)
    run(fake, settings=GROUPS)
    assert fake.policy is None
    assert fake.lost(*NAMES) == []


def test_to_groups_an_event_before_the_stacks_own_run_leaves_the_policy(fake: FakeAws) -> None:
    covered(fake)
    fake.group("/app/new", age=0)
    run(fake, GroupsChanged(("/app/new",)), settings=GROUPS)
    assert fake.linked.keys() == {"/app/new"}
    assert fake.policy is not None
    run(fake, UPDATE, settings=GROUPS)
    run(fake, settings=GROUPS)
    fake.sleep(600)
    assert len(fake.linked) == 13
    assert fake.policy is None
    assert fake.lost(*NAMES, "/app/new") == []


def test_to_groups_with_6_000_log_groups_the_policy_goes_with_the_last_filter() -> None:
    fake = FakeAws()
    for number in range(6_000):
        fake.group(f"/app/{number:04}")
    run(fake, settings=ACCOUNT)
    gone: list[int] = []
    fake.before["DeleteAccountPolicy"] = lambda _: gone.append(len(fake.linked))
    lefts: list[int] = []
    while fake.policy is not None:
        lefts.append(run(fake, UPDATE if not lefts else Sweep(), settings=GROUPS).left)
        fake.sleep(60)
    assert gone == [6_000]
    # The first run alone is not enough.
    assert 2_000 < lefts[0] < 4_000
    assert (len(lefts), lefts[-1]) == (2, 0)


# At rest, in a mode of account


def test_in_account_an_event_changes_only_the_log_groups_that_it_names(fake: FakeAws) -> None:
    covered(fake)
    fake.group("/app/y-test", age=0)
    fake.group("/app/z-test", age=0)
    run(fake, GroupsChanged(("/app/y-test",)), settings=ACCOUNT)
    assert excluded(fake) == ["/app/x-test", "/app/y-test", "/own"]
    changed = configured(link_mode="account", exclude=(), filter_pattern="ERROR")
    run(fake, GroupsChanged(("/app/y-test",)), settings=changed)
    assert excluded(fake) == ["/app/x-test", "/own"]
    assert fake.policy is not None
    assert '"FilterPattern": ""' in fake.policy["policyDocument"]


def test_in_account_a_new_log_groups_first_lines_are_shipped(fake: FakeAws) -> None:
    covered(fake)
    fake.group("/app/new", age=0)
    fake.sleep(20)
    report = run(fake, GroupsChanged(("/app/new",)), settings=ACCOUNT)
    fake.sleep(600)
    assert report.caught_up > 0
    assert fake.lost(*NAMES, "/app/new") == []
    fake.shipped.clear()
    run(fake, settings=ACCOUNT)
    assert not fake.shipped


def test_in_account_delivered_lines_are_not_shipped_again(fake: FakeAws) -> None:
    covered(fake)
    fake.group("/app/new", age=0)
    fake.sleep(1800)
    fake.group("/app/z-test", age=0)
    run(fake, GroupsChanged(("/app/z-test",)), settings=ACCOUNT)
    fake.sleep(1200)
    # No event has told of it; that the policy was put again meanwhile is about another.
    run(fake, settings=ACCOUNT)
    fake.sleep(60)
    assert fake.lost(*NAMES, "/app/new") == []
    assert len(fake.delivered.intersection(fake.caught_up)) <= 1


def test_in_account_a_log_group_misses_nothing_when_two_runs_disagree(
    fake: FakeAws,
) -> None:
    covered(fake)
    fake.group("/app/new", age=0)
    run(fake, GroupsChanged(("/app/new",)), settings=ACCOUNT)
    names = json.dumps(sorted([*excluded(fake), "/app/new"]))
    assert fake.policy is not None
    # Another run has written an older list over ours.
    fake.clients().logs.put_account_policy(
        **{key: value for key, value in fake.policy.items() if key != "lastUpdatedTime"}
        | {"selectionCriteria": f"LogGroupName NOT IN {names}"}
    )
    fake.sleep(1800)
    run(fake, settings=ACCOUNT)
    fake.sleep(600)
    assert fake.lost("/app/new") == []


def test_in_account_waiting_first_lines_survive_a_change_of_the_mode(fake: FakeAws) -> None:
    covered(fake)
    fake.group("/app/new", age=0)
    fake.before["Invoke"] = refuse("ServiceException")
    run(fake, GroupsChanged(("/app/new",)), settings=ACCOUNT)
    fake.sleep(30 * 3600)
    fake.before.clear()
    run(fake, settings=GROUPS)
    fake.sleep(600)
    assert fake.lost("/app/new") == []


def test_in_account_stale_tags_exclude_no_log_group(
    fake: FakeAws,
) -> None:
    settings = configured(link_mode="account", tag_conditions=conditions("!internal"))
    run(fake, settings=settings)
    settle(fake)
    fake.stale_tags = {NAMES[0]: {"internal": "yes"}}
    run(fake, settings=settings)
    assert NAMES[0] not in excluded(fake)
    fake.groups[NAMES[0]]["tags"]["internal"] = "yes"
    run(fake, settings=settings)
    assert NAMES[0] in excluded(fake)
    assert fake.lost(*NAMES[1:]) == []


@pytest.mark.parametrize("age", [0.0, 2 * 86_400.0], ids=["young", "old"])
def test_in_account_a_young_log_group_gets_its_first_lines_when_included(
    fake: FakeAws, age: float
) -> None:
    settings = configured(link_mode="account", tag_conditions=conditions("!internal"))
    run(fake, settings=settings)
    settle(fake)
    fake.group("/app/new", age=age, internal="yes")
    run(fake, GroupsChanged(("/app/new",)), settings=settings)
    fake.sleep(7200)
    fake.groups["/app/new"]["tags"].clear()
    changed = fake.time
    run(fake, GroupsChanged(("/app/new",)), settings=settings)
    fake.sleep(600)
    assert "/app/new" not in excluded(fake)
    lost = [float(line.rpartition(" ")[2]) for *_, line in fake.lost("/app/new")]
    # The past of an older one is for `backfill`.
    assert (lost == []) is (age == 0)
    assert all(when < changed + 61 for when in lost)


def test_in_account_unlinking_by_hand_excludes_an_included_log_group(fake: FakeAws) -> None:
    covered(fake)
    deps = fake.dependencies(ACCOUNT)
    seen = take_inventory(deps.aws, deps.clock.now(), [NAMES[0]])
    ruled = current_selection(ACCOUNT, read_memory(deps))
    choices = manual_choices(seen.groups, ruled, linked=False)
    remember(MemoryUpdate(by_hand=choices), deps)
    run(fake, GroupsChanged((NAMES[0],)), settings=ACCOUNT)
    assert NAMES[0] in excluded(fake)
    run(fake, settings=ACCOUNT)
    assert NAMES[0] in excluded(fake)


# What others do


def test_the_next_sweep_restores_a_deleted_policy(fake: FakeAws) -> None:
    covered(fake)
    fake.policy = None
    run(fake, settings=ACCOUNT)
    assert excluded(fake) == ["/app/x-test", "/own"]


def test_unlinking_everything_deletes_the_policy_although_a_filter_fails(fake: FakeAws) -> None:
    covered(fake)
    fake.groups[NAMES[0]]["filters"][NAME] = {"pattern": "", "destination": SHIPPER, "since": 1}
    fake.groups[NAMES[1]]["filters"]["theirs"] = {
        "pattern": "",
        "destination": OTHERS,
        "since": 1,
    }
    fake.before["DeleteSubscriptionFilter"] = refuse("AccessDeniedException")
    report = run(fake, DELETE, settings=ACCOUNT)
    assert [each.group for each in report.failed] == [NAMES[0]]
    assert fake.policy is None
