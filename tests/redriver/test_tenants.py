"""Which tenants take lines in a run."""

import pytest

from loki_shipper.redriver.tenants import CLOSED, Tenants, is_of_tenant


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def tenants(clock: Clock) -> Tenants:
    return Tenants(clock)


def test_a_tenant_is_open_until_something_is_heard_of_it(tenants: Tenants) -> None:
    assert tenants.closed_reason("a") is None
    assert tenants.closed_reason(None) is None


@pytest.mark.parametrize("reason", ["blocked", "denied", "tenant", "status_404", "not_loki"])
def test_a_tenant_that_is_refused_is_closed_for_the_run(
    tenants: Tenants, clock: Clock, reason: str
) -> None:
    tenants.on_answer("a", reason)
    clock.now += 900
    assert (tenants.closed_reason("a"), tenants.closed_reason("b")) == (reason, None)
    assert is_of_tenant(reason)


@pytest.mark.parametrize("reason", ["rate_limited", "stream_limit"])
def test_a_tenant_over_its_limits_is_closed_for_a_minute(
    tenants: Tenants, clock: Clock, reason: str
) -> None:
    tenants.on_answer("a", reason)
    clock.now += 59
    assert tenants.closed_reason("a") == reason
    clock.now += 1
    assert tenants.closed_reason("a") is None


def test_three_failures_in_a_row_close_a_tenant_for_a_minute(
    tenants: Tenants, clock: Clock
) -> None:
    for _ in range(2):
        tenants.on_answer("a", "server_error")
    assert tenants.closed_reason("a") is None
    tenants.on_answer("a", "read_timeout")
    assert tenants.closed_reason("a") == CLOSED
    clock.now += 60
    assert tenants.closed_reason("a") is None


def test_what_loki_takes_forgives_a_tenants_failures(tenants: Tenants) -> None:
    for answer in ("server_error", "server_error", None, "server_error", "server_error"):
        tenants.on_answer("a", answer)
    assert tenants.closed_reason("a") is None
    assert tenants.accepted == {"a": 1}


def test_after_three_failures_in_a_row_of_anybody_the_next_tenant_has_but_one(
    tenants: Tenants,
) -> None:
    """Loki may be down: with twenty tenants, three tries of each would take the whole run."""
    for _ in range(3):
        tenants.on_answer("a", "no_connection")
    tenants.on_answer("b", "no_connection")
    assert tenants.closed_reason("b") == CLOSED
    tenants.on_answer("c", None)
    tenants.on_answer("d", "no_connection")
    assert tenants.closed_reason("d") is None
    assert not is_of_tenant("no_connection")
