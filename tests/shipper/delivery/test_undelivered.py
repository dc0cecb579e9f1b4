"""What is written to the bucket, and when the caller has to hold the payload itself."""

import json

import pytest

from loki_shipper.model import LogData, LogEvent
from loki_shipper.shipper.delivery.dead_letters import DeadLetterError
from loki_shipper.shipper.delivery.outcome import Settled, Shipped
from loki_shipper.shipper.delivery.undelivered import save_undelivered
from loki_shipper.shipper.sources.event import records

NOON = 1_795_176_000_000
A, B, C = (LogEvent(name, NOON, name) for name in "abc")


def shipped(settled: Settled, dropped: int = 0) -> Shipped:
    data = LogData("DATA_MESSAGE", "1", "g", "s", [A, B, C])
    return Shipped(data, settled, {"rule": dropped} if dropped else {})


class Bucket(dict[str, bytes]):
    def put(self, key: str, body: bytes) -> None:
        self[key] = body

    @property
    def lines(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for key, body in self.items():
            [data] = records(json.loads(body)["requestPayload"])
            folder = key.partition("/")[0]
            found.setdefault(folder, []).extend(event.message for event in data.log_events)
        return found


def kept(what: Shipped, *, in_bucket: bool = False) -> tuple[tuple[str, ...], dict[str, list[str]]]:
    bucket = Bucket()
    why = save_undelivered(what, bucket.put, in_bucket=in_bucket)
    return why, bucket.lines


@pytest.mark.parametrize("in_bucket", [False, True])
def test_what_is_delivered_is_not_kept(in_bucket: bool) -> None:
    assert kept(shipped(Settled(delivered=3)), in_bucket=in_bucket) == ((), {})


@pytest.mark.parametrize("in_bucket", [False, True])
def test_each_part_goes_where_it_belongs(in_bucket: bool) -> None:
    settled = Settled(
        delivered=0 if in_bucket else 1,
        rejected={"too_old": [A]},
        deferred={("too_new", NOON): [B]},
        errored={"tls": [C]},
    )
    assert kept(shipped(settled), in_bucket=in_bucket) == (
        (),
        {"rejected": ["a"], "later": ["b"], "failed": ["c"]},
    )


def test_while_nothing_is_delivered_lambda_holds_the_errored() -> None:
    settled = Settled(rejected={"too_old": [A]}, errored={"tls": [B], "denied": [C]})
    assert kept(shipped(settled)) == (("denied", "tls"), {"rejected": ["a"]})


def test_what_waits_for_other_things_than_time_is_to_be_tried_again() -> None:
    settled = Settled(deferred={("tenant_unknown", None): [A, B, C]})
    assert kept(shipped(settled)) == ((), {"failed": ["a", "b", "c"]})


@pytest.mark.parametrize(
    "settled",
    [
        Settled(errored={"tls": [A, B, C]}),
        Settled(deferred={("tls", None): [A, B, C]}),
    ],
)
def test_what_the_bucket_holds_is_not_written_again_while_it_gets_no_further(
    settled: Settled,
) -> None:
    assert kept(shipped(settled), in_bucket=True) == (("tls",), {})


def test_what_the_bucket_holds_is_written_anew_without_what_a_rule_dropped() -> None:
    settled = Settled(errored={"tls": [B, C]})
    assert kept(shipped(settled, dropped=1), in_bucket=True) == ((), {"failed": ["b", "c"]})


@pytest.mark.parametrize(
    ("settled", "why"),
    [
        (Settled(delivered=2, errored={"tls": [C]}), ("tls",)),
        (Settled(delivered=2, deferred={("too_new", 5): [C]}), ("too_new",)),
        (Settled(delivered=2, rejected={"too_old": [C]}), ()),
    ],
)
def test_without_a_bucket_lambda_holds_what_may_be_delivered_another_time(
    settled: Settled, why: tuple[str, ...]
) -> None:
    assert save_undelivered(shipped(settled), None) == why


def test_when_the_bucket_cannot_be_written_it_says_so() -> None:
    def put(_key: str, _body: bytes) -> None:
        raise DeadLetterError("the bucket cannot be written: ClientError")

    settled = Settled(delivered=2, errored={"tls": [C]})
    with pytest.raises(DeadLetterError, match="ClientError"):
        save_undelivered(shipped(settled), put)
