"""Without a rules file, the lines of a log file have a level and fields as structured metadata.

`expected_of_samples.txt` says what each sample becomes: an entry a line, its time in UTC and its
structured metadata.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from msgspec.structs import replace

from loki_shipper.model import Entry, LogData, LogEvent, Stream
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


def entries(events: list[LogEvent], log_group: str) -> list[Entry]:
    data = LogData("DATA_MESSAGE", "123456789012", log_group, "key", events)
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
    assert [written(made) for made in entries(sample.events(), group(sample))] == EXPECTED[name]


@pytest.mark.parametrize("name", SAMPLES)
def test_a_field_that_aws_appends_changes_nothing(name: str) -> None:
    sample = SAMPLES[name]
    found = entries(rewritten(sample, appended), group(sample))
    assert [written(made) for made in found] == EXPECTED[name]


@pytest.mark.parametrize("name", SAMPLES)
def test_the_name_of_the_bucket_changes_nothing(name: str) -> None:
    sample = SAMPLES[name]
    for bucket in ("aws-waf-logs-shop", "my-vpc-flow-logs", "vpcflowlogs"):
        if sample.type != "text":
            found = entries(sample.events(), group(sample, bucket))
            assert [written(made) for made in found] == EXPECTED[name]


@pytest.mark.parametrize("name", SAMPLES)
def test_rules_for_log_files_only_extract_metadata_so_that_they_are_quick(name: str) -> None:
    assert compile_metadata(RULES.of(group(SAMPLES[name])), tuple) is not None


def test_a_preset_reads_the_time_of_a_log_group_only() -> None:
    rules = parse_rules(
        "[[rule]]\npreset = 'cloudtrail'\ngroups = ['*']\n[[rule]]\ntimestamp = 'a'"
    )
    assert len(rules.of("CloudTrail/x")) == len(rules.of("s3://b/cloudtrail")) + 1
