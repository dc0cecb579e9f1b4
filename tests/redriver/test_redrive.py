"""What becomes of objects, and of a run, when Loki takes, refuses or does not answer."""

import json
import tracemalloc
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest

from loki_shipper.redriver.bucket import Bucket, Read, Stored, rejected, waiting
from loki_shipper.redriver.record import log_group
from loki_shipper.redriver.redrive import Redriven, redrive
from loki_shipper.shipper.outcome import Report
from loki_shipper.shipper.spill import SpillError
from tests.redriver.memory import AN_HOUR_AGO, NOW, Memory, failed, of_lambda, record

DELIVERED = Report(received=2, delivered=2)
DOWN = Report(received=2, errored={"no_connection": 2}, failure="not delivered: no_connection")
BLOCKED = Report(received=2, errored={"blocked": 2}, failure="not delivered: blocked")
A_WEEK_AGO = NOW - timedelta(days=7)


class Loki:
    """Answers by log group, and remembers in which order they came."""

    def __init__(self, **answers: Report | Iterator[Report] | Exception) -> None:
        self.answers = answers
        self.came: list[str] = []

    def ship(self, event: Any) -> Report:
        whose = log_group(event)
        assert whose is not None
        group = whose[1].strip("/")
        self.came.append(group)
        match self.answers.get(group, DELIVERED):
            case Report() as report:
                return report
            case Exception() as error:
                raise error
            case answers:
                return next(answers)


def fill(*objects: tuple[str, bytes]) -> Memory:
    memory = Memory()
    for key, body in objects:
        memory.put(key, body)
    return memory


def run(memory: Memory, ship: Callable[[Any], Report], **options: Any) -> Redriven:
    bucket = memory.bucket()
    given = {"now": NOW, "remaining": lambda: 300.0, **options}
    return redrive(waiting(bucket), bucket, ship, **given)


def test_what_has_arrived_is_deleted_oldest_first() -> None:
    memory = fill(failed("09.00.01", "b"), of_lambda("09.00.00", "a"), of_lambda("09.00.02", "c"))
    loki = Loki(
        c=Report(received=3, delivered=1, late=1, rejected={"too_old": 1}, dropped={"e": 1})
    )
    assert run(memory, loki.ship) == Redriven(objects=3, lines=5, late=1, rejected=1)
    assert loki.came == ["a", "b", "c"]
    assert memory.objects == {}


def test_what_has_not_arrived_stays_as_it_is() -> None:
    memory = fill(failed("09.00.00", "a"))
    before = dict(memory.objects)
    report = run(memory, Loki(a=DOWN).ship)
    assert report == Redriven(left=1, oldest=AN_HOUR_AGO, failures={"no_connection": 1})
    assert memory.objects == before


def test_three_failures_in_a_row_mean_that_loki_is_down() -> None:
    memory = fill(*(failed(f"09.00.0{n}", f"g{n}") for n in range(6)))
    loki = Loki(g0=DOWN, g1=DOWN, g2=DOWN)
    report = run(memory, loki.ship)
    assert (report.ended, report.left, report.objects) == ("loki_down", 6, 0)
    assert loki.came == ["g0", "g1", "g2"]


def test_failures_are_forgiven_when_loki_takes_something() -> None:
    memory = fill(*(failed(f"09.00.0{n}", f"g{n}") for n in range(6)))
    loki = Loki(g0=DOWN, g1=DOWN, g3=DOWN, g4=DOWN)
    report = run(memory, loki.ship)
    assert (report.ended, report.left, report.objects) == ("done", 4, 2)


def test_a_log_group_waits_behind_its_failed_object_and_others_do_not() -> None:
    memory = fill(
        failed("09.00.00", "a"),
        failed("09.00.01", "b"),
        of_lambda("09.00.02", "a"),
        of_lambda("09.00.03", "b"),
    )
    loki = Loki(a=iter([DOWN]))
    report = run(memory, loki.ship)
    assert loki.came == ["a", "b", "b"]
    assert (report.objects, report.left) == (2, 2)


