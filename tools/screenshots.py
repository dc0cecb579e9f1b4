"""Takes pictures of commands in a terminal of 80 columns: `scripts/screenshots [NAME…]`."""

import json
import os
import pty
import re
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.text import Text

from loki_shipper.local.aws import LocalAws, run_aws
from loki_shipper.local.find_loki import NotFound, Running, find_loki
from loki_shipper.local.invoke import invoke, loki_connection
from loki_shipper.local.loki import Loki, start
from loki_shipper.local.progress import on_stream
from loki_shipper.local.query_loki import LokiError
from loki_shipper.redriver.metrics import metrics
from loki_shipper.redriver.report import RedriveReport
from loki_shipper.settings import settings
from loki_shipper.shipper.sources.event import records

_FOLDER: Final = Path(__file__).resolve().parents[1] / "docs" / "images"
_COLUMNS: Final = 80
_PICTURE: Final = re.sub(r"@font-face {{.*?}}\s*", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
"""Without rich's web font: the reader's own monospaced font is used."""

_TAIL: Final = ("--tag", "team=payments", "--since", "1s", "--for", "6s")

PICTURES: Final[Mapping[str, Sequence[str]]] = {
    "first": _TAIL,
    "doctor": ("--loki", "LOKI"),
    "status": (),
    "explain": ("/aws/lambda/checkout",),
    "tail": _TAIL,
    "plan": (),
}
"""The commands to take pictures of, with their arguments."""

_STACK: Final = "loki-shipper"
_BUCKET: Final = "loki-shipper-bucket"
_TAGS: Final = {
    "/aws/lambda/checkout": {"driver": "python"},
    "/aws/lambda/invoices": {"team": "payments", "driver": "java"},
    "/aws/lambda/report": {"team": "finance", "driver": "python"},
    "/aws/lambda/legacy": {"team": "payments"},
    "/ecs/shop": {"team": "shop"},
}
_TAGGED: Final = ("/aws/lambda/checkout", "team", "payments")
"""A tag that is added after the log group exists, as in the first picture."""

_FULL: Final = "/ecs/shop-admin"
_NEW: Final = "/aws/lambda/refunds"

_LINES: Final = (
    "[INFO] order 1009: an apple, two pears",
    "[INFO] order 1009: paid",
    "[WARN] order 1010: the card was declined",
    "[INFO] order 1010: paid",
    "[INFO] order 1011: a melon",
)


def main(names: Sequence[str]) -> None:
    """Take the pictures of these names, or every picture."""
    tell = on_stream()
    found = find_loki(os.environ, tell)
    if isinstance(found, NotFound | Running):
        raise LokiError("the pictures need a new Loki: unset LOKI_URL, or install one")
    _FOLDER.mkdir(exist_ok=True)
    with (
        TemporaryDirectory() as folder,
        start(found, Path(folder), profile="demo", tell=tell) as loki,
        run_aws("eu-central-1") as aws,
    ):
        system = _System(aws, loki)
        for name in names or PICTURES:
            if name == "plan":
                system.change()
            words = [loki.url if word == "LOKI" else word for word in PICTURES[name]]
            match name:
                case "first":
                    with _logging(system):
                        _take(name, ["tail", *words], aws.environ, before=_tagging())
                case "tail":
                    with _logging(system):
                        _take(name, [name, *words], aws.environ)
                case _:
                    _take(name, [name, *words], aws.environ)


class _System:
    """A stack on AWS on loopback that ships to a real Loki, with its CloudWatch metrics."""

    def __init__(self, aws: LocalAws, loki: Loki) -> None:
        self.aws = aws
        self._environ = {"LOKI_URL": loki.url, "BUCKET": _BUCKET}
        for name, tags in _TAGS.items():
            aws.create_log_group(name, tags)
        group, key, value = _TAGGED
        aws.client("logs").tag_log_group(logGroupName=group, tags={key: value})
        shipper = aws.create_function(f"{_STACK}-shipper", self._ship)
        where = {"LocationConstraint": aws.region}
        aws.client("s3").create_bucket(Bucket=_BUCKET, CreateBucketConfiguration=where)
        aws.client("lambda").update_function_configuration(
            FunctionName=shipper, Environment={"Variables": self._environ}
        )
        self._make_stack(shipper)
        _run(["link", "--all"], aws.environ)
        for name in _TAGS:
            self.log(name, _LINES)
        self._redrive()

    def change(self) -> None:
        """Add log groups, remove a tag, and use up the filters of a log group, for `plan`."""
        self.aws.create_log_group(_FULL, {"team": "shop"})
        self._fill(_FULL)
        # Linking shows whether a log group has a free filter.
        _run(["link", "--all"], self.aws.environ)
        self.aws.create_log_group(_NEW, {"team": "payments"})
        logs = self.aws.client("logs")
        logs.untag_log_group(logGroupName="/aws/lambda/legacy", tags=["team"])

    def log(self, group: str, lines: Sequence[str]) -> None:
        """Write lines to a log group."""
        self.aws.put_lines(group, "2026/11/20/[$LATEST]1f7a4c0e", lines)

    def _ship(self, event: dict[str, Any]) -> None:
        """Ship like the deployed function, and count like CloudWatch Logs."""
        [data] = records(event)
        configured = settings(self._environ)
        logs = self.aws.client("logs")
        tags = logs.list_tags_log_group(logGroupName=data.log_group)["tags"]
        invoke(
            event, configured, tags=tags, region=self.aws.region, loki=loki_connection(configured)
        )
        self._count(data.log_group, len(data.log_events))

    def _count(self, group: str, lines: int) -> None:
        dimensions = {
            "LogGroupName": group,
            "DestinationType": "Lambda",
            "FilterName": "loki-shipper",
        }
        self.aws.client("cloudwatch").put_metric_data(
            Namespace="AWS/Logs",
            MetricData=[
                {
                    "MetricName": "ForwardedLogEvents",
                    "Dimensions": [{"Name": k, "Value": v} for k, v in dimensions.items()],
                    "Timestamp": datetime.now(UTC) - timedelta(minutes=5),
                    "Value": lines,
                }
            ],
        )

    def _redrive(self) -> None:
        """Write the metrics of a redriver that found nothing to ship."""
        self.aws.client("cloudwatch").put_metric_data(
            Namespace="LokiShipper",
            MetricData=[
                {
                    "MetricName": name,
                    "Dimensions": [{"Name": "service", "Value": "loki-shipper"}],
                    "Timestamp": datetime.now(UTC) - timedelta(minutes=5),
                    "Value": value,
                }
                for name, _unit, value in metrics(RedriveReport(), now=datetime.now(UTC))
            ],
        )

    def _fill(self, group: str) -> None:
        """Use up the filters of a log group for another function."""
        other = self.aws.create_function("other", lambda _event: None)
        for number in (1, 2):
            self.aws.subscribe(group, other, f"to-elsewhere-{number}")

    def _make_stack(self, shipper: str) -> None:
        function = {
            "Type": "AWS::Lambda::Function",
            "Properties": {
                "Runtime": "python3.13",
                "Role": self.aws.client("iam").get_role(RoleName=f"{_STACK}-shipper")["Role"][
                    "Arn"
                ],
                "Handler": "loki_shipper.subscriber.handler.handle",
                "Code": {"ZipFile": "none"},
                "Environment": {
                    "Variables": {
                        "SHIPPER_ARN": shipper,
                        "BUCKET": _BUCKET,
                        "INCLUDE": "/aws/lambda/*,/ecs/*",
                        "TAG_CONDITIONS": "team",
                    }
                },
            },
        }
        self.aws.client("cloudformation").create_stack(
            StackName=_STACK,
            TemplateBody=json.dumps({"Resources": {"SubscriberFunction": function}}),
        )


@contextmanager
def _logging(system: _System) -> Iterator[None]:
    """Write lines to log groups during a `with` block."""
    done = threading.Event()

    def log() -> None:
        groups = ("/aws/lambda/checkout", "/aws/lambda/checkout", "/aws/lambda/invoices")
        for number, line in enumerate(_LINES * 10):
            if done.wait(0.7):
                return
            system.log(groups[number % len(groups)], [line])

    writer = threading.Thread(target=log)
    writer.start()
    try:
        yield
    finally:
        done.set()
        writer.join()


def _tagging() -> str:
    """Return the shell command that tags the log group."""
    group, key, value = _TAGGED
    return f"aws logs tag-log-group --log-group-name {group} \\\n    --tags {key}={value}"


def _take(
    name: str, words: Sequence[str], environ: Mapping[str, str], *, before: str | None = None
) -> None:
    with Path(os.devnull).open("w") as nowhere:
        console = Console(record=True, width=_COLUMNS, file=nowhere)
        if before is not None:
            console.print(Text(f"$ {before}", style="bold"))
        console.print(Text(f"$ loki-shipper {' '.join(words)}", style="bold"))
        console.print(Text.from_ansi(_run(words, environ).rstrip()))
    console.save_svg(
        str(_FOLDER / f"{name}.svg"),
        title="loki-shipper" if before else f"loki-shipper {words[0]}",
        code_format=_PICTURE,
    )


def _run(words: Sequence[str], environ: Mapping[str, str]) -> str:
    """Run a command in a terminal and return its output."""
    ours, its = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-c", "from loki_shipper.cli import main; main()", *words],
        stdin=its,
        stdout=its,
        stderr=its,
        env={**os.environ, **environ, "COLUMNS": str(_COLUMNS), "TERM": "xterm-256color"},
    ):
        os.close(its)
        shown = b""
        try:
            while chunk := os.read(ours, 65_536):
                shown += chunk
        except OSError:
            # On Linux, reading fails when no process has the terminal open.
            pass
    os.close(ours)
    return _left_on_screen(shown.decode())


def _left_on_screen(shown: str) -> str:
    """Remove what the command erased, such as a progress bar, and its escape sequences."""
    lines = shown.replace("\r\n", "\n").split("\n")
    last = [line.rpartition("\r")[2] for line in lines]
    return "\n".join(re.sub(r"\x1b\[\??[\d;]*[A-HJ-lln-z]", "", line) for line in last)


if __name__ == "__main__":
    main(sys.argv[1:])
