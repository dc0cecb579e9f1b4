"""The function logs the report of a run."""

import json

import pytest
from msgspec import structs

from loki_shipper.subscriber.buckets.link import BucketFailed
from loki_shipper.subscriber.filters.apply import Failed
from loki_shipper.subscriber.invocation import _record, _returned
from loki_shipper.subscriber.run.report import BucketsReport, RunReport
from tests.conftest import SWEEP
from tests.subscriber.fake_aws import configured

OF_BUCKET = BucketFailed("my-logs", "InvalidArgument", "overlap", "link")


@pytest.mark.parametrize(
    ("report", "level"),
    [
        (SWEEP, "INFO"),
        (structs.replace(SWEEP, given_up=["/app/a"]), "WARNING"),
        (structs.replace(SWEEP, behind=["/app/a"]), "WARNING"),
        (structs.replace(SWEEP, left=1), "WARNING"),
        (structs.replace(SWEEP, failed=[Failed("/app/a", "AccessDenied")]), "WARNING"),
        (structs.replace(SWEEP, buckets=BucketsReport(failed=[OF_BUCKET])), "WARNING"),
    ],
    ids=["all well", "given up", "behind", "left", "failed", "failed bucket"],
)
def test_logs_a_warning_if_anything_failed_or_is_left(
    report: RunReport, level: str, capsys: pytest.CaptureFixture[str]
) -> None:
    _record(report, configured())
    [said] = map(json.loads, capsys.readouterr().out.splitlines())
    assert (said["level"], said["message"]) == (level, "linked")
    assert said["report"]["given_up"] == report.given_up
    assert said["FirstLinesGivenUp"] == len(report.given_up)


def test_a_report_with_failures_can_be_returned_to_lambda() -> None:
    report = structs.replace(
        SWEEP,
        failed=[Failed("/app/a", "AccessDenied")],
        buckets=BucketsReport(failed=[OF_BUCKET]),
    )
    returned = json.loads(json.dumps(_returned(report)))
    assert returned["failed"][0]["group"] == "/app/a"
    assert returned["buckets"]["failed"][0]["bucket"] == "my-logs"


def test_metrics_carry_the_stack(capsys: pytest.CaptureFixture[str]) -> None:
    _record(SWEEP, structs.replace(configured(), stack="other"))
    [measured] = map(json.loads, capsys.readouterr().out.splitlines())
    assert (measured["service"], measured["stack"]) == ("subscriber", "other")