@pytest.mark.parametrize("reason", ["blocked", "tenant", "rate_limited"])
def test_a_tenants_failures_do_not_stop_others(reason: str) -> None:
    memory = fill(*(failed(f"09.00.0{n}", f"g{n}") for n in range(6)))
    refused = Report(received=1, errored={reason: 1}, failure=f"not delivered: {reason}")
    loki = Loki(**dict.fromkeys(["g0", "g1", "g2", "g3", "g4"], refused))
    report = run(memory, loki.ship)
    assert (report.ended, report.objects, report.left) == ("done", 1, 5)
    assert report.failures == {reason: 5}


@pytest.mark.parametrize("reason", ["denied", "status_404", "server_error", "read_timeout", "tls"])
def test_what_concerns_everybody_stops_the_run(reason: str) -> None:
    memory = fill(*(failed(f"09.00.0{n}", f"g{n}") for n in range(6)))
    refused = Report(received=1, errored={reason: 1}, failure=f"not delivered: {reason}")
    report = run(memory, lambda _: refused)
    assert (report.ended, report.failures) == ("loki_down", {reason: 3})


def test_a_record_that_breaks_the_pipeline_blocks_nobody() -> None:
    memory = fill(*(failed(f"09.00.0{n}", f"g{n}") for n in range(5)))
    broken = {f"g{n}": KeyError("a line of a user") for n in range(4)}
    report = run(memory, Loki(**broken).ship)
    assert (report.objects, report.left) == (1, 4)
    assert report.failures == {"crashed_KeyError": 4}


def test_after_a_day_a_poisonous_object_is_set_aside_when_others_get_through() -> None:
    memory = fill(failed("09.00.01", "b"), failed("09.00.02", "a", "another line"))
    key, body = failed("09.00.00", "a")
    memory.put(key, body, A_WEEK_AGO)
    loki = Loki(a=iter([DOWN, DOWN, DELIVERED]))
    report = run(memory, loki.ship)
    assert loki.came == ["a", "b", "a", "a"]
    assert (report.objects, report.set_aside, report.left) == (2, 1, 0)
    kept = key.replace("failed/", "rejected/")
    assert memory.moved == [(key, kept, "no_connection")]
    assert memory.objects[kept][0] == body


def test_it_is_tried_again_though_its_log_group_waits() -> None:
    memory = fill(failed("09.00.01", "a", "younger"), failed("09.00.02", "b"))
    memory.put(*failed("09.00.00", "a"), A_WEEK_AGO)
    loki = Loki(a=DOWN)
    report = run(memory, loki.ship)
    assert loki.came == ["a", "a", "b", "a"]
    assert (report.objects, report.set_aside, report.left) == (1, 1, 1)


def test_it_is_not_set_aside_when_it_gets_through_itself() -> None:
    memory = fill(failed("09.00.01", "b"))
    memory.put(*failed("09.00.00", "a"), A_WEEK_AGO)
    report = run(memory, Loki(a=iter([DOWN, DELIVERED])).ship)
    assert (report.objects, report.set_aside, memory.objects) == (2, 0, {})


def test_nothing_is_set_aside_while_loki_takes_nothing() -> None:
    memory = Memory()
    for n in range(5):
        memory.put(*failed(f"09.00.0{n}", f"g{n}"), A_WEEK_AGO)
    before = dict(memory.objects)
    report = run(memory, lambda _: DOWN)
    assert (report.ended, report.left, report.oldest) == ("loki_down", 5, A_WEEK_AGO)
    assert memory.objects == before


def test_nothing_is_set_aside_within_a_day() -> None:
    memory = fill(failed("09.00.00", "a"), failed("09.00.01", "b"))
    report = run(memory, Loki(a=DOWN).ship)
    assert (report.set_aside, report.left) == (0, 1)


def test_the_rest_of_what_arrived_in_part_waits_for_the_next_run() -> None:
    memory = fill(failed("09.00.00", "a"), failed("09.00.02", "a", "younger"))
    left, rest = failed("09.00.01", "a", "the rest")

    def ship(_: Any) -> Report:
        memory.put(left, rest, NOW + timedelta(seconds=1))
        return Report(received=2, delivered=1, errored={"rate_limited": 1})

    report = run(memory, ship)
    assert (report.objects, report.lines, report.left) == (1, 1, 2)
    assert left in memory.objects


