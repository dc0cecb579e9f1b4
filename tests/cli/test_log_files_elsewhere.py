"""Commands for log groups say something sensible about log files."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import Result

from tests.cli.log_files import BUCKET, LogFilesStack, log_files_stack

type Run = Callable[..., Result]

RULES = """
[[rule]]
groups = ["s3://*/text"]
drop = "health check"
"""


@pytest.fixture
def stack() -> Iterator[LogFilesStack]:
    with log_files_stack() as stack:
        yield stack


def test_check_tries_rules_on_the_lines_of_a_log_file(run: Run, tmp_path: Path) -> None:
    rules, file = tmp_path / "rules.toml", tmp_path / "app.log"
    rules.write_text(RULES)
    file.write_text("2026-11-20T20:20:00Z one\n2026-11-20T20:20:01Z health check\n")
    event = run("event", "--s3", "s3://my-logs/app.log").stdout
    result = run("check", str(rules), "--event", "-", "--object", str(file), stdin=event)
    assert result.exit_code == 0, result.output
    assert "s3://my-logs/text" in result.stdout
    assert result.stdout.splitlines()[-1].startswith("kept 1 in 1 stream, dropped 1")


def test_check_tries_the_default_rules_on_a_sample(run: Run) -> None:
    result = run("check", "--event", "s3-alb")
    assert result.exit_code == 0, result.output
    assert "s3://my-logs/alb" in result.stdout


def test_tail_says_that_log_files_are_too_late_for_it(run: Run) -> None:
    result = run("tail", "s3://my-logs/a")
    assert result.exit_code == 2
    assert '{source="s3", bucket="my-logs"}' in result.stderr


def test_status_counts_the_messages_about_log_files(stack: LogFilesStack) -> None:
    assert (
        "log files of s3://my-logs: none waits, 0 being shipped\n"
        in stack.here.run("status").stdout
    )
    stack.stop()
    for number in range(3):
        stack.put(f"a/{number}.log", timedelta(hours=1))
    stack.here.run("backfill", f"s3://{BUCKET}", "--since", "1d")
    stack.receive()
    stack.fail_for_good(2)
    shown = stack.here.run("status").stdout
    assert (
        "log files of s3://my-logs: 2 wait in the queue, 1 being shipped, 2 failed for good"
        in shown
    )


def test_status_says_that_it_cannot_read_the_queue(stack: LogFilesStack) -> None:
    stack.delete_queue()
    shown = stack.here.run("status").stdout
    assert "log files of s3://my-logs: the queue could not be read (" in shown
