"""`loki-shipper event` makes an event of lines that the shipper understands."""

import hashlib
import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from loki_shipper.model import LogData
from loki_shipper.shipper.sources.event import records
from loki_shipper.shipper.sources.notifications import read_notification

type Run = Callable[..., Result]


def read(text: str) -> LogData:
    [data] = records(json.loads(text))
    return data


def test_lines_of_stdin_become_log_events_that_end_now(run: Run) -> None:
    before = time.time_ns() // 1_000_000
    result = run("event", "--log-group", "/ecs/shop", "--from-file", "-", stdin="one\n\ntwo\n")
    after = time.time_ns() // 1_000_000
    assert result.exit_code == 0
    data = read(result.stdout)
    assert (data.log_group, data.log_stream) == ("/ecs/shop", "sample")
    assert [event.message for event in data.log_events] == ["one", "two"]
    one, two = (event.timestamp for event in data.log_events)
    assert before <= two <= after
    assert one == two - 1


def test_lines_of_a_file_are_kept_without_their_line_ends(run: Run, tmp_path: Path) -> None:
    (tmp_path / "app.log").write_bytes("größer\r\n\x85 two\u2028\tparts\n".encode())
    words = ["--log-group", "g", "--log-stream", "s", "--from-file", str(tmp_path / "app.log")]
    data = read(run("event", *words).stdout)
    assert data.log_stream == "s"
    assert [event.message for event in data.log_events] == ["größer", "\x85 two\u2028\tparts"]


def test_bytes_that_are_not_utf_8_are_replaced(run: Run, tmp_path: Path) -> None:
    (tmp_path / "app.log").write_bytes(b"latin \xe4\n")
    result = run("event", "--log-group", "g", "--from-file", str(tmp_path / "app.log"))
    assert [event.message for event in read(result.stdout).log_events] == ["latin \ufffd"]


@pytest.mark.parametrize("text", ["", "\n\n"], ids=["empty", "blank"])
def test_a_file_without_lines_is_refused_in_one_sentence(
    run: Run, tmp_path: Path, text: str
) -> None:
    path = tmp_path / "app.log"
    path.write_text(text)
    result = run("event", "--log-group", "g", "--from-file", str(path))
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr == f"Error: {path} has no lines: name another file\n"


def test_invoke_takes_its_output_as_input(run: Run) -> None:
    made = run("event", "--log-group", "/ecs/shop", "--from-file", "-", stdin="hello\n")
    result = run("invoke", "--json", "-", stdin=made.stdout)
    assert [value[1] for value in json.loads(result.stdout)[0]["pushes"][0]["values"]] == ["hello"]


def test_lines_become_records_of_a_kinesis_stream(run: Run) -> None:
    lines = [f"line {number}" for number in range(2_500)]
    result = run(
        "event", "--kinesis", "--log-group", "g", "--from-file", "-", stdin="\n".join(lines)
    )
    batch = json.loads(result.stdout)
    assert [each["eventSource"] for each in batch["Records"]] == ["aws:kinesis"] * 3
    assert [event.message for data in records(batch) for event in data.log_events] == lines


SENDERS = ("s3", "sns", "eventbridge")


@pytest.mark.parametrize("via", SENDERS)
def test_an_object_becomes_a_message_of_the_queue(run: Run, tmp_path: Path, via: str) -> None:
    path = tmp_path / "app.log"
    path.write_bytes(b"one\ntwo\n")
    name = "s3://my-logs/größe/a b+c.log"
    before = time.time_ns() // 1_000_000
    result = run("event", "--s3", name, "--from-file", str(path), "--via", via)
    assert result.exit_code == 0, result.output
    [record] = json.loads(result.stdout)["Records"]
    assert record["eventSource"] == "aws:sqs"
    [found] = read_notification(record["body"]).objects
    assert (found.bucket, found.key, found.size) == ("my-logs", "größe/a b+c.log", 8)
    assert found.etag == hashlib.md5(b"one\ntwo\n").hexdigest()
    assert before <= (found.written or 0) <= time.time_ns() // 1_000_000


def test_an_object_need_not_be_there(run: Run) -> None:
    [record] = json.loads(run("event", "--s3", "s3://my-logs/a").stdout)["Records"]
    [found] = read_notification(record["body"]).objects
    assert (found.key, found.size, found.etag) == ("a", None, None)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "give --log-group GROUP, or --s3 s3://BUCKET/KEY"),
        (["--log-group", "g", "--s3", "s3://b/k"], "give --log-group GROUP, or --s3"),
        (["--log-group", "g"], "give --from-file FILE"),
        (["--log-group", "g", "--from-file", "-", "--via", "sns"], "--via is for --s3"),
        (["--s3", "s3://b/k", "--kinesis"], "--kinesis is for --log-group"),
        (["--s3", "s3://b"], "'s3://b' is no object: write it like s3://my-logs/app/app.log"),
        (["--s3", "b/k"], "'b/k' is no object"),
    ],
)
def test_says_which_options_belong_together(run: Run, words: list[str], said: str) -> None:
    result = run("event", *words, stdin="a\n")
    assert (result.exit_code, said in result.stderr) == (2, True), result.stderr
