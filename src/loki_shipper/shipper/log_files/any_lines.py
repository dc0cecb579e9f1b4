"""Log files that no AWS service writes: lines of text, and lines of JSON."""

import re

from loki_shipper.shipper.log_files.log_file_type import Head, LogFileType, always
from loki_shipper.shipper.log_files.reader import Layout
from loki_shipper.shipper.log_files.times import common_log, field_of_json, iso

_FIELDS = (
    "timestamp",
    "@timestamp",
    "time",
    "ts",
    "eventTime",
    "event_timestamp",
    "datetime",
    "date",
)
_TIME = re.compile(
    r"\W?(?P<iso>\d{4}-\d\d-\d\d[T \t]\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)?)"
    r"|.{0,200}?\[(?P<web>\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4})\]"
)


def _time_of_text(line: str) -> int | None:
    """Read ISO 8601 at the beginning of a line, or the time in brackets of a web server."""
    found = _TIME.match(line)
    if found is None:
        return None
    return iso(found["iso"]) if found["iso"] else common_log(found["web"])


def _time_of_any() -> Layout:
    of_json = field_of_json(*_FIELDS)
    return Layout(lambda line: of_json(line) if line.startswith("{") else _time_of_text(line))


def _is_json(head: Head) -> bool:
    return head.line.lstrip().startswith("{")


JSON = LogFileType("json", _is_json, always(_time_of_any()))
TEXT = LogFileType("text", lambda head: not _is_json(head), always(_time_of_any()))
