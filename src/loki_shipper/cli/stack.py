"""Which deployment a command is about, how it is reached, and what is said when it is not."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from random import uniform
from typing import Any

import boto3
import click
from botocore.exceptions import BotoCoreError, ClientError
from msgspec import Struct
from msgspec.structs import replace

from loki_shipper.cli.errors import InputError, NotDeliveredError
from loki_shipper.settings import SettingsError
from loki_shipper.subscriber.apply import Outcome
from loki_shipper.subscriber.aws import Aws, connect
from loki_shipper.subscriber.clock import Clock
from loki_shipper.subscriber.pace import AwsError, Pace
from loki_shipper.subscriber.settings import Condition, Settings, conditions, settings
from loki_shipper.subscriber.store import ConflictError
from loki_shipper.subscriber.surroundings import Surroundings

_ADVICE = {
    "expired": "log in to AWS and repeat the command",
    "unreachable": "check your connection, --region and AWS_ENDPOINT_URL, and repeat the command",
    "throttled": "others use up AWS's limits: repeat the command later",
}
_STACK_OPTIONS = (
    click.option("--profile", metavar="NAME", help="Profile of your AWS configuration."),
    click.option("--region", metavar="REGION", help="Region of the deployment."),
    click.option(
        "--stack", default="loki-shipper", show_default=True, metavar="NAME", help="Its stack."
    ),
    click.option(
        "--function",
        metavar="ARN",
        help="In place of a stack: its subscriber, or the shipper where there is none.",
    ),
)
_SELECTION_OPTIONS = (
    click.option(
        "--include",
        multiple=True,
        metavar="GLOB",
        help="Log groups by name, in place of the stack's IncludeLogGroups; repeat it.",
    ),
    click.option(
        "--exclude",
        multiple=True,
        metavar="GLOB",
        help="Likewise, of ExcludeLogGroups.",
    ),
    click.option(
        "--tag",
        "tags",
        multiple=True,
        metavar="CONDITION",
        help="Likewise, of TagConditions: KEY=VALUE, KEY, or !KEY for must not.",
    ),
)

type Command = Callable[..., None]


class Stack(Struct, frozen=True):
    """A deployment that was found.

    `own` are its own settings, those of `around` have the selection that was given in place.
    `sweeps`: it has a subscriber, which goes by `own`.
    """

    session: boto3.Session
    around: Surroundings
    own: Settings
    sweeps: bool

    @property
    def chosen(self) -> bool:
        """Tell whether a selection was given."""
        return self.around.settings != self.own

    def telling(self, tell: Callable[[Outcome], None]) -> Surroundings:
        """Give the surroundings with somebody who hears of each outcome."""
        return replace(self.around, tell=tell)

    def client(self, service: str) -> Any:
        """Make a client of a service."""
        return self.session.client(service)  # type: ignore[call-overload] # of a name not known here


def stack_options(command: Command) -> Command:
    """Give a command the options that name a deployment."""
    for option in reversed(_STACK_OPTIONS):
        command = option(command)
    return command


def selection_options(command: Command) -> Command:
    """Give a command the options that name a deployment and select log groups."""
    for option in reversed(_SELECTION_OPTIONS):
        command = option(command)
    return stack_options(command)


def real_clock() -> Clock:
    """Give a clock without an end: people stop a command themselves."""
    return Clock(lambda: time.time_ns() // 1_000_000, time.sleep, lambda: float("inf"))


@contextmanager
def found(  # noqa: PLR0913 - each is an option
    *,
    profile: str | None,
    region: str | None,
    stack: str,
    function: str | None,
    include: tuple[str, ...] = (),
    exclude: tuple[str, ...] = (),
    tags: tuple[str, ...] = (),
) -> Iterator[Stack]:
    """Find a deployment; what goes wrong with AWS until the block ends is said in one sentence."""
    try:
        selection = {"include": include, "exclude": exclude, "tag_conditions": _conditions(tags)}
        overrides = {name: value for name, value in selection.items() if value}
        if function is not None and function.count(":") > 3:  # noqa: PLR2004 - arn:P:lambda:REGION:…
            region = region or function.split(":")[3]
        session = boto3.Session(profile_name=profile, region_name=region)
        own, sweeps = _settings(session, stack, function)
        yield Stack(session, _surroundings(session, replace(own, **overrides)), own, sweeps)
    except (BotoCoreError, ClientError, SettingsError) as error:
        raise InputError(f"{error}") from None
    except AwsError as error:
        advice = _ADVICE.get(error.kind, "what was done so far is kept")
        raise NotDeliveredError(f"{error.code}: {advice}") from None
    except ConflictError as error:
        raise NotDeliveredError(f"{error}: repeat the command") from None


def _conditions(tags: tuple[str, ...]) -> tuple[Condition, ...]:
    try:
        return conditions(",".join(tags))
    except ValueError as error:
        raise click.UsageError(f"--tag {error}") from None


def _settings(session: boto3.Session, stack: str, function: str | None) -> tuple[Settings, bool]:
    """Read what a deployment runs with; True where it has a subscriber."""
    name = function or _subscriber(session, stack)
    configuration: Any = session.client("lambda").get_function_configuration(FunctionName=name)
    environ: Mapping[str, str] = configuration.get("Environment", {}).get("Variables", {})
    if "SHIPPER_ARN" in environ:
        named = {"AWS_LAMBDA_FUNCTION_NAME": configuration["FunctionName"]}
        return settings({**environ, **named}), True
    own = configuration.get("LoggingConfig", {}).get("LogGroup")
    arn = configuration["FunctionArn"]
    return settings(
        {
            # An alias's ARN is not the function's own.
            "SHIPPER_ARN": name if name.startswith(f"{arn}:") else arn,
            "OWN_LOG_GROUPS": own or f"/aws/lambda/{configuration['FunctionName']}",
            "BUCKET": environ.get("BUCKET", ""),
        }
    ), False


def _subscriber(session: boto3.Session, stack: str) -> str:
    try:
        resource = session.client("cloudformation").describe_stack_resource(
            StackName=stack, LogicalResourceId="SubscriberFunction"
        )
    except ClientError as error:
        code = error.response["Error"]["Code"]
        raise InputError(
            f"there is no stack {stack} of Loki-Shipper that you may see here ({code}): name it "
            "with --stack and --region, or its function with --function"
        ) from None
    return str(resource["StackResourceDetail"]["PhysicalResourceId"])


def _surroundings(session: boto3.Session, configured: Settings) -> Surroundings:
    # Tests bring a clock along, so that nobody waits.
    clock = click.get_current_context().find_object(Clock) or real_clock()
    pace = Pace(
        clock=lambda: clock.now() / 1000,
        sleep=clock.sleep,
        remaining=clock.remaining,
        jitter=lambda longest: uniform(0, longest),  # noqa: S311 - it keeps no secret
    )
    return Surroundings(Aws(connect(session), configured, pace), configured, clock)
