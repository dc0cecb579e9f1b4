"""`loki-shipper backfill s3://…` tells the function about log files that are there already."""

import re
import shlex
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from click.testing import Result

from loki_shipper.aws.errors import AwsError
from loki_shipper.cli.listed_objects import listed_prefixes
from loki_shipper.cli.notify_objects import LogFilesQueue, notify
from loki_shipper.formats import LogBucket
from loki_shipper.model import S3Object
from tests.cli.faulty_aws import faulty
from tests.cli.log_files import BUCKET, LogFilesStack, log_files_stack, shown
from tests.local_deployment import Skipping

HOUR = timedelta(hours=1)


@pytest.fixture
def stack() -> Iterator[LogFilesStack]:
    with log_files_stack() as stack:
        yield stack


def backfill(stack: LogFilesStack, *words: str, **more: Any) -> Result:
    return stack.here.run("backfill", *words, **more)


def rest(result: Result) -> list[str]:
    [command] = re.findall(r"go on with: loki-shipper (.*)$", result.stderr, re.MULTILINE)
    return shlex.split(command)


def test_notifies_the_function_of_each_log_file_of_the_time(stack: LogFilesStack) -> None:
    for number in range(25):
        stack.put(f"a/{number:02}.log.gz")
    stack.put("a/old.log.gz", HOUR * 50)
    stack.put("b/1.log")
    stack.put("c/not in LogBuckets.log")
    result = backfill(stack, f"s3://{BUCKET}", "--since", "2d")
    assert result.exit_code == 0, result.output
    assert sorted(stack.keys) == [*(f"a/{number:02}.log.gz" for number in range(25)), "b/1.log"]
    assert result.stdout == (
        "26 log files are in the queue or shipped: `loki-shipper status` shows what waits\n"
    )


def test_a_message_says_of_an_object_what_s3_says_of_a_new_one(stack: LogFilesStack) -> None:
    key = "a/ü +%2F?.log"
    stack.put(key)
    backfill(stack, f"s3://{BUCKET}", "--since", "1d")
    s3 = stack.here.aws.client("s3")
    head = s3.head_object(Bucket=BUCKET, Key=key)
    [found] = stack.notified
    assert found == S3Object(
        BUCKET,
        key,
        etag=head["ETag"].strip('"'),
        size=head["ContentLength"],
        written=int(head["LastModified"].timestamp() * 1000),
    )


def test_ends_at_the_time_from_which_the_bucket_sends(stack: LogFilesStack) -> None:
    stack.stop()
    stack.put("a/before.log", HOUR)
    assert stack.here.run("link", f"s3://{BUCKET}").exit_code == 0
    clock = Skipping()
    clock.clock.sleep(3 * 3600)
    stack.put("a/after.log", -2 * HOUR)
    stack.take_waiting()
    stack.notified.clear()
    result = backfill(stack, f"s3://{BUCKET}", "--since", "12h", clock=clock.clock)
    assert result.exit_code == 0, result.output
    stack.take_waiting()
    assert stack.keys == ["a/before.log"]
    result = backfill(stack, f"s3://{BUCKET}", "--since", "1h", clock=clock.clock)
    assert result.exit_code == 2
    assert f"{BUCKET} is linked, and the function gets the log files since 20" in result.stderr
    words = ("--since", "12h", "--until", "2100-01-01")
    backfill(stack, f"s3://{BUCKET}", *words, clock=clock.clock)
    stack.take_waiting()
    assert sorted({*stack.keys}) == ["a/after.log", "a/before.log"]


def test_says_before_it_starts_what_there_is_and_what_it_costs(stack: LogFilesStack) -> None:
    stack.put("a/1.log")
    result = backfill(stack, f"s3://{BUCKET}/a/", "--since", "1d", "--dry-run")
    assert (result.exit_code, result.stdout) == (0, "1 log file to ship\n")
    assert re.search(
        r"1 log file of 15 bytes; estimated: less than a cent for Lambda, S3 and the function's "
        r"log, less than a cent for data transfer",
        result.stderr,
    )
    assert not stack.notified


def test_leaves_out_what_cannot_be_read_or_is_too_old_for_loki(stack: LogFilesStack) -> None:
    stack.put("a/1.log")
    stack.put("a/archived.log", StorageClass="GLACIER")
    stack.put("a/too old.log", HOUR * 24 * 9)
    result = backfill(stack, f"s3://{BUCKET}", "--since", "10d")
    assert result.exit_code == 0, result.output
    assert stack.keys == ["a/1.log"]
    assert "1 log file left out: S3 has archived them" in result.stderr
    assert "Loki would refuse lines older than --max-age" in result.stderr


