"""Reads which new objects a message of a queue is about: S3's notifications in all their envelopes.

S3 sends a notification to the queue itself, through an SNS topic, or through EventBridge. Fields
that AWS adds to an envelope are ignored.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html
https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html
"""

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote_plus, unquote_plus

from msgspec import DecodeError, Struct
from msgspec.json import decode, encode

from loki_shipper.model import S3Object

_OWN: Final = "lokiShipper"
"""Member of the notifications that the shipper sends to its own queue."""

_CREATED: Final = "ObjectCreated:"
_ENVELOPES: Final = 3
"""The most envelopes around a notification: EventBridge may send to an SNS topic."""

# It becomes part of a host name.
_REGION: Final = re.compile(r"[a-z]{2,5}(-[a-z]+)+-\d{1,2}")


class NotificationError(Exception):
    """Raised when a message is no notification. The text is the reason, without the message."""


class Notification(Struct, frozen=True):
    """The new objects of a message, none for events of other kinds.

    `returns` counts how often the shipper has sent the message to its queue again without any
    progress, because it could not ship the objects then. None: the message is S3's own.
    """

    objects: tuple[S3Object, ...] = ()
    returns: int | None = None


def read_notification(body: str) -> Notification:
    """Read the body of a message. Raises NotificationError."""
    content = _from_json(body)
    for _ in range(_ENVELOPES):
        match content:
            case {"Type": "Notification", "Message": str(text)}:
                content = _from_json(text)
    match content:
        case {"Records": [*records], **others}:
            match others.get(_OWN):
                case {"returns": int(returns)}:
                    return Notification(tuple(_from_records(records)), returns)
                case _:
                    return Notification(tuple(_from_records(records)))
        case {"source": "aws.s3", "detail-type": "Object Created", "detail": detail}:
            return Notification((_from_event_bridge(detail, content),))
        case {"source": "aws.s3", "detail-type": str()} | {"Event": "s3:TestEvent"}:
            return Notification()
        case _:
            raise NotificationError("the message is no notification of S3")


def write_notification(objects: Sequence[S3Object], returns: int) -> str:
    """Write a message about objects in S3's own form, for the shipper's own queue."""
    records = [
        {
            "eventSource": "aws:s3",
            "eventName": f"{_CREATED}Put",
            **({} if each.region is None else {"awsRegion": each.region}),
            **({} if each.written is None else {"eventTime": _as_text(each.written)}),
            "s3": {"bucket": {"name": each.bucket}, "object": _object(each)},
        }
        for each in objects
    ]
    return encode({"Records": records, _OWN: {"returns": returns}}).decode()


def _object(found: S3Object) -> dict[str, Any]:
    fields = {
        "key": quote_plus(found.key, safe="/"),
        "size": found.size,
        "eTag": found.etag,
        "versionId": found.version,
    }
    return {name: value for name, value in fields.items() if value is not None}


def _from_json(text: str) -> Any:
    try:
        return decode(text)
    except (DecodeError, UnicodeError, RecursionError):
        raise NotificationError("the message is not JSON") from None


def _from_records(records: list[Any]) -> Iterator[S3Object]:
    for record in records:
        match record:
            case {
                "eventName": str(event),
                "s3": {"bucket": {"name": str(bucket)}, "object": {"key": str(key)} as found},
            }:
                if event.startswith(_CREATED):
                    yield S3Object(
                        bucket,
                        unquote_plus(key),
                        version=_text(found.get("versionId")),
                        etag=_text(found.get("eTag")),
                        size=_size(found.get("size")),
                        written=_milliseconds(record.get("eventTime")),
                        region=_region(record.get("awsRegion")),
                    )
            case _:
                raise NotificationError("a record of the message is no notification of S3")


def _from_event_bridge(detail: Any, event: dict[str, Any]) -> S3Object:
    match detail:
        case {"bucket": {"name": str(bucket)}, "object": {"key": str(key)} as found}:
            return S3Object(
                bucket,
                key,  # EventBridge does not encode it
                version=_text(found.get("version-id")),
                etag=_text(found.get("etag")),
                size=_size(found.get("size")),
                written=_milliseconds(event.get("time")),
                region=_region(event.get("region")),
            )
        case _:
            raise NotificationError("the event names no object")


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _size(value: Any) -> int | None:
    return value if isinstance(value, int) and value >= 0 else None


def _region(value: Any) -> str | None:
    return value if isinstance(value, str) and _REGION.fullmatch(value) else None


def _milliseconds(value: Any) -> int | None:
    try:
        return max(0, int(datetime.fromisoformat(value).timestamp() * 1000))
    except (TypeError, ValueError, OverflowError):
        return None


def _as_text(milliseconds: int) -> str:
    when = datetime.fromtimestamp(milliseconds / 1000, UTC)
    return when.isoformat(timespec="milliseconds").replace("+00:00", "Z")
