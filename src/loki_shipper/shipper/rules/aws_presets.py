"""Presets for the logs that AWS services write, as data.

Sources of the formats, all below https://docs.aws.amazon.com/:

- waf: waf/latest/developerguide/logging-fields.html
- cloudtrail: awscloudtrail/latest/userguide/cloudtrail-event-reference-record-contents.html
- vpcflow: vpc/latest/userguide/flow-log-records.html. CloudWatch Logs gives each line the time of
  its field `start`, so the preset needs no time.
- rds: AmazonRDS/latest/UserGuide/USER_LogAccess.html, and dev.mysql.com for the lines of MySQL
- apigateway: apigateway/latest/developerguide/set-up-logging.html
- route53: Route53/latest/DeveloperGuide/resolver-query-logs-format.html and query-logs.html
- eks-control-plane: eks/latest/userguide/control-plane-logs.html
- codebuild: codebuild/latest/userguide/view-build-details.html
- stepfunctions: step-functions/latest/dg/cw-logs.html
- elb: elasticloadbalancing/latest/application/load-balancer-access-logs.html and
  elasticloadbalancing/latest/network/load-balancer-access-logs.html
- s3access: AmazonS3/latest/userguide/sal-cw-log-format.html
- cloudfront: AmazonCloudFront/latest/DeveloperGuide/standard-logs-reference.html
"""

from loki_shipper.shipper.rules import aws_lines as lines
from loki_shipper.shipper.rules.preset import LEVEL_FIELDS, REQUEST_ID_FIELDS, Preset, either

