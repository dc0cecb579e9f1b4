import json
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from itertools import chain, repeat
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from msgspec.structs import replace

from loki_shipper.local.sample import Call, from_lines, invocation_event, log_data
from loki_shipper.model import OWN_TAG, Batch, LogData, LogEvent
from loki_shipper.settings import Settings
from loki_shipper.shipper.delivery.answer import Answer, NoAnswer
from loki_shipper.shipper.delivery.dead_letters import DeadLetterError
from loki_shipper.shipper.delivery.deliver import DeliveryEffects
from loki_shipper.shipper.delivery.outcome import Report, Settled, Shipped
from loki_shipper.shipper.entries.transform import RuleState
from loki_shipper.shipper.labels.tags import LogGroupTags
from loki_shipper.shipper.pipeline import ShipperDependencies, pipeline, ship
from loki_shipper.shipper.rules.parse import default_rules, parse_rules
from loki_shipper.shipper.sources.event import records
from tests.sample_events import LOG_GROUP_EVENTS

if TYPE_CHECKING:
    from loki_shipper.shipper.delivery.hourly import HourlyCount

EVENTS = Path(__file__).resolve().parents[2] / "events"
NOW = 1_795_206_163_123


class ShipperInMemory:
    """A Loki that answers as it is told, a bucket, and tags."""

    def __init__(
        self, answer: Callable[[Batch], Answer | NoAnswer] = lambda _: Answer(204)
    ) -> None:
        self.answer = answer
        self.batches: list[Batch] = []
        self.bucket: dict[str, bytes] | None = {}
        self.tags: Mapping[str, str] = {"team": "payments"}
        self.tags_are_known = True
        self.settings = Settings(loki_url="http://loki")
        self.rule_state = RuleState(default_rules(), {})
        self.account: str | None = None
        self.own_log_group: str | None = "/aws/lambda/shipper"
        self.bucket_is_down = False
        self.hourly: tuple[HourlyCount, ...] = ()
        self.seconds: Iterator[float] = repeat(60.0)

    def deps(self) -> ShipperDependencies:
        return ShipperDependencies(
            settings=self.settings,
            rule_state=self.rule_state,
            account=self.account,
            region="eu-central-1",
            own_log_group=self.own_log_group,
            tags=lambda _: LogGroupTags(self.tags, known=self.tags_are_known),
            delivery=DeliveryEffects(
                send=self._send,
                remaining=lambda: next(self.seconds),
                now=lambda: NOW * 1_000_000,
                sleep=lambda _: None,
                jitter=lambda _: 0.0,
                renew=lambda: False,
                tenants_without_metadata=set(),
                late_minutes=30,
            ),
            put=None if self.bucket is None else self._put,
        )

    def ship_all(self, *payloads: LogData) -> list[Shipped]:
        return ship(payloads, self.deps())

    def ship(self, event: Any) -> Report:
        report = pipeline(event, self.deps())
        kept = [report.dropped, report.rejected, report.deferred, report.errored]
        assert report.received == report.delivered + sum(sum(each.values()) for each in kept)
        self.hourly = report.hourly
        return replace(report, hourly=())

    def _send(self, batch: Batch) -> Answer | NoAnswer:
        self.batches.append(batch)
        return self.answer(batch)

    def _put(self, key: str, body: bytes) -> None:
        if self.bucket_is_down:
            raise DeadLetterError("the bucket cannot be written: ClientError")
        assert self.bucket is not None
        self.bucket[key] = body

    def kept(self, folder: str) -> list[str]:
        """List the lines in a folder of the bucket."""
        assert self.bucket is not None
        lines = []
        for key, body in self.bucket.items():
            if key.startswith(folder):
                [data] = records(json.loads(body)["requestPayload"])
                lines += [event.message for event in data.log_events]
        return lines


def event(*lines: str, log_group: str = "g") -> Any:
    return invocation_event(from_lines(lines, log_group=log_group, log_stream="s", newest=NOW))


