"""docs/operating.md explains each alarm of the template, and no other."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
OPERATING = (ROOT / "docs/operating.md").read_text("utf-8")
TEMPLATE = (ROOT / "template.yaml").read_text("utf-8")


def test_every_alarm_has_its_row() -> None:
    table = OPERATING.partition("<!-- alarms -->\n")[2].partition("<!-- /alarms -->")[0]
    rows = [line for line in table.splitlines()[2:] if line]
    told = [re.findall(r"^\| `(\w+)` \| \S.* \| \S.* \|$", row)[0] for row in rows]
    raised = re.findall(r"^  (\w+):\n    Type: AWS::CloudWatch::Alarm$", TEMPLATE, re.MULTILINE)
    assert sorted(told) == sorted(raised)


def test_the_files_that_it_names_exist() -> None:
    linked = re.findall(r"\]\(([\w./-]+)(?:#[\w-]+)?\)", OPERATING)
    assert linked
    assert [name for name in linked if not (ROOT / "docs" / name).is_file()] == []
    scripts = re.findall(r"\./(scripts/[\w-]+)", OPERATING)
    assert [name for name in scripts if not (ROOT / name).is_file()] == []


def test_the_page_replaces_every_word_of_the_permissions() -> None:
    permissions = (ROOT / "docs/deploy-permissions.json").read_text("utf-8")
    words = {"ACCOUNT", "BUCKET", "PARTITION", "REGION", "STACK"}
    assert {*re.findall(r"\b[A-Z]{5,}\b", permissions)} == words
    assert all(f"s/{word}/" in OPERATING for word in words)
