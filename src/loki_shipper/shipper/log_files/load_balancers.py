"""The log files of load balancers.

Keys and lines, below https://docs.aws.amazon.com/elasticloadbalancing/latest/:

- alb: application/load-balancer-access-logs.html
- alb_connection: application/load-balancer-connection-logs.html
- alb_health: application/load-balancer-health-check-logs.html
- nlb: network/load-balancer-access-logs.html. Its times have no `Z`, and are in UTC too.
- clb: classic/access-log-collection.html. Its files are not compressed.

Gateway Load Balancers write no access logs.
"""

import re
from collections.abc import Callable

from loki_shipper.shipper.log_files.log_file_type import (
    AWS_LOGS,
    ISO,
    REGION,
    LogFileType,
    always,
    matches,
)
from loki_shipper.shipper.log_files.reader import Layout
from loki_shipper.shipper.log_files.times import field_of_text, iso

_FOLDER = rf"{AWS_LOGS}elasticloadbalancing/{REGION}/\d{{4}}/\d\d/\d\d/"
_FILE = r"\d{12}_elasticloadbalancing_[a-z0-9-]+_"
_NAME = r"(?P<resource>[A-Za-z0-9-]+)"
_SECONDS = r"(?:-|-1|\d+\.\d+)"
_ADDRESS = r"\[?[\da-fA-F.:]+\]?"

_TYPE_TIME = always(Layout(field_of_text(1, iso)))
_TIME = always(Layout(field_of_text(0, iso)))


def _key(before: str, kind: str) -> re.Pattern[str]:
    return re.compile(rf"{_FOLDER}{before}{_FILE}{kind}\.{_NAME}\.(?P<id>[0-9a-f]+)_")


def _tagged_as(kind: str) -> Callable[[re.Match[str]], str]:
    return lambda match: f"loadbalancer/{kind}/{match['resource']}/{match['id']}"


ALB = LogFileType(
    "alb",
    matches(rf"(?:https?|h2|grpcs?|wss?) {ISO} app/\S+ "),
    _TYPE_TIME,
    _key("", "app"),
    _tagged_as("app"),
)
ALB_CONNECTION = LogFileType(
    "alb_connection",
    matches(rf"{ISO} {_ADDRESS} \d+ \d+ \S+ \S+ {_SECONDS} "),
    _TIME,
    _key(r"conn_log[._]", "app"),
    _tagged_as("app"),
)
ALB_HEALTH = LogFileType(
    "alb_health",
    matches(rf"[a-z0-9]+ {ISO} {_SECONDS} \S+ \S+ (?:PASS|FAIL) "),
    _TYPE_TIME,
    _key(r"health_check_log[._]", "app"),
    _tagged_as("app"),
)
NLB = LogFileType(
    "nlb",
    matches(rf"tls \S+ {ISO} net/\S+ "),
    always(Layout(field_of_text(2, iso))),
    _key("", "net"),
    _tagged_as("net"),
)
CLB = LogFileType(
    "clb",
    matches(rf"{ISO} [A-Za-z0-9-]+ {_ADDRESS}:\d+ \S+ {_SECONDS} {_SECONDS} {_SECONDS} "),
    _TIME,
    re.compile(rf"{_FOLDER}{_FILE}{_NAME}_\d{{8}}T\d{{4}}Z_"),
    lambda match: f"loadbalancer/{match['resource']}",
)
