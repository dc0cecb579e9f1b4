"""The README's lines for a release show only when there is one."""

import re
from pathlib import Path

import pytest

from tools.readme import NothingKeptError, released

README = (Path(__file__).parents[2] / "README.md").read_text("utf-8")
URL = "https://bucket.s3.amazonaws.com/loki-shipper-0.1.0.yaml"


def visible(text: str) -> str:
    return re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)


def test_without_a_release_its_lines_are_hidden() -> None:
    assert "uv tool install loki-shipper" not in visible(README)
    assert "console.aws.amazon.com" not in visible(README)


def test_a_release_shows_how_to_install_it_and_where_its_template_is() -> None:
    shown = visible(released(README, URL))
    assert "uv tool install loki-shipper" in shown
    assert f"templateURL={URL}&stackName=loki-shipper" in shown
    assert "TEMPLATE_URL" not in shown


def test_a_second_run_finds_nothing_to_show() -> None:
    with pytest.raises(NothingKeptError):
        released(released(README, URL), URL)
