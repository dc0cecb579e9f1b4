"""The access logs of CloudFront.

- Standard logs, legacy and v2: keys, formats and fields are on standard-logging-legacy-s3.html,
  standard-logging.html and standard-logs-reference.html below
  https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/. Times are in UTC. v2 lets you
  choose the fields, their order and the separator, in the formats W3C, plain and JSON.
- Real-time logs: real-time-logs.html. CloudFront sends them to a Kinesis stream. Amazon Data
  Firehose makes files of them, with tabs, in a folder of your choice. You choose the fields, but
  not their order: the time is the first one.
"""

import re

from msgspec import DecodeError, Struct
from msgspec.json import Decoder

from loki_shipper.shipper.log_files.log_file_type import (
    AWS_LOGS,
    Head,
    LogFileType,
    always,
    matches,
)
from loki_shipper.shipper.log_files.reader import Layout
from loki_shipper.shipper.log_files.times import (
    TimeOf,
    epoch,
    field_of_text,
    iso,
)

_KEY = re.compile(
    rf"(?:{AWS_LOGS}(?:[^/]+/)*|^|/)"
    r"(?P<resource>E[0-9A-Z]{9,20})\.\d{4}-\d\d-\d\d-\d\d\.[0-9A-Za-z]+(?:\.|$)"
)
_FIELDS = re.compile(r"^#Fields: *([^\r\n]*)", re.MULTILINE)
_LEGACY_FIELDS = ["date", "time"]
_SEPARATORS = "\t,;| "
_MS = "timestamp(ms)"


def _fields(head: Head) -> list[str]:
    found = _FIELDS.search(head.text)
    return re.split(r"[\s,;|]+", found[1].strip()) if found else []


def _begins(head: Head) -> bool:
    if head.line.startswith("#"):
        fields = _fields(head)
        return any(field.startswith("x-edge-") for field in fields) or _MS in fields
    if head.line.startswith("{"):
        return '"x-edge-' in head.line or f'"{_MS}"' in head.line
    return re.match(r"\d{4}-\d\d-\d\d\t\d\d:\d\d:\d\d\t[A-Z]{3}\d+", head.line) is not None


def _layout(head: Head) -> Layout:
    if head.line.startswith("{"):
        return Layout(_time_of_json)
    named = _fields(head)
    fields = named or _LEGACY_FIELDS
    separator = _separator(head, len(fields))
    time_of = _time_of_text(fields, separator)
    return Layout(time_of, is_header=_is_header, fields=tuple(named) if separator == "\t" else ())


def _is_header(line: str) -> bool:
    return line.startswith("#")


def _separator(head: Head, fields: int) -> str:
    """Give the character that makes as many fields of the first record as there are names."""
    record = next((line for line in head.text.splitlines() if line and line[0] != "#"), "")
    return next((each for each in _SEPARATORS if record.count(each) == fields - 1 > 0), "\t")


def _time_of_text(fields: list[str], separator: str) -> TimeOf:
    if _MS in fields:
        return field_of_text(fields.index(_MS), _ms, separator)
    if "date" not in fields or "time" not in fields:
        return lambda _: None
    date, time = fields.index("date"), fields.index("time")
    last = max(date, time)

    def time_of(line: str) -> int | None:
        values = line.split(separator, last + 1)
        return iso(f"{values[date]}T{values[time]}") if len(values) > last else None

    return time_of


def _ms(text: str) -> int | None:
    return int(text) if text.isdecimal() else None


class _JsonTimes(Struct, gc=False, rename={"ms": _MS}):
    date: str | None = None
    time: str | None = None
    ms: str | None = None


def _time_of_json(line: str) -> int | None:
    try:
        found = _decode(line)
    except (DecodeError, RecursionError):
        return None
    return _ms(found.ms) if found.ms else iso(f"{found.date}T{found.time}")


_decode = Decoder(_JsonTimes).decode
CLOUDFRONT = LogFileType(
    "cloudfront", _begins, _layout, _KEY, lambda match: f"distribution/{match['resource']}"
)
CLOUDFRONT_REALTIME = LogFileType(
    "cloudfront_realtime",
    matches(r"\d{10}(?:\.\d{1,6})?\t"),
    always(Layout(field_of_text(0, epoch, "\t"))),
)
