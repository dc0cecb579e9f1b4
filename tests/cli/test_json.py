"""Every command with `--json` prints one list of objects, with the fields of docs/json.md."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import Result

from loki_shipper.cli import COMMANDS, main
from loki_shipper.local.aws import ACCOUNT
from loki_shipper.local.receiver import Receiver, ScriptedAnswer
from tests.cli.log_files import BUCKET, log_files_stack
from tests.cli.past import GROUP, Shipper, log
from tests.local_deployment import NAME, REGION, Deployment, deployed
from tests.moto_gaps import age_log_group, real_event_ids
from tests.redriver.memory import failed

type Run = Callable[..., Result]

CLONE = Path(__file__).resolve().parents[2]
DOCUMENT = (CLONE / "docs" / "json.md").read_text("utf-8")
NOBODY = "http://127.0.0.1:9"
LAMBDA = str(CLONE / "events" / "lambda.json")
MY_LOGS = "web-logs"
ALB = str(CLONE / "events" / "s3" / "alb.log")
ALB_KEY = "AWSLogs/123456789012/elasticloadbalancing/eu-central-1/2026/11/20/x"
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
TIMES = {"since", "last", "from", "until", "oldest", "time", "written"}

TYPES: dict[str, Callable[[Any], bool]] = {
    "text": lambda value: isinstance(value, str),
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    "boolean": lambda value: isinstance(value, bool),
    "list": lambda value: isinstance(value, list),
    "list of text": lambda value: (
        isinstance(value, list) and all(isinstance(each, str) for each in value)
    ),
    "list of lists": lambda value: all(isinstance(each, list) for each in value),
    "object": lambda value: isinstance(value, dict),
    "object of text": lambda value: all(isinstance(each, str) for each in value.values()),
    "object of number": lambda value: all(isinstance(each, int) for each in value.values()),
    "null": lambda value: value is None,
}


def documented() -> dict[str, dict[str, str]]:
    """Give the type of each field, by the heading above its table."""
    tables: dict[str, dict[str, str]] = {}
    for line in DOCUMENT.splitlines():
        if line.startswith("##"):
            heading = line.strip("# ").replace("`", "")
        elif row := re.match(r"\| `(\S+)` \| ([\w ]+) \|", line):
            tables.setdefault(heading, {})[row[1]] = row[2]
    return tables


TABLES = documented()


def with_json() -> Iterator[str]:
    context = click.Context(main)
    for name in COMMANDS:
        command = main.get_command(context, name)
        assert command is not None
        if any("--json" in parameter.opts for parameter in command.params):
            yield name


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Deployment]:
    rules = tmp_path / "rules.toml"
    rules.write_text("[[rule]]\nlabel = {pod = 'pod'}\nat_most = 2\n")
    with real_event_ids(), deployed(Shipper()) as here:
        variables = {"LOKI_URL": "http://loki:3100", "BUCKET": here.bucket, "RULES": str(rules)}
        here.aws.client("lambda").update_function_configuration(
            FunctionName=here.shipper, Environment={"Variables": variables}
        )
        here.make_stack()
        where: Any = {"LocationConstraint": REGION}
        here.aws.client("s3").create_bucket(Bucket=MY_LOGS, CreateBucketConfiguration=where)
        here.group(GROUP, team="größe")
        here.group("/aws/lambda/full", foreign=2)
        yield here


@pytest.fixture
def shown(here: Deployment, run: Run, receiver: Receiver) -> dict[str, list[Any]]:
    """What every command prints, by the heading in the document that describes it."""
    log(here, "a", timedelta(hours=1))
    here.aws.put_lines(GROUP, "b", ["GET /healthz 200", "hello"])
    s3 = here.aws.client("s3")
    environ = {"LOKI_URL": receiver.url, **here.aws.environ}

    def put() -> None:
        key, body = failed("09.00.00")
        s3.put_object(Bucket=here.bucket, Key=key, Body=body)

    def objects(result: Result) -> list[Any]:
        assert result.exit_code in {0, 1}, result.output
        found = json.loads(result.stdout)
        assert isinstance(found, list)
        return found

    def of_stack(*words: str) -> list[Any]:
        return objects(here.run(*words, "--json"))

    def of_bucket(*words: str) -> list[Any]:
        """What a command prints while the stack has a bucket with log files."""
        queue = f"arn:aws:sqs:{REGION}:{ACCOUNT}:log-files"
        here.make_stack_again(LOG_BUCKETS=f"{MY_LOGS}/web/", LOG_FILES_QUEUE=queue)
        found = of_stack(*words)
        here.make_stack_again()
        return found

    def alone(*words: str) -> list[Any]:
        return objects(run(*words, "--json", **environ))

    def audited() -> list[Any]:
        put_metrics(here)
        return of_stack("audit")

    def of_log_files() -> Iterator[list[Any]]:
        with log_files_stack() as stack:
            stack.put("a/1.log")
            yield objects(stack.here.run("explain", f"s3://{BUCKET}/a/1.log", "--json"))
            yield objects(stack.here.run("backfill", f"s3://{BUCKET}", "--since", "2h", "--json"))

    stored, past = of_log_files()
    put()
    checked = alone("check", "--event", LAMBDA)
    redrive = ("redrive", "--bucket", here.bucket, "--local-settings")
    dry = alone(*redrive, "--dry-run")
    receiver.script([ScriptedAnswer(status=401)] * 9)
    left = alone(*redrive)
    receiver.script([])
    return {
        "plan, link, unlink": [
            *of_bucket("plan"),
            *of_stack("plan"),
            *of_stack("link", "--all"),
            *of_stack("unlink", GROUP),
            *of_stack("link", GROUP, "--retention", "7d"),
        ],
        "plan --cost": of_stack("plan", "--cost"),
        "plan --retention": [
            *of_stack("plan", "--retention", "7d"),
            *of_stack("plan", "--retention", "1d", "--exclude", GROUP),
        ],
        "status": of_stack("status"),
        "audit": audited(),
        "explain": [
            *of_stack("explain", GROUP, "--diff", "TAG_LABELS=none"),
            *alone("explain", "--event", LAMBDA, "--tag", "aws:x=y"),
        ],
        "explain s3://…": [
            *alone("explain", "--object", ALB, "s3://b/a", "--diff", "BUILTIN_LABELS=resource=x"),
            *alone("explain", "--object", ALB, f"s3://b/{ALB_KEY}", "--tag", "aws:x=y"),
            *stored,
        ],
        "backfill": of_stack("backfill", GROUP, "--since", "2h"),
        "backfill s3://…": past,
        "redrive --dry-run": dry,
        "redrive": [*left, *alone(*redrive)],
        "doctor": alone("doctor", "--loki", NOBODY),
        "invoke": [
            *alone("invoke", LAMBDA),
            *alone("invoke", "s3-alb"),
            *alone("invoke", "--loki", receiver.url, LAMBDA),
        ],
        "settings": [each for each in checked if each["kind"] == "settings"],
        "rules": [each for each in checked if each["kind"] == "rules"],
        "event": [each for each in checked if each["kind"] == "event"],
    }


def put_metrics(here: Deployment) -> None:
    """Let a log group take in lines that its filter does not send, unlike the day before."""
    now = datetime.now(UTC)
    age_log_group(GROUP, REGION)
    for name, hours_ago, dimensions in (
        ("IncomingLogEvents", 5, {}),
        ("ForwardedLogEvents", 30, {"DestinationType": "Lambda", "FilterName": NAME}),
    ):
        of = {"LogGroupName": GROUP, **dimensions}
        here.aws.client("cloudwatch").put_metric_data(
            Namespace="AWS/Logs",
            MetricData=[
                {
                    "MetricName": name,
                    "Dimensions": [{"Name": key, "Value": value} for key, value in of.items()],
                    "Timestamp": now - timedelta(hours=hours_ago),
                    "Value": 3,
                }
            ],
        )


def fields(value: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    """Walk an object's fields. An object with the user's own names as keys has no fields."""
    for name, each in value.items():
        at = f"{path}{name}"
        yield at, each
        match each:
            case dict() if not name_is_open(at):
                yield from fields(each, f"{at}.")
            case [dict(), *_]:
                for one in each:
                    yield from fields(one, f"{at}[].")


OPEN = {path for table in TABLES.values() for path, kind in table.items() if "object of" in kind}


def name_is_open(path: str) -> bool:
    return path in OPEN


def test_every_command_with_json_is_described() -> None:
    words = {word for heading in TABLES for word in heading.replace(",", "").split()}
    named = set(re.findall(r"^## `(\w+)`", DOCUMENT, re.MULTILINE))
    assert set(with_json()) <= words | named


def test_the_printed_fields_are_those_of_the_document(shown: dict[str, list[Any]]) -> None:
    assert shown.keys() == TABLES.keys()
    for heading, objects in shown.items():
        table = TABLES[heading]
        top = {path for path in table if not re.search(r"[.\[]", path)}
        seen: set[str] = set()
        assert objects, heading
        for each in objects:
            assert each.keys() == top, heading
            for path, value in fields(each):
                assert path in table, (heading, path)
                assert any(TYPES[kind](value) for kind in table[path].split(" or ")), (path, value)
                seen.add(path)
                if re.split(r"[.\]]", path)[-1] in TIMES and isinstance(value, str):
                    assert TIME.fullmatch(value), (path, value)
        assert seen == table.keys(), heading


def test_the_words_are_those_of_the_text(here: Deployment, run: Run) -> None:
    text = here.run("plan", COLUMNS="200").stdout
    planned = json.loads(here.run("plan", "--json").stdout)
    for each in planned:
        assert re.search(rf"^{each['action']} +{each['log_group']} ", text, re.MULTILINE)
    text = run("doctor", "--loki", NOBODY, COLUMNS="200").stdout
    found = json.loads(run("doctor", "--json", "--loki", NOBODY).stdout)
    for finding in found:
        assert re.search(rf"^{finding['level']} +{finding['check']} ", text, re.MULTILINE)
