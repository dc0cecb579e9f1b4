"""What becomes of objects, and of a run, when Loki takes, refuses or does not answer."""

import json
import random
import tracemalloc
from collections.abc import Iterator, Sequence
from datetime import timedelta
from itertools import chain, repeat
from typing import Any

import pytest
from msgspec.structs import replace

from loki_shipper.local.sample import invocation_event
from loki_shipper.model import Batch, LogData
from loki_shipper.redriver.bucket import (
    EVERYTHING,
    Bucket,
    Fault,
    Share,
    StoredObject,
    rejected,
    waiting,
)
from loki_shipper.redriver.cursor import BEGINNING, Cursor
from loki_shipper.redriver.redrive import redrive
from loki_shipper.redriver.report import RedriveReport
from loki_shipper.shipper.delivery.answer import Answer, NoAnswer
from tests.redriver.memory import (
    A_WEEK_AGO,
    AN_HOUR_AGO,
    BLOCKED,
    DOWN,
    LIMITED,
    NOW,
    STORED,
    TOO_OLD,
    RedriverInMemory,
    Reply,
    failed,
    of,
    of_lambda,
    record,
    timed,
)

DAY = timedelta(days=1)
SHORTEST = 10.0
"""Seconds: with less than this left, a run begins nothing."""


def old(redriver: RedriverInMemory, *objects: tuple[str, bytes]) -> None:
    for key, body in objects:
        redriver.memory.put(key, body, A_WEEK_AGO)


def poison(batch: Batch) -> Reply:
    """Fail as if Loki were down, but only for what has a poisonous line in it."""
    return DOWN if any(entry.line == "poison" for entry in batch.entries) else STORED


def without_counts(report: RedriveReport) -> RedriveReport:
    return replace(report, hourly=())


# What arrives


def test_what_has_arrived_is_deleted() -> None:
    redriver = RedriverInMemory(
        failed("09.00.01", "/b"), of_lambda("09.00.00", "/a"), of_lambda("09.00.02", "/c")
    )
    assert without_counts(redriver.run()) == RedriveReport(objects=3, lines=3, late=3)
    assert redriver.memory.objects == {}


def test_objects_of_one_log_group_travel_in_one_push() -> None:
    redriver = RedriverInMemory(
        of_lambda("09.00.00", "/a", "one"),
        of_lambda("09.00.01", "/b", "two"),
        of_lambda("09.00.02", "/a", "three", "four"),
    )
    assert redriver.run().lines == 4
    assert sorted(map(sorted, redriver.pushed)) == [["four", "one", "three"], ["two"]]


def test_what_is_refused_for_good_is_kept_and_its_neighbours_arrive() -> None:
    redriver = RedriverInMemory(failed("09.00.00", "/a"), failed("09.00.01", "/b"), a=TOO_OLD)
    report = redriver.run()
    assert without_counts(report) == RedriveReport(objects=2, lines=1, late=1, rejected=1)
    counted = {each.log_group: (each.delivered, each.rejected) for each in report.hourly}
    assert counted == {"/a": (0, 1), "/b": (1, 0)}
    assert [key.partition("/")[0] for key in redriver.memory.objects] == ["rejected"]


def test_the_rest_of_what_arrived_in_part_waits_for_the_next_run() -> None:
    """Lines of two half hours go to two streams, of which Loki fails one."""
    redriver = RedriverInMemory()
    old, young = AN_HOUR_AGO - timedelta(hours=1), AN_HOUR_AGO
    redriver.memory.put("failed/2026/11/20/x.json", of(timed("/a", (old, "old"), (young, "young"))))
    redriver.decide = lambda batch: DOWN if batch.entries[0].line == "old" else STORED
    report = redriver.run()
    assert (report.objects, report.lines, report.failures) == (1, 1, {"server_error": 1})
    [key] = redriver.memory.keys("failed/")
    assert key != "failed/2026/11/20/x.json"
    redriver.decide = None
    assert redriver.run(now=NOW + timedelta(minutes=5)).lines == 1
    assert redriver.memory.objects == {}


def test_a_control_message_is_deleted() -> None:
    control = invocation_event(LogData("CONTROL_MESSAGE", "", "", "", []))
    redriver = RedriverInMemory(("failed/a", of(control)))
    assert redriver.run() == RedriveReport(objects=1)
    assert redriver.memory.objects == {}


