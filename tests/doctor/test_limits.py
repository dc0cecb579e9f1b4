"""Loki's limits, as a real one shows them and as others might."""

import uuid
from collections.abc import Callable, Mapping

import pytest
from msgspec.structs import replace

from loki_shipper.doctor.finding import Finding, Level
from loki_shipper.doctor.limits import check_limits
from loki_shipper.doctor.probe import LokiProbe, Reply, loki_probe
from loki_shipper.local.loki import Loki
from loki_shipper.settings import settings
from loki_shipper.shipper.delivery.answer import NoAnswer
from loki_shipper.shipper.delivery.credentials import credentials

STOCK = """
ingester:
  max_chunk_age: 2h0m0s
limits_config:
  per_stream_rate_limit: 3MB
  creation_grace_period: 10m
  shard_streams: {enabled: true, desired_rate: 1536KB}
"""


def at(url: str, **environ: str) -> tuple[LokiProbe, dict[str, str]]:
    given = {"LOKI_URL": url, "LOKI_TENANT": f"doctor-{uuid.uuid4().hex}", **environ}
    configured = settings(given)
    return loki_probe(credentials(configured, lambda _: ""), configured.loki_tenant), given


def checked(
    config: str = STOCK, of_tenant: str = "{}", status: int = 200, **environ: str
) -> Finding:
    real, given = at("http://loki", **environ)
    shown = {"/config": config, "/config/tenant/v1/limits": of_tenant}

    def get(path: str, _: Mapping[str, str]) -> Reply:
        return Reply(status, shown[path], None)

    return check_limits(settings(given), replace(real, get=get))


def test_stock_limits_are_fine(stock_loki: Loki) -> None:
    real, given = at(stock_loki.url)
    found = check_limits(settings(given), real)
    assert (found.level, found.says) == (
        Level.OK,
        "no limit makes Loki lose lines silently",
    )


@pytest.mark.parametrize(
    ("before", "after", "says", "advice"),
    [
        ("3MB", "1MB", "per_stream_rate_limit (1MB)", "raise per_stream_rate_limit to 3MB"),
        ("1536KB", "2MB", "desired_rate (2MB)", "raise per_stream_rate_limit to 4MB"),
        ("10m", "2h", "creation_grace_period is 120 minutes", "set creation_grace_period to 10m"),
        ("2h0m0s", "1h", "max_chunk_age is 60 minutes", "set LATE_STREAM_MINUTES=15"),
    ],
)
def test_a_limit_under_which_lines_may_be_lost_is_a_warning(
    before: str, after: str, says: str, advice: str
) -> None:
    found = checked(STOCK.replace(before, after))
    assert found.level is Level.WARN
    assert says in found.says
    assert advice in found.advice


def test_without_sharding_loki_reports_what_it_refuses() -> None:
    unsharded = STOCK.replace("enabled: true", "enabled: false").replace("3MB", "1MB")
    assert checked(unsharded).level is Level.OK


def test_a_tenants_own_limits_count_for_it() -> None:
    assert checked(of_tenant="per_stream_rate_limit: 100KB").level is Level.WARN


def test_a_late_stream_that_fits_is_fine() -> None:
    short = STOCK.replace("2h0m0s", "1h")
    assert checked(short, LATE_STREAM_MINUTES="15").level is Level.OK


@pytest.mark.parametrize(
    "get",
    [
        lambda *_: Reply(403, "", None),
        lambda *_: Reply(200, "<html>Sign in</html>", None),
        lambda *_: Reply(200, "{", None),
        lambda *_: Reply(200, "[]", None),
        lambda *_: NoAnswer("ReadTimeout"),
    ],
)
def test_a_loki_that_hides_its_limits_causes_no_warning(
    get: Callable[..., Reply | NoAnswer],
) -> None:
    real, given = at("http://loki")
    found = check_limits(settings(given), replace(real, get=get))
    assert (found.level, found.says) == (Level.OK, "Loki does not show its limits here")
