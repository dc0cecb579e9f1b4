"""`loki-shipper status` joins filters, labels and what CloudWatch measured."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from loki_shipper.cli.filter_metrics import Delivery, delivery, policy_delivery
from loki_shipper.cli.status import rows
from loki_shipper.subscriber.request import Sweep
from loki_shipper.subscriber.respond import respond
from tests.local_deployment import NAME, Deployment, Skipping, deployed
from tests.subscriber.fake_aws import FakeAws, configured


@pytest.fixture
def here() -> Iterator[Deployment]:
    with deployed() as here:
        here.make_stack()
        here.group("/aws/lambda/a", team="payments")
        here.group("/aws/lambda/b", foreign=2)
        here.group("/ecs/c")
        yield here


def measure(here: Deployment, group: str, minutes: int, **values: int) -> None:
    when = datetime.now(UTC) - timedelta(minutes=minutes)
    dimensions = {"LogGroupName": group, "DestinationType": "Lambda", "FilterName": NAME}
    here.aws.client("cloudwatch").put_metric_data(
        Namespace="AWS/Logs",
        MetricData=[
            {
                "MetricName": name,
                "Dimensions": [{"Name": k, "Value": v} for k, v in dimensions.items()],
                "Timestamp": when,
                "Value": value,
            }
            for name, value in values.items()
        ],
    )


def test_shows_what_is_linked_and_what_should_be(here: Deployment) -> None:
    here.run("link", "--all")
    measure(here, "/aws/lambda/a", 90, ForwardedLogEvents=5, DeliveryErrors=2)
    measure(here, "/aws/lambda/a", 30, ForwardedLogEvents=7, DeliveryThrottling=1)
    result = here.run("status", "--json")
    assert result.exit_code == 0, result.output
    linked, full = json.loads(result.stdout)
    assert (linked["log_group"], linked["linked"], linked["note"]) == ("/aws/lambda/a", True, "")
    assert linked["labels"] == {"service_name": "a", "team": "payments"}
    assert (linked["lines"], linked["errors"], linked["throttled"]) == (12, 2, 1)
    ago = datetime.now(UTC) - datetime.fromisoformat(linked["last"])
    assert timedelta(minutes=20) <= ago <= timedelta(minutes=35)
    assert (full["log_group"], full["linked"]) == ("/aws/lambda/b", False)
    assert full["note"] == "all its places are taken by other filters: foreign-0, foreign-1"


def test_its_table_fits_the_terminal(here: Deployment) -> None:
    here.run("link", "--all")
    lines = here.run("status").stdout.splitlines()
    assert lines[0].split() == ["log", "group", "linked", "last", "lines", "errors", "labels"]
    assert any(line.startswith("/aws/lambda/a ") and "ago" in line for line in lines)


def test_watches_until_it_is_stopped(here: Deployment) -> None:
    looks = []

    def stop() -> None:
        looks.append(1)
        if len(looks) > 3:
            raise KeyboardInterrupt

    here.run("link", "--all")
    result = here.run("status", "--watch", clock=Skipping(before_sleep=stop).clock)
    assert result.exit_code == 130
    assert "/aws/lambda/a" in result.stdout


def test_reads_many_log_groups_in_few_calls_and_all_pages() -> None:
    asked: list[dict[str, Any]] = []
    when = datetime(2026, 11, 20, 12, tzinfo=UTC)

    def get_metric_data(**given: Any) -> Any:
        asked.append(given)
        names = [
            query["Id"]
            for query in given["MetricDataQueries"]
            if query["MetricStat"]["Metric"]["MetricName"] == "ForwardedLogEvents"
        ]
        first = "NextToken" not in given
        found = names[:1] if first else names[1:]
        results = [{"Id": name, "Timestamps": [when], "Values": [3.0]} for name in found]
        return {"MetricDataResults": results, **({"NextToken": "more"} if first else {})}

    groups = [f"/aws/lambda/{number}" for number in range(150)]
    found = delivery(groups, NAME, 1_795_000_000_000, get_metric_data=get_metric_data)
    last = int(when.timestamp() * 1000) + 300_000
    assert found == dict.fromkeys(groups, Delivery(last, lines=3))
    assert len(asked) == 4
    assert max(len(each["MetricDataQueries"]) for each in asked) <= 500


@pytest.mark.parametrize("stack", ["ours", None])
def test_shows_what_the_shipper_received_under_an_account_policy(stack: str | None) -> None:
    """CloudWatch Logs measures filters by log group only."""
    with deployed() as here:
        when = datetime.now(UTC) - timedelta(minutes=30)
        cloudwatch = here.aws.client("cloudwatch")
        own = {"service": "loki-shipper"} | ({} if stack is None else {"stack": stack})
        name_of_function = f"shipper-of-{stack}"
        function = {"FunctionName": name_of_function}
        for namespace, name, dimensions, value in (
            ("LokiShipper", "LinesReceived", own, 7),
            ("LokiShipper", "LinesReceived", {**own, "stack": "another"}, 100),
            ("AWS/Lambda", "Errors", function, 2),
            ("AWS/Lambda", "Throttles", function, 1),
            ("AWS/Lambda", "Errors", {"FunctionName": "another"}, 100),
        ):
            cloudwatch.put_metric_data(
                Namespace=namespace,
                MetricData=[
                    {
                        "MetricName": name,
                        "Dimensions": [{"Name": k, "Value": v} for k, v in dimensions.items()],
                        "Timestamp": when,
                        "Value": value,
                    }
                ],
            )
        now = int(datetime.now(UTC).timestamp() * 1000)
        found = policy_delivery(
            name_of_function, stack, now, get_metric_data=cloudwatch.get_metric_data
        )
        assert (found.lines, found.errors, found.throttled) == (7, 2, 1)
        assert found.last is not None
        assert timedelta(minutes=20) <= timedelta(milliseconds=now - found.last)


def test_the_account_policy_has_a_row_with_its_deliveries() -> None:
    fake = FakeAws()
    when = datetime.fromtimestamp(fake.time, UTC)
    lines = {"Id": "m0", "Timestamps": [when], "Values": [7.0]}

    class Session:
        def client(self, name: str) -> Any:
            assert name == "cloudwatch"
            return self

        def get_metric_data(self, **_: Any) -> Any:
            return {"MetricDataResults": [lines]}

    settings = configured(link_mode="account", stack=NAME)
    respond(Sweep(), fake.dependencies(settings))
    deployment: Any = SimpleNamespace(deps=fake.dependencies(settings), client=Session().client)
    [row] = rows(deployment)
    assert (row.linked, row.delivery.lines) == (True, 7)
    assert row.delivery.last is not None
