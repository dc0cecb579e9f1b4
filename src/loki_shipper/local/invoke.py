"""Runs the shipper's pipeline on one event and records every push."""

import random
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from loki_shipper.local.log_files import OpenLogFile, moved, objects_of, ship_log_files
from loki_shipper.model import Batch, LogData
from loki_shipper.settings import Settings
from loki_shipper.shipper import aws
from loki_shipper.shipper.delivery.answer import Answer, NoAnswer
from loki_shipper.shipper.delivery.credentials import credentials
from loki_shipper.shipper.delivery.deliver import DeliveryEffects
from loki_shipper.shipper.delivery.outcome import Report, Shipped
from loki_shipper.shipper.delivery.push import LokiAccess
from loki_shipper.shipper.delivery.session import LokiSession
from loki_shipper.shipper.entries.transform import RuleState
from loki_shipper.shipper.labels.tags import LogGroupTags
from loki_shipper.shipper.pipeline import ShipperDependencies, pipeline, ship
from loki_shipper.shipper.rules.cache import RulesCache
from loki_shipper.shipper.rules.file import rules_file
from loki_shipper.shipper.sources.event import is_of_queue, records

if TYPE_CHECKING:
    from boto3 import Session as AwsSession

SECONDS = 30.0
"""How long the delivery of a payload may take; a person does not wait as long as Lambda."""

_STORED = 204


class LokiConnection(Struct, frozen=True):
    """A connection to Loki: `send` a batch within some seconds, `renew` refused credentials."""

    send: Callable[[Batch, float], Answer | NoAnswer]
    renew: Callable[[], bool]


class Pushed(Struct, frozen=True):
    """A batch, and Loki's answer to it; None: nothing was pushed."""

    batch: Batch
    answer: Answer | NoAnswer | None


class Invocation(Struct, frozen=True):
    """The result of one invocation: its pushes in order, and the report of the shipper."""

    pushes: list[Pushed]
    report: Report


def invoke(  # noqa: PLR0913 - a deployment has all of them
    event: Any,
    settings: Settings,
    *,
    tags: Mapping[str, str],
    region: str,
    loki: LokiConnection | None,
    aws_session: "AwsSession | None" = None,
    opened: OpenLogFile | None = None,
    shift: int = 0,
) -> Invocation:
    """Ship an event; without `loki`, every push succeeds and nothing is sent.

    `tags` are the log group's, `region` is the function's. `aws_session` reads a file of rules in
    S3. `opened` gives the objects that the messages of a queue name, and `shift` moves the times of
    their lines by some ms. Nothing is written to a bucket. Raises UndecodableError, and RulesError
    if the rules cannot be used.
    """
    pushes: list[Pushed] = []
    end = time.monotonic() + SECONDS

    def remaining() -> float:
        return end - time.monotonic()

    read = partial(rules_file, session=aws_session)
    rules_cache = RulesCache(settings.rules, read, clock=time.monotonic, jitter=float)
    deps = ShipperDependencies(
        settings=settings,
        rule_state=RuleState(rules_cache(), {}),
        account=None,
        region=region,
        own_log_group=None,
        tags=lambda _: LogGroupTags(tags),
        delivery=recorded_delivery(pushes, loki, remaining, settings, newest=_newest(event)),
        put=None,
    )
    if opened is None:
        return Invocation(pushes, pipeline(event, deps))

    def ship_moved(payloads: Sequence[LogData]) -> list[Shipped]:
        nonlocal end
        end = time.monotonic() + SECONDS
        return ship(moved(payloads, shift), deps)

    report = ship_log_files(event, settings.log_buckets, opened, ship_moved)
    return Invocation(pushes, report)


def recorded_delivery(
    pushes: list[Pushed],
    loki: LokiConnection | None,
    remaining: Callable[[], float],
    settings: Settings,
    *,
    newest: int,
) -> DeliveryEffects:
    """Give effects that add each push to `pushes`; without `loki`, every push succeeds.

    `newest` is the time of the newest line in ms since 1970.
    """

    def send(batch: Batch) -> Answer | NoAnswer:
        answer = None if loki is None else loki.send(batch, remaining())
        pushes.append(Pushed(batch, answer))
        return Answer(_STORED) if answer is None else answer

    return DeliveryEffects(
        send=send,
        remaining=remaining,
        # Without a push, the newest line is from now: no line is late.
        now=time.time_ns if loki is not None else lambda: newest * 1_000_000,
        sleep=time.sleep,
        jitter=partial(random.uniform, 0),
        renew=(lambda: False) if loki is None else loki.renew,
        tenants_without_metadata=set(),
        late_minutes=settings.late_stream_minutes,
    )


def _newest(event: Any) -> int:
    """Give the time of an event's newest line, or when its newest log file was written, in ms."""
    if is_of_queue(event):
        return max((found.written or 0 for found in objects_of(event)), default=0)
    return max((each.timestamp for data in records(event) for each in data.log_events), default=0)


def loki_connection(settings: Settings, aws_session: "AwsSession | None" = None) -> LokiConnection:
    """Connect to the Loki of the settings; `aws_session` reads its secrets.

    Raises SettingsError if a secret cannot be read, and what boto3 raises without a client.
    """

    def access(*, fresh: bool) -> LokiAccess:
        return credentials(settings, partial(aws.fetch_secret, fresh=fresh, session=aws_session))

    session = LokiSession(access, time.monotonic)
    return LokiConnection(
        lambda batch, seconds: session.send(batch, seconds=seconds), session.renew
    )