# What waits


def test_what_has_not_arrived_stays_as_it_is() -> None:
    redriver = RedriverInMemory(failed("09.00.00", "/a"), a=DOWN)
    before = dict(redriver.memory.objects)
    report = redriver.run()
    assert replace(report, cursor=BEGINNING) == RedriveReport(
        left=1, oldest=AN_HOUR_AGO, failures={"server_error": 1}
    )
    assert redriver.memory.objects == before


def test_what_was_written_after_the_start_waits_for_the_next_run() -> None:
    redriver = RedriverInMemory(failed("09.00.00", "/a"))
    redriver.memory.put(*failed("09.00.01", "/b"), NOW + timedelta(seconds=1))
    assert redriver.run().objects == 1
    assert len(redriver.memory.objects) == 1


def test_what_is_gone_by_now_is_nobodys_loss() -> None:
    redriver = RedriverInMemory(failed("09.00.00", "/a"), failed("09.00.01", "/b"))
    listed = [*waiting(redriver.memory.bucket(), NOW, share=EVERYTHING)]
    redriver.memory.objects.pop(listed[0].key)
    report = redrive(listed, redriver.effects())
    assert (report.objects, report.left, report.failures) == (1, 0, {})


def test_what_is_ahead_of_the_clock_is_not_tried_before_its_time_and_holds_up_nobody() -> None:
    body = record("/a", at=NOW + timedelta(hours=2))
    redriver = RedriverInMemory(
        ("later/2026/11/20/2026-11-20T14.00.00-x.json", body), failed("09.00.00", "/b")
    )
    assert without_counts(redriver.run()) == RedriveReport(objects=1, lines=1, late=1)
    assert redriver.run(now=NOW + timedelta(minutes=119)) == RedriveReport()
    report = redriver.run(now=NOW + timedelta(hours=2))
    assert without_counts(report) == RedriveReport(objects=1, lines=1)
    assert redriver.memory.objects == {}


def test_what_is_still_ahead_of_lokis_clock_is_kept_for_another_time() -> None:
    too_new = Answer(400, "has timestamp too new: 2026-11-20T14:05:00Z")
    body = record("/a", at=NOW + timedelta(hours=2, minutes=5))
    redriver = RedriverInMemory(("later/2026/11/20/2026-11-20T14.00.00-x.json", body), a=too_new)
    report = redriver.run(now=NOW + timedelta(hours=2))
    assert (report.objects, report.lines, report.failures) == (1, 0, {})
    [key] = redriver.memory.objects
    assert key.startswith("later/2026/11/20/2026-11-20T14.10.00-")


def test_what_is_kept_again_under_its_own_key_is_not_deleted() -> None:
    """A key is made of content and due time: a second refusal for the same time is the same key."""
    too_new = Answer(400, "has timestamp too new: 2026-11-20T14:15:00Z")
    redriver = RedriverInMemory(
        ("failed/x", record("/a", at=NOW + timedelta(hours=2, minutes=15))), a=too_new
    )
    redriver.run()
    [key] = redriver.memory.keys("later/")
    late_run = NOW + timedelta(hours=2, minutes=10)
    redriver.run(now=late_run)
    [again] = redriver.memory.keys("later/")
    assert again != key
    redriver.memory.put(again, redriver.memory.objects.pop(again)[0])
    assert redriver.run(now=late_run + timedelta(minutes=10)).lines == 0
    assert len(redriver.memory.objects) == 1


def test_what_has_no_known_tenant_stays_as_it_is_and_is_no_new_object() -> None:
    redriver = RedriverInMemory(failed("09.00.00", "/a"), failed("09.00.01", "/b"))
    redriver.unknown.add("/a")
    before = dict(redriver.memory.objects)
    report = redriver.run()
    assert (report.objects, report.left, report.failures) == (1, 1, {"tenant_unknown": 1})
    [key] = redriver.memory.objects
    assert redriver.memory.objects[key] == before[key]
    redriver.unknown.clear()
    assert redriver.run().lines == 1


# Tenants


