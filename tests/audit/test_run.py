"""An audit of 13,000 log groups stays within the limits of AWS's APIs."""

from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from loki_shipper.audit.bucket import StoredObjectCalls
from loki_shipper.audit.loki import LokiQueries, LokiReply
from loki_shipper.audit.model import AuditedGroup, NotRead
from loki_shipper.audit.own_log import SUMS, FunctionLogs, InsightsCalls
from loki_shipper.audit.run import AuditCalls, AuditVolume, audit, audit_window, estimate
from loki_shipper.aws.errors import AwsError
from loki_shipper.aws.paced_calls import PER_SECOND

HOUR_MS = 3_600_000
NOW = 495_000 * HOUR_MS + HOUR_MS // 2
WINDOW = audit_window(NOW, 24)
LINES = 7
"""Lines of a log group in each hour."""


class Account:
    """An account with healthy log groups, of which each logs in every hour."""

    def __init__(self, groups: int) -> None:
        self.groups = [AuditedGroup(f"/ecs/service-{number}", 0) for number in range(groups)]
        self.requests = Counter[str]()
        self._queries: list[dict[str, Any]] = []

    def calls(self) -> AuditCalls:
        return AuditCalls(
            self._get_metric_data,
            InsightsCalls(self._start_query, self._get_query_results, lambda _: None),
            StoredObjectCalls(lambda _: iter(()), lambda _: []),
            LokiQueries(self._ask, lambda _: None, "log_group", (), 1),
            FunctionLogs(("/shipper",), ("/redriver",)),
            "ours",
            "1",
        )

    def _get_metric_data(self, **request: Any) -> dict[str, Any]:
        self.requests["GetMetricData"] += 1
        assert len(request["MetricDataQueries"]) <= 500
        start, end = (int(request[k].timestamp()) // 3600 for k in ("StartTime", "EndTime"))
        assert len(request["MetricDataQueries"]) * (end - start) <= 100_800
        times = [datetime.fromtimestamp(hour * 3600, UTC) for hour in range(start, end)]
        return {
            "MetricDataResults": [
                {"Id": query["Id"], "Timestamps": times, "Values": [float(LINES)] * len(times)}
                for query in request["MetricDataQueries"]
            ]
        }

    def _start_query(self, **request: Any) -> dict[str, Any]:
        self.requests["StartQuery"] += 1
        self._queries.append(request)
        return {"queryId": str(len(self._queries) - 1)}

    def _get_query_results(self, **request: Any) -> dict[str, Any]:
        self.requests["GetQueryResults"] += 1
        query = self._queries[int(request["queryId"])]
        rows: list[Any] = []
        if query["queryString"] == SUMS and query["logGroupNames"] == ["/shipper"]:
            # Each log group logs at the minute of its number.
            for minute in range(-(-query["startTime"] // 60), query["endTime"] // 60 + 1):
                for number in range(minute % 60, len(self.groups), 60):
                    rows.append(self._row(self.groups[number].name, minute // 60))
                    if len(rows) == query["limit"]:
                        return {"status": "Complete", "results": rows}
        return {"status": "Complete", "results": rows}

    def _row(self, name: str, hour: int) -> list[dict[str, str]]:
        lines = str(LINES)
        row = {"hourly.account": "1", "hourly.log_group": name, "hourly.hour": str(hour)}
        row |= {"received": lines, "delivered": lines, "entries": lines}
        row["bin(1h)"] = f"{datetime.fromtimestamp(hour * 3600, UTC):%Y-%m-%d %H:%M:%S}.000"
        return [{"field": key, "value": value} for key, value in row.items()]

    def _ask(self, _: str, parameters: Mapping[str, str], __: str | None) -> LokiReply:
        self.requests["Loki"] += 1
        if "limit" in parameters:
            return LokiReply(200, b'{"data": {"result": []}}')
        names = parameters["query"].split("`")[1].split("|")
        assert len(names) <= 100
        result = [{"metric": {"log_group": each}, "value": [0, str(LINES)]} for each in names]
        return LokiReply(200, msgspec.json.encode({"data": {"result": result}}))


def test_13_000_log_groups_take_few_calls_of_each_operation() -> None:
    account = Account(13_000)
    audits = audit(audit_window(NOW, 3), account.groups, account.calls(), with_reasons=True)
    assert [each.name for each in audits if not each.agrees or each.notes] == []
    assert {each.loki for each in audits} == {3 * LINES}
    assert account.requests["GetMetricData"] == 52
    # 6 hours of 13,000 rows, in parts of fewer than 10,000.
    assert 12 <= account.requests["StartQuery"] <= 36
    assert account.requests["Loki"] == 3 * 130
    seconds = sum(account.requests[name] / PER_SECOND[name] for name in PER_SECOND)
    assert seconds < 30


def test_what_an_audit_reads_is_known_before() -> None:
    account = Account(250)
    volume = estimate(WINDOW, account.groups, account.calls())
    # Two logs with as many bytes an hour as a log group has lines, from the first hour until now.
    assert volume == AuditVolume(502, 2 * LINES * 25, 24 * 3)


def test_the_window_has_whole_hours_that_ended_a_quarter_of_an_hour_ago() -> None:
    assert (WINDOW.start, WINDOW.end, WINDOW.now) == (494_976, 495_000, 495_000)
    early = audit_window(NOW - HOUR_MS // 3, 24)
    assert (early.start, early.end, early.now) == (494_975, 494_999, 495_000)
    ago = audit_window(NOW, 24, hours_ago=7)
    assert (ago.start, ago.end, ago.now) == (494_969, 494_993, 495_000)


@pytest.mark.parametrize("source", ["insights", "bucket"])
def test_a_source_that_aws_denies_is_named(source: str) -> None:
    def denied(*_: Any, **__: Any) -> Any:
        raise AwsError("denied", "AccessDeniedException")

    account = Account(1)
    broken = {
        "insights": InsightsCalls(denied, denied, lambda _: None),
        "bucket": StoredObjectCalls(denied, denied),
    }
    calls = msgspec.structs.replace(account.calls(), **{source: broken[source]})
    [found] = audit(WINDOW, account.groups, calls, with_reasons=False)
    assert any("AccessDeniedException" in note for note in found.notes)
    assert found.agrees is (source == "bucket")


def test_without_credentials_loki_is_not_read() -> None:
    account = Account(1)
    calls = msgspec.structs.replace(account.calls(), loki=NotRead("not read: set LokiReadSecret"))
    [found] = audit(WINDOW, account.groups, calls, with_reasons=False)
    assert (found.agrees, found.loki) == (True, None)
    assert found.notes == ("Loki: not read: set LokiReadSecret",)


def test_the_bucket_is_read_before_the_log_of_the_redriver() -> None:
    """Else an object that the redriver ships in between would be in neither of them."""
    account = Account(1)
    calls, order = account.calls(), []

    def noted(name: str, call: Any) -> Any:
        def wrapped(*given: Any, **named: Any) -> Any:
            order.append(name)
            return call(*given, **named)

        return wrapped

    insights = calls.insights
    audit(
        WINDOW,
        account.groups,
        msgspec.structs.replace(
            calls,
            bucket=StoredObjectCalls(noted("bucket", lambda _: iter(())), lambda _: []),
            insights=msgspec.structs.replace(
                insights, start_query=noted("log", insights.start_query)
            ),
        ),
        with_reasons=False,
    )
    assert order == sorted(order)


def test_loki_is_asked_for_hours_in_which_no_function_delivered_lines() -> None:
    """Lines that somebody has shipped from another machine are in no log."""
    account = Account(1)
    silent = InsightsCalls(
        lambda **_: {"queryId": "1"},
        lambda **_: {"status": "Complete", "results": []},
        lambda _: None,
    )
    audit(
        WINDOW,
        account.groups,
        msgspec.structs.replace(account.calls(), insights=silent),
        with_reasons=False,
    )
    assert account.requests["Loki"] >= 24


def test_an_audit_of_no_log_group_reads_nothing() -> None:
    account = Account(0)
    assert audit(WINDOW, account.groups, account.calls(), with_reasons=True) == []
    assert account.requests == {}
