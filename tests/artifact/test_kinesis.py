"""The built function under Lambda's own runtime interface: batches of a Kinesis stream."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from loki_shipper.local.receiver import Receiver, ScriptedAnswer
from loki_shipper.local.runtime_api import ExecutionEnvironment, Response
from loki_shipper.local.sample import Call, kinesis_event, log_data
from loki_shipper.model import LogData

KINESIS = (Path(__file__).parents[2] / "events/kinesis.json").read_bytes()
MB = 1_000_000
MEMORY = 256 * MB
"""The least memory that the stack gives the function."""


def numbers(event: Any) -> list[str]:
    return [record["kinesis"]["sequenceNumber"] for record in event["Records"]]


def named(result: object) -> list[str]:
    assert isinstance(result, Response)
    assert [*result.payload] == ["batchItemFailures"]
    return [failure["itemIdentifier"] for failure in result.payload["batchItemFailures"]]


def payloads(groups: int, lines: int, line: Callable[[int, int], str]) -> Iterator[LogData]:
    """Give a payload of so many lines for each log group."""
    now = int(time.time() * 1000)
    for group in range(groups):
        logged = [(now - 5_000 + n // 10, line(group, n)) for n in range(lines)]
        yield log_data(f"/aws/lambda/fun-{group}", "s", [Call(now, logged)])


def test_a_batch_is_delivered_and_no_record_comes_again(
    environment: ExecutionEnvironment, receiver: Receiver
) -> None:
    assert named(environment.invoke(KINESIS)) == []
    groups = {stream.labels["log_group"] for push in receiver.pushes for stream in push.streams}
    assert len(groups) == 4


def test_records_that_loki_does_not_take_come_again(
    environment: ExecutionEnvironment, receiver: Receiver
) -> None:
    receiver.script(lambda _: ScriptedAnswer(status=500, body=b"no\n"))
    # The first record is a control message.
    assert (
        named(environment.invoke(KINESIS, deadline_ms=10_000)) == numbers(json.loads(KINESIS))[1:]
    )


def test_a_batch_of_ten_thousand_log_groups_fits_and_goes_on_where_the_time_ended(
    environment: ExecutionEnvironment, receiver: Receiver
) -> None:
    event = kinesis_event(payloads(10_000, 2, lambda group, n: f"{group} {n} {hash(str(group)):x}"))
    body = json.dumps(event).encode()
    assert len(body) > 6 * MB
    # So slow that the time ends before the records do.
    receiver.script(lambda _: ScriptedAnswer(delay=0.01))
    left = named(environment.invoke(body, deadline_ms=30_000))
    done = len(receiver.pushes)
    assert 0 < done < 10_000
    assert left == numbers(event)[done:]
    assert environment.peak_rss is not None
    assert environment.peak_rss < MEMORY
    # The next invocation begins with the first that is left, and repeats none.
    assert named(environment.invoke({"Records": event["Records"][done : done + 50]})) == []
    groups = [push.streams[0].labels["log_group"] for push in receiver.pushes]
    assert len(groups) == len({*groups}) == done + 50


def test_a_batch_that_unpacks_to_ten_times_its_size_fits(
    environment: ExecutionEnvironment, receiver: Receiver
) -> None:
    def access(group: int, n: int) -> str:
        return f'10.0.{n % 7}.{group} - - "GET /orders/{n} HTTP/1.1" 200 {n * 7919 % 9001}'.ljust(
            200
        )

    body = json.dumps(kinesis_event(payloads(60, 5_000, access))).encode()
    assert len(body) < 7 * MB
    assert named(environment.invoke(body)) == []
    assert sum(len(entry.line) for push in receiver.pushes for entry in push.entries) == 60 * MB
    assert environment.peak_rss is not None
    assert environment.peak_rss < MEMORY * 3 / 4
