"""Every picture is taken by a script, shown by a document, and shows a system that works."""

import re
from pathlib import Path

import pytest

from tools.screenshots import PICTURES

CLONE = Path(__file__).resolve().parents[2]
DOCUMENTS = [CLONE / "README.md", *CLONE.glob("docs/*.md")]
LINKS = re.compile(r"!\[[^\]]+\]\(([^)]+)\)")


def words(name: str) -> str:
    """Give the text of a picture."""
    svg = (CLONE / "docs" / "images" / f"{name}.svg").read_text("utf-8")
    return " ".join(re.findall(r">([^<>]+)</text>", svg)).replace("&#160;", " ")


def test_every_picture_exists_and_is_shown() -> None:
    shown = {
        (document.parent / link).resolve()
        for document in DOCUMENTS
        for link in LINKS.findall(document.read_text("utf-8"))
        if not link.startswith("http")
    }
    assert all(path.is_file() for path in shown)
    assert {CLONE / "docs" / "images" / f"{name}.svg" for name in PICTURES} <= shown


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_is_of_the_command_and_without_a_fault(name: str) -> None:
    # The README's first picture is of a tag, and of `tail`.
    command = "tail" if name == "first" else name
    assert f"$ loki-shipper {command}" in words(name)
    for fault in ("Error", "Traceback", "Usage:", "no stack"):
        assert fault not in words(name)


def test_the_status_shows_lines_that_were_delivered() -> None:
    assert re.search(r"ago +[1-9]\d* ", words("status"))


def test_the_tail_shows_lines_with_their_delay() -> None:
    assert len(re.findall(r"\d\.\ds", words("tail"))) > 4


def test_the_doctor_finds_nothing_wrong() -> None:
    assert ", 0 wrong" in words("doctor")
