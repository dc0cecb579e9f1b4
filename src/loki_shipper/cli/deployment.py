"""Finds the deployment that a command is about: one set of options for all commands."""

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
from loki_shipper.cli.errors import InputError
from loki_shipper.clock import Clock
from loki_shipper.deployed_functions import (
    DeployedFunction,
    FunctionKind,
    NotDeployedError,
    function_named,
    functions_of_stack,
)
from loki_shipper.settings import SettingsError
from loki_shipper.subscriber.aws import SubscriberAws, connect
from loki_shipper.subscriber.filters.apply import ActionOutcome
from loki_shipper.subscriber.run.dependencies import SubscriberDependencies
from loki_shipper.subscriber.settings import Condition, SubscriberSettings, conditions, settings

DEFAULT_STACK = "loki-shipper"

_DEPLOYMENT_OPTIONS = (
    click.option("--profile", metavar="NAME", help="Profile of your AWS configuration."),
    click.option("--region", metavar="REGION", help="Region of the deployment."),
    click.option(
        "--stack",
        default=DEFAULT_STACK,
        show_default=True,
        metavar="NAME",
        help="Stack of the deployment.",
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


class NoDeploymentError(InputError):
    """Raised when there is no deployment where the options say."""


class SelectionOverrides(Struct, frozen=True):
    """Log groups that are chosen in place of those that the deployment's own settings choose."""

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    tag_conditions: tuple[Condition, ...] = ()

    def applied(self, own: SubscriberSettings) -> SubscriberSettings:
        """Give the settings with each part of the selection that was given."""
        parts = {name: getattr(self, name) for name in self.__struct_fields__}
        return replace(own, **{name: value for name, value in parts.items() if value})


class Deployment:
    """A deployment that was found: its functions, and the session in which AWS is asked.

    `stack` is its name, None where a function was named instead. Properties that need an answer of
    AWS raise as its clients do, and InputError where the deployment lacks something.
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
        """Which one it is, to a person."""
        return f"the stack {self.stack}" if self.stack else f"the function {self.functions[0].arn}"

    @property
    def sweeps(self) -> bool:
        """Tell whether it has a subscriber, which links by its own settings."""
        return self._of_kind("subscriber") is not None

    @property
    def chosen(self) -> bool:
        """Tell whether a selection was given."""
        return self.deps.settings != self.own

    @cached_property
    def shipper(self) -> DeployedFunction:
        """The function that filters send to."""
        if (function := self._of_kind("shipper")) is not None:
            return function
        if (subscriber := self._of_kind("subscriber")) is not None:
            return self._named(subscriber.environ["SHIPPER_ARN"])
        raise InputError(
            f"{self.name} is a redriver: name the subscriber or the shipper with --function"
        )

    @property
    def redriver(self) -> DeployedFunction:
        """The function that ships out of the bucket; the shipper has the same settings."""
        return self._of_kind("redriver") or self.shipper

    @cached_property
    def own(self) -> SubscriberSettings:
        """The settings by which it links log groups."""
        try:
            if (subscriber := self._of_kind("subscriber")) is not None:
                return settings({**subscriber.environ, "AWS_LAMBDA_FUNCTION_NAME": subscriber.name})
            return settings(
                {
                    "SHIPPER_ARN": self.shipper.arn,
                    "OWN_LOG_GROUPS": self.shipper.log_group,
                    "BUCKET": self.shipper.environ.get("BUCKET", ""),
                }
            )
        except SettingsError as error:
            raise InputError(f"correct the settings of {self.name}: {error}") from None

    @cached_property
    def deps(self) -> SubscriberDependencies:
        """What linking needs of the world, with the selection that was given."""
        chosen, clock = self._selection.applied(self.own), self._clock
        pace = PacedCalls(
            clock=lambda: clock.now() / 1000,
            sleep=clock.sleep,
            remaining=clock.remaining,
            jitter=lambda longest: uniform(0, longest),  # noqa: S311 - it keeps no secret
        )
        return SubscriberDependencies(
            SubscriberAws(connect(self.session), chosen, pace), chosen, clock
        )

    def telling(self, tell: Callable[[ActionOutcome], None]) -> SubscriberDependencies:
        """Give the surroundings with somebody who hears of each outcome."""
        return replace(self.deps, tell=tell)

    def client(self, service: str) -> Any:
        """Make a client of a service."""
        return self.session.client(service)

    def _of_kind(self, kind: FunctionKind) -> DeployedFunction | None:
        return next((function for function in self.functions if function.kind == kind), None)

    def _named(self, arn: str) -> DeployedFunction:
        try:
            return function_named(arn, self.client("lambda"))
        except NotDeployedError as error:
            raise InputError(f"{error}, though {self.name} sends to it: deploy it again") from None


def deployment_options(command: Command) -> Command:
    """Give a command the options that name a deployment."""
    for option in reversed(_DEPLOYMENT_OPTIONS):
        command = option(command)
    return command


def selection_options(command: Command) -> Command:
    """Give a command the options that name a deployment and select log groups."""
    for option in reversed(_SELECTION_OPTIONS):
        command = option(command)
    return deployment_options(command)


def is_given(option: str) -> bool:
    """Tell whether the command that runs was given an option, rather than its default."""
    source = click.get_current_context().get_parameter_source(option)
    return source is ParameterSource.COMMANDLINE


def current_clock() -> Clock:
    """Give the clock of the command that runs: tests bring one along, so that nobody waits."""
    return click.get_current_context().find_object(Clock) or real_clock()


def selection_of(
    include: tuple[str, ...], exclude: tuple[str, ...], tags: tuple[str, ...]
) -> SelectionOverrides:
    """Read the options of `selection_options`. Raises UsageError."""
    return SelectionOverrides(include, exclude, _conditions(tags))


def real_clock() -> Clock:
    """Give a clock without an end: people stop a command themselves."""
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
    """Find a deployment; what goes wrong with AWS until the block ends is said in one line."""
    selection = selection_of(include, exclude, tags)
    clock = current_clock()
    if function is not None and is_given("stack"):
        raise click.UsageError("give --stack or --function, not both")
    with aws_errors():
        session = open_session(profile, region or _region(function))
        found = _functions(session, stack, function)
        named = stack if function is None else None
        yield Deployment(named, session, found, selection, clock)


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
