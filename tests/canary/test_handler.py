"""The canary function with real parts: moto's CloudWatch Logs, the shipper, and a real Loki."""

import json
import time
import uuid
from collections.abc import Callable
from typing import Any

import boto3
import pytest

from loki_shipper.canary.handler import handle
from loki_shipper.canary.lines import Sent, encode_line
from loki_shipper.local.aws import ACCOUNT, LocalAws
from loki_shipper.local.find_loki import Running
from loki_shipper.local.loki import Loki
from loki_shipper.local.receiver import ScriptedAnswer
from loki_shipper.settings import settings
from loki_shipper.shipper.shipper import Shipper
from tests.cli.queries import queried
from tests.loki.asking import held

STACK = "ours"
FUNCTION = f"arn:aws:lambda:eu-central-1:{ACCOUNT}:function:ours-canary"
TEN_MINUTES = 600_000


class Context:
    """An invocation with so many ms left. The canary keeps 15 seconds of them for its end."""

    invoked_function_arn = FUNCTION

    def __init__(self, left: int = 60_000) -> None:
        self._left = left

    def get_remaining_time_in_millis(self) -> int:
        return self._left


type Written = Callable[[], list[dict[str, Any]]]
"""Reads the function's own log, line by line."""

AT_ONCE = Context(left=15_000)
"""An invocation that has no time to wait for its line."""


class Deployed:
    """The canary's log group and its function, and a filter that sends to the shipper."""

    def __init__(
        self, aws: LocalAws, url: str, tenant: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.group = f"/loki-shipper/{uuid.uuid4().hex}/canary"
        self.logs = aws.client("logs")
        self.environ = {"LOKI_URL": url, "LOKI_TENANT": tenant, "STACK": STACK}
        for name, value in (aws.environ | self.environ).items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("CANARY_LOG_GROUP", self.group)
        boto3.setup_default_session()
        aws.create_log_group(self.group, {})
        self.logs.create_log_stream(logGroupName=self.group, logStreamName="canary")
        shipper = Shipper(settings(aws.environ | self.environ), FUNCTION)
        self._shipper = aws.create_function(
            f"shipper-{uuid.uuid4().hex}", lambda event: shipper.deliver(event, lambda: 10.0)
        )
        self._aws = aws

    def link(self) -> None:
        """Put the filter that the template has."""
        self._aws.subscribe(self.group, self._shipper)

    def sent(self, run: str, ago: int) -> None:
        """Write the line of an earlier run, as many ms ago."""
        at = time.time_ns() // 1_000_000 - ago
        event = {"timestamp": at, "message": encode_line(Sent(run))}
        self.logs.put_log_events(logGroupName=self.group, logStreamName="canary", logEvents=[event])


@pytest.fixture
def deployed(
    aws: LocalAws, loki: Loki | Running, tenant: str, monkeypatch: pytest.MonkeyPatch
) -> Deployed:
    return Deployed(aws, loki.url, tenant, monkeypatch)


@pytest.fixture
def written(capsys: pytest.CaptureFixture[str]) -> Written:
    return lambda: [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_a_line_goes_through_cloudwatch_logs_and_the_shipper_to_loki_and_back(
    deployed: Deployed,
    written: Written,
    loki: Loki | Running,
    tenant: str,
) -> None:
    deployed.link()
    report = handle({}, Context())
    [journey] = report["arrived"]
    assert (report["missing"], report["fault"]) == (0, None)
    assert 0 <= journey["seconds"] < 30
    arrived, looked = written()
    assert (arrived["service"], arrived["stack"]) == ("canary", STACK)
    assert arrived["EndToEndSeconds"] == journey["seconds"]
    assert looked["CanaryLinesMissing"] == 0
    # Loki has both lines, so a dashboard shows the seconds without CloudWatch.
    in_loki = held(Running(loki.url), tenant, f'{{log_group="{deployed.group}"}}')
    assert [json.loads(line.line)["canary"] for line in in_loki] == ["sent", "arrived"]


def test_while_nothing_is_delivered_no_seconds_are_reported_and_lines_are_missing(
    deployed: Deployed, written: Written
) -> None:
    deployed.sent("before", ago=TEN_MINUTES)
    assert handle({}, AT_ONCE) == {"arrived": (), "missing": 1, "fault": None}
    [looked] = written()
    assert (looked["level"], looked["CanaryLinesMissing"]) == ("WARNING", 1)


def test_a_line_that_the_redriver_delivers_later_is_found_by_its_own_time(
    deployed: Deployed,
) -> None:
    deployed.link()
    deployed.sent("before", ago=TEN_MINUTES)
    report = handle({}, Context())
    late = next(each for each in report["arrived"] if each["run"] == "before")
    assert (report["missing"], round(late["seconds"] / 60)) == (0, 10)


def test_a_deleted_log_group_is_named(deployed: Deployed, written: Written) -> None:
    deployed.logs.delete_log_group(logGroupName=deployed.group)
    report = handle({}, Context())
    assert report["fault"] == "the log group: ResourceNotFoundException"
    [looked] = written()
    assert looked["CanaryLinesMissing"] == 1


def test_a_tag_that_changes_does_not_hide_the_lines_before(
    deployed: Deployed, aws: LocalAws
) -> None:
    deployed.link()
    deployed.sent("before", ago=TEN_MINUTES)
    arn = f"arn:aws:logs:{aws.region}:{ACCOUNT}:log-group:{deployed.group}"
    deployed.logs.tag_resource(resourceArn=arn, tags={"team": "shop"})
    assert handle({}, AT_ONCE)["missing"] == 0


@pytest.mark.parametrize(
    ("environ", "fault"),
    [
        ({"LOKI_READ_SECRET": "/no/such/parameter"}, "a secret that the settings refer to"),
        ({"TENANT_TAG": "team", "LOKI_TENANT": ""}, "has no tenant (no_tenant)"),
        ({"BUILTIN_LABELS": "none", "TAG_LABELS": "none"}, "has no labels"),
    ],
    ids=["secret", "tenant", "labels"],
)
def test_settings_with_which_loki_cannot_be_asked_are_named(
    deployed: Deployed,
    monkeypatch: pytest.MonkeyPatch,
    environ: dict[str, str],
    fault: str,
) -> None:
    deployed.link()
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    report = handle({}, Context())
    assert (report["missing"], fault in report["fault"]) == (1, True)


@pytest.mark.usefixtures("deployed")
def test_it_reads_with_the_url_and_the_credentials_for_reading(
    aws: LocalAws, monkeypatch: pytest.MonkeyPatch
) -> None:
    aws.client("ssm").put_parameter(
        Name="/loki/read", Value='{"token": "reads"}', Type="SecureString"
    )
    came: list[Any] = []
    with queried([ScriptedAnswer(200, b'{"data": {"result": []}}')], came) as url:
        monkeypatch.setenv("LOKI_READ_URL", url)
        monkeypatch.setenv("LOKI_READ_SECRET", "/loki/read")
        assert handle({}, AT_ONCE)["fault"] is None
    assert came[0]["Authorization"] == "Bearer reads"