def test_any_number_of_refused_tenants_holds_up_nobody() -> None:
    """Three log groups of one forbidden tenant stopped everybody, for days."""
    refused = [f"/bad{n}/{g}" for n in range(30) for g in range(40)]
    objects = [failed(f"09.{n:06}", group) for n, group in enumerate(refused)]
    healthy = [failed(f"10.00.{n:02}", f"/good/{n}") for n in range(50)]
    redriver = RedriverInMemory(*objects, *healthy)
    answers = [BLOCKED, Answer(403), Answer(401), Answer(404), Answer(400, "tenant id is bad")]
    kinds = {f"bad{n}": answers[n % len(answers)] for n in range(30)}
    redriver.decide = lambda batch: kinds.get(str(batch.stream.tenant), STORED)
    report = redriver.run()
    assert (report.objects, report.left, report.ended) == (50, 1_200, "done")
    assert len(redriver.memory.objects) == 1_200


def test_a_tenant_that_is_refused_is_not_asked_for_again_in_the_run() -> None:
    redriver = RedriverInMemory(*(failed(f"09.00.{n:02}", f"/bad/{n}") for n in range(40)))
    redriver.decide = lambda _: BLOCKED
    report = redriver.run()
    assert (len(redriver.pushed), report.left, report.failures) == (1, 40, {"blocked": 40})


def test_any_number_of_tenants_that_loki_fails_holds_up_nobody() -> None:
    bad = [failed(f"09.00.{n:02}", f"/bad{n}/g") for n in range(25)]
    redriver = RedriverInMemory(*bad, *(failed(f"10.00.{n:02}", f"/good/{n}") for n in range(5)))
    redriver.decide = lambda batch: STORED if batch.stream.tenant == "good" else DOWN
    report = redriver.run()
    assert (report.objects, report.left, report.ended) == (5, 25, "done")


def test_a_tenant_over_its_limit_waits_for_a_minute_and_others_go_on() -> None:
    objects = [failed(f"09.{n:02}.00", f"/{'limited' if n % 2 else 'good'}/{n}") for n in range(20)]
    redriver = RedriverInMemory(*objects)
    redriver.decide = lambda batch: STORED if batch.stream.tenant == "good" else LIMITED
    report = redriver.run()
    assert report.objects == 10
    assert set(report.failures) == {"rate_limited"}


def test_when_loki_is_down_a_run_ends_long_before_it_has_read_everything() -> None:
    redriver = RedriverInMemory(
        *(failed(f"{n // 60:02}.{n % 60:02}.00", f"/t{n % 7}/g") for n in range(1_400))
    )
    redriver.decide = lambda _: NoAnswer("no_connection")
    report = redriver.run()
    assert (report.ended, report.objects) == ("loki_down", 0)
    assert len([*chain(*redriver.memory.reads)]) < 1_400
    assert len(redriver.pushed) < 200


def test_the_next_run_begins_where_the_last_one_ended() -> None:
    """A blocked tenant's backlog must not starve those behind it."""
    redriver = RedriverInMemory(
        *(of_lambda(f"09.{n // 60:02}.{n % 60:02}", f"/bad/{n}") for n in range(300))
    )
    redriver.memory.put(*failed("10.00.00", "/good/g"))
    redriver.decide = lambda batch: STORED if batch.stream.tenant == "good" else BLOCKED
    reads = redriver.memory.reads
    redriver.seconds = 300.0
    first = redriver.effects()
    # Time for two chunks.
    ends = chain([100.0] * 200, repeat(0.0))
    limited = replace(first, remaining=lambda: next(ends))
    report = redrive(waiting(first.bucket, NOW, share=EVERYTHING), limited)
    assert (report.ended, report.objects) == ("deadline", 0)
    assert report.cursor.after == reads[-1][-1]
    second = redriver.run(cursor=report.cursor)
    assert (second.ended, second.objects, second.left) == ("done", 1, 300)


# Loki fails


def test_objects_that_fail_together_are_tried_one_by_one() -> None:
    redriver = RedriverInMemory(
        failed("09.00.00", "/a/g", "one"),
        failed("09.00.01", "/a/g", "poison"),
        failed("09.00.02", "/a/g", "three"),
    )
    redriver.decide = poison
    report = redriver.run()
    assert (report.objects, report.lines, report.left) == (2, 2, 1)
    assert report.failures == {"server_error": 1}
    assert sum(key.endswith("09.00.01-a_g.json") for key in redriver.memory.objects) == 1


