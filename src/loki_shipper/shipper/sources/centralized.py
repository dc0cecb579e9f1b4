"""Separates log events that CloudWatch Logs centralization has copied from several accounts."""

from operator import attrgetter

from msgspec.structs import replace

from loki_shipper.model import LogData, LogEvent

_extracted_fields = attrgetter("extracted_fields")

type _Source = tuple[str, str, str]
"""Account, Region and log group; each is empty where the event does not name it."""


def split_by_source(data: LogData) -> list[LogData]:
    """Return a payload for each source account, Region and log group that the log events name.

    A filter with `emitSystemFields` puts `@aws.account`, `@aws.region` and `@source.log` into the
    `extractedFields` of each log event. The values may differ within one payload. The owner stays:
    it says which account sent the payload, also when the payload is read back from the bucket.
    """
    if not any(map(_extracted_fields, data.log_events)):
        return [data]
    sources: dict[_Source, list[LogEvent]] = {}
    for event in data.log_events:
        sources.setdefault(_source(event), []).append(event)
    return [
        replace(
            data,
            log_group=log_group or data.log_group,
            log_events=events,
        )
        for (*_, log_group), events in sources.items()
    ]


def _source(event: LogEvent) -> _Source:
    fields = event.extracted_fields or {}
    return (
        str(fields.get("@aws.account") or ""),
        str(fields.get("@aws.region") or ""),
        _name(str(fields.get("@source.log") or "")),
    )


def _name(log_group: str) -> str:
    """Give the name in an identifier of a log group: a name, `account:name`, or an ARN.

    AWS does not say which of them `@source.log` is. A name holds no colon.
    """
    return log_group.removesuffix(":*").rpartition(":")[2]
