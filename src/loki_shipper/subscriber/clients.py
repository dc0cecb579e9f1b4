"""Makes the boto3 clients that the subscriber calls AWS with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from loki_shipper.aws.boto import Bounds, make_client
from loki_shipper.subscriber.unknown_elements import AFTER_READ, note_unknown_elements

if TYPE_CHECKING:
    from loki_shipper.aws.boto import AwsSession

# PacedCalls makes the retries.
BOUNDS = Bounds(connect=5, read=30, attempts=1)
# A function may run for 15 minutes.
_INVOKE_BOUNDS = Bounds(connect=5, read=910, attempts=1)


class SubscriberClients(NamedTuple):
    """The boto3 clients of the services that the subscriber calls."""

    logs: Any
    tagging: Any
    s3: Any
    functions: Any
    queues: Any
    event_rules: Any


def connect(session: AwsSession | None = None) -> SubscriberClients:
    """Give the clients, with the Region and the credentials of the session."""
    s3 = make_client("s3", BOUNDS, session)
    s3.meta.events.register(AFTER_READ, note_unknown_elements)
    return SubscriberClients(
        make_client("logs", BOUNDS, session),
        make_client("resourcegroupstaggingapi", BOUNDS, session),
        s3,
        make_client("lambda", _INVOKE_BOUNDS, session),
        make_client("sqs", BOUNDS, session),
        make_client("events", BOUNDS, session),
    )