def runs(redriver: RedriverInMemory, count: int, **options: Any) -> RedriveReport:
    """Run so often, one after the other, with a new line for each run."""
    report = RedriveReport()
    for number in range(count):
        redriver.memory.put(*of_lambda(f"10.00.{number:02}", "/a/good"))
        report = redriver.run(cursor=report.cursor, skip_old=False, **options)
    return report


def test_what_fails_alone_in_twelve_runs_in_which_others_arrive_is_set_aside_after_a_day() -> None:
    redriver = RedriverInMemory()
    key, body = failed("09.00.00", "/a/p", "poison")
    old(redriver, (key, body))
    redriver.decide = poison
    report = runs(redriver, 11)
    assert (report.set_aside, report.left, redriver.memory.moved) == (0, 1, [])
    assert report.cursor.lone_failures == {key: 11}
    redriver.memory.put(*of_lambda("10.00.59", "/a/good"))
    report = redriver.run(cursor=report.cursor, skip_old=False)
    assert (report.set_aside, report.left) == (1, 0)
    kept = key.replace("failed/", "rejected/")
    assert redriver.memory.moved == [(key, kept, "server_error")]
    assert (redriver.memory.objects, report.cursor.lone_failures) == ({kept: (body, NOW)}, {})


def test_it_is_not_set_aside_when_it_gets_through_in_the_end() -> None:
    redriver = RedriverInMemory()
    old(redriver, failed("09.00.00", "/a/p", "poison"))
    redriver.decide = poison
    report = runs(redriver, 11)
    redriver.decide = None
    report = redriver.run(cursor=report.cursor, skip_old=False)
    assert (report.objects, report.cursor.lone_failures, redriver.memory.objects) == (1, {}, {})


def test_nothing_is_set_aside_while_loki_takes_nothing_of_its_tenant() -> None:
    redriver = RedriverInMemory()
    old(redriver, *(failed(f"09.00.0{n}", f"/other/{n}") for n in range(2)))
    redriver.decide = lambda batch: STORED if batch.stream.tenant == "a" else DOWN
    report = runs(redriver, 20)
    assert (report.set_aside, report.left, report.oldest) == (0, 2, A_WEEK_AGO)
    assert report.cursor.lone_failures == {}


def test_nothing_is_set_aside_within_a_day() -> None:
    redriver = RedriverInMemory(failed("09.00.00", "/a/p", "poison"))
    redriver.decide = poison
    report = runs(redriver, 20)
    assert (report.set_aside, report.left) == (0, 1)


def test_what_is_refused_with_its_tenant_is_not_set_aside_however_old() -> None:
    redriver = RedriverInMemory()
    old(redriver, failed("09.00.00", "/bad/g"))
    redriver.decide = lambda batch: BLOCKED if batch.stream.tenant == "bad" else STORED
    report = runs(redriver, 20)
    assert (report.set_aside, report.left, report.objects) == (0, 1, 1)


def test_objects_that_fail_alone_do_not_keep_others_of_their_tenant_waiting() -> None:
    """Three of them close their tenant: the next run begins behind them."""
    redriver = RedriverInMemory(*(of_lambda(f"09.00.0{n}", f"/a/{n}", "poison") for n in range(5)))
    redriver.memory.put(*failed("09.00.09", "/a/good"))
    redriver.decide = poison
    report = redriver.run()
    assert (report.objects, report.left) == (0, 6)
    assert redriver.run(cursor=report.cursor).objects == 1


def test_a_record_that_breaks_the_pipeline_stops_nobody() -> None:
    redriver = RedriverInMemory(*(failed(f"09.00.0{n}", f"/g/{n}") for n in range(5)))
    redriver.crashes = {f"/g/{n}" for n in range(4)}
    report = redriver.run()
    assert (report.objects, report.left) == (1, 4)
    assert report.failures == {"crashed_KeyError": 4}


def test_a_record_that_breaks_the_pipeline_for_a_day_is_set_aside() -> None:
    redriver = RedriverInMemory()
    old(redriver, failed("09.00.00", "/g/bad"))
    redriver.crashes = {"/g/bad"}
    assert runs(redriver, 12).set_aside == 1
    assert redriver.memory.moved[0][2] == "crashed_KeyError"


