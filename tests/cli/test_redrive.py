"""`loki-shipper redrive` empties a bucket into Loki and says what is left."""

import json
import uuid
from collections.abc import Callable

import boto3
import pytest
from click.testing import Result
from msgspec import Struct

from loki_shipper.local.aws import LocalAws
from loki_shipper.local.receiver import Receiver, ScriptedAnswer
from loki_shipper.model import S3Object
from loki_shipper.shipper.sources.notifications import write_notification
from tests.cli.log_files import BUCKET, log_files_stack
from tests.cli.processes import on_terminal
from tests.local_deployment import deployed
from tests.redriver.memory import failed, of_lambda, record

type Run = Callable[..., Result]
type Put = Callable[[str, bytes], None]

REJECTED = "rejected/2026/11/20/2026-11-20T09.00.00-x.json"
DENIED = [ScriptedAnswer(status=401, body=b"no")] * 100


class Asked(Struct):
    """The answer or the option of a user, and the place of one rejected line after it."""

    answer: str
    words: tuple[str, ...]
    exit_code: int
    shipped: int


@pytest.fixture
def bucket(aws: LocalAws) -> str:
    name = f"bucket-{uuid.uuid4().hex}"
    aws.client("s3").create_bucket(
        Bucket=name, CreateBucketConfiguration={"LocationConstraint": aws.region}
    )
    return name


@pytest.fixture
def put(aws: LocalAws, bucket: str) -> Put:
    return lambda key, body: aws.client("s3").put_object(Bucket=bucket, Key=key, Body=body)


@pytest.fixture
def keys(aws: LocalAws, bucket: str) -> Callable[[], list[str]]:
    def keys() -> list[str]:
        listed = aws.client("s3").list_objects_v2(Bucket=bucket)
        return [each["Key"] for each in listed.get("Contents", [])]

    return keys


@pytest.fixture
def redrive(run: Run, aws: LocalAws, receiver: Receiver, bucket: str) -> Run:
    """Run the command on the bucket, with settings of this environment: the receiver is Loki."""

    def redrive(*words: str, **environ: str) -> Result:
        given = aws.environ | {"LOKI_URL": receiver.url} | environ
        return run("redrive", "--bucket", bucket, "--local-settings", *words, **given)

    return redrive


@pytest.fixture
def by_function(run: Run, aws: LocalAws, receiver: Receiver, bucket: str) -> Run:
    """Run the command on a redriver with these settings, the bucket and the receiver."""

    def by_function(settings: dict[str, str], *words: str, **here: str) -> Result:
        function = aws.create_function(f"redriver-{uuid.uuid4().hex}", lambda _event: None)
        own = {"LOKI_URL": receiver.url, "BUCKET": bucket} | settings
        aws.client("lambda").update_function_configuration(
            FunctionName=function,
            Handler="loki_shipper.redriver.handler.handle",
            Environment={"Variables": own},
        )
        return run("redrive", "--function", function, *words, **aws.environ, **here)

    return by_function


def lines(receiver: Receiver) -> list[str]:
    return [entry.line for push in receiver.pushes for entry in push.entries]


def test_ships_oldest_first_empties_the_bucket_and_reports(
    redrive: Run, put: Put, keys: Callable[[], list[str]], receiver: Receiver
) -> None:
    put(*failed("09.00.02", "/ecs/shop", "three", "four"))
    put(*of_lambda("09.00.01", "/ecs/shop", "one", "two"))
    result = redrive()
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == "redriven 2 objects: 4 lines delivered, 4 of them late, 0 rejected\n"
    assert sorted(lines(receiver)) == sorted(["one", "two", "three", "four"])
    assert keys() == []


def test_labels_are_those_of_the_function(
    redrive: Run, put: Put, receiver: Receiver, aws: LocalAws
) -> None:
    group = f"/ecs/{uuid.uuid4().hex}"
    aws.create_log_group(group, {"team": "payments"})
    put(*failed("09.00.00", group))
    redrive(AWS_REGION="us-east-1", AWS_DEFAULT_REGION="us-east-1")
    [push] = receiver.pushes
    labels = push.streams[0].labels
    assert (labels["team"], labels["region"], labels["log_group"]) == (
        "payments",
        "eu-central-1",
        group,
    )


def test_says_what_is_left_and_why_and_exits_with_1(
    redrive: Run, put: Put, keys: Callable[[], list[str]], receiver: Receiver
) -> None:
    put(*failed("09.00.00", "a"))
    put(*failed("09.00.01", "b"))
    put(*failed("09.00.02", "c"))
    receiver.script(DENIED)
    result = redrive()
    assert result.exit_code == 1
    assert result.stderr == (
        "Error: 3 objects left, the oldest waiting for 0m: they failed, or came after the start: "
        "see the reasons, and try again later [denied (3 times)]\n"
    )
    assert len(keys()) == 3


