"""Runs commands as a person would, with an environment of the test's own."""

from collections.abc import Callable

import pytest
from click.testing import CliRunner, Result

from loki_shipper.cli import main
from loki_shipper.settings import variables

type Run = Callable[..., Result]

_CLEARED: dict[str, str | None] = dict.fromkeys(
    [*variables(), "AWS_REGION", "AWS_DEFAULT_REGION", "FORCE_COLOR", "COLUMNS"]
)


@pytest.fixture
def run() -> Run:
    """Run `loki-shipper` with these words, stdin and environment."""

    def run(*words: str, stdin: str | None = None, **environ: str) -> Result:
        runner = CliRunner(env=_CLEARED | environ)
        return runner.invoke(main, words, input=stdin, prog_name="loki-shipper")

    return run
