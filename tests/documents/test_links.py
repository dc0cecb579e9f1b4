"""Each link between documents has a target."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

CLONE = Path(__file__).resolve().parents[2]
DOCUMENTS = [
    path
    for pattern in ("*.md", "docs/**/*.md", "compose/*.md", "events/*.md", "terraform/*.md")
    for path in sorted(CLONE.glob(pattern))
]
LINK = re.compile(r"\]\(([^)\s]+)\)")
COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)


def anchors(document: Path) -> set[str]:
    """The anchors that GitHub makes of headings."""
    headings = re.findall(r"^#+ (.+)$", document.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}


def dead(document: Path) -> Iterator[str]:
    for link in LINK.findall(COMMENT.sub("", document.read_text("utf-8"))):
        name, _, anchor = link.partition("#")
        target = document.parent / name if name else document
        if "://" in link or link.startswith("mailto:"):
            continue
        if not target.exists() or (anchor and anchor not in anchors(target)):
            yield link


@pytest.mark.parametrize(
    "document", DOCUMENTS, ids=lambda document: str(document.relative_to(CLONE))
)
def test_every_link_within_the_project_leads_somewhere(document: Path) -> None:
    assert [*dead(document)] == []


def test_a_dead_link_would_be_found(tmp_path: Path) -> None:
    document = tmp_path / "a.md"
    document.write_text("# One\n[a](a.md#one) [b](a.md#two) [c](none.md) [d](https://x.example)\n")
    assert [*dead(document)] == ["a.md#two", "none.md"]