def test_a_dry_run_changes_nothing_and_sends_nothing_to_loki(
    redrive: Run, put: Put, keys: Callable[[], list[str]], receiver: Receiver
) -> None:
    put("failed/a", b"12345")
    put("failed/b", b"123")
    result = redrive("--dry-run", LOKI_URL="")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == "2 objects, 8 bytes, the oldest waiting for 0m\n"
    assert (keys(), receiver.attempts) == (["failed/a", "failed/b"], [])


def test_a_dry_run_of_an_empty_bucket(redrive: Run) -> None:
    assert redrive("--dry-run").stdout == "nothing waits\n"


def test_json_is_for_programs(redrive: Run, put: Put, receiver: Receiver) -> None:
    put(*failed("09.00.00"))
    assert json.loads(redrive("--dry-run", "--json").stdout)[0]["objects"] == 1
    receiver.script([ScriptedAnswer(status=401)] * 9)
    # The warning that credentials travel unencrypted is not part of it.
    result = redrive("--json", LOKI_TOKEN="secret")
    [report] = json.loads(result.stdout)
    assert (report["left"], report["failures"]) == (1, {"denied": 1})
    assert "secret" not in result.output


def test_limit_takes_the_oldest(redrive: Run, put: Put, keys: Callable[[], list[str]]) -> None:
    put(*failed("09.00.00", "a"))
    put(*failed("09.00.01", "b"))
    result = redrive("--limit", "1")
    assert result.exit_code == 1
    assert "1 object left" in result.stderr
    assert "--limit was reached" in result.stderr
    assert keys() == [failed("09.00.01", "b")[0]]


def test_since_does_not_ship_older_objects(redrive: Run, put: Put) -> None:
    put(*failed("09.00.00"))
    assert redrive("--since", "2d", "--dry-run").stdout.startswith("1 object,")
    assert redrive("--since", "0m", "--dry-run").stdout == "nothing waits\n"


@pytest.mark.parametrize("age", ["2", "d", "-1d", "2w", "1.5h"])
def test_since_says_how_to_write_a_time(redrive: Run, age: str) -> None:
    result = redrive("--since", age)
    assert result.exit_code == 2
    assert f"'{age}' is not a time: write it like 90m, 12h or 2d" in result.stderr


def test_rejected_objects_are_shipped_only_with_the_option(
    redrive: Run, put: Put, keys: Callable[[], list[str]], receiver: Receiver
) -> None:
    put(REJECTED, record("/ecs/shop", "too old then"))
    assert redrive().exit_code == 0
    assert keys() == [REJECTED]
    assert redrive("--rejected").exit_code == 0
    assert (keys(), lines(receiver)) == ([], ["too old then"])


@pytest.mark.parametrize(
    "case",
    [Asked("n\n", (), 1, 0), Asked("y\n", (), 0, 1), Asked("", ("--yes",), 0, 1)],
    ids=["no", "yes", "--yes"],
)
def test_on_a_terminal_rejected_objects_are_confirmed_first(
    bucket: str, put: Put, aws: LocalAws, receiver: Receiver, case: Asked
) -> None:
    put(REJECTED, record("/ecs/shop", "too old then"))
    words = ["redrive", "--bucket", bucket, "--local-settings", "--rejected", *case.words]
    environ = aws.environ | {"LOKI_URL": receiver.url}
    ended = on_terminal(words, 200, environ, case.answer)
    asked = "Loki refused this before: 1 object," in ended.stdout
    assert (ended.exit_code, asked) == (case.exit_code, bool(case.answer)), ended
    assert len(lines(receiver)) == case.shipped


def test_lines_refused_again_are_rejected_again(
    redrive: Run, put: Put, keys: Callable[[], list[str]], receiver: Receiver
) -> None:
    put(REJECTED, record("/ecs/shop"))
    receiver.script([ScriptedAnswer(status=400, body=b"max entry size '1' bytes exceeded")])
    result = redrive("--rejected")
    assert "0 lines delivered, 0 of them late, 1 rejected" in result.stdout
    [kept] = keys()
    assert kept.startswith("rejected/")
    receiver.script([ScriptedAnswer(status=400, body=b"max entry size '1' bytes exceeded")])
    redrive("--rejected")
    assert keys() == [kept]


def test_wrong_settings_are_named(redrive: Run) -> None:
    result = redrive(LOKI_URL="")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "LOKI_URL is not set" in result.stderr


def test_a_bucket_that_does_not_exist_is_a_wrong_call(run: Run, aws: LocalAws) -> None:
    result = run("redrive", "--bucket", "nobody-has-this", "--dry-run", **aws.environ)
    assert result.exit_code == 2
    assert "there is no bucket nobody-has-this: correct --bucket" in result.stderr


def test_the_bar_is_for_terminals(redrive: Run, put: Put) -> None:
    put(*failed("09.00.00"))
    assert "\x1b" not in redrive().stderr
    put(*failed("09.00.00"))
    assert "1/1" in redrive(FORCE_COLOR="1", TERM="xterm").stderr


@pytest.mark.parametrize("name", ["s3://bucket", "Bucket!"])
def test_an_impossible_bucket_name_is_a_wrong_call(run: Run, aws: LocalAws, name: str) -> None:
    result = run("redrive", "--bucket", name, "--dry-run", **aws.environ)
    assert result.exit_code == 2
    assert f"{name!r} is not the name of a bucket" in result.stderr