def test_what_is_poisonous_forever_stops_nobody_forever() -> None:
    redriver = RedriverInMemory()
    redriver.decide = poison
    cursor = BEGINNING
    for day in range(10):
        now = NOW + timedelta(days=day)
        redriver.memory.put(*failed("08.00.00", f"/a/p{day}", "poison"), now - timedelta(hours=1))
        for number in range(15):
            redriver.memory.put(
                *of_lambda(f"09.00.{number}", f"/a/{day}"), now - timedelta(hours=1)
            )
            report = redriver.run(now=now, cursor=cursor, skip_old=False)
            cursor = report.cursor
        assert len(redriver.memory.keys("aws/")) == 0
    assert len(redriver.memory.keys("failed/")) <= 2


# S3 fails


def test_an_object_that_cannot_be_read_concerns_nobody_else() -> None:
    """Changing KmsKeyArn does that to every object that waits."""
    redriver = RedriverInMemory(*(failed(f"09.00.0{n}", f"/a/{n}") for n in range(5)))
    bad = redriver.memory.keys()[1:3]
    redriver.memory.unreadable = dict.fromkeys(bad, "AccessDenied")
    report = redriver.run()
    assert (report.objects, report.left, report.faults) == (3, 2, {"AccessDenied": 2})
    assert redriver.memory.keys() == bad
    redriver.memory.unreadable = {}
    assert redriver.run().objects == 2


def test_an_object_that_cannot_be_deleted_concerns_nobody_else() -> None:
    redriver = RedriverInMemory(*(failed(f"09.00.0{n}", f"/a/{n}") for n in range(3)))
    bad = redriver.memory.keys()[1]
    redriver.memory.undeletable = {bad: "InternalError"}
    report = redriver.run()
    assert (report.objects, report.left, report.faults) == (2, 1, {"InternalError": 1})
    redriver.memory.undeletable = {}
    assert redriver.run().objects == 1
    assert redriver.memory.objects == {}


def test_what_cannot_be_read_for_a_day_is_set_aside_where_that_is_possible() -> None:
    redriver = RedriverInMemory()
    old(redriver, failed("09.00.00", "/a/g"), failed("09.00.01", "/a/h"))
    first, second = redriver.memory.keys()
    reads = {first: "InternalError", second: "AccessDenied"}
    needed = redriver.effects()
    bucket = replace(
        needed.bucket,
        read=lambda keys: [Fault(reads[key]) for key in keys],
        move=lambda key, *_: None if reads[key] == "InternalError" else Fault("AccessDenied"),
    )
    report = redrive(
        waiting(bucket, NOW, share=EVERYTHING), replace(needed, bucket=bucket), skip_old=False
    )
    assert (report.set_aside, report.left) == (1, 1)
    assert report.faults == {"InternalError": 1, "AccessDenied": 2}


def test_a_bucket_that_lets_nothing_be_read_ends_the_run_and_the_next_one_goes_on() -> None:
    redriver = RedriverInMemory(*(of_lambda(f"09.{n:06}", f"/a/{n}") for n in range(11_000)))
    redriver.memory.put(*failed("10.00.00", "/good/g"))
    bad = redriver.memory.keys("aws/")
    redriver.memory.unreadable = dict.fromkeys(bad, "AccessDenied")
    report = redriver.run()
    assert (report.ended, report.objects) == ("bucket", 0)
    assert len([*chain(*redriver.memory.reads)]) < 11_000
    assert redriver.run(cursor=report.cursor).objects == 1


def test_a_backlog_under_a_key_that_is_gone_does_not_keep_the_rest_waiting() -> None:
    """An outage of two hours in which the key changes leaves thousands of such objects."""
    redriver = RedriverInMemory(
        *(of_lambda(f"{n // 60:02}.{n % 60:02}.00", f"/a/{n}") for n in range(1_400))
    )
    bad = redriver.memory.keys()
    redriver.memory.unreadable = dict.fromkeys(bad, "AccessDenied")
    redriver.memory.put(*failed("23.00.00", "/a/g"))
    report = redriver.run()
    assert (report.ended, report.objects, report.left) == ("done", 1, 1_400)


