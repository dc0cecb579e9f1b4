"""A bucket with log files, and a stack whose function reads them from a queue."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from moto.s3.models import s3_backends
from moto.sqs.models import sqs_backends

from loki_shipper.local.aws import ACCOUNT
from loki_shipper.model import S3Object
from loki_shipper.shipper.sources.notifications import read_notification
from tests.local_deployment import REGION, Deployment, deployed

BUCKET = "my-logs"


class LogFilesStack:
    """A deployment that reads log files; `notified` are the objects of the messages it got."""

    def __init__(
        self, here: Deployment, notified: list[S3Object], queue: str, dead_letters: str
    ) -> None:
        self.here = here
        self.notified = notified
        self._queue = queue
        self._dead_letters = dead_letters

    def put(self, key: str, age: timedelta = timedelta(hours=1), **more: str) -> None:
        """Write an object that is so old."""
        s3 = self.here.aws.client("s3")
        s3.put_object(Bucket=BUCKET, Key=key, Body=b"line\n" * 3, **more)
        stored: Any = s3_backends[ACCOUNT]["aws"].buckets[BUCKET].keys[key]
        stored.last_modified = (datetime.now(UTC) - age).replace(tzinfo=None)

    def stop(self) -> None:
        """Let the function take no more messages by itself."""
        queues: Any = sqs_backends[ACCOUNT][REGION].queues
        for queue in queues.values():
            queue.lambda_event_source_mappings.clear()

    def take_waiting(self) -> None:
        """Take the messages that wait in the queue."""
        sqs = self.here.aws.client("sqs")
        while found := sqs.receive_message(QueueUrl=self._queue, MaxNumberOfMessages=10).get(
            "Messages"
        ):
            for message in found:
                self.notified.extend(read_notification(message["Body"]).objects)
                sqs.delete_message(QueueUrl=self._queue, ReceiptHandle=message["ReceiptHandle"])

    def receive(self) -> None:
        """Take one message, and do not delete it."""
        sqs = self.here.aws.client("sqs")
        sqs.receive_message(QueueUrl=self._queue, MaxNumberOfMessages=1)

    def fail_for_good(self, count: int) -> None:
        """Put messages among the dead letters."""
        sqs = self.here.aws.client("sqs")
        for _ in range(count):
            sqs.send_message(QueueUrl=self._dead_letters, MessageBody="x")

    def fail_with(self, body: str) -> None:
        """Put a message among the dead letters."""
        sqs = self.here.aws.client("sqs")
        sqs.send_message(QueueUrl=self._dead_letters, MessageBody=body)

    def delete_queue(self) -> None:
        """Delete the queue."""
        self.here.aws.client("sqs").delete_queue(QueueUrl=self._queue)

    @property
    def keys(self) -> list[str]:
        """The keys of the messages, in their order."""
        return [each.key for each in self.notified]


@contextmanager
def log_files_stack(log_buckets: str = f"{BUCKET}/a/,{BUCKET}/b/=alb") -> Iterator[LogFilesStack]:
    """Make a bucket, a queue, and a function that takes its messages."""
    notified: list[S3Object] = []

    def take(event: dict[str, Any]) -> None:
        for record in event.get("Records", ()):
            notified.extend(read_notification(record["body"]).objects)

    with deployed(take) as here:
        s3, sqs, functions = (here.aws.client(name) for name in ("s3", "sqs", "lambda"))
        s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
        dead = sqs.create_queue(QueueName=f"{here.name}-dead-letters")["QueueUrl"]
        policy = {
            "deadLetterTargetArn": f"arn:aws:sqs:{REGION}:{ACCOUNT}:{here.name}-dead-letters",
            "maxReceiveCount": 10,
        }
        url = sqs.create_queue(
            QueueName=f"{here.name}-log-files",
            Attributes={"RedrivePolicy": json.dumps(policy)},
        )["QueueUrl"]
        arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
        variables = {
            "LOKI_URL": "http://loki:3100",
            "BUCKET": here.bucket,
            "LOG_BUCKETS": log_buckets,
        }
        functions.update_function_configuration(
            FunctionName=here.shipper, Environment={"Variables": variables}
        )
        here.more_functions["LogFilesFunction"] = variables
        queue = arn["Attributes"]["QueueArn"]
        here.make_stack(LOG_BUCKETS=log_buckets, LOG_FILES_QUEUE=queue)
        [name] = [
            each["FunctionName"]
            for each in functions.list_functions()["Functions"]
            if "LogFilesFunction" in each["FunctionName"]
        ]
        here.aws.deliver_to(name, take)
        functions.create_event_source_mapping(FunctionName=name, EventSourceArn=queue, BatchSize=10)
        yield LogFilesStack(here, notified, url, dead)


def shown(text: str) -> Any:
    """Give the one object that a command printed as JSON."""
    [found] = json.loads(text)
    return found
