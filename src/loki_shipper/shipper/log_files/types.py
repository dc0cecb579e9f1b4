"""Decides what an object in S3 is: by its key, else by its first line.

The types are in an order, and no sample of one type matches another one. So the result never
depends on chance.
"""

from msgspec import Struct

from loki_shipper.model import LogFile, S3Object
from loki_shipper.shipper.log_files import (
    any_lines,
    cloudfront,
    flow_logs,
    json_records,
    load_balancers,
    s3_access,
)
from loki_shipper.shipper.log_files.log_file_type import Head, LogFileType
from loki_shipper.shipper.log_files.reader import LogFileReader, RefusedObject, SkippedObject

_AWS_TYPES = (
    load_balancers.ALB,
    load_balancers.ALB_CONNECTION,
    load_balancers.ALB_HEALTH,
    load_balancers.NLB,
    load_balancers.CLB,
    flow_logs.VPCFLOW,
    flow_logs.TGWFLOW,
    cloudfront.CLOUDFRONT,
    cloudfront.CLOUDFRONT_REALTIME,
    json_records.WAF,
    json_records.CLOUDTRAIL,
    json_records.CONFIG,
    json_records.GUARDDUTY,
    json_records.NETWORK_FIREWALL,
    json_records.ROUTE53_RESOLVER,
    s3_access.S3_ACCESS,
)
TYPES = {each.name: each for each in (*_AWS_TYPES, any_lines.JSON, any_lines.TEXT)}
"""The types of log files by name, in the order in which they are tried."""

_FORMATS = {
    b"PAR1": "Parquet",
    b"ORC": "ORC",
    b"Obj\x01": "Avro",
    b"PK\x03\x04": "a zip archive",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"BZh": "bzip2",
    b"\xfd7zXZ\x00": "xz",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive",
    b"\x04\x22\x4d\x18": "LZ4",
    b"\xff\x06\x00\x00sNaPpY": "snappy",
    b"\x1f\x8b": "gzip inside gzip",
    b"\xff\xfe": "UTF-16",
    b"\xfe\xff": "UTF-16",
    b"SQLite format 3": "SQLite",
    b"%PDF": "PDF",
    b"\x89PNG": "PNG",
}
"""The first bytes of formats that have no lines."""

_BALANCER_TEST = "a load balancer wrote it to test the bucket"
_BESIDE = {
    "/CloudTrail-Digest/": "it is a digest of CloudTrail, which has no log events",
    "/CloudTrail-Insight/": "it has insights of CloudTrail, which are no log events",
    "/CloudTrail-Aggregated/": (
        "it has aggregated events of CloudTrail, which its log files have one by one"
    ),
    "ConfigWritabilityCheckFile": "AWS Config wrote it to test the bucket",
    "ELBAccessLogTestFile": _BALANCER_TEST,
    "ELBConnectionLogTestFile": _BALANCER_TEST,
    "ELBHealthCheckLogTestFile": _BALANCER_TEST,
    "aws-logs-write-test": "CloudWatch Logs wrote it to test the bucket",
    "_$folder$": "it stands for a folder",
}
"""Parts of the keys of objects that AWS writes beside log files."""

_MOST_FIELDS = 100
"""Names of fields that rules look at. A line of AWS has about 40."""

_SAMPLE_BYTES = 1024
_MOST_CONTROLS = 0.1
_CONTROLS = bytes({*range(32), 127} - {*b"\t\n\r\f\x1b"})


class _Found(Struct, frozen=True):
    """A type, and the parts of a `LogFile` that a key of this type names."""

    type: LogFileType
    account: str | None = None
    region: str | None = None
    resource: str | None = None
    tagged_as: str | None = None


def reader_of(
    found: S3Object, head: bytes, wanted: str | None = None
) -> LogFileReader | RefusedObject | SkippedObject:
    """Give the reader of a log file, or the reason why there is none.

    `head` is the beginning of the object without gzip, 64 KB at most. `wanted` is the type that
    `LogBuckets` names for the key.
    """
    if found.key.endswith("/"):
        return SkippedObject(_BESIDE["_$folder$"])
    for part, reason in _BESIDE.items():
        if part in found.key:
            return SkippedObject(reason)
    if (refused := _refused(head)) is not None:
        return refused
    text = head.decode("utf-8", "replace").removeprefix("\ufeff")
    start = Head(text, text.partition("\n")[0].removesuffix("\r"))
    known = _of_key(found.key, start, wanted)
    if known is None:
        return RefusedObject(
            f"LogBuckets gives it the type {wanted}, which is none of {', '.join(TYPES)}"
        )
    layout = known.type.layout(start)
    region = known.region or (known.type.region(start) if known.type.region else None)
    log_file = LogFile(
        found.bucket,
        found.key,
        known.type.name,
        known.account,
        region,
        known.resource,
        known.tagged_as,
        layout.fields if len(layout.fields) <= _MOST_FIELDS else (),
    )
    return LogFileReader(found, log_file, layout)


def _of_key(key: str, head: Head, wanted: str | None) -> _Found | None:
    by_key = [_found(each, key) for each in TYPES.values() if each.key is not None]
    possible = [each for each in by_key if each is not None]
    if wanted is not None:
        named = (each for each in possible if each.type.name == wanted)
        return next(named, _Found(TYPES[wanted]) if wanted in TYPES else None)
    # Flow logs of VPCs and transit gateways have the same keys.
    exact = (each for each in possible if each.type.begins(head))
    by_line = (_Found(each) for each in TYPES.values() if each.begins(head))
    return next(exact, None) or next(iter(possible), None) or next(by_line, None)


def _found(log_file_type: LogFileType, key: str) -> _Found | None:
    match = log_file_type.key.search(key) if log_file_type.key else None
    if match is None:
        return None
    groups = match.groupdict()
    tagged_as = log_file_type.tagged_as(match) if log_file_type.tagged_as else None
    return _Found(
        log_file_type,
        groups.get("account"),
        groups.get("region"),
        groups.get("resource"),
        tagged_as,
    )


def _refused(head: bytes) -> RefusedObject | None:
    """Give the reason why an object has no lines, by its first bytes."""
    name = next((name for magic, name in _FORMATS.items() if head.startswith(magic)), None)
    if name is not None:
        return RefusedObject(f"it is {name}: only text, alone or in gzip, can be shipped")
    sample = head[:_SAMPLE_BYTES]
    if len(sample) - len(sample.translate(None, _CONTROLS)) > len(sample) * _MOST_CONTROLS:
        return RefusedObject("it is no text: only text, alone or in gzip, can be shipped")
    return None
