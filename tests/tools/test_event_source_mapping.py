"""The model of an event source mapping does what Lambda's documentation says."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from loki_shipper.local.runtime_api import Died, InvocationOutcome, Response
from tools.event_source_mapping import MappingSettings, ShardReader

START = datetime(2026, 11, 30, tzinfo=UTC)


class Stream:
    """Records 0 to `count` - 1 that are read by a function; `answer` is the function."""

    def __init__(self, count: int, answer: Callable[[list[int]], InvocationOutcome]) -> None:
        self.now = START
        self.batches: list[list[int]] = []
        self.kept: list[list[int]] = []
        self._answer = answer
        self.reader = ShardReader(
            MappingSettings(batch_size=4, max_age=timedelta(minutes=30), max_retries=3),
            self._invoke,
            self._keep,
            now=lambda: self.now,
            sleep=self._sleep,
        )
        self.reader.read([record(number) for number in range(count)])

    def _invoke(self, event: Any) -> InvocationOutcome:
        self.batches.append(_numbers(event))
        return self._answer(self.batches[-1])

    def _keep(self, _key: str, body: bytes) -> None:
        self.kept.append(_numbers(json.loads(json.loads(body)["payload"])))

    def _sleep(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


def record(number: int) -> dict[str, Any]:
    return {
        "kinesis": {
            "sequenceNumber": str(number),
            "approximateArrivalTimestamp": START.timestamp(),
        },
        "eventSourceARN": "arn:aws:kinesis:eu-central-1:123456789012:stream/logs",
    }


def _numbers(event: Any) -> list[int]:
    return [int(record["kinesis"]["sequenceNumber"]) for record in event["Records"]]


def failures(*numbers: int | str) -> Response:
    return Response({"batchItemFailures": [{"itemIdentifier": str(each)} for each in numbers]})


def test_it_goes_on_from_the_lowest_record_that_failed() -> None:
    answers = iter([failures(3, 1), failures()])
    assert Stream(4, lambda _: next(answers)).batches == [[0, 1, 2, 3], [1, 2, 3]]


def test_it_halves_a_batch_when_the_function_fails() -> None:
    stream = Stream(4, lambda batch: Died(-9) if 2 in batch else failures())
    assert stream.batches == [[0, 1, 2, 3], [0, 1], [2, 3], *[[2]] * 4, [3]]
    assert stream.kept == [[2]]


def test_an_unknown_identifier_is_a_batch_that_failed() -> None:
    stream = Stream(2, lambda batch: failures("") if len(batch) > 1 else failures())
    assert stream.batches == [[0, 1], [0], [1]]


def test_it_gives_up_what_is_too_old_or_was_tried_too_often() -> None:
    stream = Stream(8, lambda batch: failures(*batch))
    assert stream.kept == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert len(stream.batches) == 8
    assert stream.reader.given_up == 8


def test_it_does_not_invoke_the_function_for_a_record_that_is_too_old() -> None:
    stream = Stream(0, lambda _: failures())
    stream.now += timedelta(hours=1)
    stream.reader.read([record(1)])
    assert (stream.batches, stream.kept) == ([], [[1]])
