"""Sends notifications of objects to the queue from which a function reads log files.

The function takes objects out of the queue in any order. So the queue never holds much more than
some seconds of work, and new log files do not wait behind old ones for long.

https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessageBatch.html
"""

import json
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import islice
from typing import Any, Final

from loki_shipper.aws.arn import Arn, parse_arn
from loki_shipper.aws.boto import call_boto
from loki_shipper.aws.errors import AwsError
from loki_shipper.cli.deployment import Deployment
from loki_shipper.cli.errors import InputError
from loki_shipper.model import S3Object
from loki_shipper.shipper.sources.notifications import write_notification

MOST_WAITING: Final = 200
"""Messages that may wait in the queue."""

_MOST_BYTES: Final = 1_000_000_000
_SECONDS: Final = 2.0
_ENTRIES: Final = 10
"""AWS's limit for the messages of one request."""

_ATTEMPTS: Final = 3
_SHIPPING: Final = "ApproximateNumberOfMessagesNotVisible"
_WAITING: Final = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesDelayed")


class LogFilesQueue:
    """The queue of a stack, by its URL; `sqs` is boto3's client. The methods raise AwsError."""

    def __init__(self, sqs: Any, url: str) -> None:
        self._sqs = sqs
        self.url = url

    def waiting(self) -> int:
        """Give the number of messages that no function has yet, or that came back."""
        found = self._attributes(*_WAITING)
        return sum(int(found[name]) for name in _WAITING)

    def shipping(self) -> int:
        """Give the number of messages that a function has now."""
        return int(self._attributes(_SHIPPING)[_SHIPPING])

    def dead(self) -> int:
        """Give the number of messages that failed for good, and are in the queue for these."""
        arn = self.dead_letters()
        return 0 if arn is None else LogFilesQueue(self._sqs, queue_url(self._sqs, arn)).waiting()

    def dead_letters(self) -> Arn | None:
        """Give the queue for messages that failed for good."""
        policy = self._attributes("RedrivePolicy").get("RedrivePolicy", "{}")
        return parse_arn(json.loads(policy).get("deadLetterTargetArn", ""))

    def _attributes(self, *names: str) -> dict[str, str]:
        get = partial(self._sqs.get_queue_attributes, QueueUrl=self.url, AttributeNames=[*names])
        attributes: dict[str, str] = call_boto(get).get("Attributes", {})
        return attributes

    def send(self, objects: Sequence[S3Object]) -> None:
        """Send a notification for each object, at most ten."""
        entries = [
            {"Id": str(number), "MessageBody": write_notification([each], 0)}
            for number, each in enumerate(objects)
        ]
        refused: list[dict[str, Any]] = []
        for _ in range(_ATTEMPTS):
            refused = self._refused(entries)
            if not refused:
                return
            ids = {each["Id"] for each in refused}
            entries = [each for each in entries if each["Id"] in ids]
        raise AwsError("refused", refused[0]["Code"], refused[0].get("Message", ""))

    def _refused(self, entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
        answer = call_boto(lambda: self._sqs.send_message_batch(QueueUrl=self.url, Entries=entries))
        refused: list[dict[str, Any]] = answer.get("Failed", [])
        return refused


def log_files_queue(deployment: Deployment) -> LogFilesQueue:
    """Find the queue from which a deployment reads log files. Raises InputError, AwsError."""
    match parse_arn(deployment.own.log_files_queue or ""):
        case Arn() as arn:
            sqs = deployment.client("sqs")
            return LogFilesQueue(sqs, queue_url(sqs, arn))
        case _:
            raise InputError(f"{deployment.name} reads no log files: deploy it with LogBuckets")


def queue_url(sqs: Any, queue: Arn) -> str:
    """Find the URL of a queue. Raises AwsError."""
    find = partial(
        sqs.get_queue_url,
        QueueName=queue.resource[0],
        QueueOwnerAWSAccountId=queue.origin.account,
    )
    url: str = call_boto(find)["QueueUrl"]
    return url


def notify(
    objects: Iterable[S3Object], queue: LogFilesQueue, sleep: Callable[[float], None]
) -> Iterator[list[S3Object]]:
    """Send a notification for each object; give the objects of each request once it is done.

    Raises AwsError.
    """
    # The sizes of those that may still wait.
    sizes: deque[int] = deque(maxlen=MOST_WAITING)
    rest = iter(objects)
    following = next(rest, None)
    while following is not None:
        waiting = queue.waiting()
        size = sum(islice(reversed(sizes), waiting))
        room = MOST_WAITING - waiting
        while following is not None and room > 0 and _fits(following, size, room):
            some: list[S3Object] = []
            while (
                following is not None
                and len(some) < min(room, _ENTRIES)
                and _fits(following, size, room - len(some))
            ):
                some.append(following)
                size += following.size or 0
                following = next(rest, None)
            queue.send(some)
            sizes += [each.size or 0 for each in some]
            room -= len(some)
            yield some
        if following is not None:
            sleep(_SECONDS)


def _fits(found: S3Object, size: int, room: int) -> bool:
    """Tell whether an object may be sent beside `size` bytes. One may always be if none waits."""
    return room == MOST_WAITING or size + (found.size or 0) <= _MOST_BYTES
