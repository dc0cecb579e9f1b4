"""Each object in S3 has one type, which does not depend on chance, and a bucket may hold others."""

import pytest
from msgspec.structs import replace

from loki_shipper.model import LOG_FILE_TYPES, LogFile, S3Object
from loki_shipper.shipper.log_files.log_file_type import Head, LogFileType
from loki_shipper.shipper.log_files.reader import LogFileReader, RefusedObject, SkippedObject
from loki_shipper.shipper.log_files.types import TYPES, reader_of
from tests.shipper.log_files.samples import SAMPLES, WRITTEN

GENERAL = ("json", "text")
UNKNOWN = "app/2026/11/20/file.gz"
ALB = SAMPLES["alb"]


def read(
    key: str, head: bytes = b"x", wanted: str | None = None
) -> LogFileReader | RefusedObject | SkippedObject:
    return reader_of(S3Object("my-logs", key, written=WRITTEN), head, wanted)


def log_file(key: str, head: bytes = b"x", wanted: str | None = None) -> LogFile:
    made = read(key, head, wanted)
    assert isinstance(made, LogFileReader)
    return made.log_file


@pytest.mark.parametrize("name", SAMPLES)
def test_an_object_has_the_type_and_the_origin_that_its_key_names(name: str) -> None:
    sample = SAMPLES[name]
    assert replace(sample.reader().log_file, fields=()) == LogFile(
        "my-logs",
        sample.found.key,
        sample.type,
        sample.account,
        sample.region,
        sample.resource,
        sample.tagged_as,
    )


@pytest.mark.parametrize("name", SAMPLES)
def test_an_object_with_another_key_has_the_type_of_its_first_line(name: str) -> None:
    found = log_file(UNKNOWN, SAMPLES[name].body)
    assert found.type == SAMPLES[name].type
    assert (found.account, found.resource, found.tagged_as) == (None, None, None)


@pytest.mark.parametrize(
    ("name", "first", "count"),
    [
        ("vpcflow", "version", 14),
        ("vpcflow-custom", "account-id", 31),
        ("tgwflow", "version", 36),
        ("cloudfront", "date", 33),
        ("cloudfront-v2", "date", 11),
    ],
)
def test_a_file_that_begins_with_the_names_of_its_fields_names_them(
    name: str, first: str, count: int
) -> None:
    fields = SAMPLES[name].reader().log_file.fields
    assert (fields[0], len(fields)) == (first, count)


@pytest.mark.parametrize(
    "name", ["alb", "cloudfront-v2-json", "cloudfront-v2-plain", "waf", "text"]
)
def test_other_files_name_no_fields(name: str) -> None:
    assert SAMPLES[name].reader().log_file.fields == ()


def test_names_of_fields_that_no_service_of_aws_writes_are_not_kept() -> None:
    names = b" ".join((b"srcaddr", *(b"x%d" % number for number in range(100))))
    assert log_file(UNKNOWN, names).fields == ()
    assert log_file(UNKNOWN, b"#Fields: x-edge-location c-ip\nFRA6,192.0.2.7\n").fields == ()


@pytest.mark.parametrize("name", SAMPLES)
def test_no_sample_matches_two_types(name: str) -> None:
    sample = SAMPLES[name]
    head = Head(text := sample.body.decode("utf-8", "replace"), text.partition("\n")[0])
    by_line = {kind for kind, each in TYPES.items() if each.begins(head)}
    by_key = {
        kind for kind, each in TYPES.items() if each.key and each.key.search(sample.found.key)
    }
    assert by_line - {*GENERAL} == {sample.type} - {*GENERAL}
    assert len(by_line & {*GENERAL}) == 1
    # Flow logs of VPCs and of transit gateways have the same keys, and other first lines.
    either = {"vpcflow", "tgwflow"} if sample.type in {"vpcflow", "tgwflow"} else {sample.type}
    assert by_key in (set(), either)


def test_settings_know_the_types() -> None:
    assert tuple(TYPES) == LOG_FILE_TYPES
    assert {sample.type for sample in SAMPLES.values()} == {*TYPES}


@pytest.mark.parametrize("type_", [each for each in TYPES.values() if each.key is not None])
def test_the_prefix_of_a_key_changes_nothing(type_: LogFileType) -> None:
    keys = [each.found.key for each in SAMPLES.values() if each.type == type_.name]
    found = [match[0] for key in keys if type_.key and (match := type_.key.search(f"p/q/{key}"))]
    assert len(found) == len([key for key in keys if type_.key and type_.key.search(key)]) > 0


