"""Writes the Grafana dashboard "Is everything arriving?": `scripts/dashboards`.

It is built with Grafana's Foundation SDK, whose types are generated from Grafana's own schema.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from grafana_foundation_sdk.builders import cloudwatch, dashboard, logs
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.cloudwatch import CloudWatchQueryMode
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DashboardLinkType,
    Panel,
    VariableOption,
)

from tools.dashboard_panels import (
    CLOUDWATCH,
    LINES,
    Value,
    filters_panel,
    largest_panel,
    loki_panel,
    series_panel,
    stat_panel,
)

FILE: Final = "compose/grafana/dashboards/arrival.json"
_CLONE: Final = Path(__file__).parents[1]
_CANARY: Final = '{log_group="/loki-shipper/$stack/canary"}'
_WHY: Final = """\
fields @timestamp, message, failure, @message
| filter level in ["WARNING", "ERROR", "CRITICAL"]
| sort @timestamp desc
| limit 200"""


def main(folder: Path) -> None:
    """Write the dashboard below a folder."""
    target = folder / FILE
    target.parent.mkdir(parents=True, exist_ok=True)
    built = JSONEncoder(indent=2).encode(_dashboard().build())
    # Nulls are fields without a value: Grafana leaves them out when it saves.
    text = json.dumps(_without_nulls(json.loads(built)), indent=2, ensure_ascii=False)
    target.write_text(f"{text}\n", "utf-8")


def _without_nulls(value: Any) -> Any:
    match value:
        case dict():
            return {key: _without_nulls(each) for key, each in value.items() if each is not None}
        case list():
            return [_without_nulls(each) for each in value]
        case _:
            return value


def _dashboard() -> dashboard.Dashboard:
    built = (
        dashboard.Dashboard("Is everything arriving?")
        .uid("loki-shipper-arrival")
        .description(
            "First whether lines arrive, then who sends how much, then what is refused and why. "
            "The metrics are in CloudWatch, so that they are there when Loki is not."
        )
        .tags(["loki-shipper"])
        .editable()
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .refresh("1m")
        .time("now-6h", "now")
        .timezone("browser")
        .with_variable(
            dashboard.DatasourceVariable("cloudwatch").label("CloudWatch").type("cloudwatch")
        )
        .with_variable(dashboard.DatasourceVariable("loki").label("Loki").type("loki"))
        .with_variable(_text("region", "Region", "default"))
        .with_variable(_text("stack", "Stack", "loki-shipper"))
        .link(
            dashboard.DashboardLink("Loki-Shipper")
            .type(DashboardLinkType.DASHBOARDS)
            .tags(["loki-shipper"])
            .keep_time(True)  # noqa: FBT003 - the SDK decides
        )
    )
    for title, panels in (
        ("Is everything arriving?", [*_arriving()]),
        ("Who sends how much?", [*_senders()]),
        ("What is refused, and why?", [*_refused()]),
    ):
        built = built.with_row(dashboard.Row(title))
        for panel in panels:
            built = built.with_panel(panel)
    return built


def _text(name: str, label: str, value: str) -> dashboard.TextBoxVariable:
    chosen = VariableOption(selected=True, text=value, value=value)
    return dashboard.TextBoxVariable(name).label(label).default_value(value).current(chosen)


def _arriving() -> Iterator[Builder[Panel]]:
    yield stat_panel(
        "Canary: seconds to Loki and back",
        Value("EndToEndSeconds", "seconds", "Maximum", "canary"),
        unit="s",
        bad_from=900,
    )
    yield stat_panel(
        "Canary: lines missing in Loki",
        Value("CanaryLinesMissing", "lines", "Minimum", "canary"),
    )
    yield stat_panel(
        "Audit: lines missing",
        Value("LinesMissing", "lines", "Maximum", "subscriber"),
        time_from="2d",
    )
    yield stat_panel(
        "Audit: log groups",
        Value("LogGroupsAudited", "log groups", "Maximum", "subscriber"),
        bad_from=None,
        time_from="2d",
    )
    yield stat_panel("Objects that wait in the bucket", Value("ObjectsLeft", "objects", "Maximum"))
    yield stat_panel(
        "Age of the oldest of them", Value("OldestAge", "age", "Maximum"), unit="s", bad_from=3600
    )
    yield stat_panel(
        "Log groups that no sweep had time for",
        Value("LogGroupsLeft", "log groups", "Maximum", "subscriber"),
    )
    yield stat_panel(
        "Full sweeps that were complete",
        Value("SweepsComplete", "sweeps", "Sum", "subscriber"),
        bad_from=None,
    )
    yield series_panel(
        "From CloudWatch Logs to Loki",
        "Lag is the age of lines at the time of their push. The canary also waits until Loki "
        "returns its line.",
        Value("EndToEndSeconds", "canary, until a query returns the line", "Maximum", "canary"),
        Value("Lag", "nine lines in ten", "p90"),
        Value("Lag", "all lines", "Maximum"),
        unit="s",
    )
    yield series_panel(
        "Lines received, and what became of them",
        "Those received are the sum of the others. The deferred wait in the bucket for their time.",
        Value("LinesReceived", "received"),
        Value("LinesDelivered", "delivered"),
        Value("LinesDropped", "dropped by a rule"),
        Value("LinesRejected", "rejected"),
        Value("LinesDeferred", "deferred"),
        Value("LinesErrored", "errored: retried, then in the bucket"),
    )
    yield filters_panel()
    yield loki_panel(
        "Canary: its lines in Loki",
        "Twelve an hour. Lines that a redriver brought count at their own time.",
        ("lines an hour", f'sum(count_over_time({_CANARY} |= `"sent"` [1h]))'),
        (
            "slowest, in seconds",
            f'max(max_over_time({_CANARY} | json | canary="arrived" | unwrap seconds [$__auto]))',
        ),
    )


def _senders() -> Iterator[Builder[Panel]]:
    yield loki_panel(
        "Lines by service",
        "",
        ("{{service_name}}", f"sum by (service_name) (count_over_time({LINES} [$__auto]))"),
    )
    yield loki_panel(
        "Bytes by service",
        "",
        ("{{service_name}}", f"sum by (service_name) (bytes_over_time({LINES} [$__auto]))"),
        unit="bytes",
    )
    yield largest_panel("log_group", "Largest log groups")
    yield largest_panel("account_id, region", "Accounts and Regions")


def _refused() -> Iterator[Builder[Panel]]:
    yield series_panel(
        "Lines that did not go to Loki",
        "Rejected lines are under rejected/ in the bucket with their reason.",
        Value("LinesRejected", "refused by Loki for good"),
        Value("LinesErrored", "not taken now"),
        Value("LinesDeferred", "too far in the future"),
        Value("LinesDropped", "dropped by a rule"),
        Value("RecordsUndecodable", "payloads that cannot be decoded"),
        Value("ObjectsSetAside", "objects that the redriver set aside"),
    )
    yield loki_panel(
        "Lines that came late, by log group",
        "They are in Loki, with the label late.",
        (
            "{{log_group}}",
            'sum by (log_group) (count_over_time({source="cloudwatch", late=~".+"} [$__auto]))',
        ),
    )
    yield series_panel(
        "Log groups and their filters",
        "",
        Value("LinkErrors", "could not be linked", "Sum", "subscriber"),
        Value("FirstLinesGivenUp", "first lines given up", "Sum", "subscriber"),
        Value("TagFailures", "calls for tags that failed"),
        Value("RulesUnread", "rules that could not be read"),
    )
    yield (
        logs.Panel()
        .title("Why: the shipper's own log")
        .description(
            "Warnings and errors: `rejected` and `errored` have the number of lines by reason. It "
            "is a query of CloudWatch Logs Insights, which AWS charges by what it scans."
        )
        .datasource(CLOUDWATCH)
        .span(12)
        .height(8)
        .show_time(True)  # noqa: FBT003 - the SDK decides
        .wrap_log_message(True)  # noqa: FBT003
        .enable_log_details(True)  # noqa: FBT003
        .with_target(
            cloudwatch.CloudWatchLogsQuery()
            .query_mode(CloudWatchQueryMode.LOGS)
            .id("")
            .region("$region")
            .log_group_names(["/aws/lambda/$stack-shipper"])
            .expression(_WHY)
            .ref_id("A")
            .datasource(CLOUDWATCH)
        )
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else _CLONE)