def refusing(line: str, answer: Answer | NoAnswer) -> Callable[[Batch], Answer | NoAnswer]:
    """Answer so to each batch with this line in it."""
    return lambda batch: (
        answer if any(entry.line == line for entry in batch.entries) else Answer(204)
    )


def one_a_batch(shipper: ShipperInMemory) -> None:
    shipper.settings = Settings(loki_url="http://loki", max_batch_bytes=1)


def test_lines_become_entries_of_one_labelled_stream() -> None:
    shipper = ShipperInMemory()
    assert shipper.ship(event("a", "b")) == Report(received=2, delivered=2, newest=NOW)
    [batch] = shipper.batches
    assert dict(batch.stream.labels)["team"] == "payments"
    assert [entry.line for entry in batch.entries] == ["a", "b"]
    assert shipper.bucket == {}


def test_empty_lines_are_counted_as_dropped() -> None:
    assert ShipperInMemory().ship(event("a", "\n")) == Report(
        received=2, delivered=1, dropped={"empty": 1}, newest=NOW
    )


def test_a_control_message_pushes_nothing() -> None:
    shipper = ShipperInMemory()
    assert shipper.ship(json.loads((EVENTS / "control.json").read_bytes())) == Report()
    assert shipper.batches == []


def test_a_payload_without_log_events_pushes_nothing() -> None:
    shipper = ShipperInMemory()
    empty = invocation_event(LogData("DATA_MESSAGE", "1", "g", "s", []))
    assert shipper.ship(empty) == Report()
    assert shipper.batches == []


def test_the_log_of_another_loki_shipper_is_dropped_and_counted() -> None:
    shipper = ShipperInMemory()
    shipper.tags = {"team": "payments", OWN_TAG: "loki-shipper-drill"}
    assert shipper.ship(event("shipped", "shipped", log_group="/aws/lambda/drill")) == Report(
        received=2, dropped={"shipper_log_group": 2}, newest=NOW
    )
    assert shipper.batches == []
    assert shipper.bucket == {}


def test_a_mark_that_was_read_last_counts_while_aws_does_not_answer() -> None:
    shipper = ShipperInMemory()
    shipper.tags, shipper.tags_are_known = {OWN_TAG: "loki-shipper-drill"}, False
    assert shipper.ship(event("shipped")).dropped == {"shipper_log_group": 1}


def test_our_own_log_group_is_never_shipped() -> None:
    shipper = ShipperInMemory()
    assert shipper.ship(event("a", "b", log_group="/aws/lambda/shipper")) == Report(
        received=2, dropped={"own_log_group": 2}, newest=NOW
    )
    assert shipper.batches == []


def test_under_snapstart_there_is_no_name_of_our_own() -> None:
    shipper = ShipperInMemory()
    shipper.own_log_group = None
    assert shipper.ship(event("a", log_group="")).delivered == 1


def test_what_cannot_be_decoded_is_kept_as_it_came() -> None:
    shipper = ShipperInMemory()
    assert shipper.ship({"awslogs": {"data": "?"}}) == Report(
        undecodable={"the record is not base64": 1}
    )
    assert shipper.bucket is not None
    [body] = shipper.bucket.values()
    assert json.loads(body)["requestPayload"] == {"awslogs": {"data": "?"}}


def test_what_cannot_be_decoded_fails_without_a_bucket() -> None:
    shipper = ShipperInMemory()
    shipper.bucket = None
    report = shipper.ship({"awslogs": {"data": "?"}})
    assert report.failure == "the record is not base64"


def test_what_can_neither_be_decoded_nor_kept_fails() -> None:
    shipper = ShipperInMemory()
    shipper.bucket_is_down = True
    assert shipper.ship("?").failure == "the bucket cannot be written: ClientError"


def test_what_loki_refuses_is_kept_with_the_reason_and_the_invocation_succeeds() -> None:
    shipper = ShipperInMemory(refusing("b", Answer(413)))
    assert shipper.ship(event("a", "b", "c")) == Report(
        received=3, delivered=2, rejected={"too_large": 1}, newest=NOW
    )
    assert shipper.kept("rejected/") == ["b"]
    assert shipper.kept("failed/") == []


