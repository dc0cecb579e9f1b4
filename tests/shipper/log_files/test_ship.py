"""Messages of a queue: their log files are shipped, and come again where they were."""

import gzip
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import repeat
from typing import Any

import pytest

from loki_shipper.formats import LogBucket
from loki_shipper.model import Batch, LogData, LogFile, S3Object
from loki_shipper.redriver.record import read_stored_records
from loki_shipper.settings import Settings
from loki_shipper.shipper.delivery.answer import Answer, NoAnswer
from loki_shipper.shipper.delivery.dead_letters import DeadLetterError
from loki_shipper.shipper.delivery.outcome import Report, Shipped
from loki_shipper.shipper.log_files.effects import (
    FileProgress,
    LogFileEffects,
    ObjectError,
    ObjectReason,
    OpenObject,
    ProgressStore,
)
from loki_shipper.shipper.log_files.ship import ship_messages
from loki_shipper.shipper.log_files.types import reader_of
from loki_shipper.shipper.pipeline import ship
from loki_shipper.shipper.sources.notifications import read_notification, write_notification
from tests.shipper.test_pipeline import ShipperInMemory

ALB = (
    "AWSLogs/123456789012/elasticloadbalancing/eu-central-1/2026/11/20/"
    "123456789012_elasticloadbalancing_eu-central-1_app.shop.1_20261120T2005Z_10.0.0.1_x.log.gz"
)
QUEUE = "arn:aws:sqs:eu-central-1:123456789012:ours-log-files"
WRITTEN = 1_795_206_000_000
DOWN = NoAnswer("connect_refused")


class World:
    """Objects of S3, a queue, and a Loki that answers as it is told."""

    def __init__(self) -> None:
        self.shipper = ShipperInMemory()
        self.shipper.account = "123456789012"
        self.shipper.tags = {}
        self.objects: dict[str, bytes] = {}
        self.faults: dict[str, ObjectReason] = {}
        self.opened: list[str] = []
        self.sent: list[tuple[str, int]] = []
        self.queue_is_down = False
        self.progress: dict[str, FileProgress] = {}
        self.progress_is_down = False
        self.chunk = 100_000
        self.crash: Exception | None = None
        self.payloads: list[LogData] = []

    def put(self, key: str, text: bytes | str, *, packed: bool = True) -> str:
        body = text.encode() if isinstance(text, str) else text
        self.objects[key] = gzip.compress(body, 1) if packed else body
        return key

    def effects(self) -> LogFileEffects:
        deps = self.shipper.deps()
        return LogFileEffects(
            account="123456789012",
            buckets=(LogBucket("my-logs"), LogBucket("typed", "only/", "json")),
            bucket="ours",
            open_object=self._open,
            reader_of=reader_of,
            ship=self._ship,
            put=deps.put,
            progress=ProgressStore(
                lambda name: self.progress.get(name, FileProgress()),
                self._write_progress,
                self._delete_progress,
            ),
            send=self._send,
            remaining=deps.delivery.remaining,
        )

    def receive(self, *bodies: str, received: int = 1) -> Report:
        return ship_messages(event(*bodies, received=received), self.effects())

    def notify(self, *keys: str, received: int = 1) -> Report:
        """Receive a message for each object."""
        return self.receive(*(about(key) for key in keys), received=received)

    def allow(self, *, pushes: int) -> None:
        """Let the time end after so many more pushes."""
        batches = self.shipper.batches
        end = len(batches) + pushes
        self.shipper.seconds = (60.0 if len(batches) < end else 0.0 for _ in repeat(None))

    def receive_sent(self) -> Report:
        """Receive what was sent to the queue."""
        sent, self.sent = self.sent, []
        return self.receive(*(body for body, _ in sent))

    @property
    def delays(self) -> list[int]:
        return [delay for _, delay in self.sent]

    @property
    def lines(self) -> list[str]:
        return [entry.line for batch in self.shipper.batches for entry in batch.entries]

    @property
    def stored(self) -> list[str]:
        """The lines that Loki holds: it stores the same line of the same nanosecond once."""
        entries = {
            (batch.stream, entry.timestamp, entry.line)
            for batch in self.shipper.batches
            for entry in batch.entries
        }
        return sorted(line for *_, line in entries)

    def rejected(self) -> list[tuple[str, list[str]]]:
        """Give the reason and the objects of each object in `rejected/`."""
        bodies = [json.loads(body) for body in (self.shipper.bucket or {}).values()]
        return [
            (
                body["responsePayload"]["errorMessage"],
                [
                    each.key
                    for record in body["requestPayload"]["Records"]
                    for each in read_notification(record["body"]).objects
                ],
            )
            for body in bodies
        ]

    def _open(self, found: S3Object) -> OpenObject:
        self.opened.append(found.key)
        match self.faults.get(found.key):
            case None:
                body = self.objects[found.key]
            case reason:
                raise ObjectError(reason)
        told = S3Object(found.bucket, found.key, found.version, str(len(body)), len(body), WRITTEN)
        return OpenObject(told, self._chunks(found.key, body))

    def _chunks(self, key: str, body: bytes) -> Iterator[bytes]:
        for start in range(0, len(body), self.chunk):
            yield body[start : start + self.chunk]
            if key in self.faults:
                raise ObjectError(self.faults[key])

    def _ship(self, payloads: Sequence[LogData]) -> list[Shipped]:
        if self.crash is not None:
            raise self.crash
        self.payloads += payloads
        return ship(payloads, self.shipper.deps())

    def _write_progress(self, name: str, progress: FileProgress) -> None:
        if self.progress_is_down:
            raise DeadLetterError("no")
        self.progress[name] = progress

    def _delete_progress(self, name: str) -> None:
        del self.progress[name]

    def _send(self, queue: str, body: str, delay: int) -> bool:
        assert queue == QUEUE
        if not self.queue_is_down:
            self.sent.append((body, delay))
        return not self.queue_is_down


