"""What the function says of a run in its own log."""

import json

import pytest
from msgspec import structs

from loki_shipper.subscriber.apply import Failed
from loki_shipper.subscriber.invocation import _record
from loki_shipper.subscriber.tally import Report
from tests.conftest import SWEEP
from tests.subscriber.fake_aws import configured


@pytest.mark.parametrize(
    ("report", "level"),
    [
        (SWEEP, "INFO"),
        (structs.replace(SWEEP, given_up=["/app/a"]), "WARNING"),
        (structs.replace(SWEEP, behind=["/app/a"]), "WARNING"),
        (structs.replace(SWEEP, left=1), "WARNING"),
        (structs.replace(SWEEP, failed=[Failed("/app/a", "AccessDenied")]), "WARNING"),
    ],
    ids=["all well", "given up", "behind", "left", "failed"],
)
def test_warns_of_what_did_not_go_well(
    report: Report,
    level: str,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    _record(report, configured())
    [said] = caplog.records
    assert (said.levelname, said.message) == (level, "linked")
    assert said.__dict__["report"]["given_up"] == report.given_up
    printed = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    [measured] = [record for record in printed if "_aws" in record]
    assert measured["FirstLinesGivenUp"] == [len(report.given_up)]


def test_measures_for_its_own_stack(capsys: pytest.CaptureFixture[str]) -> None:
    _record(SWEEP, structs.replace(configured(), stack="other"))
    printed = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    [measured] = [record for record in printed if "_aws" in record]
    assert (measured["service"], measured["stack"]) == ("subscriber", "other")
