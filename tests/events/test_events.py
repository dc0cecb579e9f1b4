"""Each sample event decodes, and means what its name says."""

import gzip
import hashlib
import json
import subprocess
import sys
import tomllib
from base64 import b64decode
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from loki_shipper.model import LogData
from loki_shipper.shipper.sources.event import records
from loki_shipper.shipper.sources.notifications import read_notification

ROOT = Path(__file__).resolve().parents[2]
EVENTS = ROOT / "events"
NAMES = sorted(path.stem for path in EVENTS.glob("*.json"))
GOOGLE = [name for name in NAMES if name.startswith("google-")]
OBJECTS = [name for name in NAMES if name.startswith("s3-")]
DATA = [name for name in NAMES if name not in {"control", "kinesis", *GOOGLE, *OBJECTS}]
FULL = 1_000_000
"""Most bytes of an asynchronous invocation's payload."""


def event(name: str) -> Any:
    return json.loads((EVENTS / f"{name}.json").read_bytes())


def unpacked(event: Any) -> list[bytes]:
    if "message" in event:
        return [b64decode(event["message"]["data"])]
    if bodies := [each["body"] for each in event.get("Records", ()) if "body" in each]:
        return [body.encode() for body in bodies]
    found = [each["kinesis"] for each in event.get("Records", ())] or [event["awslogs"]]
    return [gzip.decompress(b64decode(each["data"])) for each in found]


def data(name: str) -> LogData:
    [decoded] = records(event(name))
    assert decoded is not None
    return decoded


def messages(name: str) -> list[str]:
    return [each.message for each in data(name).log_events]


def json_lines(name: str) -> list[dict[str, Any]]:
    return [json.loads(message) for message in messages(name)]


def test_the_folder_holds_what_the_script_makes(tmp_path: Path) -> None:
    subprocess.run([sys.executable, ROOT / "scripts" / "events", tmp_path], check=True)
    made = {path.name: unpacked(json.loads(path.read_bytes())) for path in tmp_path.iterdir()}
    assert made == {f"{name}.json": unpacked(event(name)) for name in NAMES}


def test_the_readme_has_one_line_for_each_event() -> None:
    rows = (EVENTS / "README.md").read_text("utf-8").splitlines()
    named = [row.split("`")[1] for row in rows if row.startswith("| `")]
    assert sorted(named) == sorted(f"{name}.json" for name in NAMES)


@pytest.mark.parametrize("name", sorted({*NAMES} - {"kinesis", *GOOGLE, *OBJECTS}))
def test_an_event_is_exactly_what_lambda_passes_to_the_function(name: str) -> None:
    assert [*event(name)] == ["awslogs"]
    assert [*event(name)["awslogs"]] == ["data"]
    assert len(json.dumps(event(name))) < FULL


@pytest.mark.parametrize("name", DATA)
def test_ids_are_distinct_and_laid_out_as_on_aws(name: str) -> None:
    events = data(name).log_events
    assert len({each.id for each in events}) == len(events)
    for each in events:
        assert isinstance(each.id, str)
        assert len(each.id) == 56
        ingested = int(each.id) >> 80 & (1 << 64) - 1
        assert int(each.id) >> 144 == each.timestamp
        assert 0 <= ingested - each.timestamp < 5_000


@pytest.mark.parametrize("name", DATA)
def test_events_of_one_call_are_in_order_of_time_and_index(name: str) -> None:
    calls: dict[int, list[tuple[int, int]]] = {}
    for each in data(name).log_events:
        number = int(each.id)
        calls.setdefault(number >> 16 & (1 << 128) - 1, []).append(
            (number & 0xFFFF, each.timestamp)
        )
    for places in calls.values():
        assert [index for index, _ in places] == [*range(len(places))]
        assert places == sorted(places, key=lambda place: place[1])


@pytest.mark.parametrize("name", OBJECTS)
def test_an_event_about_an_object_names_a_sample_with_its_size(name: str) -> None:
    [record] = event(name)["Records"]
    assert record["eventSource"] == "aws:sqs"
    [found] = read_notification(record["body"]).objects
    samples = tomllib.loads((EVENTS / "s3" / "objects.toml").read_text("utf-8"))
    [file] = [each["file"] for each in samples.values() if each["key"] == found.key]
    body = (EVENTS / "s3" / file).read_bytes()
    assert (found.size, found.etag) == (len(body), hashlib.md5(body).hexdigest())


def test_lambda_has_the_lines_of_the_platform_and_of_logging() -> None:
    begins = Counter(message.split(" ")[0].split("\t")[0] for message in messages("lambda"))
    assert begins["INIT_START"] == 1
    assert begins["START"] == begins["END"] == begins["REPORT"] == 2
    assert begins["[INFO]"] == 3
    [traceback] = [message for message in messages("lambda") if "Traceback" in message]
    assert traceback.startswith("[ERROR] KeyError: 'sku'\nTraceback (most recent call last):\n")
    assert "\n" in messages("lambda")


