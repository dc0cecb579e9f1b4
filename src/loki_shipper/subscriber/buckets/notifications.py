"""The notification configuration of a bucket: ours in it, others that overlap, and merging.

S3 replaces the whole configuration with each write. So everything that is not ours stays in it as
S3 sent it.
https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-how-to-filtering.html
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import quote_plus, unquote_plus

from msgspec import Struct

from loki_shipper.subscriber.unknown_elements import UNKNOWN_ELEMENTS

_QUEUES = "QueueConfigurations"
_LISTS = (_QUEUES, "TopicConfigurations", "LambdaFunctionConfigurations")
_ARNS = ("QueueArn", "TopicArn", "LambdaFunctionArn")
_EVENT_BRIDGE = "EventBridgeConfiguration"
_CREATED = "s3:ObjectCreated:*"

_UNQUOTED = "/!*'()"
"""Characters besides letters, digits and `_.-~` that a filter has as they are in the key."""

type NotificationConfig = Mapping[str, Any]
"""The answer of GetBucketNotificationConfiguration, as boto3 gives it."""


class QueueFilter(Struct, frozen=True, order=True):
    """One entry of a configuration as far as it selects events; `prefix` is as in keys."""

    prefix: str
    suffix: str
    events: tuple[str, ...]

    def overlaps(self, other: "QueueFilter") -> bool:
        """Tell whether S3 would refuse both entries in one configuration."""
        return (
            any(_includes(a, b) or _includes(b, a) for a in self.events for b in other.events)
            and (self.prefix.startswith(other.prefix) or other.prefix.startswith(self.prefix))
            and (self.suffix.endswith(other.suffix) or other.suffix.endswith(self.suffix))
        )

    def covers(self, prefix: str) -> bool:
        """Tell whether the entry selects each new object below a prefix."""
        return not self.suffix and prefix.startswith(self.prefix) and _CREATED in self.events


class OurNotifications(Struct, frozen=True):
    """The entries that a stack has in the configurations of buckets: to its `queue`.

    `queue` None: the stack has no queue any more.
    """

    stack: str
    queue: str | None

    def has(self, entry: Mapping[str, Any]) -> bool:
        """Tell whether we wrote an entry. The queue may be one that the stack had before."""
        return (
            re.fullmatch(rf"{re.escape(self.stack)}-log-files-\d+", entry.get("Id", "")) is not None
        )

    def entries(self, prefixes: Iterable[str]) -> list[dict[str, Any]]:
        """Write one entry for each prefix."""
        return [
            {
                "Id": f"{self.stack}-log-files-{number}",
                "QueueArn": self.queue,
                "Events": [_CREATED],
                **_filter_of(prefix),
            }
            for number, prefix in enumerate(sorted(prefixes), 1)
        ]


def widest(prefixes: Iterable[str]) -> tuple[str, ...]:
    """Leave out prefixes that begin with another one, as S3 refuses them."""
    found: list[str] = []
    for prefix in sorted(set(prefixes)):
        if not any(prefix.startswith(each) for each in found):
            found.append(prefix)
    return tuple(found)


def our_entries(config: NotificationConfig, ours: OurNotifications) -> list[dict[str, Any]]:
    """Give our entries in a configuration."""
    return [entry for entry in config.get(_QUEUES, ()) if ours.has(entry)]


def merged(
    config: NotificationConfig, ours: OurNotifications, prefixes: Iterable[str]
) -> dict[str, Any]:
    """Give the configuration with entries of ours for these prefixes only, and all others."""
    others = [entry for entry in config.get(_QUEUES, ()) if not ours.has(entry)]
    queues = [*others, *ours.entries(prefixes)]
    rest = {key: value for key, value in config.items() if key != _QUEUES}
    return {**rest, _QUEUES: queues} if queues else rest


def is_same(one: NotificationConfig, other: NotificationConfig) -> bool:
    """Tell whether two configurations do the same; the order of entries does not matter."""
    return bool(_normal(one) == _normal(other))


def sends_to_event_bridge(config: NotificationConfig) -> bool:
    """Tell whether the bucket sends its events to EventBridge."""
    return _EVENT_BRIDGE in config


def unknown_elements(config: NotificationConfig) -> tuple[str, ...]:
    """Name the XML elements that boto3 does not know: a write would delete them."""
    return tuple(config.get(UNKNOWN_ELEMENTS, ()))


def is_covered(config: NotificationConfig, ours: OurNotifications, prefix: str) -> bool:
    """Tell whether an entry that somebody else wrote sends new objects to our queue."""
    return any(
        each.get("QueueArn") == ours.queue and _filter_in(each).covers(prefix)
        for each in _others(config, ours)
    )


def overlapping(
    config: NotificationConfig, ours: OurNotifications, prefixes: Iterable[str]
) -> list[str]:
    """Describe the entries of others that S3 would refuse together with ours."""
    wanted = [QueueFilter(prefix, "", (_CREATED,)) for prefix in prefixes]
    return [
        _described(entry)
        for entry in _others(config, ours)
        if any(_filter_in(entry).overlaps(each) for each in wanted)
    ]


def _others(config: NotificationConfig, ours: OurNotifications) -> Iterator[Mapping[str, Any]]:
    for name in _LISTS:
        for entry in config.get(name, ()):
            if name != _QUEUES or not ours.has(entry):
                yield entry


def _described(entry: Mapping[str, Any]) -> str:
    arn = next((entry[key] for key in _ARNS if key in entry), "?")
    return f"{entry.get('Id', '?')} to {arn}"


def _includes(one: str, other: str) -> bool:
    """Tell whether a kind of event, such as `s3:ObjectCreated:*`, includes another one."""
    return one == other or (one.endswith("*") and other.startswith(one[:-1]))


def _filter_of(prefix: str) -> dict[str, Any]:
    """Write the filter of a prefix; S3 takes special characters as in a URL."""
    if not prefix:
        return {}
    rule = {"Name": "prefix", "Value": quote_plus(prefix, safe=_UNQUOTED)}
    return {"Filter": {"Key": {"FilterRules": [rule]}}}


def _filter_in(entry: Mapping[str, Any]) -> QueueFilter:
    rules = entry.get("Filter", {}).get("Key", {}).get("FilterRules", ())
    # S3 returns the names with a capital letter.
    values = {rule["Name"].lower(): unquote_plus(rule["Value"]) for rule in rules}
    return QueueFilter(
        values.get("prefix", ""), values.get("suffix", ""), tuple(sorted(entry["Events"]))
    )


def _normal(config: NotificationConfig) -> Any:
    lists = {
        name: sorted(
            (
                entry.get("Id", ""),
                _filter_in(entry),
                tuple(str(entry[key]) for key in _ARNS if key in entry),
            )
            for entry in config.get(name, ())
        )
        for name in _LISTS
    }
    return lists, sends_to_event_bridge(config), unknown_elements(config)
