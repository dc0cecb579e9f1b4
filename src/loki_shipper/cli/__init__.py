"""The command line, `loki-shipper`: one file a command, which is imported when you call it."""

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
    "event": "Make a sample event of some lines, or about an object in S3.",
    "check": "Check settings and rules, and try the rules on events.",
    "explain": "Say why a log group is linked, or what a log file is, and its labels.",
    "tags": "Write the tag index, from which the shipper reads tags.",
    "deploy": "Deploy or upgrade the stack, link, and prove that lines arrive.",
    "plan": "Show which log groups would be linked or unlinked, and why.",
    "link": "Link log groups to Loki, named ones or all that are selected.",
    "unlink": "Unlink log groups, named ones or all.",
    "audit": "Compare CloudWatch Logs with Loki, line by line, and name each difference.",
    "status": "Show what is linked, since when, and how deliveries go.",
    "backfill": "Ship the past of a log group, or log files that are in S3 already.",
    "tail": "Show lines as they arrive in Loki, and which are missing.",
    "doctor": "Say what is wrong between here and Loki, and what to do about it.",
    "redrive": "Ship the lines that wait in the bucket.",
    "google": "Serve Google Cloud Logging, and look after it.",
    "completion": "Let the shell complete commands and names of log groups.",
}

PROGRAM: Final = "loki-shipper"
COMPLETE: Final = "_LOKI_SHIPPER_COMPLETE"
"""The variable in which the script of `loki-shipper completion` asks for completions."""

EXIT_CODES: Final = (
    "The exit code is 0 when all is well, 1 when something is wrong or was not done, 2 when the "
    "command was called wrongly or AWS refused it from the start, and 130 after Ctrl-C."
)
_DEBUG: Final = f"{__name__}.debug"


class LazyGroup(click.Group):
    """A group that shows one line of help for each command without importing it."""

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
        """Find the command. Raises UsageError, which suggests a command for a mistyped one."""
        word = args[0]
        if word not in COMMANDS and not word.startswith("-") and not ctx.resilient_parsing:
            raise click.UsageError(f"No such command {word!r}{did_you_mean(word, COMMANDS)}", ctx)
        return super().resolve_command(ctx, args)

    @override
    def invoke(self, ctx: click.Context) -> Any:
        """Run a command, and end every error with one sentence and an exit code."""
        try:
            return super().invoke(ctx)
        except (KeyboardInterrupt, click.Abort):
            raise InterruptedRunError("stopped") from None
        except (click.ClickException, click.exceptions.Exit) as error:
            _debug(ctx, error)
            raise
        except Exception as error:  # noqa: BLE001 - every fault of ours ends with a sentence
            _debug(ctx, error)
            raise UnexpectedError(_unexpected(error)) from None

    @override
    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete a command without importing it, or an option."""
        commands = [
            CompletionItem(name, help=text)
            for name, text in COMMANDS.items()
            if name.startswith(incomplete)
        ]
        return [*commands, *click.Command.shell_complete(self, ctx, incomplete)]

    @override
    def main(self, *args: Any, **named: Any) -> Any:
        """Run the command line, or answer the shell's request for completions."""
        if instruction := os.environ.get(COMPLETE):
            self._complete(instruction)
        return super().main(*args, **named)

    def _complete(self, instruction: str) -> NoReturn:
        # Nothing may be written into the line that you are typing.
        nowhere = os.open(os.devnull, os.O_RDWR)
        os.dup2(nowhere, sys.stderr.fileno())
        try:
            sys.exit(shell_complete(self, {}, PROGRAM, COMPLETE, instruction))
        except (Exception, KeyboardInterrupt):  # noqa: BLE001 - every fault stays silent
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
    """Bring CloudWatch Logs and log files in S3 into Grafana Loki, with AWS tags as labels.

    \b
    Try it on a sample, without AWS and without Loki:
      loki-shipper invoke lambda

    The exit code is 0 when all is well, 1 when something is wrong or was not done, 2 when the
    command was called wrongly or AWS refused it from the start, and 130 after Ctrl-C.
    """  # noqa: D301 - click keeps the lines after a backspace as they are
    for stream in (sys.stdout, sys.stderr):
        # A log line may have characters that the terminal's encoding lacks.
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    survive_closed_pipes()
    ctx.meta[_DEBUG] = debug
    if debug:
        import_module(f"{__name__}.debug").show_requests()


def _document_exit_codes(command: click.Command) -> None:
    """Add the exit codes to the help of a command and of its subcommands."""
    command.epilog = EXIT_CODES
    if isinstance(command, click.Group):
        for subcommand in command.commands.values():
            _document_exit_codes(subcommand)


def _debug(ctx: click.Context, error: BaseException) -> None:
    if ctx.meta.get(_DEBUG) and not isinstance(error, click.exceptions.Exit):
        click.echo(import_module(f"{__name__}.debug").traceback_of(error), err=True)


def _unexpected(error: BaseException) -> str:
    """Return where a fault is, without its message, which may quote a line or a secret."""
    where = error.__traceback__
    while where is not None and where.tb_next is not None:
        where = where.tb_next
    place = "" if where is None else f" at {where.tb_frame.f_code.co_filename}:{where.tb_lineno}"
    return (
        f"this is a fault of Loki-Shipper ({type(error).__name__}{place}): repeat the command with "
        "--debug before its name, and report what it shows"
    )