@pytest.mark.parametrize("name", SAMPLES)
def test_the_type_that_the_setting_names_counts_before_the_key(name: str) -> None:
    assert log_file(SAMPLES[name].found.key, SAMPLES[name].body, "text").type == "text"
    named = log_file(SAMPLES[name].found.key, b"x", SAMPLES[name].type)
    assert (named.type, named.resource) == (SAMPLES[name].type, SAMPLES[name].resource)


def test_a_type_that_the_setting_names_reads_objects_with_any_key() -> None:
    assert log_file(UNKNOWN, ALB.body, "alb") == LogFile("my-logs", UNKNOWN, "alb")


def test_an_empty_object_has_the_type_of_its_key() -> None:
    assert log_file(ALB.found.key, b"").type == "alb"
    assert log_file(UNKNOWN, b"").type == "text"


@pytest.mark.parametrize(
    ("head", "format_"),
    [
        (b"PAR1\x15\x04", "Parquet"),
        (b"ORC\x08", "ORC"),
        (b"Obj\x01\x04", "Avro"),
        (b"PK\x03\x04\x14", "a zip archive"),
        (b"\x28\xb5\x2f\xfd\x04", "zstd"),
        (b"BZh91AY", "bzip2"),
        (b"\xfd7zXZ\x00", "xz"),
        (b"\x1f\x8b\x08", "gzip inside gzip"),
        (b"\xff\xfeh\x00i\x00", "UTF-16"),
    ],
)
@pytest.mark.parametrize("wanted", [None, "alb"])
def test_a_binary_format_is_refused_with_its_name(
    head: bytes, format_: str, wanted: str | None
) -> None:
    expected = RefusedObject(f"it is {format_}: only text, alone or in gzip, can be shipped")
    assert read(ALB.found.key, head, wanted) == expected


def test_bytes_that_are_no_text_are_refused() -> None:
    expected = RefusedObject("it is no text: only text, alone or in gzip, can be shipped")
    assert read(UNKNOWN, bytes(range(256)) * 4) == expected


@pytest.mark.parametrize(
    "head",
    [
        b"\x1b[32minfo\x1b[0m colours\n",
        "größe 🐧\n".encode(),
        b"caf\xe9 \xff latin\n",
        b"a\tb\r\n\x0c",
        b"one \x00 in a long line of text\n",
    ],
)
def test_text_with_odd_bytes_is_text(head: bytes) -> None:
    assert log_file(UNKNOWN, head).type == "text"


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        (
            "AWSLogs/123456789012/CloudTrail-Digest/eu-central-1/2026/11/20/x.json.gz",
            "it is a digest of CloudTrail, which has no log events",
        ),
        (
            "AWSLogs/123456789012/CloudTrail-Insight/eu-central-1/2026/11/20/x.json.gz",
            "it has insights of CloudTrail, which are no log events",
        ),
        (
            "p/AWSLogs/123456789012/Config/ConfigWritabilityCheckFile",
            "AWS Config wrote it to test the bucket",
        ),
        (
            "AWSLogs/123456789012/ELBAccessLogTestFile",
            "a load balancer wrote it to test the bucket",
        ),
        (
            "p/AWSLogs/123456789012/ELBConnectionLogTestFile",
            "a load balancer wrote it to test the bucket",
        ),
        (
            "p/AWSLogs/123456789012/ELBHealthCheckLogTestFile",
            "a load balancer wrote it to test the bucket",
        ),
        (
            "AWSLogs/123456789012/CloudTrail-Aggregated/eu-central-1/2026/11/20/x.json.gz",
            "it has aggregated events of CloudTrail, which its log files have one by one",
        ),
        ("aws-logs-write-test", "CloudWatch Logs wrote it to test the bucket"),
        ("AWSLogs/", "it stands for a folder"),
        ("AWSLogs_$folder$", "it stands for a folder"),
    ],
)
@pytest.mark.parametrize("wanted", [None, "cloudtrail"])
def test_objects_beside_log_files_are_skipped(key: str, reason: str, wanted: str | None) -> None:
    assert read(key, b"", wanted) == SkippedObject(reason)


def test_a_byte_order_mark_hides_no_type() -> None:
    assert log_file(UNKNOWN, b"\xef\xbb\xbf" + ALB.body).type == "alb"


def test_a_file_with_the_line_ends_of_windows_has_its_type() -> None:
    body = SAMPLES["vpcflow"].body.replace(b"\n", b"\r\n")
    assert log_file(UNKNOWN, body).type == "vpcflow"
    assert [
        event.message for event in SAMPLES["vpcflow"].reader().events(0, body.split(b"\n"))
    ] == [event.message for event in SAMPLES["vpcflow"].events()]


