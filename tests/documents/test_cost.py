"""The figures of docs/cost.md follow from its prices, the template and the functions' metrics."""

import re
from pathlib import Path

import pytest

from loki_shipper import prices
from loki_shipper.deployment import cost
from loki_shipper.deployment.cost_of_log_files import TEXT_BYTES, log_files_cost
from loki_shipper.template import read_template
from tools.bench.accounts import nearest
from tools.bench.cost import seconds
from tools.bench.published import published

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs/cost.md").read_text("utf-8")
ALARMS = [
    each["Properties"]
    for each in read_template(ROOT / "template.yaml")["Resources"].values()
    if each["Type"] == "AWS::CloudWatch::Alarm"
    and each["Condition"] not in {"AlarmsOfKinesis", "AlarmsOfCanary", "AlarmsOfLogFiles"}
]
LINE_BYTES = 200
MEASURED = published(ROOT).measured
PAGES = {
    "https://aws.amazon.com/lambda/pricing/": "Lambda",
    "https://aws.amazon.com/cloudwatch/pricing/": "CloudWatch",
    "https://aws.amazon.com/s3/pricing/": "S3",
    "https://aws.amazon.com/ec2/pricing/on-demand/": "EC2, data transfer",
    "https://aws.amazon.com/secrets-manager/pricing/": "Secrets Manager",
}
PUSHED = {10: 960, 100: 6_247, 1_000: 59_381}
"""Bytes of a push's body, measured with the benchmark's lines."""
OVERHEAD = 500


def table(name: str) -> list[list[str]]:
    [part] = re.findall(rf"<!-- {name} -->\n(.*?)<!-- /{name} -->", TEXT, re.DOTALL)
    return [[cell.strip() for cell in line[1:-1].split("|")] for line in part.splitlines()[2:]]


PRICES = {what: float(dollars) for what, dollars, *_ in table("prices")}


def accounts() -> list[tuple[float, int, int]]:
    """Give GB a month, log events of an invocation, and linked log groups of each account."""
    gb, events, groups = (
        [cell.replace(",", "") for cell in row[1:]] for row in table("accounts")[:3]
    )
    return [(float(g), int(e), int(n)) for g, e, n in zip(gb, events, groups, strict=True)]


def expected(gb: float, events: int, groups: int, metrics: int) -> dict[str, float]:
    """Work out a month in dollars."""
    invocations = gb * 1e9 / LINE_BYTES / events
    warm = nearest(events, MEASURED)
    queries = sum("Metrics" in alarm for alarm in ALARMS)
    found = {
        "Lambda": invocations
        * (
            PRICES["Lambda: a request"]
            + seconds(warm, 256) / 4 * PRICES["Lambda: a GB-second, arm64"]
        ),
        "the shipper's own log": invocations
        * (warm.log_bytes + 300)
        / 1e9
        * PRICES["CloudWatch Logs: a GB"],
        "data transfer out": invocations
        * (PUSHED[events] + OVERHEAD)
        / 1e9
        * PRICES["data transfer out: a GB"],
        "metrics": metrics * PRICES["CloudWatch: a metric"],
        "alarms on one metric": (len(ALARMS) - queries) * PRICES["CloudWatch: an alarm's metric"],
        "alarms on all filters": queries * groups * PRICES["CloudWatch: an alarm's metric"],
        "dashboard": PRICES["CloudWatch: a dashboard"],
        "secret": PRICES["Secrets Manager: a secret"],
    }
    # What the table shows are cents, and its sums are of what it shows.
    return found | {"total": sum(round(dollars, 2) for dollars in found.values())}


@pytest.fixture
def metrics(measured: set[tuple[str, str, str]]) -> int:
    """Count the metrics of a stack without a canary and without log files."""
    own = {(service, name) for space, service, name in measured if space == "LokiShipper"}
    of_log_files = {each for each in own if each[1].startswith("LogFiles")}
    return len({each for each in own - of_log_files if each[0] != "canary"})


