r"""Patterns for lines of text that AWS services write, with the levels of their values.

A pattern reads fields by their position and ignores the fields after the last one that it needs,
because AWS appends fields. `-` is a field without a value.
"""

from collections.abc import Mapping, Sequence
from typing import Any

HTTP = (("5??", "error"), ("4??", "warn"), ("[1-3]??", "info"))
ISO = r"\d{4}-\d\d-\d\dT[\d:.]{8,18}Z?"
IP = r"[\da-fA-F.:]{2,45}"
CLIENT = r"(?:-|\[?(?P<client_ip>[\da-fA-F.:]{2,45}?)\]?:\d+)"

ALB = (
    rf"(?:https?|h2|grpcs|wss?) {ISO} \S+ {CLIENT} \S+ \S+ "
    r"(?:-1|-|(?P<target_time>\S+)) \S+ (?P<level>-|(?P<status>\d{3})) "
    r'(?:-|(?P<target_status>\d+)) \S+ \S+ "(?:-|(?P<method>[A-Z]+)) '
)
NLB = (
    rf"tls \S+ {ISO} \S+ (?:-|(?P<listener>\S+)) {CLIENT} \S+ \S+ \S+ \S+ \S+ "
    r"(?P<level>-|(?P<tls_alert>\S+)) \S+ \S+ \S+ (?:-|(?P<tls_version>\S+)) \S+ "
    r"(?:-|(?P<domain>\S+))"
)
_NUMBER = r"(?:-1|-|\d+\.\d+)"
CLB = (
    rf"{ISO} [A-Za-z0-9-]+ {CLIENT} \S+ {_NUMBER} (?:-1|-|(?P<target_time>\d+\.\d+)) {_NUMBER} "
    r"(?P<level>-|(?P<status>\d{3})) (?:-|(?P<target_status>\d+)) \S+ \S+ "
    r'"(?:-|(?P<method>[A-Z]+)) '
)
ALB_CONNECTION = (
    rf"{ISO} (?:-|(?P<client_ip>{IP})) \d+ (?P<listener_port>\d+) (?:-|(?P<tls_version>\S+)) \S+ "
    rf'{_NUMBER} "[^"]*" \S+ \S+ (?P<level>-|(?P<tls_verify_status>\S+))'
)
ALB_HEALTH = (
    rf"[a-z0-9]+ {ISO} {_NUMBER} (?:-|(?P<target>\S+)) (?P<target_group>\S+) "
    r"(?P<level>(?P<health>PASS|FAIL)) (?:-|(?P<status>\d+)) (?:-|(?P<reason>\S+))"
)
ELB_TIME = rf"^(?:https?|h2|grpcs|wss?|tls \S+) (?P<time>{ISO}) "
ELB_LEVELS = (*HTTP, ("-", "info"), ("PASS", "info"), ("Success", "info"), ("?*", "warn"))
S3_ACCESS = (
    rf"\S+ (?:-|(?P<source_bucket>\S+)) \[[^\]]*\] (?:-|(?P<client_ip>{IP})) "
    r"(?:-|(?P<requester>\S+)) \S+ (?P<operation>[A-Z0-9]+\.\S+) \S+ "
    r'(?:-|"[^\n]*?") (?P<level>-|(?P<status>\d{3})) (?:-|(?P<error_code>\w+)) '
)
S3_LEVELS = (*HTTP, ("-", "info"))
CLOUDFRONT = (
    rf"\d{{4}}-\d\d-\d\d\t\d\d:\d\d:\d\d\t(?:-|(?P<edge>\S+))\t\S+\t(?:-|(?P<client_ip>{IP}))"
    r"\t(?:-|(?P<method>[A-Z]+))\t[^\t]*\t[^\t]*\t(?P<level>(?P<status>\d{3})|[^\t]*)"
    r"(?:\t[^\t]*\t[^\t]*\t[^\t]*\t[^\t]*\t(?P<result>\w+))?"
)
# With the fields that the console proposes, or more.
CLOUDFRONT_REALTIME = (
    rf"\d{{10}}\.\d+\t(?:-|(?P<client_ip>{IP}))\t\S+\t(?P<level>(?P<status>\d{{3}}))\t\S+"
    r"\t(?:-|(?P<method>[A-Z]+))\t"
)
CLOUDFRONT_TIME = r"^(?P<time>\d{4}-\d\d-\d\d\t\d\d:\d\d:\d\d)\t"
DNS = (
    rf"\d+\.\d+ {ISO} \S+ (?P<query_name>\S+) (?P<query_type>[A-Z0-9]+) "
    rf"(?P<level>(?P<rcode>[A-Z]+)) [A-Z]+ \S+ (?P<client_ip>{IP})"
)
DNS_TIME = rf"^\d+\.\d+ (?P<time>{ISO}) "
DNS_LEVELS = (("NOERROR", "info"), ("NXDOMAIN", "info"), ("[A-Z]*", "warn"))
FLOW_LEVELS = (
    ("REJECT", "warn"),
    ("ACCEPT", "info"),
    ("OK", "info"),
    ("NODATA", "info"),
    ("SKIPDATA", "warn"),
)
FLOW = (
    r"\d+ \S+ (?:-|(?P<interface_id>eni-\S+)) (?:-|(?P<source_ip>\S+)) "
    r"(?:-|(?P<destination_ip>\S+)) \S+ (?:-|(?P<destination_port>\d+)) \S+ \S+ \S+ \d+ \d+ "
    r"(?:-|(?P<level>(?P<action>[A-Z]+))) (?P<log_status>[A-Z]+)"
)
TGW_FLOW = (
    r"\d+ TransitGateway \S+ (?:-|(?P<tgw_id>tgw-\S+)) (?:-|(?P<attachment_id>tgw-\S+)) "
    + r"\S+ " * 11
    + r"(?:-|(?P<source_ip>\S+)) (?:-|(?P<destination_ip>\S+)) \S+ "
    r"(?:-|(?P<destination_port>\d+)) \S+ \S+ \S+ \d+ \d+ (?P<level>(?P<log_status>[A-Z]+))"
)
# These words have one meaning in a flow log record, so they need no position.
FLOW_ANY_ORDER = r"(?:\S+ ){0,60}?(?P<level>(?P<action>ACCEPT|REJECT))(?: |$)"
OF_BALANCERS = (ALB, NLB, CLB, ALB_CONNECTION, ALB_HEALTH)
VENDED = (ALB, NLB, CLOUDFRONT, DNS, FLOW, FLOW_ANY_ORDER)

