"""The short version of scripts/soak: no line is lost, and no line is in Loki twice."""

import os

from loki_shipper.local.find_loki import Executable, NotFound, find_executable
from loki_shipper.local.progress import Tell
from tests.conftest import not_here
from tools.artifact import build_artifact
from tools.soak import soak


def test_every_line_is_in_loki_exactly_once(tell: Tell) -> None:
    found = find_executable(os.environ, tell)
    if isinstance(found, NotFound):
        not_here(found.why)
    assert isinstance(found, Executable)
    artifact = build_artifact(os.environ, tell)
    soaked = soak(12_000, seed=1, artifact=artifact, found=found, tell=tell)
    assert (soaked.lines, soaked.once, soaked.missing, soaked.repeated) == (12_000, 12_000, 0, 0)
    assert soaked.left == 0
    assert soaked.is_complete
    # It was a soak indeed.
    assert soaked.loki_killed == 2
    assert soaked.kept_by_lambda
    assert soaked.lines_redriven
