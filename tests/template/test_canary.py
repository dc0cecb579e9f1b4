"""The canary of the template: off by default, linked by the stack itself, and no loop."""

import re
from typing import Any

from loki_shipper.canary.log_group import STREAM
from loki_shipper.canary.measure import LATE_MS
from loki_shipper.canary.settings import variables
from loki_shipper.environment import parameter_names
from loki_shipper.settings import Settings
from loki_shipper.subscriber.groups.select import NotSelected, Selection, select
from loki_shipper.subscriber.model import LogGroup, Reason
from loki_shipper.subscriber.policy.account_policy import account_policy
from loki_shipper.subscriber.settings import settings as subscriber_settings
from tests.template.conftest import holds


def of_canary(template: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {n: r for n, r in template["Resources"].items() if n.startswith("Canary")}


def test_without_the_parameter_and_in_a_member_there_is_nothing_of_it(
    template: dict[str, Any],
) -> None:
    hub = "arn:aws:logs:eu-central-1:999999999999:destination:hub"
    assert len(of_canary(template)) == 7
    for resource in of_canary(template).values():
        condition = resource["Condition"]
        topic = {"AlarmTopicArn": "arn:aws:sns:eu-central-1:123456789012:alarms"}
        assert holds(template, condition, topic | {"Canary": "on"})
        assert not holds(template, condition, topic)
        assert not holds(template, condition, topic | {"Canary": "on", "DestinationArn": hub})


def test_the_stack_sends_its_lines_and_takes_the_filter_away_before_the_shipper(
    template: dict[str, Any],
) -> None:
    lines = template["Resources"]["CanaryFilter"]
    assert lines["DependsOn"] == ["ShipperPermission", "Links"]
    assert lines["Properties"] == {
        "FilterName": {"Fn::Sub": "${AWS::StackName}-canary"},
        "LogGroupName": {"Ref": "CanaryLines"},
        "FilterPattern": "",
        "DestinationArn": {"Ref": "ShipperAlias"},
    }
    stream = template["Resources"]["CanaryStream"]["Properties"]
    assert stream == {"LogGroupName": {"Ref": "CanaryLines"}, "LogStreamName": STREAM}


def test_the_subscriber_puts_no_second_filter_in_either_mode() -> None:
    shipper = "arn:aws:lambda:eu-central-1:123456789012:function:shipper:live"
    name = "/loki-shipper/ours/canary"
    for mode in ("groups", "account"):
        configured = subscriber_settings(
            {"SHIPPER_ARN": shipper, "INCLUDE": "*", "LINK_MODE": mode, "OWN_LOG_GROUPS": name}
        )
        selection = Selection(settings=configured, by_hand={name: True})
        assert select(LogGroup(name, 0), selection) == NotSelected(Reason.OWN)
        assert name in account_policy([], selection).excluded


def test_a_run_ends_before_the_next_one_and_before_its_line_counts_as_missing(
    template: dict[str, Any],
) -> None:
    function = template["Resources"]["CanaryFunction"]["Properties"]
    [minutes] = re.findall(r"rate\((\d+) minutes\)", str(function["Events"]))
    assert function["Timeout"] * 1000 <= LATE_MS < int(minutes) * 60_000
    assert function["EventInvokeConfig"]["MaximumRetryAttempts"] == 0
    alarm = template["Resources"]["CanaryMissing"]["Properties"]
    assert alarm["Period"] >= 2 * int(minutes) * 60


def test_it_gets_the_settings_of_the_shipper_and_its_own(template: dict[str, Any]) -> None:
    function = template["Resources"]["CanaryFunction"]["Properties"]
    environ = function["Environment"]["Variables"]
    for variable, parameter in parameter_names(Settings).items():
        assert environ[variable] == {"Ref": parameter}
    assert variables().keys() <= environ.keys()
    assert environ["CANARY_LOG_GROUP"] == {"Ref": "CanaryLines"}
    assert environ["LOKI_READ_SECRET"] == {"Ref": "LokiReadSecret"}