def test_it_counts_the_metrics_and_alarms_that_the_stack_makes(metrics: int) -> None:
    queries = sum("Metrics" in alarm for alarm in ALARMS)
    assert f"{metrics} metrics" in TEXT
    assert f"{len(ALARMS)} alarms" in TEXT
    assert f"{len(ALARMS) - queries} of them look at one metric" in TEXT


def test_a_month_of_three_accounts_follows_from_the_prices(metrics: int) -> None:
    rows = {row[0].strip("*"): row[1:] for row in table("accounts")[3:]}
    for place, (gb, events, groups) in enumerate(accounts()):
        figures = expected(gb, events, groups, metrics)
        told = {name: row[place].strip("*") for name, row in rows.items()}
        assert told == {
            **{name: f"{dollars:,.2f}" for name, dollars in figures.items()},
            "a GB": f"{figures['total'] / gb:,.2f}",
            "a GB, without alarms": f"{_without_alarms(figures) / gb:,.2f}",
        }


def _without_alarms(figures: dict[str, float]) -> float:
    return sum(
        round(dollars, 2)
        for name, dollars in figures.items()
        if name != "total" and not name.startswith("alarms")
    )


def test_prices_have_a_region_a_source_and_a_date() -> None:
    assert "us-east-1" in TEXT
    for each in prices.ALL:
        assert each.page.startswith("https://aws.amazon.com/"), each.what
        assert re.fullmatch(r"2026-\d\d-\d\d", each.as_of), each.what


def test_the_table_has_the_prices_of_the_price_file() -> None:
    told = [(what, float(dollars), page, date) for what, dollars, page, date in table("prices")]
    assert told == [
        (each.what, round(each.dollars, 12), f"[{PAGES[each.page]}]({each.page})", each.as_of)
        for each in prices.ALL
    ]


def test_the_estimate_of_deploy_has_the_same_metrics_and_figures(metrics: int) -> None:
    assert metrics == cost.METRICS
    assert f"{cost.PUSHED_BYTES:.0%}".replace("%", " %") in TEXT
    for events, body in PUSHED.items():
        estimated = events * LINE_BYTES * cost.PUSHED_BYTES + cost.PUSH_OVERHEAD_BYTES
        assert estimated == pytest.approx(body + OVERHEAD, rel=0.05)
    for events, processor in cost.PROCESSOR_SECONDS.items():
        # Runs of the benchmark differ by more than this.
        assert processor == pytest.approx(nearest(events, MEASURED).cpu, rel=0.05)
    warm = nearest(cost.EVENTS_OF_INVOCATION, MEASURED)
    assert pytest.approx(warm.log_bytes + 300, abs=50) == cost.OWN_LOG_BYTES


def test_a_gb_of_log_files_follows_from_the_prices() -> None:
    rows = {row[0].strip("*"): [float(cell.strip("*")) for cell in row[1:]] for row in log_files()}
    groups = expected(100, 100, 0, 0)
    files = log_files_cost(100, round(1e9 / TEXT_BYTES))
    assert rows["delivery by AWS"] == [
        PRICES["CloudWatch Logs: a GB"],
        PRICES["CloudWatch: a GB of vended logs to S3"],
        0,
    ]
    assert rows["Lambda, S3 and the function's own log"] == [
        round((groups["Lambda"] + groups["the shipper's own log"]) / 100, 3),
        *[round(files.services, 3)] * 2,
    ]
    assert rows["data transfer out"] == [
        round(groups["data transfer out"] / 100, 3),
        *[round(files.transfer, 3)] * 2,
    ]
    sums = [sum(column) for column in zip(*[*rows.values()][:-1], strict=True)]
    assert rows["a GB"] == pytest.approx(sums)


def log_files() -> list[list[str]]:
    return table("log files")


def test_a_million_small_log_files_cost_two_dollars_at_most() -> None:
    assert round(log_files_cost(1_000_000, 0).services) == 2