def test_what_comes_after_the_start_waits_for_the_next_run() -> None:
    memory = fill(failed("09.00.00", "a"))
    key, body = failed("09.00.01", "b")
    memory.put(key, body, NOW + timedelta(seconds=1))
    loki = Loki()
    assert run(memory, loki.ship).left == 1
    assert loki.came == ["a"]


def test_what_was_rewritten_after_the_listing_is_shipped_as_it_is_now() -> None:
    key, body = failed("09.00.00", "a")
    memory = fill((key, body))
    listed = list(waiting(memory.bucket()))
    memory.put(key, record("b"))
    loki = Loki()
    report = redrive(listed, memory.bucket(), loki.ship, now=NOW, remaining=lambda: 300.0)
    assert (loki.came, report.objects, memory.objects) == (["b"], 1, {})


def test_a_rewritten_object_is_not_deleted() -> None:
    key, body = failed("09.00.00", "a")
    memory = fill((key, body))

    def ship(_: Any) -> Report:
        memory.put(key, record("a", "something else"))
        return DELIVERED

    report = run(memory, ship)
    assert (report.objects, report.left) == (0, 1)
    assert key in memory.objects


def test_what_is_gone_by_now_is_nobodys_loss() -> None:
    memory = fill(failed("09.00.00", "a"), failed("09.00.01", "b"))

    def ship(_: Any) -> Report:
        memory.objects.clear()
        return DELIVERED

    report = run(memory, ship)
    assert (report.objects, report.lines) == (0, 2)


@pytest.mark.parametrize("body", [b"not a record", b"{}"], ids=["not_json", "no_record"])
def test_what_is_no_record_is_set_aside_as_it_came(
    body: bytes, request: pytest.FixtureRequest
) -> None:
    key = "aws/lambda/async/shipper/2026/11/20/2026-11-20T09.00.00-x"
    memory = fill((key, body), failed("09.00.01", "b"))
    report = run(memory, Loki().ship)
    kept = "rejected/2026/11/20/2026-11-20T09.00.00-x"
    assert memory.objects == {kept: (body, NOW)}
    assert memory.moved == [(key, kept, request.node.callspec.id)]
    assert (report.set_aside, report.objects) == (1, 1)


def test_what_is_far_too_large_is_set_aside_unread() -> None:
    memory = fill(("failed/a", b" " * (17 * 1024 * 1024)))
    report = run(memory, Loki().ship)
    assert (report.set_aside, memory.moved) == (1, [("failed/a", "rejected/a", "too_large")])


def test_begins_nothing_shortly_before_its_deadline() -> None:
    memory = fill(*(failed(f"09.00.0{n}", f"g{n}") for n in range(4)))
    left = iter([100.0, 50.0, 9.0, 8.0, 7.0, 6.0])
    loki = Loki()
    report = run(memory, loki.ship, remaining=lambda: next(left))
    assert (report.ended, report.objects, report.left) == ("deadline", 2, 2)
    assert loki.came == ["g0", "g1"]


def test_stops_counting_at_its_deadline() -> None:
    memory = fill(*(failed(f"09.00.0{n}", f"g{n}") for n in range(4)))
    report = run(memory, Loki().ship, remaining=lambda: -1.0)
    assert (report.ended, report.left, memory.listed) == ("deadline", 0, 1)


def test_an_object_that_ran_out_of_time_is_no_failure_of_lokis() -> None:
    memory = fill(failed("09.00.00", "a"), failed("09.00.01", "b"))
    out_of_time = Report(received=1, errored={"out_of_time": 1}, failure="not delivered")
    report = run(memory, Loki(a=out_of_time).ship)
    assert (report.ended, report.left) == ("deadline", 2)


def test_takes_no_more_than_asked_for() -> None:
    memory = fill(*(failed(f"09.00.0{n}", f"g{n}") for n in range(4)))
    report = run(memory, Loki().ship, limit=3)
    assert (report.ended, report.objects, report.left) == ("limit", 3, 1)


@pytest.mark.parametrize(
    "answer",
    [
        SpillError("the bucket cannot be written: ClientError"),
        Report(received=2, delivered=1, errored={"blocked": 1}, failure="cannot be written"),
        Report(received=2, delivered=1, rejected={"too_old": 1}, failure="cannot be written"),
    ],
    ids=["undecodable", "rest", "rejected"],
)
def test_stops_when_the_rest_cannot_be_kept(answer: Report | Exception) -> None:
    memory = fill(failed("09.00.00", "a"), failed("09.00.01", "b"))
    report = run(memory, Loki(a=answer).ship)
    assert (report.ended, report.objects, report.left) == ("bucket", 0, 2)


