"""The lines of a new log group pass both functions and arrive in a real Loki."""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from loki_shipper.aws.paced_calls import PacedCalls
from loki_shipper.clock import Clock
from loki_shipper.local.find_loki import Running
from loki_shipper.local.loki import Loki
from loki_shipper.local.runtime_api import ExecutionEnvironment, Response, run_execution_environment
from loki_shipper.subscriber.aws import SubscriberAws
from loki_shipper.subscriber.clients import SubscriberClients
from loki_shipper.subscriber.request import GroupsChanged, request
from loki_shipper.subscriber.respond import respond
from loki_shipper.subscriber.run.dependencies import SubscriberDependencies
from loki_shipper.subscriber.run.report import RunReport
from loki_shipper.subscriber.settings import settings
from tests.local_deployment import REGION, Deployment, Skipping, deployed
from tests.loki.asking import held
from tests.moto_gaps import real_event_ids

GROUP = "/aws/lambda/checkout"


class Shipper:
    """The shipper in its sandbox, which takes one event at a time."""

    def __init__(self, environment: ExecutionEnvironment) -> None:
        self._sandbox = environment
        self._lock = threading.Lock()
        self.lines = 0

    def __call__(self, event: dict[str, Any]) -> None:
        with self._lock:
            result = self._sandbox.invoke(event)
            assert isinstance(result, Response), result
            self.lines += result.payload["delivered"]


@pytest.fixture
def here(
    loki: Loki | Running, tenant: str
) -> Iterator[tuple[Deployment, Shipper, ExecutionEnvironment]]:
    """A deployment whose functions run as on Lambda."""
    with ExitStack() as stack:
        stack.enter_context(real_event_ids())
        shipping: list[Shipper] = []

        def deliver(event: dict[str, Any]) -> None:
            shipping[0](event)

        here = stack.enter_context(deployed(deliver))
        here.make_stack()
        for_both = {**here.aws.environ, "BUCKET": here.bucket}
        to_loki = {"LOKI_URL": loki.url, "LOKI_TENANT": tenant}
        ships = run_execution_environment(
            "loki_shipper.shipper.handler.handle", env={**for_both, **to_loki}
        )
        shipping.append(Shipper(stack.enter_context(ships)))
        links = run_execution_environment(
            "loki_shipper.subscriber.handler.handle", env={**for_both, **here.environ}
        )
        yield here, shipping[0], stack.enter_context(links)


def created(group: str) -> dict[str, Any]:
    return {
        "source": "aws.logs",
        "detail-type": "AWS API Call via CloudTrail",
        "region": REGION,
        "detail": {
            "eventSource": "logs.amazonaws.com",
            "eventName": "CreateLogGroup",
            "requestParameters": {"logGroupName": group},
        },
    }


def follow(here: Deployment, event: dict[str, Any], clock: Clock) -> RunReport:
    """Do what the function does with an event, on another clock."""
    names = ("logs", "resourcegroupstaggingapi", "s3", "lambda", "sqs", "events")
    clients = SubscriberClients(*map(here.aws.client, names))
    configured = settings(here.environ)
    pace = PacedCalls(
        clock=lambda: clock.now() / 1000,
        sleep=clock.sleep,
        remaining=clock.remaining,
        jitter=lambda _: 0.0,
    )
    asked = request(event)
    assert isinstance(asked, GroupsChanged)
    return respond(
        asked, SubscriberDependencies(SubscriberAws(clients, configured, pace), configured, clock)
    )


def test_every_line_of_a_new_log_group_is_in_loki_once(
    here: tuple[Deployment, Shipper, ExecutionEnvironment], loki: Loki | Running, tenant: str
) -> None:
    deployment, shipper, subscriber = here
    deployment.group(GROUP, team="payments")
    first = [f"before the filter, {number}" for number in range(20)]
    for log_stream in ("a", "b"):
        deployment.aws.put_lines(GROUP, log_stream, [f"{log_stream} {line}" for line in first])

    once = iter(["read back and delivered"])

    def meanwhile() -> None:
        if deployment.linked and (lines := list(once)):
            deployment.aws.put_lines(GROUP, "a", lines)

    # Nobody waits for the minute that a filter takes, but somebody logs in it.
    report = follow(deployment, created(GROUP), Skipping(before_sleep=meanwhile).clock)
    assert (report.put, report.caught_up) == (1, 41)
    deployment.aws.put_lines(GROUP, "a", ["after the filter"])
    # CloudTrail may tell of it twice.
    again = subscriber.invoke(created(GROUP), deadline_ms=120_000)
    assert isinstance(again, Response), again
    assert again.payload["caught_up"] == 0

    assert shipper.lines == 20 + 20 + 2 + 1
    expected = [f"{log_stream} {line}" for log_stream in ("a", "b") for line in first]
    expected += ["read back and delivered", "after the filter"]
    found = held(loki, tenant, '{team="payments"}')
    assert Counter(line.line for line in found) == dict.fromkeys(expected, 1)


def test_the_function_writes_its_metrics(
    here: tuple[Deployment, Shipper, ExecutionEnvironment],
) -> None:
    deployment, _, subscriber = here
    deployment.group("/ecs/a")
    result = subscriber.invoke({"action": "sweep"}, deadline_ms=120_000)
    assert isinstance(result, Response), result
    [measured] = [line for line in subscriber.log_lines if "SweepsComplete" in line]
    for name in ("LogGroupsSeen", "LogGroupsLinked", "LogGroupsSkippedNotIncluded", "LinkErrors"):
        assert name in measured


def test_the_function_ignores_events_that_change_nothing(
    here: tuple[Deployment, Shipper, ExecutionEnvironment],
) -> None:
    _, _, subscriber = here
    event = created(GROUP)
    event["detail"]["errorCode"] = "AccessDenied"
    assert subscriber.invoke(event) == Response({})