def test_lambda_json_has_records_of_the_platform_and_of_the_application() -> None:
    types = [record.get("type", record.get("level")) for record in json_lines("lambda-json")]
    assert types == [
        "platform.initStart",
        "platform.start",
        "INFO",
        "ERROR",
        "INFO",
        "platform.report",
        "platform.start",
        "ERROR",
        "platform.report",
    ]


def test_control_has_no_lines_to_ship() -> None:
    [text] = unpacked(event("control"))
    assert json.loads(text)["messageType"] == "CONTROL_MESSAGE"
    assert records(event("control")) == []


def test_kinesis_has_records_of_several_log_groups_and_accounts() -> None:
    batch = event("kinesis")
    numbers = [int(each["kinesis"]["sequenceNumber"]) for each in batch["Records"]]
    assert numbers == sorted(set(numbers))
    assert {len(str(number)) for number in numbers} == {56}
    kinds = [json.loads(text)["messageType"] for text in unpacked(batch)]
    assert kinds == ["CONTROL_MESSAGE", *["DATA_MESSAGE"] * 5]
    found = records(batch)
    assert len({each.log_group for each in found}) == 4
    assert {each.owner for each in found} == {"123456789012", "210987654321"}
    lines = [line.message for each in (found[0], found[-1]) for line in each.log_events]
    assert lines == messages("lambda")


def test_account_policy_says_its_level_and_origin() -> None:
    policy = data("account-policy")
    assert policy.policy_level == "ACCOUNT_LEVEL_POLICY"
    assert policy.owner == "210987654321"
    for each in policy.log_events:
        assert each.extracted_fields == {"@aws.account": "210987654321", "@aws.region": "eu-west-1"}


@pytest.mark.parametrize(
    ("name", "dumped"),
    [
        # As watchtower's formatter, awslambdaric's and Fluent Bit write.
        ("watchtower", json.dumps),
        ("lambda-json", partial(json.dumps, ensure_ascii=False)),
        ("skypilot", partial(json.dumps, separators=(",", ":"))),
        ("skypilot-2", partial(json.dumps, separators=(",", ":"))),
    ],
)
def test_json_has_the_format_of_the_program_that_writes_it(
    name: str, dumped: Callable[[Any], str]
) -> None:
    application = [text for text in messages(name) if '"type":"platform.' not in text]
    assert application
    for text in application:
        assert text.removesuffix("\n") == dumped(json.loads(text))


def test_watchtower_logs_json_from_calls_that_overlap_in_time() -> None:
    assert {"event", "order", "levelname"} <= json_lines("watchtower")[0].keys()
    times = [each.timestamp for each in data("watchtower").log_events]
    assert times != sorted(times)


@pytest.mark.parametrize(
    ("name", "cluster", "env"),
    [("skypilot", "finetune", "prod"), ("skypilot-2", "serve-llm", "staging")],
)
def test_skypilot_names_its_cluster_in_stream_and_record(name: str, cluster: str, env: str) -> None:
    payload = data(name)
    assert payload.log_group == "skypilot-logs"
    assert payload.log_stream == f"skypilot-{cluster}-8f3a2c1d-tail.0"
    for record in json_lines(name):
        assert record["skypilot.cluster_name"] == cluster
        assert record["skypilot.cluster_id"] == f"{cluster}-8f3a2c1d"
        assert record["log_path"].endswith("/run.log")
        assert record["log"].startswith("\x1b[")
        assert (record["team"], record["env"]) == ("ml", env)


def test_later_skypilot_also_parses_the_prefix() -> None:
    parsed = [record for record in json_lines("skypilot-2") if "log_line" in record]
    assert {record["rank"] for record in parsed} == {0, 1}
    for record in parsed:
        assert record["log"].endswith("\x1b[0m " + record["log_line"])
    assert not any("log_line" in record for record in json_lines("skypilot"))


@pytest.mark.parametrize(
    "oddity", ["\t", "\n", "\0", "\x1b", "🐧", "\ufffd", '"', "'", "\\", "\r\n", "\u2028", "\u0301"]
)
def test_odd_text_has_each_odd_character(oddity: str) -> None:
    assert any(oddity in message for message in messages("odd-text"))


def test_same_millisecond_has_fifty_equal_lines_and_two_hundred_in_order() -> None:
    events = data("same-millisecond").log_events
    assert len({each.timestamp for each in events}) == 1
    twins, *others = Counter(each.message for each in events).values()
    assert twins == 50
    assert others == [1] * 200
    steps = [each.message for each in events[50:]]
    assert steps == [f"step {number:03} of 200" for number in range(1, 201)]


@pytest.mark.parametrize("name", GOOGLE)
def test_an_event_of_google_is_exactly_what_pubsub_posts(name: str) -> None:
    request = event(name)
    assert [*request] == ["message", "subscription"]
    assert {"data", "attributes", "messageId", "publishTime"} <= request["message"].keys()
    entry = json.loads(b64decode(request["message"]["data"]))
    assert {"logName", "resource", "timestamp", "insertId"} <= entry.keys()


def test_ten_thousand_has_ten_thousand_different_lines() -> None:
    assert len(messages("ten-thousand")) == len(set(messages("ten-thousand"))) == 10_000
