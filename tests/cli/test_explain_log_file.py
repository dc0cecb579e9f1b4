"""`loki-shipper explain s3://…` says what a log file is, and why."""

import gzip
import json
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from moto.s3.exceptions import S3ClientError
from moto.s3.models import S3Backend

from tests.cli.log_files import BUCKET, LogFilesStack, log_files_stack, shown

type Run = Callable[..., Result]

FOLDER = Path(__file__).resolve().parents[2] / "events" / "s3"
SAMPLES = tomllib.loads((FOLDER / "objects.toml").read_text("utf-8"))
ALB = SAMPLES["alb"]["key"]


def explain(run: Run, name: str, file: str, *words: str, **environ: str) -> Any:
    result = run("explain", name, "--object", str(FOLDER / file), "--json", *words, **environ)
    assert result.exit_code == 0, result.output
    return shown(result.stdout)


@pytest.mark.parametrize("sample", SAMPLES.values(), ids=SAMPLES)
def test_every_sample_has_a_type_and_lines(run: Run, sample: dict[str, str]) -> None:
    found = explain(run, f"s3://my-logs/{sample['key']}", sample["file"])
    assert found["type"] is not None
    assert found["not_shipped"] is None
    assert found["lines"]


def test_says_by_what_it_knows_the_type(run: Run) -> None:
    assert explain(run, f"s3://b/{ALB}", "alb.log")["why"] == "its key says so"
    assert explain(run, "s3://my-logs/moved.log", "alb.log")["why"] == "its first line says so"
    named = explain(run, "s3://my-logs/moved.log", "alb.log", LOG_BUCKETS="my-logs=text")
    assert (named["type"], named["why"]) == ("text", "LogBuckets says so")


def test_shows_labels_times_and_structured_metadata(run: Run) -> None:
    result = run(
        *("explain", f"s3://my-logs/{ALB}", "--object", str(FOLDER / "alb.log")),
        *("--tag", "team=web", "--tag", "aws:x=y"),
    )
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[:2] == [f"s3://my-logs/{ALB}", "alb: its key says so"]
    assert 'tag      team="web"  label team' in lines
    assert 'builtin  resource="shop"  label resource' in lines
    assert f'metadata  log_stream="{ALB}"' in lines
    [first] = [line for line in lines if line.startswith("lines")]
    assert first.startswith("lines     2026-11-20T20:20:23.186Z  https 2026-11-20T20:20:23")


def test_says_why_an_object_is_not_shipped(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "x"
    for body, said in (
        (b"PAR1", "not shipped: it is Parquet"),
        (gzip.compress(b"")[:-9], "not shipped: the object's gzip is cut short"),
    ):
        file.write_bytes(body)
        result = run("explain", "s3://b/k", "--object", str(file))
        assert result.exit_code == 0, result.output
        assert said in result.stdout
    skipped = run("explain", "s3://b/AWSLogs/1/CloudTrail-Digest/x", "--object", str(file))
    assert "not shipped: it is a digest of CloudTrail" in skipped.stdout


def test_shows_which_labels_a_setting_would_change(run: Run) -> None:
    result = run(
        *("explain", f"s3://my-logs/{ALB}", "--object", str(FOLDER / "alb.log")),
        *("--diff", "BUILTIN_LABELS=source,log_type"),
    )
    assert '- resource="shop"' in result.stdout
    assert "new lines go to another stream" in result.stdout


@pytest.fixture
def stack() -> Iterator[LogFilesStack]:
    with log_files_stack() as stack:
        yield stack


def test_a_stored_object_is_explained_with_the_deployment_s_settings(
    stack: LogFilesStack,
) -> None:
    s3 = stack.here.aws.client("s3")
    s3.put_bucket_tagging(Bucket=BUCKET, Tagging={"TagSet": [{"Key": "team", "Value": "web"}]})
    stack.put("b/1.log")
    result = stack.here.run("explain", f"s3://{BUCKET}/b/1.log")
    assert result.exit_code == 0, result.output
    assert "alb: LogBuckets says so, 15 bytes, written 20" in result.stdout
    assert 'tag      team="web"  label team' in result.stdout


def test_tags_that_you_may_not_read_leave_the_rest_explained(stack: LogFilesStack) -> None:
    stack.put("b/1.log")
    with denied("get_bucket_tagging"):
        result = stack.here.run("explain", f"s3://{BUCKET}/b/1.log")
    assert result.exit_code == 0, result.output
    assert "its tags could not be read (AccessDenied)" in result.stderr
    assert 'builtin  log_type="alb"  label log_type' in result.stdout


@contextmanager
def denied(operation: str) -> Iterator[None]:
    """Let S3 deny an operation."""
    backend: Any = S3Backend
    original = getattr(backend, operation)

    def deny(*_: Any, **__: Any) -> Any:
        raise S3ClientError("AccessDenied", "no")

    setattr(backend, operation, deny)
    try:
        yield
    finally:
        setattr(backend, operation, original)


def test_an_object_that_log_buckets_does_not_name_is_explained_too(stack: LogFilesStack) -> None:
    stack.put("c/1.log")
    result = stack.here.run("explain", f"s3://{BUCKET}/c/1.log")
    assert result.exit_code == 0, result.output
    assert "not shipped: LogBuckets does not name it" in result.stdout
    assert 'builtin  log_type="text"  label log_type' in result.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([f"s3://{BUCKET}/gone"], f"there is no object gone in the bucket {BUCKET}"),
        ([f"s3://{BUCKET}"], "is no object: write it like s3://my-logs/app/app.log"),
        (["s3://nowhere-at-all/x"], "NoSuchBucket"),
    ],
)
def test_says_what_is_wrong(stack: LogFilesStack, words: list[str], said: str) -> None:
    result = stack.here.run("explain", *words)
    assert (result.exit_code, said in result.stderr) == (2, True), result.stderr


def test_a_file_is_only_for_objects(run: Run) -> None:
    file = str(FOLDER / "alb.log")
    result = run("explain", "/aws/lambda/a", "--object", file)
    assert (result.exit_code, "--object is for s3://BUCKET/KEY" in result.stderr) == (2, True)


def test_the_first_lines_are_as_loki_gets_them(run: Run) -> None:
    found = explain(run, "s3://b/x.log", "text.log")
    assert json.dumps(found["lines"][0]["time"]).endswith('Z"')
    assert len(found["lines"]) <= 5


def test_the_event_of_a_sample_is_explained_too(run: Run) -> None:
    result = run("explain", "--event", "s3-alb", "--tag", "team=web")
    assert result.exit_code == 0, result.output
    assert 'builtin  resource="shop"  label resource' in result.stdout
    assert 'tag      team="web"  label team' in result.stdout


def test_the_event_of_another_object_says_what_to_do(run: Run) -> None:
    event = run("event", "--s3", "s3://my-logs/a").stdout
    result = run("explain", "--event", "-", stdin=event)
    assert (result.exit_code, "`loki-shipper explain s3://BUCKET/KEY`" in result.stderr) == (
        2,
        True,
    )


def test_a_file_needs_no_name_of_an_object(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "app.log"
    file.write_text("2026-11-20T20:20:00Z one\n")
    result = run("explain", "--object", str(file))
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("s3://my-logs/app.log\ntext: its first line says so\n")
