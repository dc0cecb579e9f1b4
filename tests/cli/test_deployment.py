"""Every command finds its deployment in the same way."""

import json
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import pytest
from click.testing import Result

from loki_shipper.cli import COMMANDS
from loki_shipper.deployed_functions import DeployedFunction
from loki_shipper.local.aws import LocalAws
from tests.local_deployment import REGION, Deployment, deployed

type Run = Callable[..., Result]

WITHOUT = {"demo", "invoke", "event", "check", "tags", "deploy", "google", "completion"}
"""Commands that speak of no stack on AWS, or have commands of their own, or make one."""

FINDING = [[name] for name in COMMANDS if name not in WITHOUT] + [["tags", "sync"]]
LISTING = ["plan", "--json"]


@pytest.fixture
def here() -> Iterator[Deployment]:
    with deployed() as here:
        here.make_stack()
        yield here


def listed(result: Result) -> Any:
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


@pytest.mark.parametrize("words", FINDING, ids=" ".join)
def test_each_command_has_the_same_four_options(run: Run, words: list[str]) -> None:
    text = " ".join(run(*words, "--help").stdout.split())
    assert "--profile NAME Profile of your AWS configuration." in text
    assert "--region REGION Region of the deployment." in text
    assert "--stack NAME Stack of the deployment. [default: loki-shipper]" in text
    assert "--function ARN In place of a stack: its subscriber, or the shipper" in text


@pytest.mark.parametrize("command", ["deploy", "invoke"])
def test_commands_without_a_deployment_name_the_account_alike(run: Run, command: str) -> None:
    text = " ".join(run(command, "--help").stdout.split())
    assert "--profile NAME Profile of your AWS configuration." in text
    assert "--region REGION Region of the" in text


@pytest.mark.parametrize("words", FINDING, ids=" ".join)
def test_a_stack_that_does_not_exist_is_named_with_its_region(
    run: Run, words: list[str], aws: LocalAws
) -> None:
    given = {"link": ["/a"], "unlink": ["/a"], "explain": ["/a"], "tail": ["/a"]}
    given["backfill"] = ["/a", "--since", "1d"]
    result = run(*words, *given.get(words[0], []), "--stack", "nothing", **aws.environ)
    assert result.exit_code == 2
    assert f"there is no stack nothing here ({aws.region}): name the deployment" in result.stderr


@pytest.mark.parametrize("words", FINDING, ids=" ".join)
def test_stack_and_function_exclude_each_other(run: Run, words: list[str]) -> None:
    given = {"link": ["/a"], "unlink": ["/a"], "explain": ["/a"], "tail": ["/a"]}
    given["backfill"] = ["/a", "--since", "1d"]
    result = run(*words, *given.get(words[0], []), "--stack", "a", "--function", "b")
    assert result.exit_code == 2
    assert "give --stack or --function, not both" in result.stderr


def test_a_function_that_does_not_exist_is_named(run: Run, aws: LocalAws) -> None:
    result = run("plan", "--function", "nobody", **aws.environ)
    assert result.exit_code == 2
    assert "there is no function nobody here" in result.stderr


def test_a_function_that_is_not_of_loki_shipper_is_refused(here: Deployment) -> None:
    here.group("/aws/lambda/a")
    result = here.run("link", "--all", "--function", here.foreign)
    assert result.exit_code == 2
    assert f"{here.foreign} is not one of Loki-Shipper" in result.stderr
    assert not here.linked


def test_a_redriver_is_no_destination_of_filters(here: Deployment) -> None:
    redriver = here.aws.create_function(f"{here.name}-redriver", lambda _: None)
    here.aws.client("lambda").update_function_configuration(
        FunctionName=redriver, Handler="loki_shipper.redriver.handler.handle"
    )
    here.group("/aws/lambda/a")
    result = here.run("link", "--all", "--function", redriver)
    assert result.exit_code == 2
    assert "is neither the subscriber nor the shipper: name one" in result.stderr
    assert not here.linked


def test_a_subscriber_leads_to_its_deployment(here: Deployment) -> None:
    here.group("/aws/lambda/a")
    resource = here.aws.client("cloudformation").describe_stack_resource(
        StackName=here.name, LogicalResourceId="SubscriberFunction"
    )
    name = resource["StackResourceDetail"]["PhysicalResourceId"]
    assert listed(here.run(*LISTING, "--function", name)) == listed(here.run(*LISTING))


def test_a_region_in_an_arn_counts(here: Deployment) -> None:
    here.group("/aws/lambda/a")
    words = [*LISTING, "--function", here.shipper]
    result = here.run(*words, AWS_REGION="us-east-1", AWS_DEFAULT_REGION="us-east-1")
    assert [each["log_group"] for each in listed(result)] == ["/aws/lambda/a"]


@pytest.mark.parametrize(
    ("words", "region", "default"),
    [
        pytest.param(["--region", REGION], "us-east-1", "us-east-1", id="--region"),
        pytest.param([], REGION, "us-east-1", id="AWS_REGION"),
        pytest.param([], "", REGION, id="AWS_DEFAULT_REGION"),
    ],
)
def test_the_region_option_wins_over_the_environment(
    here: Deployment, words: list[str], region: str, default: str
) -> None:
    here.group("/aws/lambda/a")
    result = here.run(*LISTING, *words, AWS_REGION=region, AWS_DEFAULT_REGION=default)
    assert [each["log_group"] for each in listed(result)] == ["/aws/lambda/a"]


def test_a_stack_that_is_not_of_loki_shipper_is_refused(run: Run, aws: LocalAws) -> None:
    name = f"stack-{uuid4().hex[:8]}"
    bucket = {"Resources": {"Bucket": {"Type": "AWS::SQS::Queue"}}}
    aws.client("cloudformation").create_stack(StackName=name, TemplateBody=json.dumps(bucket))
    result = run("plan", "--stack", name, **aws.environ)
    assert result.exit_code == 2
    assert f"the stack {name} has no function of Loki-Shipper" in result.stderr


def test_a_functions_environment_is_not_shown() -> None:
    secret = {"LOKI_TOKEN": "glc-secret"}
    function = DeployedFunction("shipper", "arn:f", "role", "/g", secret, in_vpc=False, trouble="")
    assert "glc-secret" not in repr(function)
