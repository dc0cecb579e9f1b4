"""A month with every fault that has occurred, with 200 log groups and 20 tenants.

CI runs a sixth of it. `SIMULATION=full ./scripts/test tests/simulation -s` runs the whole.
"""

import os
import random
from collections import Counter
from datetime import timedelta

import pytest
from msgspec import Struct

from loki_shipper.redriver.record import read_stored_records
from loki_shipper.shipper.delivery.answer import Answer
from tests.simulation.simulation import DAY, HOUR, MINUTE, Loki, Payload, Simulation

IS_FULL = os.environ.get("SIMULATION") == "full"
GROUPS, TENANTS = 200, 20
SIZE = 2_000

BLOCKED, LET_IN, FORBIDDEN, LIMITED = "t0", "t1", "t2", "t3"
POISON = 5


class Plan(Struct, frozen=True, kw_only=True):
    """The times of events. The second outage is longer than a day, and the key changes in it."""

    payloads: int
    days: int
    every: timedelta
    workers: int
    outages: tuple[tuple[timedelta, timedelta], ...]
    key_changes: timedelta
    former_key_is_named: timedelta
    let_in: timedelta


MONTH = Plan(
    payloads=10_000,
    days=30,
    every=5 * MINUTE,
    workers=4,
    outages=((3 * DAY, 3 * DAY + 2 * HOUR), (10 * DAY, 11 * DAY + 2 * HOUR)),
    key_changes=10 * DAY + 20 * HOUR,
    former_key_is_named=12 * DAY,
    let_in=20 * DAY,
)
A_SHORT_MONTH = Plan(
    payloads=1_000,
    days=12,
    every=20 * MINUTE,
    workers=2,
    outages=((1 * DAY, 1 * DAY + 2 * HOUR), (2 * DAY, 3 * DAY + 2 * HOUR)),
    key_changes=2 * DAY + 20 * HOUR,
    former_key_is_named=4 * DAY,
    let_in=9 * DAY,
)


def payloads(plan: Plan) -> list[Payload]:
    """Return the undelivered payloads: of all tenants in outages, else of refused tenants."""
    dice = random.Random(1)
    found = []
    for number in range(plan.payloads):
        group = dice.randrange(GROUPS)
        tenant = f"t{group % TENANTS}"
        start, end = plan.outages[number % 2]
        if number % 4 == 0:
            # The tenants that are refused fail all the while.
            tenant = dice.choice((BLOCKED, LET_IN, FORBIDDEN))
            start, end = timedelta(), (plan.days - 1) * DAY
        logged = dice.uniform(start.total_seconds(), end.total_seconds())
        found.append(Payload(number, tenant, f"/{tenant}/g{group}", logged, SIZE))
    return found


def test_after_a_month_each_line_is_in_loki_or_in_the_bucket(
    capsys: pytest.CaptureFixture[str],
) -> None:
    plan = MONTH if IS_FULL else A_SHORT_MONTH
    loki = Loki(rate=4_194_304)
    simulation = Simulation(loki, plan.workers)
    loki.refusals = {
        BLOCKED: Answer(260, "ingestion blocked for user"),
        LET_IN: Answer(260, "ingestion blocked for user"),
        FORBIDDEN: Answer(403),
    }
    loki.rates = {LIMITED: 20_000.0}
    loki.outages = [(start.total_seconds(), end.total_seconds()) for start, end in plan.outages]
    everything = payloads(plan)
    refused = {BLOCKED, LET_IN, FORBIDDEN}
    healthy = [each for each in everything if each.tenant not in refused]
    loki.poison = {each.number for each in healthy[:: len(healthy) // POISON][:POISON]}

    for payload in everything:
        at = payload.logged + 180
        simulation.at(timedelta(seconds=at), lambda each=payload, at=at: simulation.keep(each, at))  # type: ignore[misc] # bound to this payload
    simulation.at(plan.key_changes, lambda: setattr(simulation.s3, "key", "second"))
    simulation.at(plan.key_changes, lambda: setattr(simulation.s3, "readable", {"second"}))
    simulation.at(plan.former_key_is_named, lambda: simulation.s3.readable.add("first"))
    simulation.at(plan.let_in, lambda: loki.refusals.update({LET_IN: None}))
    simulation.run(timedelta(), plan.days * DAY, every=plan.every)

    figures = (
        f"{len(everything):,} objects in {plan.days} days, {loki.pushes:,} pushes, longest run "
        f"{simulation.longest:.0f} s, {dict(simulation.s3.requests)}, ${simulation.dollars:.2f}"
    )
    with capsys.disabled():
        print(f"\n{figures}")  # noqa: T201 - it is what the full run is for

    held = Counter(loki.held)
    assert max(held.values()) == 1
    arrived = {each.number for each in healthy} - loki.poison
    assert arrived <= held.keys()
    assert {number for number in loki.poison if number in held} == set()

    # What is not in Loki is in the bucket, each line once.
    rejected = Counter(_numbers(simulation, "rejected/"))
    waiting = Counter(_numbers(simulation, "aws/")) + Counter(_numbers(simulation, "failed/"))
    assert held + rejected + waiting == Counter(each.number for each in everything)

    # Refused for good: poison, and lines of a tenant that was let in when they were too old.
    let_in = {each.number for each in everything if each.tenant == LET_IN}
    assert rejected.keys() <= loki.poison | let_in
    assert let_in <= held.keys() | rejected.keys()

    # Waiting: only those of tenants that are refused still, and poison that came alone.
    still = {each.number for each in everything if each.tenant in {BLOCKED, FORBIDDEN}}
    assert still <= waiting.keys() <= still | loki.poison
    reasons = {reason for run in simulation.last.values() for reason in run.failures}
    assert reasons <= {"blocked", "denied", "server_error"}

    assert simulation.longest < 290


def _numbers(simulation: Simulation, folder: str) -> list[int]:
    numbers = []
    for body in simulation.s3.payloads(folder):
        if isinstance(body, Payload):
            numbers.append(body.number)
        else:
            [[data]] = [record.payloads for record in read_stored_records(folder, body)]
            numbers += [int(event.message.partition(" ")[0]) for event in data.log_events]
    return numbers
