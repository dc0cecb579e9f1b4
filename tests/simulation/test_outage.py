"""The redrivers recover from two hours without Loki, in a busy account with several workers.

CI runs a thirtieth of it. `SIMULATION=full` runs the whole (some ten minutes), with the figures of
docs/operating.md: `SIMULATION=full ./scripts/test tests/simulation -s`.
"""

import os

import pytest

from tests.simulation.simulation import HOUR, MINUTE, Loki, Payload, Simulation

SCALE = 1 if os.environ.get("SIMULATION") == "full" else 30
A_SECOND = 100
SIZE = 10_000
OUTAGE = 2 * HOUR
GROUPS = 500


@pytest.mark.parametrize("workers", [4])
def test_after_an_outage_of_two_hours_everything_is_in_loki_within_an_hour(
    workers: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """Workers, payloads, Loki's limit and the pace of a worker are scaled alike."""
    seconds = int(OUTAGE.total_seconds()) // SCALE
    loki = Loki(rate=4_194_304)
    simulation = Simulation(loki, workers)
    count = A_SECOND * seconds
    for number in range(count):
        logged = number * OUTAGE.total_seconds() / count
        group = f"/t/{number * 7919 % GROUPS}"
        simulation.keep(Payload(number, "t", group, logged, SIZE), logged + 180)
    back = OUTAGE + 3 * MINUTE
    empty = simulation.run(back, lambda: not simulation.s3.payloads("aws/"))
    took = empty - back
    figures = (
        f"{count:,} objects, {count * SIZE / 1e9:.2f} GB, {workers} workers: back after {took}, "
        f"{loki.pushes:,} pushes, {loki.refused[429]:,} of them 429, longest run "
        f"{simulation.longest:.0f} s, {dict(simulation.s3.requests)}, ${simulation.dollars:.2f}"
    )
    with capsys.disabled():
        print(f"\n{figures}")  # noqa: T201 - it is what the full run is for
    assert len(loki.held) == count
    assert set(loki.held.values()) == {1}
    assert took <= HOUR
    assert simulation.longest < 290
    assert loki.sharded == 0