def test_a_bucket_that_takes_nothing_ends_the_run() -> None:
    redriver = RedriverInMemory(*(failed(f"09.00.0{n}", f"/a/{n}") for n in range(8)))
    redriver.decide = lambda _: TOO_OLD
    redriver.memory.is_full = True
    report = redriver.run()
    assert (report.ended, report.objects, report.rejected) == ("bucket", 0, 0)
    assert len(redriver.memory.objects) == 8


# What is no record


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"not a record", "not_json"),
        (b"{}", "no_record"),
        (b'{"requestPayload": {"awslogs": {"data": "?"}}}', "undecodable"),
    ],
)
def test_what_is_no_record_is_set_aside_as_it_came(body: bytes, why: str) -> None:
    key = "aws/lambda/async/shipper/2026/11/20/2026-11-20T09.00.00-x"
    redriver = RedriverInMemory((key, body), failed("09.00.01", "/b"))
    report = redriver.run()
    kept = "rejected/2026/11/20/2026-11-20T09.00.00-x"
    assert redriver.memory.objects == {kept: (body, NOW)}
    assert redriver.memory.moved == [(key, kept, why)]
    assert (report.set_aside, report.objects) == (1, 1)


def test_a_bad_record_of_a_batch_is_set_aside_and_the_others_are_shipped() -> None:
    good = timed("/ecs/shop", (AN_HOUR_AGO, "a line"))["awslogs"]["data"]
    records = [
        {"kinesis": {"sequenceNumber": str(number), "data": data}}
        for number, data in enumerate([good, "?", good])
    ]
    key = "aws/lambda/0f1d6c0a/shardId-000000000001/2026/11/20/2026-11-20T09.00.00-x"
    redriver = RedriverInMemory(
        (key, json.dumps({"payload": json.dumps({"Records": records})}).encode())
    )
    report = redriver.run()
    assert (report.objects, report.lines, redriver.memory.moved) == (1, 2, [])
    [(kept, (body, _))] = redriver.memory.objects.items()
    assert kept.startswith("rejected/")
    assert json.loads(body)["requestPayload"] == {"Records": records[1:2]}


def test_a_large_batch_of_kinesis_is_divided_and_then_shipped() -> None:
    """Six megabytes of it may unpack to more text than fits into the redriver's memory."""
    noise = random.Random(1)
    records = [
        {
            "kinesis": {
                "sequenceNumber": str(number),
                "data": timed(f"/ecs/{number}", (AN_HOUR_AGO, noise.randbytes(200_000).hex()))[
                    "awslogs"
                ]["data"],
            }
        }
        for number in range(20)
    ]
    body = json.dumps({"payload": json.dumps({"Records": records})}).encode()
    assert 5_000_000 < len(body) < 8_000_000
    key = "aws/lambda/0f1d6c0a/shardId-000000000001/2026/11/20/2026-11-20T09.00.00-x"
    redriver = RedriverInMemory((key, body))
    redriver.run()
    assert redriver.memory.objects
    assert {kept.partition("/")[0] for kept in redriver.memory.objects} == {"failed"}
    assert all(len(body) < 2_000_000 for body, _ in redriver.memory.objects.values())
    report = redriver.run(now=NOW + timedelta(minutes=5))
    assert (report.lines, report.left, redriver.memory.objects) == (20, 0, {})


def test_what_is_far_too_large_is_set_aside_unread() -> None:
    redriver = RedriverInMemory(("failed/a", b" " * (17 * 1024 * 1024)))
    report = redriver.run()
    assert (report.set_aside, redriver.memory.moved) == (
        1,
        [("failed/a", "rejected/a", "too_large")],
    )
    assert [*chain(*redriver.memory.reads)] == []


# What waits for long


def test_what_has_waited_for_a_day_is_looked_at_in_one_run_of_twelve() -> None:
    redriver = RedriverInMemory()
    old(redriver, *(failed(f"09.{n // 60:02}.{n % 60:02}", f"/bad/{n}") for n in range(120)))
    redriver.decide = lambda _: BLOCKED
    looks = []
    for number in range(24):
        redriver.memory.reads.clear()
        report = redriver.run(now=NOW + number * timedelta(minutes=5))
        assert (report.left, report.oldest) == (120, A_WEEK_AGO)
        looks.append(len([*chain(*redriver.memory.reads)]))
    assert 200 < sum(looks) < 280
    assert min(looks) > 0


