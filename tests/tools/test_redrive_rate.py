"""The short version of scripts/redrive-rate; docs/operating.md has the figures of the long one."""

import os
from pathlib import Path

from loki_shipper.local.find_loki import Executable, NotFound, find_executable
from loki_shipper.local.progress import Tell
from tests.conftest import not_here
from tools.redrive_rate import run


def test_two_workers_ship_every_line_to_a_real_loki_once(tell: Tell, tmp_path: Path) -> None:
    found = find_executable(os.environ, tell)
    if isinstance(found, NotFound):
        not_here(found.why)
    assert isinstance(found, Executable)
    measured = run(found, tmp_path, objects=200, groups=20, workers=2, limits="stock", tell=tell)
    assert (measured.lines, measured.once, measured.left) == (10_000, 10_000, 0)
    # Objects of one log group travel together.
    assert measured.pushes < measured.objects