def test_ctrl_c_prints_the_progress_and_the_command_that_continues(stack: LogFilesStack) -> None:
    keys = [f"a/{number:03}.log" for number in range(203)]
    for key in keys:
        stack.put(key)
    stack.stop()

    def ctrl_c() -> None:
        raise KeyboardInterrupt

    words = (f"s3://{BUCKET}/a/", "--since", "1d", "--max-age", "3d")
    result = backfill(stack, *words, clock=Skipping(before_sleep=ctrl_c).clock)
    assert result.exit_code == 130
    assert "stopped: 200 log files are in the queue or shipped" in result.stderr
    command = rest(result)
    assert command[:2] == ["backfill", f"s3://{BUCKET}/a/"]
    assert command[6:10] == ["--after", "a/199.log", "--max-age", "3d"]
    clock = Skipping(before_sleep=stack.take_waiting).clock
    result = stack.here.run(*command, clock=clock)
    assert result.exit_code == 0, result.output
    stack.take_waiting()
    assert sorted(stack.keys) == keys


def test_a_lost_connection_says_how_to_go_on(stack: LogFilesStack) -> None:
    keys = [f"a/{number:02}.log" for number in range(15)]
    for key in keys:
        stack.put(key)
    with faulty(stack.here.aws.url, lambda: len(stack.notified) == 10, "lost") as url:
        result = backfill(stack, f"s3://{BUCKET}/", "--since", "1d", AWS_ENDPOINT_URL=url)
    assert (result.exit_code, "check your connection" in result.stderr) == (1, True)
    assert "10 log files are in the queue or shipped" in result.stderr
    assert stack.here.run(*rest(result)).exit_code == 0
    assert stack.keys == keys


def test_is_json_for_programs(stack: LogFilesStack) -> None:
    stack.put("a/1.log")
    result = backfill(stack, f"s3://{BUCKET}/a", "--since", "1d", "--json")
    found = shown(result.stdout)
    assert (found["bucket"], found["prefix"]) == (BUCKET, "a")
    assert (found["log_files"], found["bytes"], found["sent"]) == (1, 15, 1)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("s3://another/a/", "the function reads nothing of s3://another/a/: LogBuckets names"),
        (f"s3://{BUCKET}/c/", "Add it with `loki-shipper deploy --set LogBuckets=…`"),
    ],
)
def test_says_that_the_function_does_not_read_a_bucket(
    stack: LogFilesStack, name: str, said: str
) -> None:
    result = backfill(stack, name, "--since", "1d")
    assert result.exit_code == 2
    assert said in result.stderr


def test_lists_only_what_log_buckets_names() -> None:
    named = [LogBucket("b", "x/"), LogBucket("b", "x/y/", "alb"), LogBucket("c", "z/")]
    assert listed_prefixes("b", "", named) == ["x/"]
    assert listed_prefixes("b", "x/y/z", named) == ["x/y/z"]
    assert listed_prefixes("b", "q", named) == []
    assert listed_prefixes("c", "", [*named, LogBucket("c", "a/")]) == ["a/", "z/"]


class Queue:
    """An SQS whose messages a function takes some at a time, whenever somebody sleeps."""

    def __init__(self, speed: int, refuses: int = 0) -> None:
        self.waiting: list[str] = []
        self.most = 0
        self.taken = 0
        self._speed = speed
        self._refuses = refuses

    def get_queue_attributes(self, **_: Any) -> Any:
        return {
            "Attributes": {
                "ApproximateNumberOfMessages": str(len(self.waiting)),
                "ApproximateNumberOfMessagesDelayed": "0",
            }
        }

    def send_message_batch(self, **request: Any) -> Any:
        entries = request["Entries"]
        refused, self._refuses = entries[: self._refuses], 0
        self.waiting += [each["MessageBody"] for each in entries[len(refused) :]]
        self.most = max(self.most, len(self.waiting))
        return {"Failed": [{"Id": each["Id"], "Code": "InternalError"} for each in refused]}

    def work(self, _: float) -> None:
        self.taken += len(self.waiting[: self._speed])
        self.waiting = self.waiting[self._speed :]


def objects(number: int, size: int) -> list[S3Object]:
    return [S3Object("b", f"{each:05}", size=size) for each in range(number)]


def sent(queue: Queue, found: list[S3Object]) -> list[int]:
    """Send notifications; give the number of each request."""
    return [len(each) for each in notify(found, LogFilesQueue(queue, "q"), queue.work)]


def test_never_fills_the_queue_so_that_new_log_files_need_not_wait() -> None:
    queue = Queue(speed=50)
    assert sent(queue, objects(1_000, 1)) == [10] * 100
    assert queue.most == 200
    assert queue.taken == 800


def test_waits_for_large_log_files_one_by_one() -> None:
    queue = Queue(speed=1)
    assert sent(queue, objects(5, 2**31)) == [1] * 5
    assert queue.most == 1


def test_fills_the_queue_with_as_many_bytes_as_some_seconds_of_work() -> None:
    queue = Queue(speed=2)
    assert sum(sent(queue, objects(20, 300_000_000))) == 20
    assert queue.most == 3


def test_sends_again_what_the_queue_refused_and_gives_up_at_last() -> None:
    queue = Queue(speed=1, refuses=3)
    assert sent(queue, objects(10, 1)) == [10]
    assert len(queue.waiting) == 10

    class Refusing(Queue):
        def send_message_batch(self, **_: Any) -> Any:
            return {"Failed": [{"Id": "0", "Code": "AccessDenied", "Message": "no"}]}

    with pytest.raises(AwsError, match="no"):
        sent(Refusing(1), objects(1, 1))