_WAF = Preset(
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

_CLOUDTRAIL = Preset(
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

_VPCFLOW = Preset(
    groups=(
        *("/aws/vpc/*", "*vpc-flow-log*", "*vpcflowlog*", "*VPCFlowLog*"),
        *("s3://*/vpcflow", "s3://*/tgwflow"),
    ),
    tables=(
        {
            "metadata": either(lines.FLOW, lines.TGW_FLOW, lines.FLOW_ANY_ORDER),
            "levels": lines.FLOW_LEVELS,
            "by_fields": lines.flow_pattern,
        },
    ),
    format_tables=lines.flow_tables,
)

_RDS = Preset(
    groups=("/aws/rds/instance/*", "/aws/rds/cluster/*"),
    tables=(
        {"timestamp": r"^(?:# Time: )?(?P<time>\d{4}-\d\d-\d\d[T ][\d:.]{8,15}Z?)[\s:]"},
        {
            "metadata": either(
                # PostgreSQL: log_line_prefix is %t:%r:%u@%d:[%p]: unless you change it.
                r"\d{4}-\d\d-\d\d [\d:.]{8,15} UTC:(?:\[local\]|(?P<client_ip>[\da-fA-F.:]{2,45})"
                r"\(\d+\)|[^:\s()]+\(\d+\))?:(?:(?P<user>[^@:\s]+)@(?P<database>[^:\s]+)|@)?:\[\d+\]:"
                r"(?:[^\n]{0,200}?:)?(?P<level>DEBUG\d|INFO|NOTICE|WARNING|ERROR|LOG|FATAL|PANIC"
                r"|STATEMENT|DETAIL|HINT|CONTEXT|QUERY|LOCATION):",
                # The slow query log of MySQL and MariaDB, with values in several lines.
                r"(?:# Time: [^\n]*\n)?(?P<level># User@Host): (?P<user>[^\s\[]*)[^\n@]*@ "
                r"[^\n\[]*\[(?P<client_ip>[\da-fA-F.:]{2,45})?\][^\n]*\n"
                r"(?:# Thread_id: [^\n]*\n)?"
                r"# Query_time: (?P<query_time>[\d.]+)[^\n]*Rows_examined: (?P<rows_examined>\d+)",
                # The error log of MySQL 8, MySQL 5.7 and MariaDB.
                r"\d{4}-\d\d-\d\d[T ][\d:. ]{8,15}Z? \d+ \[(?P<level>[A-Za-z]+)\]"
                r"(?: \[(?P<error_code>[A-Z]+-\d+)\])?(?: \[(?P<subsystem>\w+)\])?",
                # MySQL's general log.
                r"(?P<level>\d{4}-\d\d-\d\dT[\d:.]{8,15}Z)\s+(?P<thread_id>\d+) "
                r"(?P<command>[A-Z][a-z]+(?: [A-Za-z]+)?)(?:\t|$)",
            ),
            "levels": (
                ("DEBUG?", "debug"),
                ("PANIC", "fatal"),
                ("# User@Host", "warn"),
                ("?*", "info"),
            ),
        },
    ),
)

_APIGATEWAY = Preset(
    groups=("API-Gateway-Execution-Logs_*", "/aws/apigateway/*"),
    tables=(
        {"timestamp": ["requestTimeEpoch"]},
        # Execution logs.
        {
            "metadata": r"^\((?P<request_id>[^\s()]{1,128})\) "
            r"(?:Method completed with status: (?P<level>(?P<status>\d{3}))"
            r"|(?P<level__1>Execution failed))?",
            "levels": (*lines.HTTP, ("Execution failed", "error")),
        },
        # Access logs in JSON, with the keys that the console proposes.
        {
            "metadata": {
                "level": "status",
                "method": "httpMethod",
                "path": ["resourcePath", "routeKey", "path"],
                "request_id": ["requestId", "extendedRequestId"],
                "status": "status",
            },
            "levels": lines.HTTP,
        },
    ),
)

_ROUTE53 = Preset(
    groups=("/aws/route53/*", "s3://*/route53_resolver"),
    tables=(
        {"timestamp": lines.DNS_TIME},
        {"timestamp": ["query_timestamp"]},
        # Public hosted zones.
        {"metadata": f"^{lines.DNS}", "levels": lines.DNS_LEVELS},
        # Resolver.
        {
            "metadata": {
                "level": "rcode",
                "client_ip": "srcaddr",
                "firewall_action": "firewall_rule_action",
                "query_name": "query_name",
                "query_type": "query_type",
                "rcode": "rcode",
            },
            "levels": lines.DNS_LEVELS,
        },
    ),
)

_EKS_CONTROL_PLANE = Preset(
    groups=("/aws/eks/*/cluster",),
    tables=(
        {"timestamp": ["stageTimestamp"]},
        {"timestamp": rf'^time="(?P<time>{lines.ISO})"'},
        {
            "metadata": either(
                # klog: the API server, the controller manager and the scheduler.
                r"(?P<level>[IWEF])\d{4} \d\d:\d\d:\d\d\.\d+ +\d+ (?P<file>[\w./-]+:\d+)\]",
                # The authenticator.
                r'time="[^"]*" level=(?P<level>\w+) msg="(?P<message>[^"]{1,128})"',
            )
        },
        # The audit log. Its own `level` says how much of a request is logged.
        {
            "metadata": {
                "level": "responseStatus.code",
                "namespace": "objectRef.namespace",
                "resource": "objectRef.resource",
                "status": "responseStatus.code",
                "user": "user.username",
                "verb": "verb",
            },
            "levels": lines.HTTP,
        },
    ),
)

# Only some lines of a build have a time. With it they would leave their place among the others.
_CODEBUILD = Preset(
    groups=("/aws/codebuild/*",),
    tables=(
        {
            "metadata": r"^\[Container\] \d{4}/\d\d/\d\d [\d:.]{8,18} "
            r"(?:Phase complete: (?P<phase>\w+) State: (?P<level>(?P<status>\w+))"
            r"|Phase context status code: (?P<level__1>(?P<status_code>\w+)))?",
            "levels": (("SUCCEEDED", "info"), ("STOPPED", "warn"), ("[A-Z]*", "error")),
        },
    ),
)

_STEPFUNCTIONS = Preset(
    groups=("/aws/vendedlogs/states/*", "/aws/states/*", "/aws/stepfunctions/*"),
    tables=(
        {"timestamp": ["event_timestamp"]},
        {
            "metadata": {
                "level": "type",
                "error": "details.error",
                "event_type": "type",
                "execution_arn": "execution_arn",
                "state": "details.name",
            },
            "levels": (
                ("*Failed", "error"),
                ("*TimedOut", "error"),
                ("*Aborted", "warn"),
                ("[A-Z]*", "info"),
            ),
        },
    ),
)

_ELB = Preset(
    groups=(
        "*ALB_ACCESS_LOGS*",
        "*NLB_ACCESS_LOGS*",
        "/aws/elasticloadbalancing/*",
        "/aws/vendedlogs/elasticloadbalancing/*",
        *("s3://*/alb", "s3://*/alb_connection", "s3://*/alb_health", "s3://*/nlb", "s3://*/clb"),
    ),
    tables=(
        {"timestamp": lines.ELB_TIME},
        {"timestamp": ["time"]},
        {"metadata": either(*lines.OF_BALANCERS), "levels": lines.ELB_LEVELS},
        {
            "metadata": {
                "level": "elb_status_code",
                "client": ["client:port", "client_port"],
                "status": "elb_status_code",
                "target_status": "target_status_code",
                "target_time": "target_processing_time",
                "tls_version": "tls_protocol_version",
            },
            "levels": lines.ELB_LEVELS,
        },
    ),
)

_S3ACCESS = Preset(
    groups=("/aws/vendedlogs/s3/*", "s3://*/s3_access"),
    tables=(
        {"timestamp": ["request_time"]},
        # CloudWatch Logs gets JSON, and S3 gets text.
        {"metadata": f"^{lines.S3_ACCESS}", "levels": lines.S3_LEVELS},
        {
            "metadata": {
                "level": "http_status",
                "client_ip": "remote_ip",
                "error_code": "error_code",
                "operation": "operation",
                "requester": "requester",
                "status": "http_status",
            },
            "levels": lines.HTTP,
        },
    ),
)

_CLOUDFRONT_FIELDS = {
    "client_ip": "c-ip",
    "edge": "x-edge-location",
    "method": "cs-method",
    "result": "x-edge-result-type",
}
_CLOUDFRONT_PRESET = Preset(
    groups=(
        *("/aws/cloudfront/*", "/aws/vendedlogs/cloudfront/*"),
        *("s3://*/cloudfront", "s3://*/cloudfront_realtime"),
    ),
    tables=(
        {"timestamp": lines.CLOUDFRONT_TIME},
        {"timestamp": ["time"], "date": ["date"]},
        {
            "metadata": either(lines.CLOUDFRONT, lines.CLOUDFRONT_REALTIME),
            "levels": lines.HTTP,
            "by_fields": lines.cloudfront_pattern,
        },
        {
            "metadata": {"level": "sc-status", **_CLOUDFRONT_FIELDS, "status": "sc-status"},
            "levels": lines.HTTP,
        },
    ),
)

# The services' names for one thing, so that any of them can be behind the prefix.
_VENDEDLOGS = Preset(
    groups=("/aws/vendedlogs/*",),
    tables=(
        {
            "timestamp": rf"^(?:(?:https?|h2|grpcs|wss?|tls \S+|\d+\.\d+) (?P<time>{lines.ISO}) "
            r"|(?P<time__1>\d{4}-\d\d-\d\d\t\d\d:\d\d:\d\d)\t)"
        },
        {
            "timestamp": [
                "event_timestamp",
                "query_timestamp",
                "request_time",
                "requestTimeEpoch",
                "eventTime",
                "timestamp",
                "time",
            ],
            "date": ["date"],
        },
        {
            "metadata": either(*lines.VENDED),
            "levels": (*lines.FLOW_LEVELS, *lines.DNS_LEVELS[:2], *lines.ELB_LEVELS),
        },
        {
            "metadata": {
                "level": [*LEVEL_FIELDS, "elb_status_code", "sc-status", "http_status", "status"],
                "client_ip": ["c-ip", "remote_ip", "srcaddr", "httpRequest.clientIp", "ip"],
                "method": ["cs-method", "httpMethod", "operation"],
                "request_id": [*REQUEST_ID_FIELDS, "x-edge-request-id"],
                "status": ["elb_status_code", "sc-status", "http_status", "status", "rcode"],
            },
            "levels": lines.HTTP,
        },
    ),
)

AWS_PRESETS = {
    "apigateway": _APIGATEWAY,
    "cloudfront": _CLOUDFRONT_PRESET,
    "cloudtrail": _CLOUDTRAIL,
    "codebuild": _CODEBUILD,
    "eks-control-plane": _EKS_CONTROL_PLANE,
    "elb": _ELB,
    "rds": _RDS,
    "route53": _ROUTE53,
    "s3access": _S3ACCESS,
    "stepfunctions": _STEPFUNCTIONS,
    "waf": _WAF,
    # The names of their log groups are the widest.
    "vpcflow": _VPCFLOW,
    "vendedlogs": _VENDEDLOGS,
}