@pytest.mark.parametrize(
    ("line", "type_"),
    [
        # The first line of another program looks like one of AWS.
        (b"#Software: Microsoft IIS 10.0\n#Fields: date time s-ip cs-method\n", "text"),
        (b"http server started\n", "text"),
        (b"2026-11-20T20:22:42Z server 10.0.0.1 ready\n", "text"),
        (b"version start end\n", "text"),
        (b"start\n", "text"),
        (b'{"timestamp":1795206162123,"message":"x"}\n', "json"),
        (b'{"query_timestamp":"x"}\n', "json"),
        (b'{\n "Records": []}\n', "json"),
        (b'[{"a":1}]\n', "text"),
    ],
)
def test_a_line_that_only_looks_like_one_of_aws_is_plain(line: bytes, type_: str) -> None:
    assert log_file(UNKNOWN, line).type == type_


@pytest.mark.parametrize("kind", ["http", "https", "h2", "grpcs", "ws", "wss"])
def test_every_kind_of_connection_of_a_load_balancer_is_known(kind: str) -> None:
    assert log_file(UNKNOWN, ALB.body.replace(b"https ", f"{kind} ".encode(), 1)).type == "alb"


@pytest.mark.parametrize(
    ("key", "type_", "region", "resource"),
    [
        # Keys of AWS's examples, of central buckets, and of other partitions.
        (
            (
                "p/AWSLogs/123456789012/elasticloadbalancing/us-east-2/2016/05/01/123456789012_elastic"
                "loadbalancing_us-east-2_app.my-loadbalancer.1234567890abcdef_20140215T2340Z_"
                "172.160.001.192_20sg8hgm.log.gz"
            ),
            "alb",
            "us-east-2",
            "my-loadbalancer",
        ),
        (
            (
                "AWSLogs/123456789012/elasticloadbalancing/us-west-2/2014/02/15/123456789012_elastic"
                "loadbalancing_us-west-2_my-loadbalancer_20140215T2340Z_172.160.001.192_20sg8hgm.log"
            ),
            "clb",
            "us-west-2",
            "my-loadbalancer",
        ),
        (
            (
                "o-abcdefghij/AWSLogs/o-abcdefghij/123456789012/CloudTrail/cn-north-1/2026/11/20/"
                "123456789012_CloudTrail_cn-north-1_20261120T2025Z_4jhzXFO2Jlvu2b3y.json.gz"
            ),
            "cloudtrail",
            "cn-north-1",
            None,
        ),
        (
            "o-abcdefghij/AWSLogs/123456789012/Config/eusc-de-east-1/2026/1/2/ConfigHistory/x.json.gz",
            "config",
            "eusc-de-east-1",
            None,
        ),
        (
            (
                "AWSLogs/123456789012/vpcflowlogs/us-iso-east-1/2026/11/20/20/123456789012_vpcflowlogs_"
                "us-iso-east-1_fl-1234abcd_20261120T2020Z_fe123456.log.gz"
            ),
            "vpcflow",
            "us-iso-east-1",
            "fl-1234abcd",
        ),
        (
            "AWSLogs/123456789012/GuardDuty/us-east-1/2026/11/20/x.jsonl.gz",
            "guardduty",
            "us-east-1",
            None,
        ),
        ("logs-2026-11-20-20-25-00-A1B2C3D4E5F60718", "s3_access", None, None),
        ("2026-11-20-20-25-00-A1B2C3D4E5F60718", "s3_access", None, None),
        (
            "shop.example.com/2025/09/23/08/E1SFLUZKKLSP61.2025-09-23-08.abcdef01.gz",
            "cloudfront",
            None,
            "E1SFLUZKKLSP61",
        ),
        # Keys that only look like these.
        ("AWSLogs/123456789012/CloudTrail/x", "text", None, None),
        ("elasticloadbalancing/us-east-2/x.log.gz", "text", None, None),
        (
            "2026/11/20/20/waf-1-2026-11-20-20-25-00-8c7d6e5f-1234-4abc-9def-0123456789ab",
            "text",
            None,
            None,
        ),
        ("EXPORT.2026-11-20.gz", "text", None, None),
    ],
)
def test_a_key_says_what_it_is(
    key: str, type_: str, region: str | None, resource: str | None
) -> None:
    found = log_file(key)
    assert (found.type, found.region, found.resource) == (type_, region, resource)
