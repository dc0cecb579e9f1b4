import json
from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from loki_shipper.environment import SettingsError
from loki_shipper.google.keep import REJECTED
from loki_shipper.google.log import CloudLog
from loki_shipper.google.service import GoogleEffects, keep_aside, shipping
from loki_shipper.google.ship import GoogleDependencies
from loki_shipper.model import Batch
from loki_shipper.shipper.delivery.answer import Answer
from loki_shipper.shipper.delivery.dead_letters import DeadLetterError, PutObject
from tests.google.logged import logged, message
from tests.google.pushing import LokiInMemory
from tests.google.test_keep import REFUSAL


class Bucket:
    """A bucket in memory, which may be down."""

    def __init__(self, *, is_down: bool = False) -> None:
        self.objects: dict[str, bytes] = {}
        self.is_down = is_down

    def put(self, key: str, body: bytes) -> None:
        """Write an object."""
        if self.is_down:
            raise DeadLetterError("the bucket is down")
        self.objects[key] = body


def effects(
    loki: LokiInMemory,
    put: PutObject | None = None,
    deps: Callable[[], GoogleDependencies] | None = None,
) -> GoogleEffects:
    log = CloudLog("INFO", lambda: 0.0, lambda: 0.0)
    return GoogleEffects(deps or loki.deps, put, log)


def bad_is_refused(batch: Batch) -> Answer:
    is_bad = ("log_name", "bad") in batch.stream.labels
    return Answer(400, REFUSAL) if is_bad else Answer(204)


BAD = logged(logName="projects/p/logs/bad")


def logs(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_what_loki_holds_and_what_is_kept_is_safe() -> None:
    bucket = Bucket()
    ship = shipping(effects(LokiInMemory(bad_is_refused), bucket.put))
    assert [*ship([logged(), BAD])] == [True, True]
    assert [key.startswith(REJECTED) for key in bucket.objects] == [True]


@pytest.mark.parametrize("put", [None, Bucket(is_down=True).put])
def test_a_refused_entry_that_cannot_be_kept_comes_again(put: PutObject | None) -> None:
    ship = shipping(effects(LokiInMemory(bad_is_refused), put))
    assert [*ship([logged(), BAD])] == [True, False]


def test_entries_come_again_while_loki_is_down() -> None:
    loki = LokiInMemory(lambda _: Answer(503))
    ship = shipping(effects(loki, Bucket().put, lambda: loki.deps(remaining=lambda: 1.0)))
    assert [*ship([logged(), logged()])] == [False, False]


def test_entries_ahead_of_the_clock_come_again() -> None:
    ahead = logged(timestamp="2026-11-10T10:40:01Z")
    too_new = "entry for stream '{}' has timestamp too new: 2026-11-10T10:40:01Z"
    bucket = Bucket()
    ship = shipping(effects(LokiInMemory(lambda _: Answer(400, too_new)), bucket.put))
    assert [*ship([ahead])] == [False]
    assert bucket.objects == {}


def test_entries_come_again_while_the_rules_cannot_be_used(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def deps() -> GoogleDependencies:
        raise SettingsError("RULES cannot be used")

    assert [*shipping(effects(LokiInMemory(), None, deps))([logged()])] == [False]
    assert logs(capsys)[0]["message"] == "nothing is shipped: RULES cannot be used"


def test_an_entry_that_breaks_the_shipper_is_kept_and_stops_no_other() -> None:
    bucket = Bucket()
    broken = replace(logged(), labels={"app": 1})
    ship = shipping(effects(LokiInMemory(), bucket.put))
    assert [*ship([logged(), broken, logged()])] == [True, True, True]
    [body] = bucket.objects.values()
    assert json.loads(body)["responsePayload"]["errorMessage"].startswith("crashed_")


@pytest.mark.parametrize(("put", "is_safe"), [(Bucket().put, True), (None, False)])
def test_a_message_that_is_no_entry_is_safe_if_it_is_kept(
    put: PutObject | None, *, is_safe: bool
) -> None:
    assert keep_aside(message({}), "no_log_entry", effects(LokiInMemory(), put)) is is_safe


def test_the_log_sums_up_pushes_in_the_format_of_cloud_logging(
    capsys: pytest.CaptureFixture[str],
) -> None:
    now = [0.0]
    log = CloudLog("INFO", lambda: now[0], lambda: 1_794_303_602.0)
    ship = shipping(GoogleEffects(LokiInMemory(bad_is_refused).deps, Bucket().put, log))
    for second in (0, 1, 30, 61):
        now[0] = float(second)
        ship([logged(), logged(insertId="b")])
    now[0] = 72.0
    ship([BAD])
    at_once, a_minute_later, third = logs(capsys)
    assert (at_once["severity"], at_once["received"], at_once["delivered"]) == ("INFO", 2, 2)
    assert a_minute_later["received"] == 6
    assert 0 <= a_minute_later["lag_seconds"] < 1
    assert (third["severity"], third["rejected"]) == ("WARNING", {"too_old": 1})


def test_no_log_line_holds_a_line_of_an_entry(capsys: pytest.CaptureFixture[str]) -> None:
    ship = shipping(effects(LokiInMemory(bad_is_refused), Bucket(is_down=True).put))
    ship([logged(textPayload="secret", logName="projects/p/logs/bad")])
    out = capsys.readouterr().out
    assert out
    assert "secret" not in out
