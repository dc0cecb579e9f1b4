"""Reads the messages of a queue in an event."""

from collections.abc import Iterator
from typing import Any

from msgspec import Struct

from loki_shipper.model import S3Object
from loki_shipper.shipper.sources.notifications import (
    NotificationError,
    read_notification,
    write_notification,
)

_KEPT = {"messageId", "body", "eventSource", "eventSourceARN", "awsRegion"}


class Message(Struct, frozen=True):
    """A message of a queue, and the objects that it is about; `fault` if it is no notification.

    `record` is the record of the event. `queue` is the queue's ARN. `returns` counts how often the
    message was sent anew, one time after the other without progress. `may_have_begun`: an earlier
    invocation may have shipped a part of an object.
    """

    record: Any
    item_identifier: str
    queue: str
    objects: tuple[S3Object, ...] = ()
    returns: int = 0
    may_have_begun: bool = False
    fault: str | None = None

    @property
    def as_event(self) -> Any:
        """An event of this message alone, as it is written to the bucket."""
        match self.record:
            case dict() as record:
                kept = {name: value for name, value in record.items() if name in _KEPT}
                return {"Records": [kept]}
            case other:
                return {"Records": [other]}

    def about(self, found: S3Object) -> Any:
        """Give an event of this queue about one object."""
        record = {
            "body": write_notification([found], 0),
            "eventSource": "aws:sqs",
            "eventSourceARN": self.queue,
        }
        return {"Records": [record]}


def read_messages(event: Any) -> Iterator[Message]:
    """Read the messages of an event.

    https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html
    """
    for record in event["Records"]:
        match record:
            case {"messageId": str(name), "body": str(body), "eventSourceARN": str(queue)}:
                yield _message(record, name, queue, body)
            case _:
                yield Message(record, "", "", fault="the record is no message of a queue")


def _message(record: Any, name: str, queue: str, body: str) -> Message:
    try:
        found = read_notification(body)
    except NotificationError as error:
        return Message(record, name, queue, fault=str(error))
    match record:
        case {"attributes": {"ApproximateReceiveCount": str(count)}}:
            is_repeated = count != "1"
        case _:
            is_repeated = False
    return Message(
        record,
        name,
        queue,
        found.objects,
        found.returns or 0,
        may_have_begun=is_repeated or found.returns is not None,
    )
