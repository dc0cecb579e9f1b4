"""Presets, as data: tables as in a rules file, for log formats of AWS and others.

To add a preset, add an entry of `PRESETS`, a sample event and a section of `docs/rules.md`.

Each pattern begins with `^` and runs on Python's engine, which needs no import. A test checks that
RE2 takes each pattern too, and that none repeats a repeat, so that matching takes linear time.
"""

from loki_shipper.shipper.rules.aws_presets import AWS_PRESETS
from loki_shipper.shipper.rules.preset import (
    LEVEL_FIELDS,
    REQUEST_ID_FIELDS,
    UUID,
    Preset,
    either,
)

FUNCTION_TEXT = either(
    # Python's logging, and uncaught exceptions.
    rf"\[(?P<level>[A-Z]+)\](?:\t[^\t]*\t(?P<request_id>{UUID})\t| )",
    # Node.js, with `undefined` for the request id during initialisation.
    rf"\d{{4}}-[\d:.T-]+Z\t(?:(?P<request_id>{UUID})|undefined)\t(?P<level>[A-Z]+)\t",
    # START, END, REPORT, a crash, a timeout.
    rf"(?:(?:START |END |REPORT )?RequestId: |\d{{4}}-[\d:.T-]+Z )(?P<request_id>{UUID})",
)
"""The level and the request id of a function's text line."""

_LAMBDA = Preset(
    groups=("/aws/lambda/*",),
    options={"platform": ("keep", "metrics", "drop")},
    tables=(
        {
            "only": {"platform": ("metrics", "drop")},
            "drop": r"^(?:START RequestId: |END RequestId: |INIT_START |INIT_REPORT |RESTORE_|"
            r"EXTENSION\t|XRAY TraceId: )",
        },
        {
            "only": {"platform": ("metrics", "drop")},
            "drop": r"^platform\.(?:extension|fault|init|logs|restore|runtime|start|telemetry)",
            "field": "type",
        },
        {"only": {"platform": ("drop",)}, "drop": r"^REPORT RequestId: "},
        {"only": {"platform": ("drop",)}, "drop": r"^platform\.report", "field": "type"},
        {
            "only": {"platform": ("metrics",)},
            "metadata": rf"^REPORT RequestId: {UUID}\tDuration: (?P<duration_ms>[\d.]+) ms"
            r"\tBilled Duration: (?P<billed_duration_ms>\d+) ms"
            r"\tMemory Size: (?P<memory_size_mb>\d+) MB"
            r"\tMax Memory Used: (?P<max_memory_used_mb>\d+) MB"
            r"(?:\tInit Duration: (?P<init_duration_ms>[\d.]+) ms)?"
            r"(?:[^\n]*\tStatus: (?P<status>\w+))?",
        },
        {
            "only": {"platform": ("metrics",)},
            "metadata": {
                "duration_ms": "record.metrics.durationMs",
                "billed_duration_ms": "record.metrics.billedDurationMs",
                "memory_size_mb": "record.metrics.memorySizeMB",
                "max_memory_used_mb": "record.metrics.maxMemoryUsedMB",
                "init_duration_ms": "record.metrics.initDurationMs",
                "status": "record.status",
            },
        },
        {"metadata": FUNCTION_TEXT},
        {"metadata": {"level": LEVEL_FIELDS, "request_id": REQUEST_ID_FIELDS}},
    ),
)

LEVEL = either(
    r"\[(?P<level>[A-Z]+)\][\t ]",
    rf"\d{{4}}-[\d:.T-]+Z\t(?:{UUID}|undefined)\t(?P<level>[A-Z]+)\t",
)
"""The level of a function's text line."""

# The default without a rules file. It has no request id, which would cost time and bytes and is in
# the line anyway.
_LEVELS = Preset(
    groups=("/aws/lambda/*", "s3://*/json", "s3://*/text"),
    tables=(
        {"metadata": LEVEL},
        {"metadata": {"level": LEVEL_FIELDS}},
    ),
)

_WATCHTOWER = Preset(
    groups=("*",),
    tables=(
        {
            "metadata": {
                "level": LEVEL_FIELDS,
                "logger": ["name", "logger"],
                "file": ["filename", "file"],
                "request_id": REQUEST_ID_FIELDS,
            }
        },
    ),
)

_SKYPILOT = Preset(
    groups=("skypilot-logs",),
    tables=(
        {"label": {"cluster": "skypilot.cluster_name"}, "at_most": 200},
        {
            "metadata": {
                "cluster_id": "skypilot.cluster_id",
                "node_ip": "ip",
                "log_path": "log_path",
                "pid": "pid",
                "rank": "rank",
                "worker": "worker_name",
            }
        },
        {"unwrap": "log"},
    ),
)

_ECS = Preset(
    groups=("/ecs/*", "/aws/ecs/*"),
    tables=(
        # FireLens. The awslogs driver adds nothing to a container's line.
        {"label": {"ecs_cluster": "ecs_cluster"}, "at_most": 50},
        {
            "metadata": {
                "container": "container_name",
                "container_id": "container_id",
                "output": "source",
                "task_arn": "ecs_task_arn",
                "task_definition": "ecs_task_definition",
            }
        },
        {"unwrap": "log"},
        {"metadata": {"level": LEVEL_FIELDS, "request_id": REQUEST_ID_FIELDS}},
    ),
)

_EKS = Preset(
    groups=("/aws/containerinsights/*", "/aws/eks/*"),
    tables=(
        # Container Insights: Fluent Bit with the Kubernetes filter.
        {"label": {"namespace": "kubernetes.namespace_name"}, "at_most": 100},
        {"label": {"container": "kubernetes.container_name"}, "at_most": 200},
        {
            "metadata": {
                "node": "kubernetes.host",
                "output": "stream",
                "pod": "kubernetes.pod_name",
            }
        },
        {"unwrap": "log"},
        # klog's lines, from the control plane and many controllers.
        {"metadata": r"^(?P<level>[IWEF])\d{4} \d\d:\d\d:\d\d\."},
        {"metadata": {"level": LEVEL_FIELDS, "request_id": REQUEST_ID_FIELDS}},
    ),
)

# AWS writes these to S3 only. `log_files/json_records.py` has the pages of the formats.
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

PRESETS = {
    "ecs": _ECS,
    "eks": _EKS,
    "lambda": _LAMBDA,
    "level": _LEVELS,
    "skypilot": _SKYPILOT,
    "watchtower": _WATCHTOWER,
    **LOG_FILE_PRESETS,
    **AWS_PRESETS,
}

DEFAULT_PRESETS = ("level", *LOG_FILE_PRESETS, *AWS_PRESETS)
"""Presets without a rules file: a log group gets the first one that names it, the general last."""
