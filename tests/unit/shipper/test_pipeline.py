import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from loki_shipper.local.sample import from_lines, invocation_event
from loki_shipper.model import Batch, LogData, LogEvent
from loki_shipper.settings import Settings
from loki_shipper.shipper.answer import Answer, NoAnswer
from loki_shipper.shipper.decode import decode
from loki_shipper.shipper.deliver import Sink
from loki_shipper.shipper.outcome import Report
from loki_shipper.shipper.pipeline import Surroundings, pipeline
from loki_shipper.shipper.rules import default_rules
from loki_shipper.shipper.source import UndecodableError, source
from loki_shipper.shipper.spill import SpillError
from loki_shipper.shipper.transform import Book

EVENTS = Path(__file__).resolve().parents[3] / "events"
NOW = 1_795_206_163_123


class World:
    """A Loki that answers as it is told, a bucket, and tags."""

    def __init__(
        self, answer: Callable[[Batch], Answer | NoAnswer] = lambda _: Answer(204)
    ) -> None:
        self.answer = answer
        self.batches: list[Batch] = []
        self.bucket: dict[str, bytes] | None = {}
        self.tags: Mapping[str, str] = {"team": "payments"}
        self.settings = Settings(loki_url="http://loki")
        self.book = Book(default_rules(), {})
        self.own_log_group: str | None = "/aws/lambda/shipper"
        self.bucket_is_down = False

    def ship(self, event: Any) -> Report:
        report = pipeline(
            event,
            Surroundings(
                settings=self.settings,
                book=self.book,
                region="eu-central-1",
                own_log_group=self.own_log_group,
                tags=lambda _owner, _log_group: self.tags,
                sink=Sink(
                    send=self._send,
                    remaining=lambda: 60.0,
                    sleep=lambda _: None,
                    jitter=lambda _: 0.0,
                    renew=lambda: False,
                    plain=set(),
                ),
                put=None if self.bucket is None else self._put,
            ),
        )
        kept = [report.dropped, report.rejected, report.errored]
        assert report.received == report.delivered + sum(sum(each.values()) for each in kept)
        return report

    def _send(self, batch: Batch) -> Answer | NoAnswer:
        self.batches.append(batch)
        return self.answer(batch)

    def _put(self, key: str, body: bytes) -> None:
        if self.bucket_is_down:
            raise SpillError("the bucket cannot be written: ClientError")
        assert self.bucket is not None
        self.bucket[key] = body

    def kept(self, folder: str) -> list[str]:
        """List the lines in a folder of the bucket."""
        assert self.bucket is not None
        lines = []
        for key, body in self.bucket.items():
            if key.startswith(folder):
                data = decode(source(json.loads(body)["requestPayload"]))
                assert data is not None
                lines += [event.message for event in data.log_events]
        return lines


def event(*lines: str, log_group: str = "g") -> Any:
    return invocation_event(from_lines(lines, log_group=log_group, log_stream="s", newest=NOW))


def refusing(line: str, answer: Answer | NoAnswer) -> Callable[[Batch], Answer | NoAnswer]:
    """Answer so to each batch with this line in it."""
    return lambda batch: (
        answer if any(entry.line == line for entry in batch.entries) else Answer(204)
    )


def one_a_batch(world: World) -> None:
    world.settings = Settings(loki_url="http://loki", max_batch_bytes=1)


def test_lines_become_entries_of_one_labelled_stream() -> None:
    world = World()
    assert world.ship(event("a", "b")) == Report(received=2, delivered=2, newest=NOW)
    [batch] = world.batches
    assert dict(batch.stream.labels)["team"] == "payments"
    assert [entry.line for entry in batch.entries] == ["a", "b"]
    assert world.bucket == {}


def test_empty_lines_are_counted_as_dropped() -> None:
    assert World().ship(event("a", "\n")) == Report(
        received=2, delivered=1, dropped={"empty": 1}, newest=NOW
    )


def test_a_control_message_pushes_nothing() -> None:
    world = World()
    assert world.ship(json.loads((EVENTS / "control.json").read_bytes())) == Report()
    assert world.batches == []


def test_a_payload_without_log_events_pushes_nothing() -> None:
    world = World()
    empty = invocation_event(LogData("DATA_MESSAGE", "1", "g", "s", []))
    assert world.ship(empty) == Report()
    assert world.batches == []


def test_our_own_log_group_is_never_shipped() -> None:
    world = World()
    assert world.ship(event("a", "b", log_group="/aws/lambda/shipper")) == Report(
        received=2, dropped={"own_log_group": 2}
    )
    assert world.batches == []


def test_under_snapstart_there_is_no_name_of_our_own() -> None:
    world = World()
    world.own_log_group = None
    assert world.ship(event("a", log_group="")).delivered == 1


def test_what_cannot_be_decoded_is_kept_as_it_came() -> None:
    world = World()
    assert world.ship({"awslogs": {"data": "?"}}) == Report(undecodable="the record is not base64")
    assert world.bucket is not None
    [body] = world.bucket.values()
    assert json.loads(body)["requestPayload"] == {"awslogs": {"data": "?"}}


