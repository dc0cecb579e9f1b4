"""What a month costs, by what log groups took in."""

import pytest

from loki_shipper.deployment.cost import (
    ShipperSize,
    billed_seconds,
    monthly_cost,
    monthly_gb,
    shipping_cost,
)
from loki_shipper.deployment.volumes import Volume

# A million log events a day, 100 of them an invocation: 300,000 invocations a month.
MILLION = Volume(taken_bytes=14 * 200e6, events=14e6)


def test_a_month_costs_what_the_price_list_says() -> None:
    cost = monthly_cost(MILLION, ShipperSize(), metrics=38, secrets=1)
    shipping = cost.shipping
    assert shipping.functions == pytest.approx(300_000 * (0.2e-6 + 0.022 * 0.25 * 0.0000133334))
    assert shipping.own_log == pytest.approx(300_000 * 1_750 / 1e9 * 0.50)
    assert shipping.transfer == pytest.approx((6.0 * 0.3 + 0.27) * 0.09)
    assert shipping.total == shipping.functions + shipping.own_log + shipping.transfer
    assert cost.metrics == pytest.approx(11.4)
    assert cost.secret == pytest.approx(0.4)
    assert cost.dashboard == pytest.approx(3.0)
    assert cost.total == pytest.approx(shipping.total + 14.8)
    assert monthly_gb(MILLION) == pytest.approx(6.0)


def test_more_log_events_in_an_invocation_cost_less() -> None:
    costs = [shipping_cost(MILLION, ShipperSize(events=each)).total for each in (1, 10, 100, 5_000)]
    assert costs == sorted(costs, reverse=True)
    assert costs[0] > 50 * costs[2]


@pytest.mark.parametrize(
    ("events", "seconds"),
    [(0.5, 0.019), (1, 0.019), (50, 0.021), (100, 0.022), (1_000, 0.035), (10_000, 0.142)],
)
def test_the_time_of_an_invocation_follows_from_its_log_events(
    events: float, seconds: float
) -> None:
    assert billed_seconds(ShipperSize(events=events)) == pytest.approx(seconds, abs=0.001)


def test_the_time_grows_beyond_the_largest_measured_invocation() -> None:
    assert billed_seconds(ShipperSize(events=19_000)) > 1.7 * billed_seconds(
        ShipperSize(events=10_000)
    )


def test_more_memory_takes_less_time() -> None:
    times = [billed_seconds(ShipperSize(memory_mb=each, events=10_000)) for each in (256, 1_024)]
    assert times[0] > 3 * times[1]


def test_x86_costs_more() -> None:
    arm, x86 = (shipping_cost(MILLION, ShipperSize(each)).functions for each in ("arm64", "x86_64"))
    assert arm < x86 < 1.25 * arm
