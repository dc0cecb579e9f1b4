"""`loki-shipper invoke` of an event about an object shows what Loki gets of a log file."""

import gzip
import json
import time
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from loki_shipper.local.aws import LocalAws
from loki_shipper.local.receiver import Receiver

type Run = Callable[..., Result]

EVENTS = Path(__file__).resolve().parents[2] / "events"
SAMPLES = tomllib.loads((EVENTS / "s3" / "objects.toml").read_text("utf-8"))
LINES = b"2026-11-20T20:20:00Z one\n2026-11-20T20:20:01Z two\n"


@pytest.fixture
def app_log(tmp_path: Path) -> Path:
    path = tmp_path / "app.log"
    path.write_bytes(LINES)
    return path


def event(run: Run, *words: str) -> str:
    made = run("event", *words)
    assert made.exit_code == 0, made.output
    return made.stdout


@pytest.mark.parametrize("name", ["s3-alb", "s3-vpcflow", "s3-cloudtrail"])
def test_a_sample_is_shown_without_aws_and_without_loki(run: Run, name: str) -> None:
    result = run("invoke", name)
    assert result.exit_code == 0, result.output
    assert f'log_type="{name.removeprefix("s3-")}"' in result.stdout
    assert 'source="s3"' in result.stdout
    assert result.stdout.splitlines()[-1].endswith("log files 1 (1 shipped)")


@pytest.mark.parametrize("sample", SAMPLES.values(), ids=SAMPLES)
def test_every_sample_object_has_an_event(run: Run, sample: dict[str, str]) -> None:
    made = event(run, "--s3", f"s3://my-logs/{sample['key']}")
    [shown] = json.loads(run("invoke", "--json", "-", stdin=made).stdout)
    assert shown["log_files"] == {"shipped": 1}
    assert shown["received"] == shown["delivered"] > 0


@pytest.mark.parametrize("body", [LINES, gzip.compress(LINES)], ids=["plain", "gzip"])
def test_a_file_stands_for_the_object(run: Run, app_log: Path, body: bytes) -> None:
    app_log.write_bytes(body)
    made = event(run, "--s3", "s3://shop/web/app.log.gz", "--from-file", str(app_log))
    result = run("invoke", "--object", str(app_log), "--tag", "team=web", "-", stdin=made)
    assert result.exit_code == 0, result.output
    assert 'bucket="shop"' in result.stdout
    assert 'team="web"' in result.stdout
    assert 'log_stream="web/app.log.gz"' in result.stdout
    assert "  2026-11-20T20:20:01Z two" in result.stdout


def test_the_settings_decide_as_for_the_function(run: Run, app_log: Path) -> None:
    made = event(run, "--s3", "s3://shop/web/app.log")
    words = ("invoke", "--object", str(app_log), "--json", "-")
    [shown] = json.loads(run(*words, stdin=made, LOG_BUCKETS="shop/web/=json").stdout)
    assert shown["pushes"][0]["labels"]["log_type"] == "json"
    [shown] = json.loads(run(*words, stdin=made, LOG_BUCKETS="shop/api/").stdout)
    assert shown["log_files"] == {"not_listed": 1}


def test_now_moves_a_log_file_as_if_it_were_written_now(run: Run, receiver: Receiver) -> None:
    before = time.time_ns()
    result = run("invoke", "--now", "--loki", receiver.url, "s3-alb")
    assert result.exit_code == 0, result.output
    times = [entry.timestamp for push in receiver.pushes for entry in push.entries]
    # The sample's first line is 4 minutes and 37 seconds older than the object.
    assert 0 <= before - min(times) - 4 * 60 * 10**9 < 60 * 10**9
    assert max(times) - min(times) == pytest.approx(38.9e9, rel=0.01)


def test_a_refused_log_file_is_a_failure_with_its_reason(run: Run, app_log: Path) -> None:
    app_log.write_bytes(b"PAR1\0\0\0\0")
    made = event(run, "--s3", "s3://shop/a.parquet")
    result = run("invoke", "--object", str(app_log), "-", stdin=made)
    assert result.exit_code == 1
    assert "refused: it is Parquet" in result.stdout
    assert "under rejected/" in result.stderr


def test_an_object_is_read_from_s3_with_your_credentials(run: Run, aws: LocalAws) -> None:
    s3 = aws.client("s3")
    s3.create_bucket(Bucket="shop", CreateBucketConfiguration={"LocationConstraint": aws.region})
    s3.put_object(Bucket="shop", Key="web/größe.log", Body=LINES)
    made = event(run, "--s3", "s3://shop/web/größe.log", "--via", "eventbridge")
    result = run("invoke", "-", stdin=made, **aws.environ)
    assert result.exit_code == 0, result.output
    assert "  2026-11-20T20:20:01Z two" in result.stdout
    gone = event(run, "--s3", "s3://shop/web/gone.log")
    result = run("invoke", "-", stdin=gone, **aws.environ)
    assert (result.exit_code, "give --object FILE" in result.stderr) == (1, True)


def test_object_is_only_for_events_about_objects(run: Run, app_log: Path) -> None:
    result = run("invoke", "--object", str(app_log), "lambda")
    assert result.exit_code == 2
    assert "--object is for an event about an object in S3" in result.stderr
