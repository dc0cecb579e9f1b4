"""Every figure of the benchmark in the documents is of the one run in docs/benchmark.json."""

import json
import re
from pathlib import Path

import pytest

from tools.bench.measure import OURS, THEIRS
from tools.bench.plot import plot
from tools.bench.published import DOCUMENTS, PICTURE, filled, published

CLONE = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.stem)
def test_tables_are_those_of_the_published_run(document: Path) -> None:
    text = (CLONE / document).read_text()
    assert text.count("<!-- benchmark: ") == text.count("<!-- /benchmark -->") > 2
    assert filled(text, published(CLONE)) == text


def test_the_picture_is_that_of_the_published_run() -> None:
    assert (CLONE / PICTURE).read_text() == plot(published(CLONE).measured)


def test_the_published_run_compares_with_lambda_promtail_in_the_same_turns() -> None:
    measured = published(CLONE).measured
    assert {1, 100, 1_000, 10_000} <= measured.warm.keys()
    for by_name in measured.warm.values():
        assert {OURS, THEIRS} <= by_name.keys()


def test_no_figure_of_another_run_is_quoted() -> None:
    """Figures beside the tables say of themselves when and how they were measured."""
    text = (CLONE / "docs/performance.md").read_text()
    prose = re.sub(r"<!-- benchmark.*?/benchmark -->", "", text, flags=re.DOTALL)
    assert "times the empty handler" not in prose
    assert json.loads((CLONE / "docs/benchmark.json").read_text())["commit"]