# The deployment's own settings


def test_settings_and_bucket_are_the_functions(
    by_function: Run, put: Put, receiver: Receiver
) -> None:
    put(*failed("09.00.02", "/ecs/shop", "one"))
    here = {"LOKI_URL": "http://nobody.invalid", "STATIC_LABELS": "env=here"}
    result = by_function({"STATIC_LABELS": "env=prod"}, **here)
    assert (result.exit_code, result.stderr) == (0, "")
    [push] = receiver.pushes
    assert [stream.labels["env"] for stream in push.streams] == ["prod"]


def test_a_stack_is_enough(receiver: Receiver) -> None:
    with deployed() as here:
        here.make_stack()
        shipper = {"LOKI_URL": receiver.url, "BUCKET": here.bucket, "STATIC_LABELS": "env=prod"}
        here.aws.client("lambda").update_function_configuration(
            FunctionName=here.shipper, Environment={"Variables": shipper}
        )
        key, body = failed("09.00.02", "/ecs/shop", "one")
        here.aws.client("s3").put_object(Bucket=here.bucket, Key=key, Body=body)
        assert here.run("redrive", "--dry-run").stdout.startswith("1 object,")
        result = here.run("redrive")
    assert (result.exit_code, result.stderr) == (0, "")
    [push] = receiver.pushes
    assert [stream.labels["env"] for stream in push.streams] == ["prod"]


def test_the_rules_of_the_function_redact_lines_and_not_the_local_ones(
    by_function: Run, put: Put, receiver: Receiver, bucket: str
) -> None:
    rules = "[[rule]]\nname = 'secrets'\nreplace = 'glc_[a-z]+'\nwith = '[gone]'\n"
    put("rules.toml", rules.encode())
    put(*failed("09.00.02", "/ecs/shop", "token glc_secret"))
    result = by_function({"RULES": f"s3://{bucket}/rules.toml"}, RULES="none")
    assert (result.exit_code, lines(receiver)) == (0, ["token [gone]"]), result.output


def test_a_rules_file_of_the_function_is_not_replaced_by_a_local_one(
    by_function: Run, put: Put, receiver: Receiver
) -> None:
    put(*failed("09.00.02", "/ecs/shop", "token glc_secret"))
    result = by_function({"RULES": "rules.toml"})
    assert result.exit_code == 2
    assert "names rules.toml, a file of the function that is not here" in result.stderr
    assert receiver.attempts == []


def test_local_settings_count_only_with_the_option(
    by_function: Run, put: Put, receiver: Receiver
) -> None:
    put(*failed("09.00.02", "/ecs/shop", "one"))
    here = {"LOKI_URL": receiver.url, "STATIC_LABELS": "env=here"}
    result = by_function({"STATIC_LABELS": "env=prod"}, "--local-settings", **here)
    assert result.exit_code == 0, result.output
    [push] = receiver.pushes
    assert [stream.labels["env"] for stream in push.streams] == ["here"]


def test_another_bucket_is_shipped_with_the_functions_settings(
    by_function: Run, put: Put, keys: Callable[[], list[str]], bucket: str
) -> None:
    put(*failed("09.00.02", "/ecs/shop", "one"))
    result = by_function({"BUCKET": "gone"}, "--bucket", bucket)
    assert (result.exit_code, result.stderr, keys()) == (0, "", [])


def test_a_function_without_a_bucket_is_reported(by_function: Run) -> None:
    result = by_function({"BUCKET": ""})
    assert result.exit_code == 2
    assert "has no bucket: name one with --bucket" in result.stderr


def test_a_function_that_does_not_exist_is_reported(run: Run, aws: LocalAws) -> None:
    result = run("redrive", "--function", "nobody", **aws.environ)
    assert result.exit_code == 2
    assert "there is no function nobody here" in result.stderr


def test_boto3s_own_session_stays_as_it_is(redrive: Run) -> None:
    before = boto3.DEFAULT_SESSION
    redrive("--dry-run")
    run_elsewhere = redrive("--region", "us-east-1")
    assert run_elsewhere.exit_code == 0
    assert boto3.DEFAULT_SESSION is before


def test_messages_about_log_files_that_failed_for_good_are_sent_again() -> None:
    with log_files_stack() as stack:
        for number in range(12):
            stack.fail_with(write_notification([S3Object(BUCKET, f"a/{number:02}")], 3))
        result = stack.here.run("redrive", "--log-files")
        assert (result.exit_code, result.stdout) == (0, "sent 12 messages about log files again\n")
        assert sorted(stack.keys) == [f"a/{number:02}" for number in range(12)]
        again = stack.here.run("redrive", "--log-files")
        assert again.stdout == "sent 0 messages about log files again\n"


def test_a_stack_without_log_files_has_no_messages_about_them() -> None:
    with deployed() as here:
        here.make_stack()
        result = here.run("redrive", "--log-files")
    assert result.exit_code == 2
    assert "reads no log files: deploy it with LogBuckets" in result.stderr
