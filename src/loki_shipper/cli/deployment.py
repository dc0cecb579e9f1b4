"""Finds the deployment that a command is for, by the options that all commands share."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from random import uniform
from typing import Any

import click
from click.core import ParameterSource
from msgspec import Struct
from msgspec.structs import replace

from loki_shipper.aws.arn import function_origin
from loki_shipper.aws.paced_calls import PacedCalls
from loki_shipper.cli.aws import CommandSession, aws_errors, open_session
from loki_shipper.cli.errors import InputError, settings_errors
from loki_shipper.clock import Clock
from loki_shipper.deployed_functions import (
    DeployedFunction,
    FunctionKind,
    NotDeployedError,
    function_named,
    functions_of_stack,
)
from loki_shipper.subscriber.aws import SubscriberAws
from loki_shipper.subscriber.buckets.link import BucketOutcome
from loki_shipper.subscriber.clients import connect
from loki_shipper.subscriber.filters.apply import ActionOutcome
from loki_shipper.subscriber.run.dependencies import SubscriberDependencies
from loki_shipper.subscriber.settings import Condition, SubscriberSettings, conditions, settings

DEFAULT_STACK = "loki-shipper"

_STACK_OPTIONS = (
    click.option("--profile", metavar="NAME", help="Profile of your AWS configuration."),
    click.option("--region", metavar="REGION", help="Region of the deployment."),
    click.option(
        "--stack",
        default=DEFAULT_STACK,
        show_default=True,
        metavar="NAME",
        help="Stack of the deployment.",
    ),
)
_FUNCTION_OPTION = click.option(
    "--function",
    metavar="ARN",
    help="In place of a stack: its subscriber, or the shipper if there is no subscriber.",
)
_SELECTION_OPTIONS = (
    click.option(
        "--include",
        multiple=True,
        metavar="GLOB",
        help="In place of the stack's IncludeLogGroups; repeat it.",
    ),
    click.option(
        "--exclude",
        multiple=True,
        metavar="GLOB",
        help="In place of the stack's ExcludeLogGroups; repeat it.",
    ),
    click.option(
        "--tag",
        "tags",
        multiple=True,
        metavar="CONDITION",
        help="In place of the stack's TagConditions: KEY=VALUE, KEY, or !KEY; repeat it.",
    ),
)

type Command = Callable[..., None]


class NoDeploymentError(InputError):
    """Raised when the options name no deployment."""


class SelectionOverrides(Struct, frozen=True):
    """A selection of log groups, in place of the one in the deployment's own settings."""

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    tag_conditions: tuple[Condition, ...] = ()

    def applied(self, own: SubscriberSettings) -> SubscriberSettings:
        """Return the settings with each part of the selection that you gave."""
        parts = {name: getattr(self, name) for name in self.__struct_fields__}
        return replace(own, **{name: value for name, value in parts.items() if value})


class Deployment:
    """The functions of a deployment, and the session that calls AWS.

    `stack` is the stack's name, or None if you named a function. The properties that call AWS
    raise what boto3 raises, and InputError if the deployment lacks something.
    """

    def __init__(
        self,
        stack: str | None,
        session: CommandSession,
        functions: list[DeployedFunction],
        selection: SelectionOverrides,
        clock: Clock,
    ) -> None:
        self.stack = stack
        self.session = session
        self.functions = functions
        self._selection = selection
        self._clock = clock

    @property
    def name(self) -> str:
        """The deployment's name in messages."""
        return f"the stack {self.stack}" if self.stack else f"the function {self.functions[0].arn}"

    @property
    def sweeps(self) -> bool:
        """Whether it has a subscriber, which links log groups by its own settings."""
        return self._of_kind("subscriber") is not None

    @property
    def has_overrides(self) -> bool:
        """Whether you gave a selection that differs from its own."""
        return self.deps.settings != self.own

    @cached_property
    def shipper(self) -> DeployedFunction:
        """The function that the subscription filters invoke."""
        if (function := self._of_kind("shipper")) is not None:
            return function
        if (subscriber := self._of_kind("subscriber")) is not None:
            return self._shipper_of(subscriber)
        raise InputError(
            f"{self.name} is neither the subscriber nor the shipper: name one with --function"
        )

    @property
    def redriver(self) -> DeployedFunction:
        """A redriver, or the shipper if there is none: both have the same settings."""
        return self._of_kind("redriver") or self.shipper

    @property
    def canary_log_group(self) -> str | None:
        """The log group that its canary writes to, or None if it has no canary."""
        canary = self._of_kind("canary")
        return None if canary is None else canary.environ.get("CANARY_LOG_GROUP")

    @cached_property
    def own(self) -> SubscriberSettings:
        """Its own settings for linking log groups."""
        if (subscriber := self._of_kind("subscriber")) is not None:
            environ = {**subscriber.environ, "AWS_LAMBDA_FUNCTION_NAME": subscriber.name}
        else:
            environ = {
                "SHIPPER_ARN": self.shipper.arn,
                "OWN_LOG_GROUPS": self.shipper.log_group,
                "BUCKET": self.shipper.environ.get("BUCKET", ""),
            }
        with settings_errors(f"the settings of {self.name}"):
            return settings(environ)

    @cached_property
    def pace(self) -> PacedCalls:
        """The pace of calls of AWS."""
        clock = self._clock
        return PacedCalls(
            clock=lambda: clock.now() / 1000,
            sleep=clock.sleep,
            remaining=clock.remaining,
            jitter=lambda longest: uniform(0, longest),  # noqa: S311 - not for secrets
        )

    @cached_property
    def deps(self) -> SubscriberDependencies:
        """The dependencies of linking, with the selection that you gave."""
        chosen, clock = self._selection.applied(self.own), self._clock
        return SubscriberDependencies(
            SubscriberAws(connect(self.session), chosen, self.pace), chosen, clock
        )

    def deps_with(
        self,
        tell: Callable[[ActionOutcome], None],
        tell_bucket: Callable[[BucketOutcome], None],
    ) -> SubscriberDependencies:
        """Return the dependencies of linking, with callbacks for each outcome."""
        return replace(self.deps, tell=tell, tell_bucket=tell_bucket)

    def client(self, service: str) -> Any:
        """Make a boto3 client of a service."""
        return self.session.client(service)

    def _of_kind(self, kind: FunctionKind) -> DeployedFunction | None:
        return next((function for function in self.functions if function.kind == kind), None)

    @property
    def is_member(self) -> bool:
        """Whether its filters send to the hub of another account, which has the shipper."""
        return self.own.destination_arn is not None

    def _shipper_of(self, subscriber: DeployedFunction) -> DeployedFunction:
        if self.is_member:
            raise InputError(
                f"{self.name} has no shipper: it sends to {self.own.destination_arn}. Give this "
                "command the stack of that hub, with credentials for its account"
            )
        try:
            return function_named(subscriber.environ["SHIPPER_ARN"], self.client("lambda"))
        except NotDeployedError as error:
            raise InputError(f"{error}, though {self.name} sends to it: deploy it again") from None