def test_refusals_are_kept_apart_by_reason() -> None:
    shipper = ShipperInMemory()
    one_a_batch(shipper)
    answers = {"a": Answer(413), "b": Answer(400, "?"), "c": Answer(413)}
    shipper.answer = lambda batch: answers[batch.entries[0].line]
    assert shipper.ship(event("a", "b", "c")).rejected == {"too_large": 2, "other": 1}
    assert shipper.bucket is not None
    assert sorted(
        json.loads(b)["responsePayload"]["errorMessage"] for b in shipper.bucket.values()
    ) == [
        "other",
        "too_large",
    ]


def test_without_a_bucket_refusals_are_counted() -> None:
    shipper = ShipperInMemory(refusing("b", Answer(413)))
    shipper.bucket = None
    report = shipper.ship(event("a", "b"))
    assert (report.rejected, report.failure) == ({"too_large": 1}, None)


def test_when_nothing_was_delivered_the_invocation_fails_and_keeps_nothing() -> None:
    shipper = ShipperInMemory(lambda _: Answer(503))
    assert shipper.ship(event("a", "b")) == Report(
        received=2,
        errored={"server_error": 2},
        newest=NOW,
        failure="not delivered: server_error",
    )
    assert shipper.bucket == {}


def test_what_is_delivered_is_not_delivered_again() -> None:
    shipper = ShipperInMemory(refusing("b", Answer(404)))
    one_a_batch(shipper)
    assert shipper.ship(event("a", "b", "c")) == Report(
        received=3, delivered=2, errored={"status_404": 1}, newest=NOW
    )
    assert shipper.kept("failed/") == ["b"]


def test_without_a_bucket_a_part_that_is_not_delivered_fails_the_invocation() -> None:
    shipper = ShipperInMemory(refusing("b", Answer(404)))
    one_a_batch(shipper)
    shipper.bucket = None
    assert shipper.ship(event("a", "b")).failure == "not delivered: status_404"


@pytest.mark.parametrize("answer", [Answer(404), Answer(413)])
def test_when_the_bucket_is_down_the_invocation_fails(answer: Answer) -> None:
    shipper = ShipperInMemory(refusing("b", answer))
    one_a_batch(shipper)
    shipper.bucket_is_down = True
    report = shipper.ship(event("a", "b"))
    assert report.failure == "the bucket cannot be written: ClientError"
    assert report.delivered == 1


def test_a_failure_names_every_reason() -> None:
    shipper = ShipperInMemory()
    one_a_batch(shipper)
    answers: dict[str, Answer | NoAnswer] = {"a": Answer(404), "b": NoAnswer("tls")}
    shipper.answer = lambda batch: answers[batch.entries[0].line]
    assert shipper.ship(event("a", "b")).failure == "not delivered: status_404, tls"


def long_line(shipper: ShipperInMemory) -> Any:
    """Give an event of which the second is a line of two parts, one a batch."""
    one_a_batch(shipper)
    shipper.settings = Settings(loki_url="http://loki", max_batch_bytes=1, max_line_bytes=1024)
    return event("a", "x" * 1024 + "y" * 1024, "c")


def test_a_line_of_which_a_part_fails_is_counted_once_and_kept_whole() -> None:
    shipper = ShipperInMemory(refusing("y" * 1024, Answer(404)))
    report = shipper.ship(long_line(shipper))
    assert (report.delivered, report.errored) == (2, {"status_404": 1})
    assert shipper.kept("failed/") == ["x" * 1024 + "y" * 1024]


def test_a_line_of_which_a_part_is_refused_is_counted_once_and_kept_whole() -> None:
    shipper = ShipperInMemory(refusing("x" * 1024, Answer(413)))
    report = shipper.ship(long_line(shipper))
    assert (report.delivered, report.rejected) == (2, {"too_large": 1})
    assert shipper.kept("rejected/") == ["x" * 1024 + "y" * 1024]


def test_a_repeat_is_the_same_pushes() -> None:
    one, two = ShipperInMemory(), ShipperInMemory()
    one.ship(event("a", "b"))
    two.ship(event("a", "b"))
    assert one.batches == two.batches


