"""Lines in a real Loki are the lines that were logged: as many, in order, whole."""

import json
import random
from pathlib import Path

import pytest

from loki_shipper.local.find_loki import Running
from loki_shipper.local.loki import Loki
from loki_shipper.local.query_loki import LokiLine, query_range
from loki_shipper.local.sample import Call, log_data, retimed
from loki_shipper.model import LogData
from loki_shipper.shipper.sources.event import records
from tests.loki.asking import ALL, HOUR, discarded, held, now, open_environment
from tests.pipeline.execution_environment import lines
from tests.sample_events import LOG_GROUP_EVENTS

EVENTS = Path(__file__).resolve().parents[2] / "events"


def texts(found: list[LokiLine]) -> list[str]:
    return [line.line for line in found]


def test_fifty_identical_lines_of_one_millisecond_are_fifty(
    loki: Loki | Running, tenant: str
) -> None:
    open_environment(loki, tenant).ship(lines(*["same"] * 50, newest=now(), step=0))
    assert texts(held(loki, tenant)) == ["same"] * 50


def test_two_hundred_lines_of_one_millisecond_come_back_in_order(
    loki: Loki | Running, tenant: str
) -> None:
    logged = [f"line {random.random()}" for _ in range(200)]
    open_environment(loki, tenant).ship(lines(*logged, newest=now(), step=0))
    assert texts(held(loki, tenant)) == logged


def test_a_payload_that_is_delivered_three_times_is_held_once(
    loki: Loki | Running, tenant: str
) -> None:
    payload = lines(*(f"line {n}" for n in range(100)), newest=now(), step=1)
    for _ in range(3):
        assert open_environment(loki, tenant).ship(payload).delivered == 100
    assert texts(held(loki, tenant)) == [f"line {n}" for n in range(100)]


def test_a_payload_whose_events_come_in_another_order_is_the_same(
    loki: Loki | Running, tenant: str
) -> None:
    payload = lines("a", "a", "b", newest=now(), step=0)
    turned = LogData(
        payload.message_type,
        payload.owner,
        payload.log_group,
        payload.log_stream,
        payload.log_events[::-1],
        payload.subscription_filters,
    )
    for data in (payload, turned):
        open_environment(loki, tenant).ship(data)
    assert texts(held(loki, tenant)) == ["a", "a", "b"]


def test_ten_thousand_lines_are_held(loki: Loki | Running, tenant: str) -> None:
    logged = [f"line {n}" for n in range(10_000)]
    assert (
        open_environment(loki, tenant).ship(lines(*logged, newest=now(), step=1)).delivered
        == 10_000
    )
    start = (now() - HOUR) * 1_000_000
    found = query_range(loki.url, ALL, start_ns=start, end_ns=start + 10**13, tenant=tenant)
    assert texts(found) == logged
    assert discarded(loki, tenant) == {}


def test_a_mebibyte_of_long_characters_is_held_complete_in_parts(
    loki: Loki | Running, tenant: str
) -> None:
    long = "€" * 349_525 + "!"
    assert len(long.encode()) == 1_048_576
    report = open_environment(loki, tenant).ship(lines("before", long, "after", newest=now()))
    assert report.delivered == 3
    before, *parts, after = held(loki, tenant)
    assert (before.line, after.line) == ("before", "after")
    assert "".join(texts(parts)) == long
    assert [part.metadata["part"] for part in parts] == [f"{n}/5" for n in range(1, 6)]
    assert discarded(loki, tenant) == {}


def test_many_identical_parts_without_metadata_are_all_held(
    loki: Loki | Running, tenant: str
) -> None:
    environment = open_environment(
        loki, tenant, {"MAX_LINE_BYTES": "1024", "STRUCTURED_METADATA": "off"}
    )
    assert environment.ship(lines("x" * 102_400, newest=now())).delivered == 1
    assert texts(held(loki, tenant)) == ["x" * 1024] * 100


@pytest.mark.parametrize("size", [262_143, 262_144, 262_145])
def test_a_line_near_the_limit_is_held_complete(
    loki: Loki | Running, tenant: str, size: int
) -> None:
    long = "x" * (size - 1) + "!"
    assert open_environment(loki, tenant).ship(lines(long, newest=now())).delivered == 1
    assert "".join(texts(held(loki, tenant))) == long


@pytest.mark.parametrize("name", sorted(LOG_GROUP_EVENTS.keys() - {"control", "kinesis"}))
def test_every_sample_event_is_held_as_it_was_logged(
    loki: Loki | Running, tenant: str, name: str
) -> None:
    event = retimed(json.loads((EVENTS / f"{name}.json").read_bytes()), now())
    [data] = records(event)
    logged = sorted(data.log_events, key=lambda each: (each.timestamp, each.id))
    wanted = [e.message.removesuffix("\n") for e in logged if e.message not in {"", "\n"}]
    open_environment(loki, tenant).invoke(event)
    start = (now() - 24 * HOUR) * 1_000_000
    found = query_range(loki.url, ALL, start_ns=start, end_ns=start + 10**14, tenant=tenant)
    assert sorted(texts(found)) == sorted(wanted)
    assert {line.metadata["log_stream"] for line in found} == {data.log_stream}
    if name == "same-millisecond":
        assert texts(found) == wanted
    assert discarded(loki, tenant) == {}


def test_lines_of_a_far_past_and_many_calls_keep_their_order(
    loki: Loki | Running, tenant: str
) -> None:
    newest = now()
    calls = [
        Call(newest + n, [(newest, f"call {n} line {m}") for m in range(20)]) for n in range(5)
    ]
    open_environment(loki, tenant).ship(log_data("/aws/lambda/fun", "s", calls))
    found = texts(held(loki, tenant))
    for n in range(5):
        assert [line for line in found if line.startswith(f"call {n} ")] == [
            f"call {n} line {m}" for m in range(20)
        ]