def test_control_messages_and_dropped_lines_are_no_proof_that_loki_is_up() -> None:
    memory = fill(*(failed(f"09.00.0{n}", f"g{n}") for n in range(6)))
    dropped = Report(received=1, dropped={"empty": 1})
    loki = Loki(g0=DOWN, g1=dropped, g2=DOWN, g3=dropped, g4=DOWN)
    report = run(memory, loki.ship)
    assert (report.ended, report.objects, report.left) == ("loki_down", 2, 4)


def test_rejected_are_taken_back_among_the_failed_and_so_survive_another_refusal() -> None:
    key = "rejected/2026/11/20/2026-11-20T09.00.00-x.json"
    memory = fill((key, record("a")))

    def ship(_: Any) -> Report:
        # The shipper writes what is refused again where it was: the key is the content's.
        memory.put(key, record("a"), NOW)
        return Report(received=1, rejected={"too_old": 1})

    bucket = memory.bucket()
    report = redrive(rejected(bucket), bucket, ship, now=NOW, remaining=lambda: 300.0)
    assert (report.objects, report.rejected) == (1, 1)
    assert [*memory.objects] == [key]


def test_rejected_that_fail_wait_among_the_failed() -> None:
    memory = fill(("rejected/2026/11/20/2026-11-20T09.00.00-x.json", record("a")))
    bucket = memory.bucket()
    report = redrive(rejected(bucket), bucket, lambda _: DOWN, now=NOW, remaining=lambda: 300.0)
    assert report.left == 1
    assert [*memory.objects] == ["failed/2026/11/20/2026-11-20T09.00.00-x.json"]


def test_tells_of_every_object() -> None:
    memory = fill(*(failed(f"09.00.0{n}", f"g{n}") for n in range(3)))
    told: list[Redriven] = []
    run(memory, Loki(g1=DOWN).ship, tell=told.append)
    assert [(each.objects, each.left) for each in told] == [(1, 0), (1, 1), (2, 1)]


def test_what_is_poisonous_forever_blocks_nobody_forever() -> None:
    memory = Memory()
    for day in range(10):
        now = NOW + timedelta(days=day)
        memory.put(*of_lambda("09.00.00", f"day{day}"), now - timedelta(hours=1))
        memory.put(*failed("08.00.00", f"poison{day}"), now - timedelta(hours=1))
        poison = {f"poison{n}": DOWN for n in range(10)}
        report = run(memory, Loki(**poison).ship, now=now)
        assert report.objects == 1
    assert len([key for key in memory.objects if key.startswith("failed/")]) <= 2
    assert json.loads(next(iter(memory.objects.values()))[0])


def test_a_blocked_tenant_keeps_its_order_when_it_is_let_in_again() -> None:
    memory = fill(*(failed(f"09.00.0{n}", "a", str(n)) for n in range(3)))
    loki = Loki(a=iter([BLOCKED]))
    assert run(memory, loki.ship).left == 3
    assert loki.came == ["a"]
    assert run(memory, Loki().ship).objects == 3


def test_a_hundred_thousand_objects_are_never_in_memory_together() -> None:
    body = record("/ecs/shop")
    deleted = 0

    def objects(prefix: str) -> Iterator[Stored]:
        count = 50_000 if prefix == "failed/" else 25_000
        return (Stored(f"{prefix}{n:06}", "etag", len(body), AN_HOUR_AGO) for n in range(count))

    def delete(_key: str, _etag: str) -> bool:
        nonlocal deleted
        deleted += 1
        return True

    bucket = Bucket(
        folders=lambda prefix: [f"{prefix}shipper/", f"{prefix}a-former-shipper/"],
        objects=objects,
        read=lambda _: Read(body, "etag"),
        delete=delete,
        move=lambda *_: False,
    )
    tracemalloc.start()
    try:
        report = redrive(
            waiting(bucket), bucket, lambda _: DELIVERED, now=NOW, remaining=lambda: 300.0
        )
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert report.objects == deleted == 100_000
    assert peak < 1_000_000
