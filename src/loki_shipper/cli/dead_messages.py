"""Sends messages about log files again that are among the dead letters of their queue."""

from functools import partial
from typing import Any, Final

from loki_shipper.aws.boto import call_boto
from loki_shipper.aws.errors import AwsError
from loki_shipper.cli.deployment import Deployment
from loki_shipper.cli.errors import InputError
from loki_shipper.cli.notify_objects import log_files_queue, queue_url

_MOST: Final = 10
"""AWS's limit for the messages of one request."""

_WAIT_SECONDS: Final = 1
"""With a wait, SQS asks all of its servers, and misses no message."""


def send_dead_messages(deployment: Deployment) -> int:
    """Move the dead letters back to the queue, and give their number.

    A message is deleted once it is sent. Raises InputError, AwsError.
    """
    sqs = deployment.client("sqs")
    queue = log_files_queue(deployment)
    dead = queue.dead_letters()
    if dead is None:
        raise InputError(f"the queue of {deployment.name} has no dead letters: deploy it again")
    source = queue_url(sqs, dead)
    sent = 0
    while messages := _received(sqs, source):
        _move(sqs, messages, source, queue.url)
        sent += len(messages)
    return sent


def _received(sqs: Any, url: str) -> list[dict[str, Any]]:
    receive = partial(
        sqs.receive_message, QueueUrl=url, MaxNumberOfMessages=_MOST, WaitTimeSeconds=_WAIT_SECONDS
    )
    messages: list[dict[str, Any]] = call_boto(receive).get("Messages", [])
    return messages


def _move(sqs: Any, messages: list[dict[str, Any]], source: str, target: str) -> None:
    ids = [*map(str, range(len(messages)))]
    bodies = [
        {"Id": name, "MessageBody": each["Body"]} for name, each in zip(ids, messages, strict=True)
    ]
    handles = [
        {"Id": name, "ReceiptHandle": each["ReceiptHandle"]}
        for name, each in zip(ids, messages, strict=True)
    ]
    _check(call_boto(partial(sqs.send_message_batch, QueueUrl=target, Entries=bodies)))
    _check(call_boto(partial(sqs.delete_message_batch, QueueUrl=source, Entries=handles)))


def _check(answer: dict[str, Any]) -> None:
    for failed in answer.get("Failed", []):
        raise AwsError("refused", failed["Code"], failed.get("Message", ""))
