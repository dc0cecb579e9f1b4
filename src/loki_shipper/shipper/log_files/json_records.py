"""Log files with JSON: an object a line, or one object with an array of records.

Keys and fields, below https://docs.aws.amazon.com/:

- waf: waf/latest/developerguide/logging-s3.html and logging-fields.html. `timestamp` is in ms. The
  key of a web ACL for CloudFront says `cloudfront` in place of a Region, and the lines name it.
- route53_resolver: Route53/latest/DeveloperGuide/resolver-query-logs-choosing-target-resource.html
  and resolver-query-logs-format.html. Only the lines name the Region.
- guardduty: guardduty/latest/ug/guardduty_exportfindings.html. A finding is written again when it
  is seen again, so `updatedAt` is its time.
- network_firewall: network-firewall/latest/developerguide/logging-s3.html and
  firewall-logging-contents.html. `event_timestamp` is in seconds, `event.timestamp` is exact.
- cloudtrail: awscloudtrail/latest/userguide/get-and-view-cloudtrail-log-files.html and
  cloudtrail-event-reference-record-contents.html
- config: config/latest/developerguide/view-config-history.html and deliver-snapshot-cli.html. An
  item of a snapshot may have been captured years ago, when Loki takes no line. What it says is true
  at the time of the snapshot, so it has the time when the object was written.
"""

import re
from collections.abc import Callable

from loki_shipper.shipper.log_files.log_file_type import (
    AWS_LOGS,
    REGION,
    Head,
    LogFileType,
    always,
    matches,
)
from loki_shipper.shipper.log_files.reader import Layout
from loki_shipper.shipper.log_files.times import TimeOf, field_of_json

_REGION = re.compile(r'"region":"([a-z0-9-]+)"')
_REGION_OF_WEB_ACL = re.compile(r'"webaclId":"arn:[a-z-]+:wafv2:([a-z0-9-]+):')
_FIRST_FIELD_MS = re.compile(r'\{"timestamp":(\d{13}),').match


def _waf_time() -> TimeOf:
    by_name = field_of_json("timestamp")

    def time_of(line: str) -> int | None:
        # The field is the first one, so there is no need to parse some KB.
        found = _FIRST_FIELD_MS(line)
        return int(found[1]) if found else by_name(line)

    return time_of


def _region(pattern: re.Pattern[str]) -> Callable[[Head], str | None]:
    """Give a function that finds the Region in the first line."""

    def region(head: Head) -> str | None:
        found = pattern.search(head.line)
        return None if found is None else found[1]

    return region


def _config_layout(head: Head) -> Layout:
    is_snapshot = '"configSnapshotId"' in head.text
    time_of = (lambda _: None) if is_snapshot else field_of_json("configurationItemCaptureTime")
    return Layout(time_of, "configurationItems")


def _has(*names: str) -> Callable[[Head], bool]:
    """Tell whether the first line is an object with these fields."""
    texts = [f'"{name}":' for name in names]
    return lambda head: head.line.startswith("{") and all(text in head.line for text in texts)


WAF = LogFileType(
    "waf",
    _has("timestamp", "formatVersion", "webaclId"),
    always(Layout(_waf_time())),
    re.compile(rf"{AWS_LOGS}WAFLogs/(?:{REGION}|cloudfront)/(?P<resource>[^/]+)/\d{{4}}/"),
    region=_region(_REGION_OF_WEB_ACL),
)
ROUTE53_RESOLVER = LogFileType(
    "route53_resolver",
    _has("query_timestamp", "query_name"),
    always(Layout(field_of_json("query_timestamp"))),
    re.compile(rf"{AWS_LOGS}vpcdnsquerylogs/(?P<resource>vpc-[0-9a-f]+)/"),
    region=_region(_REGION),
)
GUARDDUTY = LogFileType(
    "guardduty",
    _has("schemaVersion", "accountId", "severity", "updatedAt"),
    always(Layout(field_of_json("updatedAt", "createdAt"))),
    re.compile(rf"{AWS_LOGS}GuardDuty/{REGION}/"),
)
NETWORK_FIREWALL = LogFileType(
    "network_firewall",
    _has("firewall_name", "event_timestamp"),
    always(Layout(field_of_json("event.timestamp", "event_timestamp"))),
    re.compile(rf"{AWS_LOGS}network-firewall/[a-z]+/{REGION}/(?P<resource>[^/]+)/\d{{4}}/"),
)
CLOUDTRAIL = LogFileType(
    "cloudtrail",
    matches(r'\s*\{\s*"Records"\s*:\s*\['),
    always(Layout(field_of_json("eventTime"), "Records")),
    re.compile(rf"{AWS_LOGS}CloudTrail/{REGION}/"),
)
CONFIG = LogFileType(
    "config",
    _has("fileVersion", "configurationItems"),
    _config_layout,
    re.compile(rf"{AWS_LOGS}Config/{REGION}/\d{{4}}/\d\d?/\d\d?/Config(?:History|Snapshot)/"),
)
