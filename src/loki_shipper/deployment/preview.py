"""Which log groups a stack with these parameters would link, before there is one."""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from loki_shipper.subscriber.aws import Aws, connect
from loki_shipper.subscriber.clock import Clock
from loki_shipper.subscriber.model import Filters, Seen
from loki_shipper.subscriber.pace import Pace
from loki_shipper.subscriber.plan import Action, plan
from loki_shipper.subscriber.select import Passed, Rules, select
from loki_shipper.subscriber.settings import Settings, settings, variables
from loki_shipper.subscriber.survey import survey

_FUNCTIONS = ("shipper", "redriver", "subscriber")


class Preview(Struct, frozen=True):
    """What a stack would do with each log group of the account and Region, and which it selects.

    Filters that are there already are not looked at: that takes a call for each log group.
    """

    actions: list[Action]
    selected: list[str]

    @property
    def total(self) -> int:
        """How many log groups there are."""
        return len(self.actions)


def selection(parameters: Mapping[str, str], stack: str, region: str, account: str) -> Settings:
    """Give the settings that the subscriber of a stack would have. Raises SettingsError."""
    environ = {
        name: parameters[variable.parameter]
        for name, variable in variables().items()
        if variable.parameter is not None
    }
    own = ",".join(f"/aws/lambda/{stack}-{function}" for function in _FUNCTIONS)
    arn = f"arn:aws:lambda:{region}:{account}:function:{stack}-shipper:live"
    return settings({**environ, "SHIPPER_ARN": arn, "OWN_LOG_GROUPS": own})


def preview(session: Any, chosen: Settings, clock: Clock) -> Preview:
    """Look at all log groups and their tags. Raises AwsError."""
    pace = Pace(
        clock=lambda: clock.now() / 1000,
        sleep=clock.sleep,
        remaining=clock.remaining,
        jitter=lambda longest: longest,
    )
    groups = survey(Aws(connect(session), chosen, pace), clock.now()).groups
    rules = Rules(settings=chosen)
    selected = [each.name for each in groups if not isinstance(select(each, rules), Passed)]
    actions = plan((Seen(each, Filters()) for each in groups), rules)
    return Preview([*actions], sorted(selected))
