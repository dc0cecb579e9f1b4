"""An AWS account on loopback in which `loki-shipper deploy` makes stacks of the real template."""

from typing import Any

from click.testing import CliRunner, Result

from loki_shipper.cli import main
from loki_shipper.local.aws import LocalAws
from loki_shipper.local.invoke import invoke, loki_connection
from loki_shipper.settings import settings
from tests.deployment.cloudformation import CloudFormation, FakeStack
from tests.local_deployment import Skipping
from tests.template.conftest import holds

REGION = "eu-west-1"
HANDLERS = {
    "ShipperFunction": "loki_shipper.shipper.handler.handle",
    "RedriverFunction": "loki_shipper.redriver.handler.handle",
    "SubscriberFunction": "loki_shipper.subscriber.handler.handle",
}


class Account:
    """An AWS account on loopback in which stacks are made of the real template.

    Of a stack it has the functions with their settings, and its bucket; the shipper ships to Loki.
    """

    def __init__(self, aws: LocalAws, cloudformation: CloudFormation) -> None:
        self.aws = aws
        self.cloudformation = cloudformation
        cloudformation.made = self._make
        self._made: set[str] = set()

    @property
    def variables(self) -> dict[str, str]:
        """The variables that lead a command here."""
        return {
            **self.aws.environ,
            "AWS_ENDPOINT_URL_CLOUDFORMATION": self.cloudformation.url,
            "AWS_MAX_ATTEMPTS": "1",
        }

    def run(self, *words: str, stdin: str | None = None) -> Result:
        """Run `loki-shipper deploy`, with a clock that nobody waits for."""
        runner = CliRunner(env={**self.variables, "GRAFANA_URL": None})
        return runner.invoke(main, ["deploy", *words], input=stdin, obj=Skipping().clock)

    def linked(self, stack: str) -> set[str]:
        """The log groups that have a filter of this stack."""
        logs = self.aws.client("logs")
        return {
            group["logGroupName"]
            for group in logs.describe_log_groups()["logGroups"]
            for each in logs.describe_subscription_filters(logGroupName=group["logGroupName"])[
                "subscriptionFilters"
            ]
            if each["filterName"] == stack
        }

    def buckets(self) -> set[str]:
        """The names of all buckets."""
        return {bucket["Name"] for bucket in self.aws.client("s3").list_buckets()["Buckets"]}

    def environ(self, function: str) -> dict[str, str]:
        """The settings of a function."""
        configuration = self.aws.client("lambda").get_function_configuration(FunctionName=function)
        found: dict[str, str] = configuration["Environment"]["Variables"]
        return found

    def _make(self, stack: FakeStack) -> None:
        bucket = f"{stack.name}-bucket"
        if bucket not in self._made:
            self._made.add(bucket)
            place = {"LocationConstraint": REGION}
            self.aws.client("s3").create_bucket(Bucket=bucket, CreateBucketConfiguration=place)
            for name in HANDLERS:
                self.aws.create_function(_physical(stack, name), self._deliver(stack.name))
        arns = {
            name: f"arn:aws:lambda:{REGION}:123456789012:function:{_physical(stack, name)}"
            for name in HANDLERS
        }
        for name, handler in HANDLERS.items():
            variables = stack.template["Resources"][name]["Properties"]["Environment"]["Variables"]
            values = {key: _value(each, stack, arns, bucket) for key, each in variables.items()}
            self.aws.client("lambda").update_function_configuration(
                FunctionName=_physical(stack, name),
                Handler=handler,
                Environment={"Variables": values},
            )

    def _deliver(self, stack: str) -> Any:
        def deliver(event: dict[str, Any]) -> dict[str, Any]:
            environ = self.environ(f"{stack}-shipper")
            configured = settings({**environ, "LOKI_SECRET": "", "BUCKET": "", "RULES": "none"})
            done = invoke(
                event, configured, tags={}, region=REGION, loki=loki_connection(configured)
            )
            report = done.report
            return {"delivered": report.delivered, "errored": report.errored}

        return deliver


def _physical(stack: FakeStack, name: str) -> str:
    return f"{stack.name}-{name.removesuffix('Function').lower()}"


def _value(of: Any, stack: FakeStack, arns: dict[str, str], bucket: str) -> str:
    """Work out a variable of a function, as far as ours go."""
    match of:
        case {"Fn::If": [str(condition), then, otherwise]}:
            holding = holds(stack.template, condition, stack.parameters)
            return _value(then if holding else otherwise, stack, arns, bucket)
        case {"Ref": "ShipperAlias"}:
            return arns["ShipperFunction"]
        case {"Ref": "Bucket"}:
            return bucket
        case {"Ref": "AWS::StackName"}:
            return stack.name
        case {"Ref": str(name)} if name in stack.parameters:
            return stack.parameters[name]
        case str(text):
            return text
        case _:
            return ""
