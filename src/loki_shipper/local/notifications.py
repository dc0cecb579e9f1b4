"""Makes events about objects in S3, as Lambda gives them to the function for log files.

The messages are those of AWS's documentation:
https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html
https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html
https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html
https://docs.aws.amazon.com/sns/latest/dg/sns-sqs-as-subscriber.html
"""

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from hashlib import md5, sha256
from typing import Any, Literal, assert_never
from urllib.parse import quote_plus

from loki_shipper.local.sample import OWNER
from loki_shipper.model import S3Object

type Sender = Literal["s3", "sns", "eventbridge"]
"""Who puts S3's notification into the queue."""

_REGION = "eu-central-1"
_QUEUE = f"arn:aws:sqs:{_REGION}:{OWNER}:loki-shipper-log-files"
_TOPIC = f"arn:aws:sns:{_REGION}:{OWNER}:new-objects"
_ID_PARTS = (8, 12, 16, 20, 32)


def queue_event(objects: Iterable[S3Object], sender: Sender) -> dict[str, Any]:
    """Return the event with which Lambda invokes the function for messages about objects."""
    return {"Records": [_record(found, _body(found, sender)) for found in objects]}


def _record(found: S3Object, body: dict[str, Any]) -> dict[str, Any]:
    text = json.dumps(body)
    sent = str(found.written or 0)
    return {
        "messageId": _id(found, "message"),
        "receiptHandle": _digest(found, "receipt"),
        "body": text,
        "attributes": {
            "ApproximateReceiveCount": "1",
            "SentTimestamp": sent,
            "SenderId": OWNER,
            "ApproximateFirstReceiveTimestamp": sent,
        },
        "messageAttributes": {},
        "md5OfBody": md5(text.encode(), usedforsecurity=False).hexdigest(),
        "eventSource": "aws:sqs",
        "eventSourceARN": _QUEUE,
        "awsRegion": _REGION,
    }


def _body(found: S3Object, sender: Sender) -> dict[str, Any]:
    match sender:
        case "s3":
            return _of_s3(found)
        case "sns":
            return _of_sns(found)
        case "eventbridge":
            return _of_eventbridge(found)
        case _:
            assert_never(sender)


def _of_s3(found: S3Object) -> dict[str, Any]:
    names = {"key": quote_plus(found.key, safe="/"), "size": found.size, "eTag": found.etag}
    record = {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "awsRegion": found.region or _REGION,
        "eventTime": _time(found),
        "eventName": "ObjectCreated:Put",
        "userIdentity": {"principalId": "AWS:AIDAEXAMPLE"},
        "requestParameters": {"sourceIPAddress": "192.0.2.1"},
        "responseElements": {"x-amz-request-id": "C3D13FE58DE4C810"},
        "s3": {
            "s3SchemaVersion": "1.0",
            "configurationId": "loki-shipper-log-files-1",
            "bucket": {
                "name": found.bucket,
                "ownerIdentity": {"principalId": "A3NL1KOZZKEXAMPLE"},
                "arn": f"arn:aws:s3:::{found.bucket}",
            },
            "object": {**_present(names), "sequencer": "0055AED6DCD90281E5"},
        },
    }
    return {"Records": [record]}


def _of_sns(found: S3Object) -> dict[str, Any]:
    return {
        "Type": "Notification",
        "MessageId": _id(found, "topic"),
        "TopicArn": _TOPIC,
        "Subject": "Amazon S3 Notification",
        "Message": json.dumps(_of_s3(found)),
        "Timestamp": _time(found),
        "SignatureVersion": "1",
        "Signature": "EXAMPLE",
        "SigningCertURL": "https://sns.eu-central-1.amazonaws.com/example.pem",
        "UnsubscribeURL": "https://sns.eu-central-1.amazonaws.com/?Action=Unsubscribe",
    }


def _of_eventbridge(found: S3Object) -> dict[str, Any]:
    names = {"key": found.key, "size": found.size, "etag": found.etag}
    return {
        "version": "0",
        "id": _id(found, "event"),
        "detail-type": "Object Created",
        "source": "aws.s3",
        "account": OWNER,
        "time": _time(found),
        "region": found.region or _REGION,
        "resources": [f"arn:aws:s3:::{found.bucket}"],
        "detail": {
            "version": "0",
            "bucket": {"name": found.bucket},
            "object": {**_present(names), "sequencer": "617f08299329d189"},
            "request-id": "N4N7GDK58NMKJ12R",
            "requester": OWNER,
            "source-ip-address": "192.0.2.1",
            "reason": "PutObject",
        },
    }


def _present(names: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in names.items() if value is not None}


def _time(found: S3Object) -> str:
    when = datetime.fromtimestamp((found.written or 0) / 1000, UTC)
    return when.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _digest(found: S3Object, what: str) -> str:
    return sha256(f"{what}\0{found.bucket}\0{found.key}".encode()).hexdigest()


def _id(found: S3Object, what: str) -> str:
    """Return an id in the form of AWS's, the same one for each call."""
    digest = _digest(found, what)
    starts = (0, *_ID_PARTS[:-1])
    return "-".join(digest[start:end] for start, end in zip(starts, _ID_PARTS, strict=True))
