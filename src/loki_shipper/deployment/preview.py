"""Shows the log groups that a new stack with some parameters would link."""

from collections.abc import Mapping
from operator import attrgetter
from typing import Any

from msgspec import Struct

from loki_shipper.aws.arn import Origin, function_arn
from loki_shipper.aws.paced_calls import PacedCalls
from loki_shipper.clock import Clock
from loki_shipper.environment import parameter_names
from loki_shipper.subscriber.aws import SubscriberAws
from loki_shipper.subscriber.clients import connect
from loki_shipper.subscriber.filters.plan import FilterAction, plan
from loki_shipper.subscriber.groups.inventory import take_inventory
from loki_shipper.subscriber.groups.select import NotSelected, Selection, select
from loki_shipper.subscriber.model import Filters, LogGroup, ObservedGroup
from loki_shipper.subscriber.settings import SubscriberSettings, settings

_FUNCTIONS = ("shipper", "redriver", "subscriber", "kinesis", "log-files", "canary")


class Preview(Struct, frozen=True):
    """The action for each log group of the account and Region, and the selected ones by name.

    Existing filters are not read, as that takes one call for each log group.
    """

    actions: list[FilterAction]
    groups: list[LogGroup]

    @property
    def selected(self) -> list[str]:
        """The names of the selected log groups."""
        return [group.name for group in self.groups]

    @property
    def total(self) -> int:
        """The number of log groups."""
        return len(self.actions)


def stack_settings(
    parameters: Mapping[str, str], stack: str, region: str, account: str
) -> SubscriberSettings:
    """Return the settings that the subscriber of a stack would have. Raises SettingsError."""
    names = parameter_names(SubscriberSettings)
    environ = {variable: parameters[parameter] for variable, parameter in names.items()}
    own = [f"/aws/lambda/{stack}-{function}" for function in _FUNCTIONS]
    own.append(f"/loki-shipper/{stack}/canary")
    environ |= {"OWN_LOG_GROUPS": ",".join(own), "ACCOUNT": account}
    if not environ["DESTINATION_ARN"]:
        shipper = function_arn(Origin("aws", region, account), f"{stack}-shipper")
        environ["SHIPPER_ARN"] = f"{shipper}:live"
    return settings(environ)


def pace_by(clock: Clock) -> PacedCalls:
    """Make a pace for the calls of one command."""
    return PacedCalls(
        clock=lambda: clock.now() / 1000,
        sleep=clock.sleep,
        remaining=clock.remaining,
        jitter=lambda longest: longest,
    )


def preview(session: Any, chosen: SubscriberSettings, clock: Clock) -> Preview:
    """Read all log groups and their tags, and plan their links. Raises AwsError."""
    groups = take_inventory(
        SubscriberAws(connect(session), chosen, pace_by(clock)), clock.now()
    ).groups
    rules = Selection(settings=chosen)
    selected = [each for each in groups if not isinstance(select(each, rules), NotSelected)]
    actions = plan((ObservedGroup(each, Filters()) for each in groups), rules)
    return Preview([*actions], sorted(selected, key=attrgetter("name")))