_FLOW_NAMES = {
    "action": "action",
    "dstaddr": "destination_ip",
    "dstport": "destination_port",
    "interface-id": "interface_id",
    "log-status": "log_status",
    "srcaddr": "source_ip",
    "tgw-attachment-id": "attachment_id",
    "tgw-id": "tgw_id",
}
_CLOUDFRONT_NAMES = {
    "c-ip": "client_ip",
    "cs-method": "method",
    "sc-status": "status",
    "x-edge-location": "edge",
    "x-edge-result-type": "result",
}


def flow_tables(line_format: str) -> tuple[dict[str, Any], ...]:
    """Return the tables for a custom format, such as `${version} ${srcaddr}`."""
    fields = line_format.replace("${", " ").replace("}", " ").split()
    return ({"metadata": flow_pattern(fields), "levels": FLOW_LEVELS},)


def flow_pattern(fields: Sequence[str]) -> str:
    """Return the pattern for flow logs with these fields, in their order."""
    level = "action" if "action" in fields else "log-status"
    return _by_position(fields, _FLOW_NAMES, level, " ", r"\S")


def cloudfront_pattern(fields: Sequence[str]) -> str:
    """Return the pattern for CloudFront's standard logs with these fields, in their order."""
    return _by_position(fields, _CLOUDFRONT_NAMES, "sc-status", r"\t", r"[^\t]")


def _by_position(
    fields: Sequence[str], names: Mapping[str, str], level: str, separator: str, character: str
) -> str:
    """Return a pattern with a group for each field that has a name, once."""
    pieces: list[str] = []
    known = 0
    for number, field in enumerate(fields, 1):
        if field not in names or field in fields[: number - 1]:
            pieces.append(f"{character}*" if separator != " " else f"{character}+")
            continue
        value = f"(?P<{names[field]}>{character}+)"
        pieces.append(f"(?:-|(?P<level>{value}))" if field == level else f"(?:-|{value})")
        known = number
    end = f"(?:{separator}|$)" if known else ""
    return f"^{separator.join(pieces[:known])}{end}"
