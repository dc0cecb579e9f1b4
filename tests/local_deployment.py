"""A deployment on loopback: moto's AWS in a Region of its own, a shipper, a stack, a bucket."""

import json
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from click.testing import CliRunner, Result

from loki_shipper.cli import main
from loki_shipper.clock import Clock
from loki_shipper.local.aws import LocalAws, run_aws

REGION = "eu-west-1"
NAME = "loki-shipper"
OWN = tuple(f"/aws/lambda/loki-shipper-{name}" for name in ("shipper", "subscriber", "redriver"))


class Skipping:
    """A clock that skips what it is told to sleep."""

    def __init__(self, *, before_sleep: Callable[[], None] = lambda: None) -> None:
        self.skipped = 0.0
        self._before_sleep = before_sleep

    @property
    def clock(self) -> Clock:
        return Clock(self._now, self._sleep, lambda: float("inf"))

    def _now(self) -> int:
        return int((time.time() + self.skipped) * 1000)

    def _sleep(self, seconds: float) -> None:
        self._before_sleep()
        self.skipped += seconds


class Deployment:
    """What is deployed; `invocations` are the events that the shipper got."""

    def __init__(self, aws: LocalAws, deliver: Callable[[dict[str, Any]], object]) -> None:
        self.aws = aws
        self.name = f"stack-{uuid.uuid4().hex[:8]}"
        self.bucket = f"{self.name}-bucket"
        self.more_functions: dict[str, dict[str, str]] = {}
        """Other functions of the stack: the logical name of each, and its variables."""
        self.shipper = aws.create_function(f"{self.name}-shipper", deliver)
        self.foreign = aws.create_function(f"{self.name}-foreign", lambda _: None)
        aws.client("s3").create_bucket(
            Bucket=self.bucket, CreateBucketConfiguration={"LocationConstraint": REGION}
        )
        aws.client("lambda").update_function_configuration(
            FunctionName=self.shipper,
            Environment={"Variables": {"LOKI_URL": "http://loki:3100", "BUCKET": self.bucket}},
        )

    def make_stack(self, **environ: str) -> None:
        """Make a stack with a subscriber that has these settings."""
        self._stack("create_stack", **environ)

    def make_stack_again(self, **environ: str) -> None:
        """Update the stack to other settings of its subscriber."""
        self._stack("update_stack", **environ)

    def _stack(self, action: str, **environ: str) -> None:
        shipper = self.aws.client("lambda").get_function_configuration(FunctionName=self.shipper)
        functions = {"SubscriberFunction": self.environ | environ, **self.more_functions}
        resources = {
            name: {
                "Type": "AWS::Lambda::Function",
                "Properties": {
                    "Runtime": "python3.13",
                    "Role": shipper["Role"],
                    "Handler": "none.none",
                    "Code": {"ZipFile": "none"},
                    "Environment": {"Variables": variables},
                },
            }
            for name, variables in functions.items()
        }
        getattr(self.aws.client("cloudformation"), action)(
            StackName=self.name, TemplateBody=json.dumps({"Resources": resources})
        )

    @property
    def environ(self) -> dict[str, str]:
        """The subscriber's settings."""
        return {
            "SHIPPER_ARN": self.shipper,
            "BUCKET": self.bucket,
            "OWN_LOG_GROUPS": ",".join(OWN),
        }

    def run(self, *words: str, clock: Clock | None = None, **environ: str) -> Result:
        """Run a command on this stack, with a clock that nobody waits for."""
        runner = CliRunner(env={**self.aws.environ, "AWS_MAX_ATTEMPTS": "1", **environ})
        where = [] if "--function" in words else ["--stack", self.name]
        return runner.invoke(main, [*words, *where], obj=clock or Skipping().clock)

    def group(self, name: str, foreign: int = 0, **tags: str) -> None:
        """Make a log group with so many filters of others."""
        self.aws.create_log_group(name, tags)
        for number in range(foreign):
            self.aws.subscribe(name, self.foreign, f"foreign-{number}")

    @property
    def filters(self) -> dict[str, list[str]]:
        """The names of the filters of each log group that has any."""
        logs = self.aws.client("logs")
        found = {}
        for page in logs.get_paginator("describe_log_groups").paginate():
            for group in page["logGroups"]:
                name = group["logGroupName"]
                filters = logs.describe_subscription_filters(logGroupName=name)
                if names := [each["filterName"] for each in filters["subscriptionFilters"]]:
                    found[name] = sorted(names)
        return found

    @property
    def linked(self) -> set[str]:
        """The log groups that have our filter."""
        return {name for name, filters in self.filters.items() if NAME in filters}


@contextmanager
def deployed(deliver: Callable[[dict[str, Any]], object] = lambda _: None) -> Iterator[Deployment]:
    """Deploy to an empty Region as long as the block lasts."""
    with run_aws(REGION) as aws:
        yield Deployment(aws, deliver)