@pytest.mark.parametrize("name", sorted(LOG_GROUP_EVENTS))
def test_every_sample_event_is_shipped(name: str) -> None:
    shipper = ShipperInMemory()
    report = shipper.ship(json.loads((EVENTS / f"{name}.json").read_bytes()))
    assert report.received == report.delivered + sum(report.dropped.values())
    assert not report.rejected
    assert not report.errored


def test_moto_s_ids_are_shipped() -> None:
    events = [LogEvent(n, NOW, "same") for n in range(50)]
    shipper = ShipperInMemory()
    assert shipper.ship(invocation_event(LogData("DATA_MESSAGE", "1", "g", "s", events))).delivered
    assert len({entry.timestamp for entry in shipper.batches[0].entries}) == 50


# Whose lines they are


def tenants(shipper: ShipperInMemory, **settings: Any) -> None:
    shipper.settings = Settings(loki_url="http://loki", tenant_tag="owner", **settings)


def test_lines_whose_tenant_is_not_known_wait_in_the_bucket_and_the_invocation_succeeds() -> None:
    shipper = ShipperInMemory()
    tenants(shipper, loki_tenant="all")
    shipper.tags, shipper.tags_are_known = {}, False
    assert shipper.ship(event("a", "b")) == Report(
        received=2, deferred={"tenant_unknown": 2}, newest=NOW
    )
    assert (shipper.batches, shipper.kept("failed/")) == ([], ["a", "b"])


def test_lines_of_a_tenant_that_cannot_be_wait_likewise() -> None:
    shipper = ShipperInMemory()
    tenants(shipper, loki_tenant="all")
    shipper.tags = {"owner": "not a tenant"}
    assert shipper.ship(event("a")).deferred == {"tenant_invalid": 1}
    assert (shipper.batches, shipper.kept("failed/")) == ([], ["a"])


def test_lines_that_are_nobodys_are_rejected() -> None:
    shipper = ShipperInMemory()
    tenants(shipper)
    assert shipper.ship(event("a")).rejected == {"no_tenant": 1}
    assert (shipper.batches, shipper.kept("rejected/")) == ([], ["a"])


def test_a_rule_may_give_a_line_a_tenant_where_the_log_group_has_none() -> None:
    shipper = ShipperInMemory()
    tenants(shipper)
    shipper.rule_state = RuleState(parse_rules("[[rule]]\ntenant = 'team'"), {})
    report = shipper.ship(event('{"team": "a"}', "b"))
    assert (report.delivered, report.rejected) == (1, {"no_tenant": 1})
    assert [batch.stream.tenant for batch in shipper.batches] == ["a"]


def test_without_a_bucket_lines_whose_tenant_is_not_known_stay_with_lambda() -> None:
    shipper = ShipperInMemory()
    tenants(shipper)
    shipper.tags_are_known = False
    shipper.bucket = None
    assert shipper.ship(event("a")).failure == "not delivered: tenant_unknown"
    assert shipper.batches == []


# Ahead of the clock


def test_lines_ahead_of_the_clock_are_kept_with_the_time_from_which_loki_takes_them() -> None:
    shipper = ShipperInMemory(
        refusing("ahead", Answer(400, f"has timestamp too new: {_text(NOW + 3_600_000)}"))
    )
    ahead = log_data("g", "s", [Call(NOW, [(NOW, "now"), (NOW + 3_600_000, "ahead")])])
    report = shipper.ship(invocation_event(ahead))
    assert (report.delivered, report.deferred, report.failure) == (1, {"too_new": 1}, None)
    assert shipper.bucket is not None
    [key] = shipper.bucket
    due = (NOW + 3_600_000) // 600_000 * 600_000
    assert key.startswith(f"later/2026/11/20/{_text(due)[:-1].replace(':', '.')}-")
    assert shipper.kept("later/") == ["ahead"]