def stack_options(command: Command) -> Command:
    """Add the options that name a stack to a command."""
    for option in reversed(_STACK_OPTIONS):
        command = option(command)
    return command


def deployment_options(command: Command) -> Command:
    """Add the options that name a deployment to a command."""
    return stack_options(_FUNCTION_OPTION(command))


def selection_options(command: Command) -> Command:
    """Add the options that name a deployment and select log groups to a command."""
    for option in reversed(_SELECTION_OPTIONS):
        command = option(command)
    return deployment_options(command)


def is_given(option: str) -> bool:
    """Tell whether an option stands on the command line, so that its value is not the default."""
    source = click.get_current_context().get_parameter_source(option)
    return source is ParameterSource.COMMANDLINE


def is_deployment_named() -> bool:
    """Tell whether the command line names a deployment."""
    return is_given("stack") or is_given("function")


def current_clock() -> Clock:
    """Return the clock of the running command; a test brings its own, so that it never waits."""
    return click.get_current_context().find_object(Clock) or real_clock()


def selection_of(
    include: tuple[str, ...], exclude: tuple[str, ...], tags: tuple[str, ...]
) -> SelectionOverrides:
    """Make a selection of the options of `selection_options`. Raises UsageError."""
    return SelectionOverrides(include, exclude, _conditions(tags))


def real_clock() -> Clock:
    """Make a clock without a deadline: you stop a command with Ctrl-C."""
    return Clock(lambda: time.time_ns() // 1_000_000, time.sleep, lambda: float("inf"))


@contextmanager
def open_deployment(  # noqa: PLR0913 - each is an option
    *,
    profile: str | None,
    region: str | None,
    stack: str,
    function: str | None,
    include: tuple[str, ...] = (),
    exclude: tuple[str, ...] = (),
    tags: tuple[str, ...] = (),
) -> Iterator[Deployment]:
    """Find a deployment, and turn AWS's errors in the block into one line that says what to do."""
    selection = selection_of(include, exclude, tags)
    clock = current_clock()
    if function is not None and is_given("stack"):
        raise click.UsageError("give --stack or --function, not both")
    with aws_errors():
        session = open_session(profile, region or _region(function))
        functions = _functions(session, stack, function)
        name = stack if function is None else None
        yield Deployment(name, session, functions, selection, clock)


def _region(function: str | None) -> str | None:
    origin = None if function is None else function_origin(function)
    return None if origin is None else origin.region


def _functions(session: CommandSession, stack: str, function: str | None) -> list[DeployedFunction]:
    functions = session.client("lambda")
    try:
        if function is not None:
            return [function_named(function, functions)]
        return functions_of_stack(stack, session.client("cloudformation"), functions)
    except NotDeployedError as error:
        raise NoDeploymentError(
            f"{error} ({session.region_name}): name the deployment with --stack and --region, or "
            "one of its functions with --function"
        ) from None


def _conditions(tags: tuple[str, ...]) -> tuple[Condition, ...]:
    try:
        return conditions(",".join(tags))
    except ValueError as error:
        raise click.UsageError(f"--tag {error}") from None
