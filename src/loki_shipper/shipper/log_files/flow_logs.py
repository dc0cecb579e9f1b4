"""The flow logs of VPCs and transit gateways, of any version and any order of fields.

Each file begins with a line of the names of its fields. AWS writes both kinds to the same folder.

- Keys: https://docs.aws.amazon.com/vpc/latest/userguide/flow-logs-s3-path.html
- Fields: https://docs.aws.amazon.com/vpc/latest/userguide/flow-log-records.html and
  https://docs.aws.amazon.com/vpc/latest/tgw/tgw-flow-logs.html

A line has the time of its field `start`, as CloudWatch Logs gives it to the same record, so that
both ways give the same result. A custom format may lack it: then it is `end`.
"""

import re

from loki_shipper.shipper.log_files.log_file_type import AWS_LOGS, REGION, Head, LogFileType
from loki_shipper.shipper.log_files.reader import Layout
from loki_shipper.shipper.log_files.times import epoch, field_of_text

_KEY = re.compile(
    rf"{AWS_LOGS}(?:aws-service=)?vpcflowlogs/{REGION}/"
    r"(?:(?:[^/]+/)*\d{12}_vpcflowlogs_[a-z0-9-]+_(?P<resource>fl-[0-9a-f]+)_)?"
)
_NAMES = re.compile(r"[a-z][a-z0-9-]*(?: [a-z][a-z0-9-]*)*")
_COMMON = {"action", "bytes", "end", "packets", "protocol", "start", "type", "version"}
_OWN = {
    "account-id",
    "dstaddr",
    "dstport",
    "flow-direction",
    "instance-id",
    "interface-id",
    "log-status",
    "pkt-dstaddr",
    "pkt-srcaddr",
    "resource-type",
    "srcaddr",
    "srcport",
    "subnet-id",
    "tcp-flags",
    "tgw-attachment-id",
    "tgw-id",
    "vpc-id",
}
"""Names of fields: words that any text may have, and words that only flow logs have."""

_OF_GATEWAYS = {"tgw-id", "tgw-attachment-id", "tgw-pair-attachment-id"}
_DEFAULT_FIELDS = (
    *("version", "account-id", "interface-id", "srcaddr", "dstaddr", "srcport", "dstport"),
    *("protocol", "packets", "bytes", "start", "end", "action", "log-status"),
)


def _names(head: Head) -> list[str]:
    """Give the names of the fields; none if the first line is a record."""
    fields = head.line.split() if _NAMES.fullmatch(head.line.rstrip()) else []
    return [] if (_COMMON | _OWN).isdisjoint(fields) else fields


def _is_gateway(head: Head) -> bool:
    return not _OF_GATEWAYS.isdisjoint(_names(head))


def _is_vpc(head: Head) -> bool:
    return not _OWN.isdisjoint(_names(head)) and not _is_gateway(head)


def _layout(head: Head) -> Layout:
    names = _names(head)
    fields = tuple(names) or _DEFAULT_FIELDS
    number = next((fields.index(name) for name in ("start", "end") if name in fields), None)
    time_of = (lambda _: None) if number is None else field_of_text(number, epoch)
    header = head.line
    is_header = (lambda line: line == header) if names else None
    return Layout(time_of, is_header=is_header, fields=tuple(names))


TGWFLOW = LogFileType("tgwflow", _is_gateway, _layout, _KEY)
VPCFLOW = LogFileType("vpcflow", _is_vpc, _layout, _KEY)
