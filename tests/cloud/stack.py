"""A stack of ours in the cloud of the tests: deployed by SAM, driven as AWS drives it."""

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

from click.testing import CliRunner
from msgspec import Struct

from loki_shipper.cli import main
from tests.cloud.cloud import ACCOUNT, Cloud
from tests.local_deployment import Skipping
from tools.artifact import CLONE

_AWAITED_SECONDS: Final = 240.0


class DeployError(Exception):
    """Raised when SAM or CloudFormation fails; the message has the last of what SAM said."""


class Stack(Struct, frozen=True):
    """A stack by its name, in an account and a Region; `Stack(...).deploy(...)` makes it."""

    cloud: Cloud
    name: str
    region: str
    account: str = ACCOUNT

    def client(self, service: str) -> Any:
        """Make a boto3 client of the stack's account and Region."""
        return self.cloud.client(service, self.account, self.region)

    def deploy(self, built: Path, **parameters: str) -> None:
        """Run `sam deploy` on what `sam build` made; parameters that are not given stay.

        Raises:
            DeployError: the stack is not what the template says.
        """
        words = [f"{name}={value}" for name, value in parameters.items()]
        self._sam(
            *("deploy", "--template-file", str(built / "template.yaml"), "--resolve-s3"),
            *("--capabilities", "CAPABILITY_IAM", "--no-confirm-changeset"),
            *(["--parameter-overrides", *words] if words else []),
        )

    def delete(self) -> None:
        """Run `sam delete`.

        Raises:
            DeployError: the stack is still there.
        """
        self._sam("delete", "--no-prompts")

    def _sam(self, *words: str) -> None:
        place = ["--stack-name", self.name, "--region", self.region]
        ended = subprocess.run(
            [CLONE / "scripts" / "sam", *words, *place],
            env={**os.environ, **self.cloud.environ(self.account, self.region)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if ended.returncode:
            raise DeployError("\n".join(ended.stdout.splitlines()[-40:]))

    def physical(self, logical_id: str) -> str:
        """Give the name that CloudFormation gave to a resource."""
        described = self.client("cloudformation").describe_stack_resource(
            StackName=self.name, LogicalResourceId=logical_id
        )
        return str(described["StackResourceDetail"]["PhysicalResourceId"])

    def run_schedule(self, rule: str) -> list[Any]:
        """Invoke what a rule of the stack invokes, with its inputs, now; return the answers."""
        targets = self.client("events").list_targets_by_rule(Rule=self.physical(rule))["Targets"]
        return [self._invoke(each["Arn"], each.get("Input", "{}")) for each in targets]

    def _invoke(self, function: str, event: str) -> Any:
        answer = self.client("lambda").invoke(FunctionName=function, Payload=event.encode())
        payload = json.loads(answer["Payload"].read())
        assert "FunctionError" not in answer, payload
        return payload

    def command(self, *words: str) -> str:
        """Run `loki-shipper` on the stack, without its waits; return what it says."""
        result = CliRunner().invoke(
            main,
            [*words, "--stack", self.name, "--region", self.region],
            env=self.cloud.environ(self.account, self.region),
            obj=Skipping().clock,
        )
        assert result.exit_code == 0, result.output
        return result.output

    def create_log_group(self, name: str, **tags: str) -> None:
        """Make a log group with one log stream, `app`."""
        logs = self.client("logs")
        logs.create_log_group(logGroupName=name, **({"tags": tags} if tags else {}))
        logs.create_log_stream(logGroupName=name, logStreamName="app")

    def log(self, group: str, lines: Iterable[str]) -> None:
        """Write lines to a log group as of now; CloudWatch Logs then hands them over."""
        now = time.time_ns() // 1_000_000
        events = [{"timestamp": now, "message": line} for line in lines]
        self.client("logs").put_log_events(
            logGroupName=group, logStreamName="app", logEvents=events
        )

    def filters(self, group: str) -> dict[str, str]:
        """Give a log group's subscription filters: name and destination."""
        found = self.client("logs").describe_subscription_filters(logGroupName=group)
        return {each["filterName"]: each["destinationArn"] for each in found["subscriptionFilters"]}

    def log_groups(self) -> list[str]:
        """Give the names of all log groups of the account and Region."""
        return [g["logGroupName"] for g in self.client("logs").describe_log_groups()["logGroups"]]

    def own_log(self, group: str) -> str:
        """Give all that is in a log group."""
        events = self.client("logs").filter_log_events(logGroupName=group)["events"]
        return "\n".join(event["message"] for event in events)

    def keys(self, prefix: str = "") -> list[str]:
        """Give the keys in the stack's bucket."""
        answer = self.client("s3").list_objects_v2(Bucket=self.physical("Bucket"), Prefix=prefix)
        return [each["Key"] for each in answer.get("Contents", [])]

    def create_foreign_function(self, name: str, code: bytes, **configuration: Any) -> str:
        """Make a function `app.handle` that is not ours and that CloudWatch Logs may invoke."""
        functions = self.client("lambda")
        made = functions.create_function(
            FunctionName=name,
            Runtime="python3.13",
            Role=f"arn:aws:iam::{self.account}:role/any",
            Handler="app.handle",
            Code={"ZipFile": code},
            **configuration,
        )
        functions.get_waiter("function_active_v2").wait(
            FunctionName=name, WaiterConfig={"Delay": 1}
        )
        functions.add_permission(
            FunctionName=name,
            StatementId="logs",
            Action="lambda:InvokeFunction",
            Principal="logs.amazonaws.com",
        )
        return str(made["FunctionArn"])


def awaited[T](look: Callable[[], T], seconds: float = _AWAITED_SECONDS) -> T:
    """Look again and again until there is something; fail when time is up."""
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline, f"nothing within {seconds} s"
        time.sleep(0.2)
    return found