def test_what_cannot_be_decoded_raises_where_nobody_keeps_it() -> None:
    world = World()
    world.bucket = None
    with pytest.raises(UndecodableError):
        world.ship({"awslogs": {"data": "?"}})


def test_what_can_neither_be_decoded_nor_kept_fails() -> None:
    world = World()
    world.bucket_is_down = True
    assert world.ship("?").failure == "the bucket cannot be written: ClientError"


def test_what_loki_refuses_is_kept_with_the_reason_and_the_invocation_succeeds() -> None:
    world = World(refusing("b", Answer(413)))
    assert world.ship(event("a", "b", "c")) == Report(
        received=3, delivered=2, rejected={"too_large": 1}, newest=NOW
    )
    assert world.kept("rejected/") == ["b"]
    assert world.kept("failed/") == []


def test_refusals_are_kept_apart_by_reason() -> None:
    world = World()
    one_a_batch(world)
    answers = {"a": Answer(413), "b": Answer(400, "?"), "c": Answer(413)}
    world.answer = lambda batch: answers[batch.entries[0].line]
    assert world.ship(event("a", "b", "c")).rejected == {"too_large": 2, "other": 1}
    assert world.bucket is not None
    assert sorted(
        json.loads(b)["responsePayload"]["errorMessage"] for b in world.bucket.values()
    ) == [
        "other",
        "too_large",
    ]


def test_without_a_bucket_refusals_are_counted() -> None:
    world = World(refusing("b", Answer(413)))
    world.bucket = None
    report = world.ship(event("a", "b"))
    assert (report.rejected, report.failure) == ({"too_large": 1}, None)


def test_when_nothing_was_delivered_the_invocation_fails_and_keeps_nothing() -> None:
    world = World(lambda _: Answer(503))
    assert world.ship(event("a", "b")) == Report(
        received=2,
        errored={"server_error": 2},
        newest=NOW,
        failure="not delivered: server_error",
    )
    assert world.bucket == {}


def test_what_is_delivered_is_not_delivered_again() -> None:
    world = World(refusing("b", Answer(404)))
    one_a_batch(world)
    assert world.ship(event("a", "b", "c")) == Report(
        received=3, delivered=2, errored={"status_404": 1}, newest=NOW
    )
    assert world.kept("failed/") == ["b"]


def test_without_a_bucket_a_part_that_is_not_delivered_fails_the_invocation() -> None:
    world = World(refusing("b", Answer(404)))
    one_a_batch(world)
    world.bucket = None
    assert world.ship(event("a", "b")).failure == "not delivered: status_404"


@pytest.mark.parametrize("answer", [Answer(404), Answer(413)])
def test_when_the_bucket_is_down_the_invocation_fails(answer: Answer) -> None:
    world = World(refusing("b", answer))
    one_a_batch(world)
    world.bucket_is_down = True
    report = world.ship(event("a", "b"))
    assert report.failure == "the bucket cannot be written: ClientError"
    assert report.delivered == 1


def test_a_failure_names_every_reason() -> None:
    world = World()
    one_a_batch(world)
    answers: dict[str, Answer | NoAnswer] = {"a": Answer(404), "b": NoAnswer("tls")}
    world.answer = lambda batch: answers[batch.entries[0].line]
    assert world.ship(event("a", "b")).failure == "not delivered: status_404, tls"


def long_line(world: World) -> Any:
    """Give an event of which the second is a line of two parts, one a batch."""
    one_a_batch(world)
    world.settings = Settings(loki_url="http://loki", max_batch_bytes=1, max_line_bytes=1024)
    return event("a", "x" * 1024 + "y" * 1024, "c")


def test_a_line_of_which_a_part_fails_is_counted_once_and_kept_whole() -> None:
    world = World(refusing("y" * 1024, Answer(404)))
    report = world.ship(long_line(world))
    assert (report.delivered, report.errored) == (2, {"status_404": 1})
    assert world.kept("failed/") == ["x" * 1024 + "y" * 1024]


def test_a_line_of_which_a_part_is_refused_is_counted_once_and_kept_whole() -> None:
    world = World(refusing("x" * 1024, Answer(413)))
    report = world.ship(long_line(world))
    assert (report.delivered, report.rejected) == (2, {"too_large": 1})
    assert world.kept("rejected/") == ["x" * 1024 + "y" * 1024]


def test_a_repeat_is_the_same_pushes() -> None:
    one, two = World(), World()
    one.ship(event("a", "b"))
    two.ship(event("a", "b"))
    assert one.batches == two.batches


@pytest.mark.parametrize("name", sorted(path.stem for path in EVENTS.glob("*.json")))
def test_every_sample_event_is_shipped(name: str) -> None:
    world = World()
    report = world.ship(json.loads((EVENTS / f"{name}.json").read_bytes()))
    assert report.received == report.delivered + sum(report.dropped.values())
    assert not report.rejected
    assert not report.errored


def test_moto_s_ids_are_shipped() -> None:
    events = [LogEvent(n, NOW, "same") for n in range(50)]
    world = World()
    assert world.ship(invocation_event(LogData("DATA_MESSAGE", "1", "g", "s", events))).delivered
    assert len({entry.timestamp for entry in world.batches[0].entries}) == 50