def test_by_hand_everything_is_looked_at() -> None:
    redriver = RedriverInMemory()
    old(redriver, *(failed(f"09.{n // 60:02}.{n % 60:02}", f"/a/{n}") for n in range(120)))
    assert redriver.run(skip_old=False).objects == 120


# Bounds


def test_begins_nothing_shortly_before_its_deadline() -> None:
    redriver = RedriverInMemory(*(failed(f"09.00.0{n}", f"/g/{n}") for n in range(4)))
    needed = redriver.effects()
    left = chain([100.0, 100.0, 100.0, 50.0, 9.0], repeat(8.0))
    report = redrive(
        waiting(needed.bucket, NOW, share=EVERYTHING), replace(needed, remaining=lambda: next(left))
    )
    assert (report.ended, report.objects, report.left) == ("deadline", 2, 2)


def test_what_is_no_record_is_set_aside_only_while_there_is_time() -> None:
    redriver = RedriverInMemory(*((f"failed/2026/11/20/{n:03}", b"garbage") for n in range(200)))
    report = run_slowly(redriver, move=1.0)
    assert (report.ended, redriver.time) == ("deadline", 61.0 - SHORTEST)
    assert report.set_aside + report.left == 200
    assert len(redriver.memory.keys("failed/")) == report.left > 0


def test_what_failed_alone_is_set_aside_only_while_there_is_time() -> None:
    redriver = RedriverInMemory(failed("08.00.00", "/a/good"))
    bad = [failed("09.00.00", f"/a/{n}") for n in range(100)]
    old(redriver, *bad)
    redriver.crashes = {f"/a/{n}" for n in range(100)}
    report = run_slowly(
        redriver, move=1.0, cursor=Cursor(lone_failures={key: 11 for key, _ in bad})
    )
    assert (report.ended, redriver.time) == ("deadline", 61.0 - SHORTEST)
    left = [key for key, _ in bad if key in redriver.memory.objects]
    assert report.set_aside == len(bad) - len(left)
    # What there was no time for is set aside by the next run.
    assert {key: report.cursor.lone_failures.get(key) for key in left} == dict.fromkeys(left, 12)


def test_objects_are_read_only_while_there_is_time() -> None:
    """Where S3 hardly answers, a read takes as long as its timeouts say."""
    redriver = RedriverInMemory(
        *(failed(f"09.{n // 60:02}.{n % 60:02}", f"/a/{n}") for n in range(256))
    )
    report = run_slowly(redriver, read=14.0)
    assert (report.ended, redriver.time) == ("deadline", 56.0)
    assert (report.objects, report.left) == (0, 256)


def test_rejected_are_taken_back_only_while_there_is_time() -> None:
    redriver = RedriverInMemory(
        *((f"rejected/2026/11/20/{n:03}", record(f"/a/{n}")) for n in range(200))
    )
    report = run_slowly(redriver, move=1.0, is_rejected=True)
    assert (report.ended, redriver.time) == ("deadline", 61.0 - SHORTEST)
    assert len(redriver.memory.objects) == 200


