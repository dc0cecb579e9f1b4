"""Takes pictures of commands in a terminal of 80 columns: `scripts/screenshots`."""

import os
import pty
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.text import Text

from loki_shipper.local.aws import LocalAws, run_aws
from loki_shipper.local.loki import LokiError, NotFound, Running, find_loki, start
from loki_shipper.local.progress import on_stream

_FOLDER: Final = Path(__file__).resolve().parents[3] / "docs" / "images"
_COLUMNS: Final = 80
_PICTURE: Final = re.sub(r"@font-face {{.*?}}\s*", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
"""With the reader's own monospaced font: rich would fetch one from a server."""

_GROUPS: Final = {
    "/aws/lambda/checkout": {"team": "payments", "driver": "python"},
    "/aws/lambda/report": {"team": "finance", "driver": "python"},
    "/ecs/shop": {"team": "shop"},
}


def main() -> None:
    """Take every picture."""
    tell = on_stream()
    found = find_loki(os.environ, tell)
    if isinstance(found, NotFound | Running):
        raise LokiError("pictures are taken of a Loki of our own")
    _FOLDER.mkdir(exist_ok=True)
    with (
        TemporaryDirectory() as folder,
        start(found, Path(folder), profile="demo", tell=tell) as loki,
        run_aws("eu-central-1") as aws,
    ):
        _take("doctor", ["doctor", "--loki", loki.url], {})
        _deploy(aws, loki.url)
        shipper = ["--function", "loki-shipper"]
        _run(["link", "/aws/lambda/checkout", "/ecs/shop", *shipper], aws.environ)
        _take("status", ["status", *shipper], aws.environ)
        _take("explain", ["explain", "/aws/lambda/checkout", *shipper], aws.environ)


def _deploy(aws: LocalAws, loki_url: str) -> None:
    for name, tags in _GROUPS.items():
        aws.create_log_group(name, tags)
    shipper = aws.create_function("loki-shipper", lambda _event: None)
    bucket = {"LocationConstraint": aws.region}
    aws.client("s3").create_bucket(Bucket="kept-lines", CreateBucketConfiguration=bucket)
    environ = {"LOKI_URL": loki_url, "BUCKET": "kept-lines"}
    aws.client("lambda").update_function_configuration(
        FunctionName=shipper, Environment={"Variables": environ}
    )


def _take(name: str, words: Sequence[str], environ: Mapping[str, str]) -> None:
    with Path(os.devnull).open("w") as nowhere:
        console = Console(record=True, width=_COLUMNS, file=nowhere)
        console.print(Text(f"$ loki-shipper {' '.join(words)}", style="bold"))
        console.print(Text.from_ansi(_run(words, environ).rstrip()))
    console.save_svg(
        str(_FOLDER / f"{name}.svg"), title=f"loki-shipper {words[0]}", code_format=_PICTURE
    )


def _run(words: Sequence[str], environ: Mapping[str, str]) -> str:
    """Run a command in a terminal and give what that was shown."""
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
            # Linux ends a terminal that nobody holds with an error.
            pass
    os.close(ours)
    return shown.decode().replace("\r\n", "\n")


if __name__ == "__main__":
    main()
