"""The panels of the dashboard, built with Grafana's Foundation SDK."""

from typing import Final

from grafana_foundation_sdk.builders import bargauge, cloudwatch, common, dashboard, loki, stat
from grafana_foundation_sdk.builders import timeseries as series
from grafana_foundation_sdk.models.cloudwatch import (
    CloudWatchQueryMode,
    MetricEditorMode,
    MetricQueryType,
)
from grafana_foundation_sdk.models.common import (
    BigValueColorMode,
    BigValueGraphMode,
    LegendDisplayMode,
    LegendPlacement,
    TooltipDisplayMode,
    VisibilityMode,
    VizOrientation,
)
from grafana_foundation_sdk.models.dashboard import DataSourceRef, Threshold, ThresholdsMode
from msgspec import Struct

CLOUDWATCH: Final = DataSourceRef(type_val="cloudwatch", uid="${cloudwatch}")
LINES: Final = '{source="cloudwatch"}'
"""The stream selector of all lines that a shipper pushed."""

_LOKI: Final = DataSourceRef(type_val="loki", uid="${loki}")
_SELECT: Final = "SELECT SUM({}) FROM \"AWS/Logs\" WHERE FilterName = '$stack'"


class Value(Struct, frozen=True):
    """A metric of our functions, its statistic, and its name in a legend."""

    metric: str
    label: str
    statistic: str = "Sum"
    service: str = "loki-shipper"


def stat_panel(
    title: str,
    value: Value,
    *,
    unit: str = "short",
    bad_from: float | None = 1,
    time_from: str | None = None,
) -> stat.Panel:
    """Show the last value of a metric; it is red from `bad_from` on.

    `time_from` is the panel's own time, for a metric that has a value once a day.
    """
    steps = [Threshold(color="green", value=None)]
    if bad_from is not None:
        steps.append(Threshold(color="red", value=bad_from))
    panel = stat.Panel() if time_from is None else stat.Panel().time_from(time_from)
    return (
        panel.title(title)
        .datasource(CLOUDWATCH)
        .span(3)
        .height(4)
        .unit(unit)
        .no_value("no data")
        .color_mode(BigValueColorMode.BACKGROUND)
        .graph_mode(BigValueGraphMode.NONE)
        .thresholds(dashboard.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps))
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        .with_target(_metric(value, "A"))
    )


def series_panel(title: str, description: str, *values: Value, unit: str = "short") -> series.Panel:
    """Show metrics over time."""
    panel = _empty_series(title, description, unit).datasource(CLOUDWATCH)
    for place, value in enumerate(values):
        panel = panel.with_target(_metric(value, _ref(place)))
    return panel


def loki_panel(
    title: str, description: str, *queries: tuple[str, str], unit: str = "short"
) -> series.Panel:
    """Show queries of Loki over time, each a legend and its LogQL."""
    panel = _empty_series(title, description, unit).datasource(_LOKI)
    for place, (legend, expression) in enumerate(queries):
        query = loki.Dataquery().expr(expression).legend_format(legend).query_type("range")
        panel = panel.with_target(query.ref_id(_ref(place)).datasource(_LOKI))
    return panel


def _empty_series(title: str, description: str, unit: str) -> series.Panel:
    return (
        series.Panel()
        .title(title)
        .description(description)
        .span(12)
        .height(8)
        .unit(unit)
        .line_width(1)
        .fill_opacity(10)
        .show_points(VisibilityMode.NEVER)
        .legend(
            common.VizLegendOptions()
            .display_mode(LegendDisplayMode.LIST)
            .placement(LegendPlacement.BOTTOM)
            .show_legend(True)  # noqa: FBT003 - the SDK decides
        )
        .tooltip(common.VizTooltipOptions().mode(TooltipDisplayMode.MULTI))
    )


def largest_panel(labels: str, title: str) -> bargauge.Panel:
    """Show the 15 largest senders by these labels."""
    expression = f"topk(15, sum by ({labels}) (bytes_over_time({LINES} [$__range])))"
    legend = " ".join(f"{{{{{label.strip()}}}}}" for label in labels.split(","))
    query = loki.Dataquery().expr(expression).legend_format(legend).query_type("instant")
    return (
        bargauge.Panel()
        .title(title)
        .datasource(_LOKI)
        .span(12)
        .height(8)
        .unit("bytes")
        .orientation(VizOrientation.HORIZONTAL)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        .with_target(query.ref_id("A").datasource(_LOKI))
    )


def filters_panel() -> series.Panel:
    """Show what CloudWatch Logs says of all filters of the stack."""
    panel = _empty_series(
        "CloudWatch Logs: deliveries of our filters",
        "Errors are lost for Loki. `loki-shipper backfill` ships them again.",
        "short",
    ).datasource(CLOUDWATCH)
    names = ("ForwardedLogEvents", "DeliveryErrors", "DeliveryThrottling")
    for place, name in enumerate(names):
        panel = panel.with_target(
            cloudwatch.CloudWatchMetricsQuery()
            .query_mode(CloudWatchQueryMode.METRICS)
            .metric_query_type(MetricQueryType.QUERY)
            .metric_editor_mode(MetricEditorMode.CODE)
            .region("$region")
            .sql_expression(_SELECT.format(name))
            .label(name)
            .id("")
            .expression("")
            .ref_id(_ref(place))
            .datasource(CLOUDWATCH)
        )
    return panel


def _metric(value: Value, ref: str) -> cloudwatch.CloudWatchMetricsQuery:
    return (
        cloudwatch.CloudWatchMetricsQuery()
        .query_mode(CloudWatchQueryMode.METRICS)
        .metric_query_type(MetricQueryType.SEARCH)
        .metric_editor_mode(MetricEditorMode.BUILDER)
        .region("$region")
        .namespace("LokiShipper")
        .metric_name(value.metric)
        .dimensions({"service": value.service, "stack": "$stack"})
        .match_exact(True)  # noqa: FBT003 - the SDK decides
        .statistic(value.statistic)
        .period("")
        .label(value.label)
        .id("")
        .expression("")
        .ref_id(ref)
        .datasource(CLOUDWATCH)
    )


def _ref(place: int) -> str:
    return chr(ord("A") + place)
