"""The data that CloudWatch Logs sends, and the data that Loki gets."""

from collections.abc import Sequence
from typing import Annotated, Any, Final

from msgspec import Meta, Struct

OWN_TAG: Final = "loki-shipper:own"
"""Tag of the log groups and functions of every Loki-Shipper; its value is the stack's name.

A shipper must not ship the log of a shipper: two stacks would ship each other's log forever.
"""

LOG_FILE_TYPES: Final = (
    "alb",
    "alb_connection",
    "alb_health",
    "nlb",
    "clb",
    "vpcflow",
    "tgwflow",
    "cloudfront",
    "cloudfront_realtime",
    "waf",
    "cloudtrail",
    "config",
    "guardduty",
    "network_firewall",
    "route53_resolver",
    "s3_access",
    "json",
    "text",
)
"""The types of log files, as settings and labels name them."""

type Milliseconds = Annotated[int, Meta(ge=0, le=2**63 // 1_000_000 - 1)]
"""Time since 1970, up to the last one that Loki can express in nanoseconds."""


class LogEvent(Struct, frozen=True, gc=False, rename="camel", omit_defaults=True):
    """One line from CloudWatch Logs.

    `id` is 56 decimal digits on AWS, and an int from moto. `extracted_fields` may have
    `@aws.account`, `@aws.region` and `@source.log` (`emitSystemFields`).
    """

    id: str | int
    timestamp: Milliseconds
    message: str
    # Any value: it comes from a filter pattern, and no value may make a record undecodable.
    extracted_fields: dict[str, Any] | None = None


class S3Object(Struct, frozen=True):
    """An object in S3.

    `written` is in ms since 1970; `region` is that of the bucket. Each is None if the notification
    does not say it.
    """

    bucket: str
    key: str
    version: str | None = None
    etag: str | None = None
    size: int | None = None
    written: Milliseconds | None = None
    region: str | None = None


class LogFile(Struct, frozen=True, rename="camel", omit_defaults=True):
    """The log file in S3 that the lines of a payload come from.

    `type` is such as `alb` or `text`. `account` and `region` are those in the key, as AWS's
    delivery writes them. `resource` is the load balancer, distribution or web ACL by its name, and
    `tagged_as` is its name in the tag index, such as `loadbalancer/app/NAME/ID`. `fields` are the
    names of the fields of a line, if the file begins with them.
    """

    bucket: str
    key: str
    type: str
    account: str | None = None
    region: str | None = None
    resource: str | None = None
    tagged_as: str | None = None
    fields: tuple[str, ...] = ()


class LogData(Struct, frozen=True, rename="camel", omit_defaults=True):
    """One payload: log events of one log stream of one log group, or of one log file.

    `owner` is the account that has the subscription filter: CloudWatch Logs vouches for it. For a
    log file, `owner` is the function's account, `log_group` is `s3://BUCKET/TYPE` and `log_stream`
    is the key.
    """

    message_type: str
    owner: str
    log_group: str
    log_stream: str
    log_events: list[LogEvent]
    subscription_filters: list[str] = []
    policy_level: str | None = None
    log_file: LogFile | None = None

    @property
    def line_fields(self) -> tuple[str, ...]:
        """The names of the fields of a line, if it is of a log file that names them."""
        return () if self.log_file is None else self.log_file.fields


class LogSource(Struct, frozen=True):
    """A log group by its account, its Region and its name, or what a log file in S3 comes from.

    The latter is a bucket (`s3://NAME`), or a `resource`, such as `loadbalancer/app/NAME/ID`.
    """

    account: str
    region: str
    log_group: str
    resource: bool = False


def log_source(data: LogData, region: str) -> LogSource:
    """Give the log group that a payload's lines come from; `region` is that of the function.

    With `emitSystemFields`, each log event names the account and the Region that it was copied
    from, and all log events of a payload name the same. That of a log file is its bucket in the
    function's account, whose administrator listed it.
    """
    if data.log_file is not None:
        return LogSource(data.owner, region, f"s3://{data.log_file.bucket}")
    fields = (data.log_events[0].extracted_fields if data.log_events else None) or {}
    return LogSource(
        str(fields.get("@aws.account") or data.owner),
        str(fields.get("@aws.region") or region),
        data.log_group,
    )


type Pairs = tuple[tuple[str, str], ...]
"""Names and values, sorted by name."""


class Stream(Struct, frozen=True):
    """The stream of entries: a tenant (`X-Scope-OrgID`; None: no header) and a label set."""

    tenant: str | None
    labels: Pairs


class Entry(Struct, frozen=True, gc=False):
    """One line as Loki stores it, and its log event.

    `timestamp` is in ns since 1970. A long log event becomes several entries.
    """

    timestamp: int
    line: str
    metadata: Pairs
    event: LogEvent


class Batch(Struct, frozen=True):
    """The content of one push: entries of one stream, in the order of time."""

    stream: Stream
    entries: Sequence[Entry]
