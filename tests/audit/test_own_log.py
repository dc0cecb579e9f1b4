"""The functions' own logs are added up by Logs Insights, on moto with what it lacks."""

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from loki_shipper.audit.model import LoggedCount, OwnLog, Window
from loki_shipper.audit.own_log import FunctionLogs, InsightsCalls, read_own_log
from loki_shipper.aws.errors import AwsError
from loki_shipper.local.aws import LocalAws, run_aws
from tests.moto_insights import insights

H = int(time.time() // 3600) - 31
"""The first hour. Moto refuses log events that are older than 14 days."""

WINDOW = Window(H, H + 24, H + 31)
LOGS = FunctionLogs(("/shipper", "/kinesis"), ("/redriver",))


class Logs:
    """The logs of three functions."""

    def __init__(self, aws: LocalAws) -> None:
        self._client = aws.client("logs")
        for name in (*LOGS.shippers, *LOGS.redrivers):
            aws.create_log_group(name, {})
            self._client.create_log_stream(logGroupName=name, logStreamName="s")

    def write(self, function: str, at: int, text: str = "", **count: Any) -> None:
        counted = {"account": "1", **count}
        line = text or json.dumps({"message": "shipped", "received": 99, "hourly": counted})
        self._client.put_log_events(
            logGroupName=function,
            logStreamName="s",
            logEvents=[{"timestamp": at * 3_600_000 + 1, "message": line}],
        )

    def read(self, *, with_reasons: bool = False) -> dict[str, OwnLog]:
        calls = InsightsCalls(
            self._client.start_query, self._client.get_query_results, lambda _: None
        )
        return read_own_log(LOGS, "1", WINDOW, calls, with_reasons=with_reasons)


@pytest.fixture
def logs() -> Iterator[Logs]:
    with run_aws() as aws, insights():
        yield Logs(aws)


def test_counts_are_added_up_by_log_group_and_both_hours(logs: Logs) -> None:
    for hour in (H + 1, H + 1, H):
        logs.write("/shipper", H + 1, log_group="/a", hour=hour, received=2, entries=3)
    logs.write("/kinesis", H + 1, log_group="/a", hour=H + 1, received=1, dropped=1)
    logs.write("/redriver", H + 2, log_group="/a", hour=H + 1, delivered=4)
    logs.write("/shipper", H + 1, text="START RequestId: 1")
    shared = {"log_group": "/a", "hour": H + 1}
    found = logs.read()["/a"]
    assert sorted(found.counts, key=lambda each: (each.at, each.hour)) == [
        LoggedCount(by="shipper", log_group="/a", at=H + 1, hour=H, received=2, entries=3),
        LoggedCount(by="shipper", at=H + 1, received=5, entries=6, dropped=1, **shared),  # type: ignore[arg-type]
        LoggedCount(by="redriver", at=H + 2, delivered=4, **shared),  # type: ignore[arg-type]
    ]
    assert found.counts_from == H + 1


def test_an_answer_without_the_sums_is_an_error_of_aws() -> None:
    with run_aws() as aws:
        logs = Logs(aws)
        logs.write("/shipper", H + 1, log_group="/a", hour=H + 1, received=1)
        with pytest.raises(AwsError, match="without the sums") as raised:
            logs.read()
    assert raised.value.code == "NoSumsInAnswer"


def test_a_log_group_without_lines_has_the_first_hour_of_all_counts(logs: Logs) -> None:
    logs.write("/shipper", H + 1, log_group="/a", hour=H + 1, received=1)
    logs.write("/shipper", H + 1, account="", log_group="", hour=H + 1, received=7)
    assert logs.read()[""] == OwnLog((), H + 1, {}, unnamed=7)


def test_a_log_group_of_another_account_is_another_one(logs: Logs) -> None:
    reasons = {"dropped/health": 2}
    logs.write("/kinesis", H + 1, log_group="/a", hour=H + 1, received=3)
    logs.write(
        *("/kinesis", H + 1), account="2", log_group="/a", hour=H + 1, dropped=2, reasons=reasons
    )
    found = logs.read(with_reasons=True)["/a"]
    assert [each.received for each in found.counts] == [3]
    assert found.reasons == {}


def test_without_counts_there_is_no_first_hour(logs: Logs) -> None:
    assert logs.read() == {"": OwnLog()}


def test_a_time_with_too_many_rows_is_divided(logs: Logs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("loki_shipper.audit.own_log._MOST", 3)
    for hour in range(H, H + 10):
        logs.write("/shipper", hour, log_group="/a", hour=hour, received=1)
    with insights(most=3) as queries:
        found = logs.read()["/a"]
    assert sum(each.received for each in found.counts) == 10
    assert len(queries) < 25


def test_reasons_are_read_if_they_are_wanted(logs: Logs) -> None:
    reasons = {"dropped/health": 2, "rejected/too_old": 1}
    logs.write(
        "/shipper", H + 1, log_group="/a", hour=H + 1, received=3, dropped=2, reasons=reasons
    )
    logs.write("/shipper", H + 1, log_group="/a", hour=H + 1, received=3)
    assert logs.read()["/a"].reasons == {}
    assert logs.read(with_reasons=True)["/a"].reasons == reasons


@pytest.mark.parametrize("status", ["Failed", "Cancelled", "Timeout", "Unknown"])
def test_a_query_that_fails_is_an_error(status: str) -> None:
    calls = InsightsCalls(
        lambda **_: {"queryId": "1"}, lambda **_: {"status": status}, lambda _: None
    )
    with pytest.raises(AwsError, match="a query of Logs Insights failed"):
        read_own_log(LOGS, "1", WINDOW, calls, with_reasons=False)


def test_a_running_query_is_asked_again() -> None:
    states = iter(["Scheduled", "Running", "Running", *["Complete"] * 2])
    waited: list[float] = []
    calls = InsightsCalls(
        lambda **_: {"queryId": "1"},
        lambda **_: {"status": next(states), "results": []},
        waited.append,
    )
    assert read_own_log(LOGS, "1", WINDOW, calls, with_reasons=False) == {"": OwnLog()}
    assert waited == [0.5, 0.75, 1.125]
