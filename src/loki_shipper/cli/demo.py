"""`loki-shipper demo`: shows the way from a log line to a label query on this machine."""

import os
import re
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from itertools import groupby
from typing import Any, override

import click
from rich.console import Group, RenderableType
from rich.text import Text

from loki_shipper.bundle import in_clone
from loki_shipper.cli.console import row, table_console
from loki_shipper.cli.errors import InputError, NotDeliveredError, settings_errors
from loki_shipper.cli.formatting import NS_PER_MS, clock_text
from loki_shipper.local.demo import (
    FUNCTIONS,
    QUERY,
    DemoDestination,
    DemoResult,
    demo_destination,
    run_demo,
)
from loki_shipper.local.progress import clock_face, on_stream
from loki_shipper.local.query_loki import LokiError, LokiLine
from loki_shipper.settings import settings
from loki_shipper.shipper.delivery.encode import label_set

_SHOWN = 8
_LONGEST_SECONDS = 300


class DemoSeconds(click.ParamType[int]):
    """A duration such as `30s` or `2m`, in seconds; bare digits are seconds."""

    name = "TIME"

    @override
    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        match = re.fullmatch(r"(\d{1,4})(s|m)?", value)
        seconds = int(match[1]) * (60 if match[2] == "m" else 1) if match else 0
        if not 1 <= seconds <= _LONGEST_SECONDS:
            self.fail(f"{value!r} is not a time from 1s to 5m", param, ctx)
        return seconds


@click.command()
@click.option(
    "--for",
    "seconds",
    type=DemoSeconds(),
    default="10s",
    show_default=True,
    help="How long the functions log: 1s to 5m.",
)
@click.option(
    "--keep", is_flag=True, help="Keep Loki running until Ctrl-C, so that you can query it."
)
@click.option(
    "--loki",
    metavar="URL",
    help="Ship to this Loki, without credentials, and to the tenant LOKI_TENANT.",
)
def demo(*, seconds: int, keep: bool, loki: str | None) -> None:
    """Show it all on this machine: two functions that log, and Loki.

    moto stands in for AWS, with log groups, tags and subscription filters. The shipper is the
    deployed code in Lambda's own runtime. Loki is real: the one at LOKI_URL, else `loki` on PATH,
    else Docker, else built with Go.

    \b
    Log for half a minute, then query Loki:
      loki-shipper demo --for 30s --keep
    """  # noqa: D301 - click keeps the lines after a backspace as they are
    # awslambdaric has this module on Linux only.
    if find_spec("runtime_client") is None:
        raise InputError("the demo needs Linux: `docker compose up` in a clone shows it elsewhere")
    # SIGTERM must stop Loki too.
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        _demo(_environ(loki), seconds=seconds, keep=keep)
    except LokiError as error:
        raise NotDeliveredError(str(error)) from None
    finally:
        signal.signal(signal.SIGTERM, before)


def _environ(loki: str | None) -> Mapping[str, str]:
    environ = {**os.environ, "LOKI_URL": os.environ.get("LOKI_URL", "") if loki is None else loki}
    if environ["LOKI_URL"]:
        with settings_errors("--loki or the environment"):
            settings({name: environ.get(name, "") for name in ("LOKI_URL", "LOKI_TENANT")})
    return environ


def _demo(environ: Mapping[str, str], *, seconds: int, keep: bool) -> None:
    console, tell = table_console(), on_stream()
    tenant = environ.get("LOKI_TENANT") or None
    with demo_destination(environ, tell) as to:
        now = time.time_ns()
        # Query Loki first, so that a Loki that fails does so before the functions log.
        to.ask(now, now + 1)
        console.print(Group(*_before(to, seconds)))
        outcome = run_demo(to, tenant, seconds=seconds, tell=tell)
        console.print(Group(*_after(outcome, to)))
        if not outcome.is_complete:
            raise NotDeliveredError(_failure(outcome))
        if keep and to.is_loki:
            console.print(Group(*_kept(to)))
            _wait_for_ctrl_c()
        else:
            console.print(Group(*_next()))


def _before(to: DemoDestination, seconds: int) -> Iterator[RenderableType]:
    yield Text("CloudWatch Logs to Loki, all on this machine", style="bold")
    yield Text()
    yield row("loki", to.url if to.is_loki else f"{to.url}, a stand-in that decodes pushes")
    yield row("", to.what)
    yield row("aws", "moto, region eu-central-1")
    yield row("shipper", "loki_shipper.shipper.handler.handle, under awslambdaric")
    for function in FUNCTIONS:
        yield Text()
        yield row("log group", function.log_group)
        yield row("tags", " ".join(f"{key}={value}" for key, value in function.tags.items()))
    yield Text()
    yield Text(f"Both functions log once a second, for {clock_face(seconds)} …")
    yield Text()


def _after(outcome: DemoResult, to: DemoDestination) -> Iterator[RenderableType]:
    name = "Loki" if to.is_loki else "The stand-in"
    yield Text.assemble(f"{name} is asked for ", (QUERY, "bold cyan"))
    by_stream = sorted(outcome.held, key=lambda line: sorted(line.labels.items()))
    for labels, lines in groupby(by_stream, lambda line: line.labels):
        yield Text()
        yield from _stream(labels, list(lines))
    yield Text()
    equal = "green" if outcome.is_complete else "red"
    counts = f"{outcome.logged} lines logged, {len(outcome.held)} lines held"
    yield Text(counts, style=f"bold {equal}")


def _stream(labels: Mapping[str, str], lines: list[LokiLine]) -> Iterator[RenderableType]:
    for place_, pair in enumerate(sorted(labels.items())):
        yield row("" if place_ else "labels", label_set((pair,))[1:-1])
    if len(lines) > _SHOWN:
        yield Text(f"  … {len(lines) - _SHOWN} lines before these", style="dim")
    for line in lines[-_SHOWN:]:
        clock = clock_text(line.timestamp // NS_PER_MS)
        # A line may have control characters, which steer a terminal.
        plain = "".join(each if each.isprintable() else " " for each in line.line)
        yield row(f"  {clock}", plain, "cyan")


def _kept(to: DemoDestination) -> Iterator[RenderableType]:
    yield Text()
    yield Text("Loki stays up until Ctrl-C. In Grafana: Connections, Data sources, Loki, URL")
    yield Text(f"  {to.url}", style="bold")


def _next() -> Iterator[RenderableType]:
    yield Text()
    yield Text("Try next:")
    program = ".venv/bin/loki-shipper" if in_clone() else "loki-shipper"
    for command, what in (
        (f"{program} demo --for 30s --keep", "query Loki with Grafana"),
        (f"{program} invoke lambda", "see what Loki gets of an event"),
        (f"{program} deploy", "deploy it"),
    ):
        yield Text.assemble("  ", (f"{command:<47}", "bold"), what)


def _failure(outcome: DemoResult) -> str:
    if outcome.failures:
        return f"the shipper failed: {outcome.failures[-1]}"
    return "Loki does not hold what was logged: is somebody else running the demo against it?"


def _wait_for_ctrl_c() -> None:
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        click.echo(err=True)
