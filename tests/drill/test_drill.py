"""The drill of docs/operating.md: Loki is down for two hours, and recovery needs no action.

The time is simulated, Loki is real: it decides what is too far behind, and what it holds counts.
"""

from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cfnlint.decode import decode  # type: ignore[import-untyped]  # it ships no types

from loki_shipper.local.loki import Loki
from loki_shipper.local.query_loki import query_range
from tests.drill.cloud import MINUTE, alarmed
from tests.drill.drill import HOUR, Drill

TEMPLATE = Path(__file__).parents[2] / "template.yaml"


@pytest.fixture(scope="module")
def alarms() -> dict[str, dict[str, Any]]:
    template, faults = decode(str(TEMPLATE))
    assert faults == []
    resources: dict[str, dict[str, Any]] = template["Resources"]
    return {
        name: resource["Properties"]
        for name, resource in resources.items()
        if resource["Type"] == "AWS::CloudWatch::Alarm"
    }


def held(loki: Loki, tenant: str, drill: Drill) -> Counter[tuple[str, str]]:
    lines = query_range(
        loki.url,
        '{team="shop"}',
        start_ns=int((drill.start - HOUR).timestamp() * 1e9),
        end_ns=int((drill.end + HOUR).timestamp() * 1e9),
        tenant=tenant,
        limit=5_000,
    )
    return Counter((line.labels["log_group"], line.line) for line in lines)


def test_after_two_hours_without_loki_every_line_is_there_once_and_alarms_were_raised(
    stock_loki: Loki, tenant: str, alarms: dict[str, dict[str, Any]]
) -> None:
    drill = Drill(stock_loki, tenant)
    drill.run()
    assert {key.partition("/")[0] for key in drill.cloud.bucket.objects} <= {"redriver"}
    assert len(drill.sent) == drill.sent.total() > 400
    assert held(stock_loki, tenant, drill) == drill.sent

    series = drill.cloud.series
    told = {name: alarmed(alarm, series, drill.start, drill.end) for name, alarm in alarms.items()}
    told.pop("NotSwept")  # there is no subscriber in this drill
    assert {name for name, minutes in told.items() if minutes} == {"NotDelivered", "NotRedriven"}
    assert drill.down < told["NotDelivered"][0] <= drill.down + 10 * MINUTE
    assert drill.down + HOUR < told["NotRedriven"][0] <= drill.down + HOUR + 15 * MINUTE
    assert max(told["NotDelivered"][-1], told["NotRedriven"][-1]) <= drill.up_again + 15 * MINUTE
    late = sum(value for _, value in series["LokiShipper", "LinesLate"])
    assert late > 0, "Loki was not down for long enough to need the late stream"


def test_without_an_outage_no_alarm_is_raised(
    stock_loki: Loki, tenant: str, alarms: dict[str, dict[str, Any]]
) -> None:
    drill = Drill(stock_loki, tenant)
    drill.down = drill.up_again = drill.end + timedelta(days=1)
    drill.run()
    assert held(stock_loki, tenant, drill) == drill.sent
    series = drill.cloud.series
    told = {name: alarmed(alarm, series, drill.start, drill.end) for name, alarm in alarms.items()}
    assert {name for name, minutes in told.items() if minutes} <= {"NotSwept"}
