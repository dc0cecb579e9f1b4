"""`--debug` shows where an error comes from and what was asked, and no secret or log line."""

import logging
from collections.abc import Callable, Iterator
from uuid import uuid4

import pytest
from click.testing import Result

from loki_shipper import cli
from loki_shipper.cli.debug import traceback_of
from loki_shipper.cli.errors import InputError
from loki_shipper.local.aws import LocalAws
from loki_shipper.local.receiver import Receiver
from tests.redriver.memory import failed

type Run = Callable[..., Result]

SECRET = "glc_secret-of-loki"
LINE = "the line that nobody may see"
KEY = "AKIDLOCALEXAMPLE0000"
ACCESS = "local/secret/access/key"


@pytest.fixture(autouse=True)
def quiet_again() -> Iterator[None]:
    """Leave the libraries' loggers as they were."""
    loggers = [logging.getLogger(name) for name in ("botocore", "urllib3")]
    before = [(logger, logger.level, [*logger.handlers]) for logger in loggers]
    yield
    for logger, level, handlers in before:
        logger.setLevel(level)
        logger.handlers = handlers


@pytest.fixture
def function(aws: LocalAws, receiver: Receiver) -> str:
    """A function whose secret is in Secrets Manager, and a bucket with a line that failed."""
    name = f"debugged-{uuid4().hex[:8]}"
    aws.create_function(name, lambda _event: None)
    secret = aws.client("secretsmanager").create_secret(
        Name=name, SecretString=f'{{"token": "{SECRET}"}}'
    )
    aws.client("lambda").update_function_configuration(
        FunctionName=name,
        Environment={"Variables": {"LOKI_URL": receiver.url, "LOKI_SECRET": secret["ARN"]}},
    )
    where = {"LocationConstraint": aws.region}
    aws.client("s3").create_bucket(Bucket=name, CreateBucketConfiguration=where)
    key, body = failed("09.00.00", "/ecs/shop", LINE)
    aws.client("s3").put_object(Bucket=name, Key=key, Body=body)
    return name


def test_shows_requests_without_secrets_and_lines(
    run: Run, aws: LocalAws, function: str, receiver: Receiver
) -> None:
    environ = aws.environ | {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": ACCESS}
    words = ("redrive", "--bucket", function, "--function", function)
    result = run("--debug", *words, **environ)
    assert result.exit_code == 0, result.stderr
    assert [entry.line for push in receiver.pushes for entry in push.entries] == [LINE]
    shown = result.stderr
    assert "botocore.endpoint: OperationModel(name=ListObjectsV2)" in shown
    assert f"POST {receiver.url}/loki/api/v1/push 204" in shown
    assert "Found credentials in environment variables" in shown
    for kept in (SECRET, LINE, KEY, ACCESS, "Signature", "Authorization"):
        assert kept not in result.output


def test_shows_where_an_error_comes_from(run: Run) -> None:
    words = ("redrive", "--bucket", "b", "--dry-run")
    nobody = {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_REGION": "eu-west-1"}
    given = {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": ACCESS, "AWS_MAX_ATTEMPTS": "1"}
    result = run("--debug", *words, **nobody, **given)
    assert result.exit_code == 2
    assert "ConnectionRefusedError: [Errno 111]" in result.stderr
    assert "botocore.exceptions.EndpointConnectionError: Could not connect" in result.stderr
    assert result.stderr.splitlines()[-1].startswith("Error: ")
    without = run(*words, **nobody, **given)
    assert len(without.stderr.splitlines()) == 1


def test_a_traceback_quotes_no_value() -> None:
    try:
        try:
            int(SECRET)
        except ValueError:
            raise InputError("the port is no number") from None
    except InputError as error:
        shown = traceback_of(error)
    assert SECRET not in shown.replace("int(SECRET)", "")
    assert "ValueError\n" in shown
    assert shown.index("ValueError") < shown.index("InputError: the port is no number")


def test_a_fault_of_our_own_is_a_sentence(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_name: str) -> object:
        raise ZeroDivisionError(SECRET)

    monkeypatch.setattr(cli, "import_module", broken)
    result = run("plan")
    assert result.exit_code == 1
    assert "Error: this is a fault of Loki-Shipper (ZeroDivisionError at " in result.stderr
    assert "test_debug.py" in result.stderr
    assert "--debug" in result.stderr
    assert SECRET not in result.output
