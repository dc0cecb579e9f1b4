"""The nouns: what CloudWatch Logs sends and what Loki gets. Imports nothing of ours."""

from collections.abc import Sequence
from typing import Annotated, Any, Final

from msgspec import Meta, Struct

OWN_TAG: Final = "loki-shipper:own"
"""Tag that marks log groups and functions of any Loki-Shipper; its value is the stack's name.

What a shipper logs about a delivery must not be delivered in turn: two stacks would ship each
other's log for ever.
"""

type Milliseconds = Annotated[int, Meta(ge=0, le=2**63 // 1_000_000 - 1)]
"""Since 1970, as far as Loki can count nanoseconds."""


class LogEvent(Struct, frozen=True, gc=False, rename="camel", omit_defaults=True):
    """One line as CloudWatch Logs delivers it.

    `id` is 56 decimal digits on AWS, an int from moto; `extracted_fields` may hold `@aws.account`
    and `@aws.region` (`emitSystemFields`).
    """

    id: str | int
    timestamp: Milliseconds
    message: str
    # Typed open: the values come from filter patterns and must never cost a record.
    extracted_fields: dict[str, Any] | None = None


class LogData(Struct, frozen=True, rename="camel", omit_defaults=True):
    """One payload of a subscription filter: log events of one log stream of one log group."""

    message_type: str
    owner: str
    log_group: str
    log_stream: str
    log_events: list[LogEvent]
    subscription_filters: list[str] = []
    policy_level: str | None = None


type Pairs = tuple[tuple[str, str], ...]
"""Names and values, sorted by name."""


class Stream(Struct, frozen=True):
    """Where entries go: a tenant (`X-Scope-OrgID`; None: none is sent) and a label set."""

    tenant: str | None
    labels: Pairs


class Entry(Struct, frozen=True, gc=False):
    """One line as Loki stores it, with the log event that it came from.

    `timestamp` is in ns since 1970. A long log event becomes several entries.
    """

    timestamp: int
    line: str
    metadata: Pairs
    event: LogEvent


class Batch(Struct, frozen=True):
    """What one push carries: entries of one stream, ascending in time."""

    stream: Stream
    entries: Sequence[Entry]
