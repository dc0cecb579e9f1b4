"""Models Lambda's event source mapping for one shard of a Kinesis stream.

It invokes the function batch by batch, and goes on from the lowest record that the answer names. If
the function fails, it halves the batch. It gives records up that are too old, or have been tried
too often, and writes them to the on-failure destination
(https://docs.aws.amazon.com/lambda/latest/dg/services-kinesis-errors.html).
"""

import json
import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import batched
from typing import Any, Final

from msgspec import Struct

from loki_shipper.local.runtime_api import InvocationOutcome, Response

_SHARD: Final = "shardId-000000000000"
_LONGEST_WAIT: Final = 60.0
"""Seconds between two tries of a batch. AWS does not document them; this model doubles them."""

type PutOnFailure = Callable[[str, bytes], object]
"""Writes an object to the destination: key and body."""


class MappingSettings(Struct, frozen=True):
    """The settings of a mapping, as the template has them."""

    batch_size: int
    max_age: timedelta
    max_retries: int


def mapping_settings(properties: Mapping[str, Any], *, batch_size: int) -> MappingSettings:
    """Read the settings from a template's AWS::Lambda::EventSourceMapping."""
    assert properties["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert properties["BisectBatchOnFunctionError"]
    return MappingSettings(
        min(batch_size, properties["BatchSize"]),
        timedelta(seconds=properties["MaximumRecordAgeInSeconds"]),
        properties["MaximumRetryAttempts"],
    )


class ShardReader:
    """Reads one shard; `now` and `sleep` are the clock.

    `longest_delay` is the longest time from the first try of a batch to its end. `given_up` counts
    the records that were written to the destination.
    """

    def __init__(
        self,
        settings: MappingSettings,
        invoke: Callable[[Any], InvocationOutcome],
        put: PutOnFailure,
        *,
        now: Callable[[], datetime],
        sleep: Callable[[float], None],
    ) -> None:
        self._settings = settings
        self._invoke = invoke
        self._put = put
        self._now = now
        self._sleep = sleep
        self._mapping = str(uuid.uuid4())
        self.longest_delay = timedelta()
        self.given_up = 0

    def read(self, records: Sequence[Any]) -> None:
        """Hand all records to the function, or give them up."""
        for batch in batched(records, self._settings.batch_size):
            self._sleep(max(0.0, _arrived(batch[-1]) - self._now().timestamp()))
            began = self._now()
            self._process([*batch], retries=0)
            self.longest_delay = max(self.longest_delay, self._now() - began)

    def _process(self, batch: list[Any], *, retries: int) -> None:
        while batch := self._without_old(batch):
            failed = self._failed(batch, self._invoke({"Records": batch}))
            if failed is None and len(batch) > 1:
                # To halve a batch is no retry.
                middle = len(batch) // 2
                self._process(batch[:middle], retries=retries)
                self._process(batch[middle:], retries=retries)
                return
            batch = batch[failed or 0 :]
            retries += 1
            if retries > self._settings.max_retries:
                self._give_up(batch, "RetryAttemptsExhausted")
                return
            if batch:
                self._sleep(min(_LONGEST_WAIT, 2.0**retries))

    def _failed(self, batch: list[Any], result: InvocationOutcome) -> int | None:
        """Return the place of the lowest record that failed; None if the function failed."""
        match result:
            case Response(payload={"batchItemFailures": [*failures]}):
                named = {failure["itemIdentifier"] for failure in failures}
                numbers = [record["kinesis"]["sequenceNumber"] for record in batch]
                if named - {*numbers}:
                    # An unknown identifier means that the whole batch failed.
                    return None
                return min((numbers.index(each) for each in named), default=len(batch))
            case _:
                return None

    def _without_old(self, batch: list[Any]) -> list[Any]:
        oldest = (self._now() - self._settings.max_age).timestamp()
        old = [record for record in batch if _arrived(record) < oldest]
        if old:
            self._give_up(old, "RecordAgeExceeded")
        return batch[len(old) :]

    def _give_up(self, batch: list[Any], condition: str) -> None:
        now = self._now()
        self.given_up += len(batch)
        record = {
            "requestContext": {
                "requestId": str(uuid.uuid4()),
                "functionArn": "arn:aws:lambda:eu-central-1:123456789012:function:kinesis",
                "condition": condition,
                "approximateInvokeCount": 1,
            },
            "responseContext": {
                "statusCode": 200,
                "executedVersion": "$LATEST",
                "functionError": "Unhandled",
            },
            "version": "1.0",
            "timestamp": now.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "KinesisBatchInfo": {
                "shardId": _SHARD,
                "startSequenceNumber": batch[0]["kinesis"]["sequenceNumber"],
                "endSequenceNumber": batch[-1]["kinesis"]["sequenceNumber"],
                "batchSize": len(batch),
                "streamArn": batch[0]["eventSourceARN"],
            },
            "payload": json.dumps({"Records": batch}),
        }
        folder = f"aws/lambda/{self._mapping}/{_SHARD}"
        key = f"{folder}/{now:%Y/%m/%d/%Y-%m-%dT%H.%M.%S}-{uuid.uuid4()}"
        self._put(key, json.dumps(record).encode())


def _arrived(record: Mapping[str, Any]) -> float:
    return float(record["kinesis"]["approximateArrivalTimestamp"])