def _text(ms: int) -> str:
    return datetime.fromtimestamp(ms // 1000, UTC).isoformat().replace("+00:00", "Z")


# Time


def test_rules_that_outlive_the_invocation_end_as_errored_and_keep_the_payload_whole() -> None:
    shipper = ShipperInMemory()
    shipper.rule_state = RuleState(parse_rules("[[rule]]\nreplace = 'x+'\nwith = '-'"), {})
    shipper.seconds = iter([1.0, 0.5, -0.1])
    report = shipper.ship(event(*["x" * 70_000] * 5))
    assert (report.errored, report.failure) == ({"out_of_time": 5}, "not delivered: out_of_time")
    assert (shipper.batches, shipper.bucket) == ([], {})


# Several payloads


def payload(log_stream: str, *lines: str) -> LogData:
    return from_lines(lines, log_group="g", log_stream=log_stream, newest=NOW)


def test_payloads_of_one_stream_travel_in_one_push_and_are_reported_apart() -> None:
    shipper = ShipperInMemory(refusing("bad", Answer(413)))
    one, two = shipper.ship_all(payload("s1", "a", "bad"), payload("s2", "b"))
    assert (one.settled.delivered, two.settled.delivered) == (1, 1)
    assert [*one.settled.rejected] == ["too_large"]
    first = shipper.batches[0]
    assert sorted(entry.line for entry in first.entries) == ["a", "b", "bad"]
    assert {dict(entry.metadata)["log_stream"] for entry in first.entries} == {"s1", "s2"}
    assert [*first.entries] == sorted(first.entries, key=lambda entry: entry.timestamp)


def test_payloads_of_which_nothing_is_left_are_reported_too() -> None:
    shipper = ShipperInMemory()
    empty, full = shipper.ship_all(payload("s1", "\n"), payload("s2", "b"))
    assert (empty.dropped, empty.settled) == ({"empty": 1}, Settled())
    assert full.settled.delivered == 1


def of_kinesis(*data: str) -> Any:
    return {
        "Records": [
            {"kinesis": {"data": each, "sequenceNumber": str(number)}}
            for number, each in enumerate(data, 1)
        ]
    }


def test_a_batch_of_kinesis_is_shipped_and_reported_as_one() -> None:
    shipper = ShipperInMemory()
    event = of_kinesis(packed("a", "b"), packed("c"), packed("d", log_group="other"))
    assert shipper.ship(event) == Report(received=4, delivered=4, newest=NOW)
    # Lines of one stream are in one push.
    assert [len(batch.entries) for batch in shipper.batches] == [3, 1]


def test_a_poison_record_of_kinesis_is_kept_and_not_sent_again() -> None:
    shipper = ShipperInMemory()
    report = shipper.ship(of_kinesis(packed("a"), "?", packed("b")))
    assert report == Report(
        received=2, delivered=2, undecodable={"the record is not base64": 1}, newest=NOW
    )
    assert shipper.bucket is not None
    [(key, body)] = shipper.bucket.items()
    assert key.startswith("rejected/")
    assert json.loads(body)["requestPayload"]["Records"][0]["kinesis"]["data"] == "?"


def test_records_of_kinesis_come_again_from_the_first_that_failed() -> None:
    shipper = ShipperInMemory(refusing("b", NoAnswer("timeout")))
    report = shipper.ship(of_kinesis(packed("a"), packed("b", log_group="other")))
    assert (report.delivered, report.errored, report.retry) == (1, {"timeout": 1}, ("2",))
    assert report.failure == "not delivered: timeout"
    assert shipper.bucket == {}


def test_a_record_of_kinesis_that_failed_before_a_delivered_one_is_saved() -> None:
    """Else lines that Loki holds would come again."""
    shipper = ShipperInMemory(refusing("b", NoAnswer("timeout")))
    batch = of_kinesis(packed("a"), packed("b", log_group="other"), packed("c", log_group="third"))
    report = shipper.ship(batch)
    assert (report.delivered, report.errored, report.retry) == (2, {"timeout": 1}, ())
    assert report.failure is None
    assert shipper.kept("failed/") == ["b"]
    [body] = (shipper.bucket or {}).values()
    assert json.loads(body)["requestPayload"] == {"Records": [batch["Records"][1]]}


def test_a_tenant_that_loki_refuses_does_not_delay_the_shard_of_others() -> None:
    shipper = ShipperInMemory(refusing("b", Answer(403)))
    report = shipper.ship(of_kinesis(packed("a"), packed("b", log_group="other")))
    assert (report.delivered, report.errored, report.retry) == (1, {"denied": 1}, ())
    assert shipper.kept("failed/") == ["b"]


def test_a_shard_waits_while_loki_refuses_everything() -> None:
    shipper = ShipperInMemory(lambda _: Answer(403))
    report = shipper.ship(of_kinesis(packed("a"), packed("b", log_group="other")))
    assert (report.errored, report.retry) == ({"denied": 2}, ("1", "2"))
    assert shipper.bucket == {}


def test_records_of_kinesis_that_there_was_no_time_for_come_again() -> None:
    shipper = ShipperInMemory()
    shipper.seconds = chain(repeat(60.0, 3), repeat(0.0))
    report = shipper.ship(of_kinesis(*(packed("a", log_group=f"g{n}") for n in range(4))))
    assert report.delivered
    assert report.errored == {"out_of_time": 4 - report.delivered}
    assert report.retry == tuple(str(n + 1) for n in range(report.delivered, 4))
    assert shipper.bucket == {}


@pytest.mark.parametrize("is_there", [True, False], ids=["the bucket is down", "no bucket"])
def test_what_cannot_be_saved_comes_again(*, is_there: bool) -> None:
    shipper = ShipperInMemory(refusing("b", NoAnswer("timeout")))
    shipper.bucket_is_down = True
    shipper.bucket = shipper.bucket if is_there else None
    batch = of_kinesis(packed("a"), packed("b", log_group="other"), packed("c", log_group="third"))
    assert shipper.ship(batch).retry == ("2",)


def test_nothing_is_saved_that_comes_again_anyway() -> None:
    """Loki fails for b, and refuses the tenant of d; everything from b on comes again."""
    answers: dict[str, Answer | NoAnswer] = {"b": NoAnswer("timeout"), "d": Answer(403)}
    shipper = ShipperInMemory(lambda batch: answers.get(batch.entries[0].line, Answer(204)))
    groups = (packed(line, log_group=line) for line in "abd")
    assert shipper.ship(of_kinesis(*groups)).retry == ("2", "3")
    assert shipper.bucket == {}


def test_a_batch_that_unpacks_to_much_text_is_shipped_in_parts() -> None:
    shipper = ShipperInMemory()
    shipper.settings = Settings(loki_url="http://loki", max_batch_bytes=4_000_000)
    lines = ["x" * 200_000] * 15
    report = shipper.ship(of_kinesis(*[packed(*lines)] * 5))
    assert (report.received, report.delivered) == (75, 75)
    # Three records are one part, two are another. As one part, they would fill four batches.
    assert [len(batch.entries) for batch in shipper.batches] == [19, 19, 7, 19, 11]


def test_a_poison_record_of_kinesis_comes_again_without_a_bucket() -> None:
    shipper = ShipperInMemory()
    shipper.bucket = None
    assert shipper.ship(of_kinesis(packed("a"), "?")).retry == ("2",)


def packed(*lines: str, log_group: str = "g") -> str:
    data: str = event(*lines, log_group=log_group)["awslogs"]["data"]
    return data


def of_other_account(shipper: ShipperInMemory, line: str, **settings: Any) -> Report:
    """Ship a line of another account than the function's, whose log group has the tag `owner`."""
    tenants(shipper, **settings)
    theirs = from_lines([line], log_group="g", log_stream="s", newest=NOW)
    shipper.account = "999999999999"
    return shipper.ship(invocation_event(replace(theirs, owner=OTHER_ACCOUNT)))


OTHER_ACCOUNT = "111111111111"
LISTED = ((OTHER_ACCOUNT, ("team-a", "team-b")), ("222222222222", ("team-c",)))


@pytest.mark.parametrize("tenant", ["team-a", "team-b"])
def test_another_account_sends_for_the_tenants_of_its_list(tenant: str) -> None:
    shipper = ShipperInMemory()
    shipper.tags = {"owner": tenant}
    assert of_other_account(shipper, "a", account_tenants=LISTED).delivered == 1
    assert [batch.stream.tenant for batch in shipper.batches] == [tenant]


@pytest.mark.parametrize("tenant", ["team-c", "team", "all"])
def test_another_account_does_not_send_for_other_tenants(tenant: str) -> None:
    shipper = ShipperInMemory()
    shipper.tags = {"owner": tenant}
    report = of_other_account(shipper, "a", loki_tenant="all", account_tenants=LISTED)
    assert report.rejected == {"tenant_invalid": 1}
    assert (shipper.batches, shipper.kept("rejected/")) == ([], ["a"])


def test_an_account_without_an_entry_sends_for_no_tenant() -> None:
    shipper = ShipperInMemory()
    shipper.tags = {"owner": "team-c"}
    report = of_other_account(shipper, "a", account_tenants=LISTED[1:])
    assert report.rejected == {"tenant_invalid": 1}


def test_without_a_list_other_accounts_send_for_the_tenant_of_all_only() -> None:
    shipper = ShipperInMemory()
    shipper.tags = {"owner": "team-a"}
    assert of_other_account(shipper, "a", loki_tenant="all").rejected == {"tenant_invalid": 1}
    shipper.tags = {}
    assert of_other_account(shipper, "a", loki_tenant="all").delivered == 1


def test_a_line_of_another_account_does_not_choose_a_tenant_that_is_not_listed() -> None:
    shipper = ShipperInMemory()
    shipper.tags = {"owner": "team-a"}
    shipper.rule_state = RuleState(parse_rules("[[rule]]\ntenant = 'team'"), {})
    report = of_other_account(shipper, '{"team": "team-c"}', account_tenants=LISTED)
    assert report.rejected == {"tenant_invalid": 1}


def test_an_account_that_log_events_name_does_not_lend_its_tenants() -> None:
    """The owner is what CloudWatch Logs says of the sender; fields may be the sender's own."""
    shipper = ShipperInMemory()
    shipper.tags, shipper.account = {"owner": "team-c"}, "999999999999"
    tenants(shipper, account_tenants=LISTED)
    fields = {"@aws.account": "222222222222"}
    [line] = from_lines(["a"], log_group="g", log_stream="s", newest=NOW).log_events
    events = [replace(line, extracted_fields=fields)]
    sent = LogData("DATA_MESSAGE", OTHER_ACCOUNT, "g", "s", events)
    assert shipper.ship(invocation_event(sent)).rejected == {"tenant_invalid": 1}


def test_lines_of_the_functions_own_account_need_no_list() -> None:
    shipper = ShipperInMemory()
    shipper.tags, shipper.account = {"owner": "team-z"}, "999999999999"
    tenants(shipper, account_tenants=LISTED)
    own = LogData("DATA_MESSAGE", shipper.account, "g", "s", [LogEvent("1", NOW, "a")])
    assert shipper.ship(invocation_event(own)).delivered == 1


def test_lines_that_come_again_are_not_counted_by_hour() -> None:
    """Lambda repeats the invocation, and the lines are counted then."""
    shipper = ShipperInMemory(lambda _: Answer(503))
    shipper.ship(event("a"))
    assert shipper.hourly == ()


def test_records_of_a_batch_are_counted_by_log_group_unless_they_come_again() -> None:
    shipper = ShipperInMemory(refusing("b", NoAnswer("timeout")))
    shipper.ship(of_kinesis(packed("a", "c"), packed("b", log_group="other")))
    assert [(each.log_group, each.received) for each in shipper.hourly] == [("g", 2)]


def test_a_failed_record_that_is_saved_is_counted_as_saved() -> None:
    shipper = ShipperInMemory(refusing("b", NoAnswer("timeout")))
    shipper.ship(of_kinesis(packed("b", log_group="other"), packed("c", log_group="third")))
    counted = {each.log_group: (each.received, each.saved) for each in shipper.hourly}
    assert counted == {"other": (1, 1), "third": (1, 0)}
