"""Presets for AWS services that write JSON only, as data.

Sources of the formats, all below https://docs.aws.amazon.com/:

- waf: waf/latest/developerguide/logging-fields.html
- cloudtrail: awscloudtrail/latest/userguide/cloudtrail-event-reference-record-contents.html
- config: config/latest/developerguide/config-item-table.html
- guardduty: guardduty/latest/ug/guardduty_findings-severity.html and
  guardduty_finding-format.html
- network-firewall: network-firewall/latest/developerguide/firewall-logging-contents.html
"""

from loki_shipper.shipper.rules.preset import Preset

WAF = Preset(
    groups=("aws-waf-logs-*", "s3://*/waf"),
    tables=(
        {"timestamp": ["timestamp"]},
        {
            "metadata": {
                "level": "action",
                "action": "action",
                "client_ip": "httpRequest.clientIp",
                "country": "httpRequest.country",
                "path": "httpRequest.uri",
                "rule": "terminatingRuleId",
            },
            "levels": (("ALLOW", "info"), ("[A-Z]*", "warn")),
        },
    ),
)

CLOUDTRAIL = Preset(
    groups=(
        *("*_CloudTrail_*", "aws-cloudtrail-logs-*", "/aws/cloudtrail/*", "CloudTrail/*"),
        "s3://*/cloudtrail",
    ),
    tables=(
        {"timestamp": ["eventTime"]},
        {
            "metadata": {
                # Only a failed call has one of the first two. Each event has a version, as 1.11.
                "level": ["errorCode", "errorMessage", "eventVersion"],
                "client_ip": "sourceIPAddress",
                "error_code": "errorCode",
                "event_name": "eventName",
                "event_source": "eventSource",
                "user": ["userIdentity.arn", "userIdentity.invokedBy"],
            },
            "levels": (("[0-9]*", "info"), ("?*", "error")),
        },
    ),
)

_CONFIG = Preset(
    groups=("s3://*/config",),
    tables=(
        {
            "metadata": {
                "level": "configurationItemStatus",
                "resource_id": "resourceId",
                "resource_type": "resourceType",
                "status": "configurationItemStatus",
            },
            "levels": (("?*", "info"),),
        },
    ),
)

_GUARDDUTY = Preset(
    groups=("s3://*/guardduty",),
    tables=(
        {
            "metadata": {
                "level": "severity",
                "finding_id": "id",
                "finding_type": "type",
                "resource_type": "resource.resourceType",
                "severity": "severity",
            },
            # Low, medium, high and critical.
            "levels": (
                ("[123]", "info"),
                ("[123].*", "info"),
                ("[456]*", "warn"),
                ("[78]*", "error"),
                ("?*", "critical"),
            ),
        },
    ),
)

_NETWORK_FIREWALL = Preset(
    groups=("s3://*/network_firewall",),
    tables=(
        {
            "metadata": {
                "level": ["event.alert.action", "event.event_type"],
                "action": "event.alert.action",
                "destination_ip": "event.dest_ip",
                "destination_port": "event.dest_port",
                "event_type": "event.event_type",
                "protocol": ["event.app_proto", "event.proto"],
                "signature": "event.alert.signature",
                "source_ip": "event.src_ip",
            },
            "levels": (("blocked", "warn"), ("?*", "info")),
        },
    ),
)

LOG_FILE_PRESETS = {
    "config": _CONFIG,
    "guardduty": _GUARDDUTY,
    "network-firewall": _NETWORK_FIREWALL,
}
"""Formats that AWS writes to S3 only."""
