"""docs/google.md agrees with the code."""

import re
from pathlib import Path

from loki_shipper.environment import declared
from loki_shipper.google.settings import BUILTIN_LABELS, GoogleSettings

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "google.md").read_text("utf-8")


def test_it_lists_the_settings_that_only_google_cloud_has() -> None:
    listed = re.findall(r"^\| `([A-Z_]+)` \|", PAGE, re.MULTILINE)
    assert sorted(listed) == sorted(declared(GoogleSettings))


def test_it_lists_the_built_in_labels() -> None:
    table = PAGE.partition("**Labels** of the stream")[2].partition("\n\nWith")[0]
    assert {*BUILTIN_LABELS} <= {*re.findall(r"`(\w+)`", table)}


def test_its_picture_shows_each_part_of_the_way() -> None:
    picture = PAGE.partition("```mermaid\n")[2].partition("```")[0]
    for part in ("Cloud Logging", "Pub/Sub topic", "Cloud Run", "Loki", "Cloud Storage"):
        assert part in picture