def run_slowly(
    redriver: RedriverInMemory,
    *,
    move: float = 0.0,
    read: float = 0.0,
    seconds: float = 60.0,
    is_rejected: bool = False,
    **options: Any,
) -> RedriveReport:
    """Run on a bucket in which a move, and a read of 32 objects, take so many seconds."""
    redriver.seconds = seconds
    needed = redriver.effects()

    def moved(*arguments: str) -> Fault | None:
        redriver.time += move
        return needed.bucket.move(*arguments)

    def bodies(keys: Sequence[str]) -> list[bytes | Fault | None]:
        redriver.time += read * -(-len(keys) // 32)
        return needed.bucket.read(keys)

    bucket = replace(needed.bucket, move=moved, read=bodies)
    objects = rejected(bucket) if is_rejected else waiting(bucket, NOW, share=EVERYTHING)
    effects = replace(needed, bucket=bucket)
    return redrive(objects, effects, skip_old=False, **options)


def test_an_object_that_ran_out_of_time_is_no_failure_of_lokis() -> None:
    redriver = RedriverInMemory(failed("09.00.00", "/a"), failed("09.00.01", "/b"))
    redriver.seconds = 12.0

    def slow(_: Batch) -> Reply:
        redriver.time += 11.7
        return DOWN

    redriver.decide = slow
    report = redriver.run()
    assert (report.objects, report.left) == (0, 2)
    assert report.ended == "deadline"


def test_takes_no_more_than_asked_for() -> None:
    redriver = RedriverInMemory(*(failed(f"09.00.0{n}", f"/g/{n}") for n in range(4)))
    report = redriver.run(limit=3)
    assert (report.ended, report.objects, report.left) == ("limit", 3, 1)
    assert len(redriver.memory.objects) == 1


def test_as_many_as_there_are_is_no_limit() -> None:
    redriver = RedriverInMemory(failed("09.00.00", "/a"), failed("09.00.01", "/b"))
    assert redriver.run(limit=2).ended == "done"


def test_tells_of_its_progress() -> None:
    redriver = RedriverInMemory(
        *(failed(f"{n // 60:02}.{n % 60:02}.00", f"/g/{n}") for n in range(600))
    )
    told: list[RedriveReport] = []
    redriver.run(on_progress=told.append)
    assert [each.objects for each in told] == [256, 512, 600]


def test_workers_divide_the_objects_among_them() -> None:
    objects = [failed(f"{n // 60:02}.{n % 60:02}.00", f"/g/{n}") for n in range(200)]
    redriver = RedriverInMemory(*objects)
    counts = [redriver.run(share=Share(worker, 4)).objects for worker in range(4)]
    assert sum(counts) == 200
    assert min(counts) > 20
    assert redriver.memory.objects == {}


def test_twenty_thousand_objects_are_never_in_memory_together() -> None:
    redriver = RedriverInMemory()
    body = record("/ecs/shop")
    deleted = 0

    def objects(prefix: str, after: str) -> Iterator[StoredObject]:
        assert after == ""
        count = 10_000 * (prefix in {"aws/lambda/", "failed/"})
        return (StoredObject(f"{prefix}{n:06}", len(body), AN_HOUR_AGO) for n in range(count))

    def delete(keys: Sequence[str]) -> dict[str, Fault]:
        nonlocal deleted
        deleted += len(keys)
        return {}

    bucket = Bucket(
        objects=objects,
        read=lambda keys: [body] * len(keys),
        delete=delete,
        move=lambda *_: None,
    )

    def decide(_: Batch) -> Reply:
        redriver.pushed.clear()
        return STORED

    redriver.decide = decide
    needed = replace(redriver.effects(), bucket=bucket, remaining=lambda: 300.0)
    tracemalloc.start()
    try:
        report = redrive(waiting(bucket, NOW, share=EVERYTHING), needed)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert report.objects == deleted == 20_000
    assert peak < 2_000_000


# By hand: what was rejected


def redrive_rejected(redriver: RedriverInMemory) -> RedriveReport:
    needed = redriver.effects()
    return redrive(rejected(needed.bucket), needed)


def test_rejected_are_taken_back_among_the_failed_and_so_survive_another_refusal() -> None:
    redriver = RedriverInMemory(
        ("rejected/2026/11/20/2026-11-20T09.00.00-x.json", record("/a")), a=TOO_OLD
    )
    report = redrive_rejected(redriver)
    assert (report.objects, report.rejected) == (1, 1)
    assert [key.partition("/")[0] for key in redriver.memory.objects] == ["rejected"]


def test_rejected_that_fail_wait_among_the_failed() -> None:
    redriver = RedriverInMemory(
        ("rejected/2026/11/20/2026-11-20T09.00.00-x.json", record("/a")), a=DOWN
    )
    assert redrive_rejected(redriver).left == 1
    assert redriver.memory.keys() == ["failed/2026/11/20/2026-11-20T09.00.00-x.json"]


def test_rejected_that_cannot_be_taken_back_stay() -> None:
    key = "rejected/2026/11/20/2026-11-20T09.00.00-x.json"
    redriver = RedriverInMemory((key, record("/a")))
    redriver.memory.unreadable = {key: "AccessDenied"}
    assert redrive_rejected(redriver).faults == {"AccessDenied": 1}
    assert redriver.memory.keys() == [key]
