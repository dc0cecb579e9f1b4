"""What it costs to ship log files once."""

import pytest

from loki_shipper import prices
from loki_shipper.deployment.cost_of_log_files import TEXT_BYTES, log_files_cost


def test_transfer_is_most_of_the_cost_of_large_log_files() -> None:
    cost = log_files_cost(10, 10 * prices.GB)
    # Pushes have a third of the bytes of the text.
    assert cost.transfer == pytest.approx(10 * TEXT_BYTES * 0.30 * 0.09)
    assert 0 < cost.services < cost.transfer / 5


def test_small_log_files_cost_an_invocation_each() -> None:
    one, many = log_files_cost(1, 1_000), log_files_cost(1_000_000, 1_000_000_000)
    assert many.services == pytest.approx(one.services * 1_000_000)
    assert 0.50 < many.services < 5


def test_nothing_costs_nothing() -> None:
    assert log_files_cost(0, 0).services == log_files_cost(0, 0).transfer == 0
