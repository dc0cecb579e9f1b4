"""The command line, `loki-shipper`: one file a command, imported only when it is called."""

import os
import sys
from importlib import import_module
from io import TextIOWrapper
from typing import Any, Final, NoReturn, override

import click
from click.shell_completion import CompletionItem, shell_complete

from loki_shipper import VERSION
from loki_shipper.cli.closed_pipe import survive_closed_pipes
from loki_shipper.cli.errors import InterruptedRunError, UnexpectedError, did_you_mean

COMMANDS = {
    "demo": "Show it all on this machine: two functions that log, and Loki.",
    "invoke": "Run the shipper on an event here; show or push what Loki gets.",
    "event": "Make a sample event of a log file's lines.",
    "check": "Check settings and rules, and try the rules on events.",
    "explain": "Say why a log group is linked or not, and why it has its labels.",
    "tags": "Keep the tag index, from which the shipper takes its labels.",
    "deploy": "Deploy or upgrade the stack, link, and prove that lines arrive.",
    "plan": "Show which log groups would be linked or unlinked, and why.",
    "link": "Link log groups to Loki, named ones or all that are selected.",
    "unlink": "Unlink log groups, named ones or all.",
    "status": "Show what is linked, since when, and how deliveries go.",
    "backfill": "Ship a log group's past.",
    "tail": "Show lines as they arrive in Loki, and which have not.",
    "doctor": "Say what is wrong between here and Loki, and what to do about it.",
    "redrive": "Ship what could not be delivered, out of the bucket.",
    "completion": "Let the shell complete commands and names of log groups.",
}

PROGRAM: Final = "loki-shipper"
COMPLETE: Final = "_LOKI_SHIPPER_COMPLETE"
"""Variable in which the script of `loki-shipper completion` asks what may come next."""

EXIT_CODES: Final = (
    "Exits with 0 when all is well, with 1 when something is wrong or was not done, with 2 when it "
    "was called wrongly or AWS refuses it from the start, with 130 after Ctrl-C."
)
_DEBUG: Final = f"{__name__}.debug"


class LazyGroup(click.Group):
    """Commands of which `--help` shows one line each without importing them."""

    @override
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    @override
    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = getattr(import_module(f"{__name__}.{cmd_name}"), cmd_name)
        _document_exit_codes(command)
        return command

    @override
    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, or guess which one was meant. Raises UsageError."""
        word = args[0]
        if word not in COMMANDS and not word.startswith("-") and not ctx.resilient_parsing:
            raise click.UsageError(f"No such command {word!r}{did_you_mean(word, COMMANDS)}", ctx)
        return super().resolve_command(ctx, args)

    @override
    def invoke(self, ctx: click.Context) -> Any:
        """Run a command, and end it with one sentence and an exit code whatever happens."""
        try:
            return super().invoke(ctx)
        except (KeyboardInterrupt, click.Abort):
            raise InterruptedRunError("stopped") from None
        except (click.ClickException, click.exceptions.Exit) as error:
            _debug(ctx, error)
            raise
        except Exception as error:  # noqa: BLE001 - a person gets a sentence for any fault of ours
            _debug(ctx, error)
            raise UnexpectedError(_unexpected(error)) from None

    @override
    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete a command without importing them all, or an option."""
        commands = [
            CompletionItem(name, help=text)
            for name, text in COMMANDS.items()
            if name.startswith(incomplete)
        ]
        return [*commands, *click.Command.shell_complete(self, ctx, incomplete)]

    @override
    def main(self, *args: Any, **named: Any) -> Any:
        """Run the command line, or answer the shell's question of what may come next."""
        if instruction := os.environ.get(COMPLETE):
            self._complete(instruction)
        return super().main(*args, **named)

    def _complete(self, instruction: str) -> NoReturn:
        # Whatever happens, nothing is written into the line in which somebody types.
        nowhere = os.open(os.devnull, os.O_RDWR)
        os.dup2(nowhere, sys.stderr.fileno())
        try:
            sys.exit(shell_complete(self, {}, PROGRAM, COMPLETE, instruction))
        except (Exception, KeyboardInterrupt):  # noqa: BLE001 - as it says
            sys.exit(1)

    @override
    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(VERSION, message="%(prog)s %(version)s")
@click.option(
    "--debug",
    is_flag=True,
    help="Show on stderr where an error comes from, and each request, without secrets and lines.",
)
@click.pass_context
def main(ctx: click.Context, *, debug: bool) -> None:
    """Bring CloudWatch Logs into Grafana Loki, with the log group's tags as labels.

    \b
    Try it on a sample, without AWS and without Loki:
      loki-shipper invoke lambda

    Commands exit with 0 when all is well, with 1 when something is wrong or was not done, with 2
    when they were called wrongly or AWS refuses them from the start, with 130 after Ctrl-C.
    """  # noqa: D301 - click keeps the lines after a backspace as they are
    for stream in (sys.stdout, sys.stderr):
        # Log lines have every character, a terminal's encoding may not.
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    survive_closed_pipes()
    ctx.meta[_DEBUG] = debug
    if debug:
        import_module(f"{__name__}.debug").show_requests()


def _document_exit_codes(command: click.Command) -> None:
    """Let a command's help, and that of the commands below it, end with the exit codes."""
    command.epilog = EXIT_CODES
    if isinstance(command, click.Group):
        for below in command.commands.values():
            _document_exit_codes(below)


def _debug(ctx: click.Context, error: BaseException) -> None:
    if ctx.meta.get(_DEBUG) and not isinstance(error, click.exceptions.Exit):
        click.echo(import_module(f"{__name__}.debug").traceback_of(error), err=True)


def _unexpected(error: BaseException) -> str:
    """Say where a fault of our own is, and not what it is about: that may be a line or a secret."""
    where = error.__traceback__
    while where is not None and where.tb_next is not None:
        where = where.tb_next
    place = "" if where is None else f" at {where.tb_frame.f_code.co_filename}:{where.tb_lineno}"
    return (
        f"this is a fault of Loki-Shipper ({type(error).__name__}{place}): repeat the command with "
        "--debug before its name, and report what it shows"
    )
