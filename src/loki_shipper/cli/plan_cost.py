"""Works out what shipping each log group costs, for `plan --cost`."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import click
from msgspec import Struct
from msgspec.structs import replace

from loki_shipper import prices
from loki_shipper.aws.errors import AwsError
from loki_shipper.cli.aws import CommandSession
from loki_shipper.cli.compare_lines import LabelInputs
from loki_shipper.cli.deployed_rules import deployed_rules
from loki_shipper.cli.deployment import Deployment
from loki_shipper.cli.errors import settings_errors
from loki_shipper.cli.formatting import count_text
from loki_shipper.cli.predict_streams import Sample, most_streams, predict_streams, read_sample
from loki_shipper.cli.try_rules import Saving, keep_lines, savings, taken_bytes
from loki_shipper.clock import Clock
from loki_shipper.deployment.cost import (
    EVENTS_OF_INVOCATION,
    ShipperSize,
    ShippingCost,
    shipping_cost,
)
from loki_shipper.deployment.preview import pace_by
from loki_shipper.deployment.volumes import (
    METRICS_OF_GROUP,
    Volume,
    read_events_of_invocation,
    read_volumes,
    sums_reader,
)
from loki_shipper.settings import Settings, settings
from loki_shipper.shipper.rules.model import Rules
from loki_shipper.shipper.rules.parse import default_rules
from loki_shipper.subscriber.first_lines.payloads import FilteredGroup
from loki_shipper.subscriber.groups.select import filter_pattern
from loki_shipper.subscriber.model import LogGroup
from loki_shipper.subscriber.settings import SubscriberSettings

DEAREST: Final = 10
"""Log groups of which lines are read."""

_CENT: Final = 0.01
_NOT_PUSHED: Final = "http://not-pushed.invalid"
_HOUR_MS: Final = 3_600_000
_MINUTE_MS: Final = 60_000


class CostInputs(Struct, frozen=True):
    """What the cost of log groups depends on, beside their lines.

    `functions` are the deployed functions that ship, and `stack` their stack's name.
    """

    session: CommandSession
    clock: Clock
    subscriber: SubscriberSettings
    shipper: Settings
    rules: Rules
    size: ShipperSize = ShipperSize()
    functions: tuple[str, ...] = ()
    stack: str | None = None


class SampledLines(Struct, frozen=True):
    """What lines of the last hour tell: the bytes that Loki gets of each byte, and savings."""

    loki_share: float
    streams_a_day: int
    savings: list[Saving]


class GroupCost(Struct, frozen=True):
    """The cost of shipping a log group.

    `streams_a_day` is None if rules make labels and no lines were read. `sampled` is None if no
    lines were read, or if there are none.
    """

    log_group: str
    pattern: str
    volume: Volume
    cost: ShippingCost
    streams_a_day: int | None
    sampled: SampledLines | None = None


class CostReport(Struct, frozen=True):
    """The cost of log groups, the dearest first; `size` has the log events of an invocation.

    `measured` tells whether that number was measured.
    """

    groups: list[GroupCost]
    size: ShipperSize
    measured: bool


def inputs_of_deployment(deployment: Deployment) -> CostInputs:
    """Return the inputs of a deployment. Raises InputError, and what boto3 raises."""
    deps = deployment.deps
    if deployment.is_member:
        return inputs_of_new_stack(deployment.session, deps.clock, deps.settings)
    shipper = _settings(deployment.shipper.environ)
    return CostInputs(
        deployment.session,
        deps.clock,
        deps.settings,
        shipper,
        deployed_rules(shipper, deployment.session),
        _size(deployment),
        tuple(each.name for each in _shipping(deployment)),
        deps.settings.stack,
    )


def inputs_of_new_stack(
    session: CommandSession, clock: Clock, subscriber: SubscriberSettings
) -> CostInputs:
    """Return the inputs of a stack with default settings for its shipper."""
    return CostInputs(session, clock, subscriber, _settings({}), default_rules())


def _settings(environ: Mapping[str, str]) -> Settings:
    with settings_errors("the shipper's settings"):
        # The settings require LOKI_URL, which does not change labels.
        return settings({**environ, "LOKI_URL": _NOT_PUSHED})


def _shipping(deployment: Deployment) -> list[Any]:
    kinesis = [each for each in deployment.functions if each.kind == "kinesis"]
    return [deployment.shipper, *kinesis]


def _size(deployment: Deployment) -> ShipperSize:
    found = deployment.client("lambda").get_function_configuration(
        FunctionName=deployment.shipper.arn
    )
    # Lambda leaves out the architecture of old functions.
    [architecture] = found.get("Architectures", ["x86_64"])
    return ShipperSize(architecture, found["MemorySize"])


def read_costs(groups: Sequence[LogGroup], inputs: CostInputs) -> CostReport:
    """Read what log groups received, and work out what shipping them costs. Raises AwsError."""
    metrics = METRICS_OF_GROUP * len(groups)
    metrics += 1 + len(inputs.functions) if inputs.functions else 0
    dollars = metrics * prices.METRIC_READ.dollars
    costs = f"${dollars:,.2f}" if dollars >= _CENT else "less than $0.01"
    click.echo(
        f"reading {count_text(metrics, 'metric')} of CloudWatch costs {costs}; lines of the "
        f"{DEAREST} dearest log groups cost nothing to read",
        err=True,
    )
    read = sums_reader(
        inputs.session.client("cloudwatch"), inputs.clock.now(), pace_by(inputs.clock)
    )
    volumes = read_volumes([each.name for each in groups], read)
    measured = (
        read_events_of_invocation(inputs.functions, inputs.stack, read)
        if inputs.functions
        else None
    )
    size = ShipperSize(
        inputs.size.architecture, inputs.size.memory_mb, measured or EVENTS_OF_INVOCATION
    )
    rows = (_row(group, volumes[group.name], inputs, size) for group in groups)
    dearest = sorted(rows, key=lambda row: (-row.cost.total, row.log_group))
    by_name = {group.name: group for group in groups}
    return CostReport(
        [
            _with_lines(row, by_name[row.log_group], inputs) if place < DEAREST else row
            for place, row in enumerate(dearest)
        ],
        size,
        measured is not None,
    )


def _row(group: LogGroup, volume: Volume, inputs: CostInputs, size: ShipperSize) -> GroupCost:
    most = most_streams(inputs.rules.of(group.name))
    return GroupCost(
        group.name,
        filter_pattern(group, inputs.subscriber),
        volume,
        shipping_cost(volume, size),
        streams_a_day=1 if most == 1 else None,
    )


def _with_lines(row: GroupCost, group: LogGroup, inputs: CostInputs) -> GroupCost:
    """Add what the lines of the last hour tell, or say on stderr why they were not read."""
    now = inputs.clock.now()
    start = max(now - _HOUR_MS, min(group.created, now - _MINUTE_MS))
    logs = inputs.session.client("logs")
    try:
        sample = read_sample(logs, row.log_group, row.pattern, start, now)
    except AwsError as error:
        click.echo(f"lines of {row.log_group} were not read: {error}", err=True)
        return row
    found = _sampled(sample, group, row.cost, inputs)
    streams = row.streams_a_day if found is None else found.streams_a_day
    return replace(row, streams_a_day=streams, sampled=found)


def _sampled(
    sample: Sample, group: LogGroup, cost: ShippingCost, inputs: CostInputs
) -> SampledLines | None:
    taken = taken_bytes(sample)
    if not taken:
        return None
    origin = inputs.subscriber.origin
    labels = LabelInputs(inputs.shipper, origin.account, origin.region, group.tags)
    filtered = FilteredGroup(origin.account, group.name, "")
    kept = keep_lines(sample, filtered, labels, inputs.rules)
    return SampledLines(
        kept.loki_bytes / taken,
        predict_streams(sample, filtered, labels, inputs.rules).a_day,
        [*savings(sample, filtered, labels, inputs.rules, cost)],
    )