def about(*keys: str, bucket: str = "my-logs") -> str:
    """Write a notification of S3."""
    own = json.loads(write_notification([S3Object(bucket, key) for key in keys], 0))
    return json.dumps({"Records": own["Records"]})


def event(*bodies: str, received: int = 1) -> Any:
    return {
        "Records": [
            {
                "messageId": f"m{number}",
                "receiptHandle": "hunter2",
                "body": body,
                "attributes": {"ApproximateReceiveCount": str(received), "SentTimestamp": "1"},
                "messageAttributes": {},
                "md5OfBody": "0",
                "eventSource": "aws:sqs",
                "eventSourceARN": QUEUE,
                "awsRegion": "eu-central-1",
            }
            for number, body in enumerate(bodies, 1)
        ]
    }


def text(lines: int, width: int = 100) -> str:
    return "".join(
        f"2026-11-20T20:00:00.{n % 1000:03}Z line {n:07} ".ljust(width) + "\n" for n in range(lines)
    )


@pytest.fixture
def world() -> World:
    return World()


def test_the_lines_of_a_file_are_shipped_with_its_labels_and_times(world: World) -> None:
    world.put("app/web.log.gz", "2026-11-20T20:00:00Z a\nand more\r\n2026-11-20T20:00:01.5Z b\n")
    assert world.notify("app/web.log.gz") == Report(
        received=3,
        delivered=3,
        newest=1_795_204_801_500,
        log_files={"shipped": 1},
        hourly=world.notify("app/web.log.gz").hourly,
    )
    entries = world.shipper.batches[0].entries
    assert [entry.line for entry in entries] == [
        *("2026-11-20T20:00:00Z a", "and more", "2026-11-20T20:00:01.5Z b")
    ]
    assert [entry.timestamp // 1_000_000 for entry in entries] == [
        *(1_795_204_800_000, 1_795_204_800_000, 1_795_204_801_500)
    ]
    assert [event.id for event in (entry.event for entry in entries)] == sorted(
        str(entry.event.id) for entry in entries
    )
    assert world.sent == []
    assert world.progress == {}


@pytest.mark.parametrize("packed", [True, False])
def test_gzip_is_known_by_its_bytes_and_not_by_its_name(world: World, packed: bool) -> None:
    world.put("named.log.gz", "a\nb\n", packed=packed)
    world.put("plain.log", "c\n", packed=not packed)
    assert world.notify("named.log.gz", "plain.log").log_files == {"shipped": 2}
    assert sorted(world.lines) == ["a", "b", "c"]


