"""Without a rules file, the lines of a log file have a level and fields as structured metadata.

`expected_of_samples.txt` says what each sample becomes: an entry a line, its time in UTC and its
structured metadata.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from msgspec.structs import replace

from loki_shipper.model import Entry, LogData, LogEvent, LogFile, Stream
from loki_shipper.settings import Settings
from loki_shipper.shipper.entries.transform import RuleState, transform
from loki_shipper.shipper.rules.compile import compile_metadata
from loki_shipper.shipper.rules.parse import default_rules, parse_rules
from tests.shipper.log_files.samples import SAMPLES, Sample

EXPECTED = {
    name: [line.strip() for line in rest.splitlines()]
    for name, _, rest in (
        part.partition("\n")
        for part in (Path(__file__).parent / "expected_of_samples.txt")
        .read_text("utf-8")
        .removeprefix("# ")
        .split("\n# ")
    )
}
RULES = default_rules()


def group(sample: Sample, bucket: str = "my-logs") -> str:
    return f"s3://{bucket}/{sample.type}"


def entries(events: list[LogEvent], log_group: str, file: LogFile) -> list[Entry]:
    data = LogData("DATA_MESSAGE", "123456789012", log_group, "key", events, log_file=file)
    settings = Settings(loki_url="http://loki")
    made = transform(data, Stream(None, ()), (), rule_state=RuleState(RULES, {}), settings=settings)
    assert made.dropped == {}
    [(stream, found)] = made.streams
    # No field becomes a label.
    assert stream == Stream(None, ())
    return [*found]


def written(made: Entry) -> str:
    when = datetime.fromtimestamp(made.timestamp // 1_000_000 / 1000, UTC)
    pairs = [f"{name}={value}" for name, value in made.metadata]
    return " ".join((when.isoformat(timespec="milliseconds")[11:23], *pairs))


def rewritten(sample: Sample, change: Callable[[str], str]) -> list[LogEvent]:
    return [replace(event, message=change(event.message)) for event in sample.events()]


def appended(line: str) -> str:
    if line.startswith("{"):
        return line.removesuffix("}") + ',"new_field":{"level":"x"}}'
    return f"{line}\tnew" if "\t" in line else f'{line} new "a field"'


@pytest.mark.parametrize("name", SAMPLES)
def test_a_sample_gets_the_time_the_level_and_the_fields_that_are_expected(name: str) -> None:
    sample = SAMPLES[name]
    found = entries(sample.events(), group(sample), sample.reader().log_file)
    assert [written(made) for made in found] == EXPECTED[name]


@pytest.mark.parametrize("name", SAMPLES)
def test_a_field_that_aws_appends_changes_nothing(name: str) -> None:
    sample = SAMPLES[name]
    found = entries(rewritten(sample, appended), group(sample), sample.reader().log_file)
    assert [written(made) for made in found] == EXPECTED[name]


@pytest.mark.parametrize("name", SAMPLES)
def test_the_name_of_the_bucket_changes_nothing(name: str) -> None:
    sample = SAMPLES[name]
    for bucket in ("aws-waf-logs-shop", "my-vpc-flow-logs", "vpcflowlogs"):
        if sample.type != "text":
            found = entries(sample.events(), group(sample, bucket), sample.reader().log_file)
            assert [written(made) for made in found] == EXPECTED[name]


@pytest.mark.parametrize("name", SAMPLES)
def test_rules_for_log_files_only_extract_metadata_so_that_they_are_quick(name: str) -> None:
    assert compile_metadata(RULES.of(group(SAMPLES[name])), tuple) is not None


@pytest.mark.parametrize(
    ("fields", "line", "expected"),
    [
        ("srcaddr", "2001:db8::7", {"source_ip": "2001:db8::7"}),
        ("srcaddr action", "- REJECT", {"action": "REJECT", "detected_level": "warn"}),
        ("end new-name dstport", "1 - 443 appended", {"destination_port": "443"}),
        (
            "srcaddr srcaddr action",
            "a b ACCEPT",
            {"source_ip": "a", "action": "ACCEPT", "detected_level": "info"},
        ),
        ("log-status", "SKIPDATA", {"log_status": "SKIPDATA", "detected_level": "warn"}),
        ("start end", "1 2", {}),
        ("action srcaddr", "ACCEPT", {}),
    ],
)
def test_flow_logs_have_the_fields_that_the_header_names(
    fields: str, line: str, expected: dict[str, str]
) -> None:
    file = LogFile("b", "k", "vpcflow", fields=tuple(fields.split()))
    [made] = entries([LogEvent("1", 0, line)], "s3://b/vpcflow", file)
    assert dict(made.metadata) == expected


@pytest.mark.parametrize(
    ("fields", "line", "expected"),
    [
        (
            "sc-status c-ip",
            "404\t2001:db8::7",
            {"status": "404", "client_ip": "2001:db8::7", "detected_level": "warn"},
        ),
        ("cs(Cookie) cs-method", "a b\tGET\tappended", {"method": "GET"}),
        ("cs(Cookie) cs-method", "\t-", {}),
        ("date time", "a\tb", {}),
    ],
)
def test_logs_of_cloudfront_have_the_fields_that_the_header_names(
    fields: str, line: str, expected: dict[str, str]
) -> None:
    file = LogFile("b", "k", "cloudfront", fields=tuple(fields.split()))
    [made] = entries([LogEvent("1", 0, line)], "s3://b/cloudfront", file)
    assert dict(made.metadata) == expected


def test_a_format_in_a_rules_file_counts_before_the_header() -> None:
    rules = parse_rules("[[rule]]\npreset = 'vpcflow'\nformat = 'dstaddr'")
    assert rules.of("s3://b/vpcflow", ("srcaddr",)) == rules.of("s3://b/vpcflow")


def test_a_preset_reads_the_time_of_a_log_group_only() -> None:
    rules = parse_rules(
        "[[rule]]\npreset = 'cloudtrail'\ngroups = ['*']\n[[rule]]\ntimestamp = 'a'"
    )
    assert len(rules.of("CloudTrail/x")) == len(rules.of("s3://b/cloudtrail")) + 1