def test_gzip_of_several_members_is_one_file(world: World) -> None:
    world.objects["k.gz"] = gzip.compress(b"a\nb") + gzip.compress(b"c\nd\n")
    assert world.notify("k.gz").delivered == 3
    assert world.lines == ["a", "bc", "d"]


@pytest.mark.parametrize("body", [b"", gzip.compress(b"")], ids=["empty", "gzip_of_nothing"])
def test_an_empty_object_is_done(world: World, body: bytes) -> None:
    world.objects["k"] = body
    assert world.notify("k") == Report(log_files={"empty": 1})


def test_an_object_that_the_notification_calls_empty_is_not_read(world: World) -> None:
    body = write_notification([S3Object("my-logs", "folder/", size=0)], 0)
    assert world.receive(body) == Report(log_files={"empty": 1})
    assert world.opened == []


def test_a_test_event_and_other_events_of_s3_are_done(world: World) -> None:
    removed = json.loads(about("k"))
    removed["Records"][0]["eventName"] = "ObjectRemoved:Delete"
    test = {"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "my-logs"}
    assert world.receive(json.dumps(test), json.dumps(removed)) == Report()


def test_only_listed_keys_are_read_and_the_longest_prefix_gives_the_type(world: World) -> None:
    world.put("only/a", '{"time":"2026-11-20T20:00:00Z"}\n')
    bodies = [about("only/a", "other/b", bucket="typed"), about("k", bucket="elsewhere")]
    assert world.receive(*bodies).log_files == {"shipped": 1, "not_listed": 2}
    assert world.opened == ["only/a"]
    [data] = world.payloads
    assert data.log_file == LogFile("typed", "only/a", "json")
    assert (data.log_group, data.log_stream) == ("s3://typed/json", "only/a")


def test_objects_of_the_stacks_own_bucket_are_never_read(world: World) -> None:
    assert world.receive(about("failed/k", bucket="ours")).log_files == {"own_bucket": 1}
    assert world.opened == []


def test_a_message_that_is_no_notification_is_kept_in_the_bucket(world: World) -> None:
    world.put("k", "a\n")
    report = world.receive("no JSON", about("k"))
    assert report.undecodable == {"the message is not JSON": 1}
    assert (report.retry, report.delivered) == ((), 1)
    [body] = map(json.loads, (world.shipper.bucket or {}).values())
    [record] = body["requestPayload"]["Records"]
    assert (record["body"], record["eventSourceARN"]) == ("no JSON", QUEUE)
    assert "hunter2" not in json.dumps(body)


def test_a_message_comes_again_if_it_can_neither_be_read_nor_kept(world: World) -> None:
    world.shipper.bucket_is_down = True
    assert world.receive("no JSON").retry == ("m1",)


def test_a_record_without_a_name_makes_the_batch_come_again_if_it_cannot_be_kept(
    world: World,
) -> None:
    world.shipper.bucket_is_down = True
    report = ship_messages({"Records": [{"eventSource": "aws:sqs"}]}, world.effects())
    assert report.retry == ("",)


@pytest.mark.parametrize(
    ("body", "reason"),
    [(b"PAR1\x15\x04", "Parquet"), (b"Obj\x01", "Avro"), (b"PK\x03\x04", "a zip archive")],
)
def test_a_binary_file_is_refused_once_and_named(world: World, body: bytes, reason: str) -> None:
    world.put("data/1.parquet", body, packed=False)
    report = world.notify("data/1.parquet", "data/1.parquet")
    assert report.log_files == {"refused": 2}
    [(said, keys)] = world.rejected()
    assert reason in said
    assert keys == ["data/1.parquet"]
    assert sum(report.undecodable.values()) == 2
    assert world.sent == []


def test_a_file_that_is_cut_short_is_shipped_up_to_there_and_named(world: World) -> None:
    world.put("k", text(3000))
    world.objects["k"] = world.objects["k"][:-20]
    report = world.notify("k")
    assert report.log_files == {"refused": 1}
    assert report.delivered > 2000
    assert world.rejected() == [("the object's gzip is cut short", ["k"])]


def test_a_file_that_aws_writes_beside_logs_is_skipped(world: World) -> None:
    world.put("AWSLogs/123456789012/ELBAccessLogTestFile", "Enable AccessLog", packed=False)
    report = world.notify("AWSLogs/123456789012/ELBAccessLogTestFile")
    assert report == Report(log_files={"skipped": 1})


def test_an_object_that_is_gone_does_not_come_again(world: World) -> None:
    world.faults["k"] = "gone"
    assert world.notify("k") == Report(log_files={"gone": 1})
    assert world.sent == []


def test_an_archived_object_is_refused(world: World) -> None:
    world.faults["k"] = "archived"
    assert world.notify("k").log_files == {"refused": 1}
    [(said, keys)] = world.rejected()
    assert "restore it" in said
    assert keys == ["k"]


@pytest.mark.parametrize("reason", ["denied", "kms_denied", "unreachable"])
def test_an_object_that_cannot_be_read_comes_again_more_and_more_rarely(
    world: World, reason: ObjectReason
) -> None:
    world.put("other", "a\n")
    world.faults["a b"] = reason
    report = world.notify("a b", "other")
    assert report.log_files == {"waiting": 1, "shipped": 1}
    assert report.failure == f"s3://my-logs/a b: {reason}"
    assert report.retry == ()
    delays = [*world.delays]
    for _ in range(5):
        world.receive_sent()
        delays += world.delays
    assert delays == [60, 120, 240, 480, 900, 900]
    del world.faults["a b"]
    world.put("a b", "b\n")
    assert world.receive_sent().delivered == 1
    assert world.sent == []


def test_duplicated_notifications_push_the_same_entries(world: World) -> None:
    world.put("k", text(100))
    world.notify("k", "k")
    world.notify("k")
    entries = [
        (entry.timestamp, entry.line) for each in world.shipper.batches for entry in each.entries
    ]
    assert {*Counter(entries).values()} == {3}
    assert len({*entries}) == 100


def test_small_files_are_pushed_together(world: World) -> None:
    keys = [world.put(f"app/{n}", text(5)) for n in range(10)]
    assert world.notify(*keys).log_files == {"shipped": 10}
    assert len(world.lines) == 50
    assert len(world.shipper.batches) == 1


def test_a_file_goes_on_where_the_time_ended(world: World) -> None:
    world.put("k", text(20_000, width=1000))
    rounds = 0
    world.allow(pushes=10)
    reports = [world.notify("k")]
    while world.sent:
        rounds += 1
        assert world.delays == [0]
        assert reports[-1].log_files == {"continued": 1}
        assert reports[-1].failure is None
        assert len(world.progress) == 1
        world.allow(pushes=10)
        reports.append(world.receive_sent())
    assert rounds > 1
    assert reports[-1].log_files == {"shipped": 1}
    assert world.stored == sorted(text(20_000, width=1000).splitlines())
    assert world.progress == {}


def test_lines_have_the_same_nanoseconds_however_often_the_time_ends(world: World) -> None:
    """Most lines have no time of their own: they take that of a line before."""
    body = "".join(
        f"{'2026-11-20T20:00:00Z' if n % 3_100 == 5 else ''} {n}".ljust(900) + "\n"
        for n in range(15_000)
    )
    world.put("k", body)
    world.notify("k")
    whole = [(entry.timestamp, entry.line) for b in world.shipper.batches for entry in b.entries]
    world.shipper.batches.clear()
    world.allow(pushes=10)
    world.notify("k")
    while world.sent:
        world.allow(pushes=10)
        world.receive_sent()
    parts = [(entry.timestamp, entry.line) for b in world.shipper.batches for entry in b.entries]
    assert {*parts} == {*whole}
    assert len({*whole}) == 15_000


def test_an_array_goes_on_where_the_time_ended(world: World) -> None:
    records = [
        {"eventTime": "2026-11-20T20:00:00Z", "eventID": str(n), "pad": "x" * 900}
        for n in range(12_000)
    ]
    key = "AWSLogs/123456789012/CloudTrail/eu-central-1/2026/11/20/1_CloudTrail_x.json.gz"
    world.put(key, json.dumps({"Records": records}))
    world.allow(pushes=10)
    world.notify(key)
    assert world.sent
    while world.sent:
        world.allow(pushes=10)
        world.receive_sent()
    ids = [int(json.loads(line)["eventID"]) for line in world.stored]
    assert sorted(ids) == [*range(12_000)]


def test_a_crash_repeats_little_and_the_same_entries(world: World) -> None:
    """As when Lambda ends an execution environment that takes too long."""
    body = text(8_000, width=10_000)
    world.put("k", body)
    batches = world.shipper.batches

    class KilledError(BaseException):
        pass

    def answer(_: Batch) -> Answer:
        if len(batches) == 84:
            raise KilledError
        return Answer(204)

    world.shipper.answer = answer
    with pytest.raises(KilledError):
        world.notify("k")
    world.notify("k", received=2)
    entries = [(e.timestamp, e.line) for batch in batches for e in batch.entries]
    assert sorted({line for _, line in entries}) == sorted(body.splitlines())
    assert len({*entries}) == 8_000
    assert 0 < len(entries) - 8_000 < 4_000
    assert world.progress == {}


def test_a_file_that_takes_all_the_time_without_progress_waits_longer_and_longer(
    world: World,
) -> None:
    world.put("k", text(100_000))
    delays = []
    world.shipper.seconds = iter([60.0] * 3 + [0.0] * 9)
    world.notify("k")
    for _ in range(3):
        delays += world.delays
        world.shipper.seconds = iter([60.0] * 3 + [0.0] * 9)
        world.receive_sent()
    assert delays == [60, 120, 240]


def test_messages_that_there_was_no_time_for_come_again_at_once(world: World) -> None:
    keys = [world.put(f"k{n}", text(5_000, width=1000)) for n in range(5)]
    world.allow(pushes=10)
    report = world.notify(*keys)
    assert report.log_files["continued"] >= 3
    assert {*world.delays} == {0}
    while world.sent:
        world.allow(pushes=10)
        world.receive_sent()
    assert len(world.stored) == 25_000


def test_while_loki_is_down_files_wait_and_no_other_one_is_read(world: World) -> None:
    keys = [world.put(f"k{n}", text(5_000, width=1000)) for n in range(3)]
    world.shipper.answer = lambda _: DOWN
    report = world.notify(*keys)
    assert report.log_files == {"waiting": 3}
    assert report.failure == "s3://my-logs/k0 and 2 more: connect_refused"
    assert world.opened == ["k0"]
    assert world.delays == [60, 60, 60]
    assert world.shipper.bucket == {}
    assert report.hourly == ()
    world.shipper.answer = lambda _: Answer(204)
    world.shipper.batches.clear()
    assert world.receive_sent().log_files == {"shipped": 3}
    assert len(world.lines) == 15_000


def test_a_file_keeps_its_progress_when_loki_goes_down(world: World) -> None:
    world.put("k", text(10_000, width=1000))
    batches = world.shipper.batches
    world.shipper.answer = lambda _: Answer(204) if len(batches) < 7 else DOWN
    report = world.notify("k")
    assert report.log_files == {"waiting": 1}
    assert world.delays == [30]
    [progress] = world.progress.values()
    assert progress.lines > 3_000
    delivered = report.delivered
    world.shipper.answer = lambda _: Answer(204)
    report = world.receive_sent()
    assert delivered + report.delivered <= 10_000
    assert progress.lines + report.received == 10_000


def test_a_part_that_loki_took_in_part_is_done_and_its_rest_is_in_the_bucket(
    world: World,
) -> None:
    world.put("k", text(10))
    world.shipper.settings = Settings(loki_url="http://loki", max_batch_bytes=1)
    batches = world.shipper.batches
    world.shipper.answer = lambda _: Answer(204) if len(batches) < 6 else DOWN
    report = world.notify("k")
    assert report.log_files == {"shipped": 1}
    kept = world.shipper.kept("failed/")
    assert (len(kept), world.sent) == (5, [])
    world.shipper.settings = Settings(loki_url="http://loki")


def test_lines_that_loki_refuses_for_good_are_in_the_bucket_with_their_file(world: World) -> None:
    world.put("app/k", text(2))
    world.shipper.answer = lambda _: Answer(400, "entry has timestamp too old: 1")
    report = world.notify("app/k")
    assert report.log_files == {"shipped": 1}
    assert sum(report.rejected.values()) == 2
    assert world.shipper.kept("rejected/") == text(2).splitlines()


def test_a_dead_letter_of_a_file_is_shipped_again_with_its_labels_and_nanoseconds(
    world: World,
) -> None:
    world.put(ALB, "".join(f"h2 2026-11-20T20:00:00.5Z app/shop/1 {n}\n" for n in range(50)))
    world.shipper.answer = lambda _: Answer(400, "entry has timestamp too old: 1")
    world.notify(ALB)
    refused = [(b.stream, e.timestamp, e.line) for b in world.shipper.batches for e in b.entries]
    [(key, body)] = (world.shipper.bucket or {}).items()
    [record] = read_stored_records(key, body)
    world.shipper.batches.clear()
    world.shipper.answer = lambda _: Answer(204)
    world.shipper.ship_all(*record.payloads)
    again = [(b.stream, e.timestamp, e.line) for b in world.shipper.batches for e in b.entries]
    assert again == refused
    assert dict(again[0][0].labels)["log_type"] == "alb"


def test_a_file_without_a_tenant_waits_and_is_not_copied_to_the_bucket(world: World) -> None:
    world.put("k", text(2))
    world.put("other", text(2))
    world.shipper.settings = Settings(loki_url="http://loki", tenant_tag="tenant")
    world.shipper.tags_are_known = False
    report = world.notify("k", "other")
    assert report.log_files == {"waiting": 2}
    assert world.shipper.bucket == {}
    assert report.failure is not None
    assert "tenant_unknown" in report.failure


def test_a_message_comes_again_from_lambda_if_the_queue_cannot_be_written(world: World) -> None:
    world.put("k", "a\n")
    world.faults["gone"] = "gone"
    world.faults["denied"] = "denied"
    world.queue_is_down = True
    assert world.notify("k", "denied", "gone").retry == ("m2",)


def test_a_file_waits_if_its_progress_cannot_be_kept(world: World) -> None:
    world.put("k", text(20_000, width=1000))
    world.allow(pushes=10)
    world.progress_is_down = True
    assert world.notify("k").retry == ("m1",)


def test_a_file_that_breaks_us_counts_as_a_crash_and_stops_no_other(world: World) -> None:
    world.put("k", "a\n")
    report = world.notify("missing", "k")  # the world raises KeyError
    assert report.log_files == {"crashed": 1, "shipped": 1}
    assert (report.retry, world.lines) == (("m1",), ["a"])
    assert report.failure == "s3://my-logs/missing: crashed_KeyError"


def test_a_crash_of_the_pipeline_loses_no_file_of_its_push(world: World) -> None:
    keys = [world.put(f"k{n}", "a\n") for n in range(3)]
    world.crash = ValueError("hunter2")
    report = world.notify(*keys)
    assert report.retry == ("m1", "m2", "m3")
    assert "hunter2" not in str(report)


def test_objects_of_one_message_come_again_without_those_that_are_done(world: World) -> None:
    world.put("a", "a\n")
    world.faults["b"] = "denied"
    report = world.receive(about("a", "b"))
    assert report.log_files == {"shipped": 1, "waiting": 1}
    [(body, _)] = world.sent
    assert [each.key for each in read_notification(body).objects] == ["b"]


def test_an_object_that_is_replaced_while_it_is_read_is_shipped_up_to_there(world: World) -> None:
    world.put("k", text(100_000))
    world.chunk = 50_000
    opened = world.objects["k"]

    def vanish(_: Batch) -> Answer:
        world.faults["k"] = "gone"
        return Answer(204)

    world.shipper.answer = vanish
    report = world.notify("k")
    assert len(opened) > 100_000
    assert report.log_files == {"gone": 1}
    assert 0 < report.delivered < 100_000


def test_ten_thousand_small_objects_are_each_shipped_once(world: World) -> None:
    def batches(size: int) -> Iterable[range]:
        return (range(start, start + size) for start in range(0, 10_000, size))

    for numbers in batches(10):
        keys = [world.put(f"app/{n}", f"2026-11-20T20:00:00Z line {n}\n") for n in numbers]
        assert world.notify(*keys).log_files == {"shipped": 10}
    assert len(world.lines) == len({*world.lines}) == 10_000
    assert len(world.shipper.batches) == 1000
