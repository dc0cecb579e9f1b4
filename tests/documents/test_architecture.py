"""docs/architecture.md names the rooms that exist, and the way that a line takes."""

import re
import sys
from pathlib import Path
from types import FrameType

from loki_shipper.local.receiver import Receiver
from loki_shipper.local.sample import from_lines, invocation_event
from loki_shipper.settings import settings
from loki_shipper.shipper.shipper import Shipper

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src" / "loki_shipper"
PAGE = (ROOT / "docs" / "architecture.md").read_text("utf-8")
PICTURE = re.search(r"```mermaid\n(.*?)```", PAGE, re.DOTALL)
WAY = re.search(r"<!-- way -->\n(.*?)<!-- /way -->", PAGE, re.DOTALL)
NOT_A_STAGE = {
    "emf.py",
    "lean_requests.py",
    "model.py",
    "settings.py",
    "shipper/entries/metadata.py",
    "shipper/entries/protobuf.py",
    "shipper/metrics.py",
    "shipper/rules/fields.py",
    "shipper/rules/model.py",
    "shipper/rules/regex.py",
}
"""Types and small functions that stages share. They have no place of their own in the order."""


def test_the_picture_shows_the_rooms_that_exist() -> None:
    assert PICTURE is not None
    shown = set(re.findall(r'(\w+)\["\1:', PICTURE[1]))
    rooms = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert shown - {"model", "settings"} == rooms - {"bundled"}
    assert all((PACKAGE / f"{name}.py").exists() for name in ("model", "settings"))


def test_the_table_names_the_rooms_of_the_shipper_and_their_doors() -> None:
    rooms = set(re.findall(r"^\| `shipper/(\w+)` ", PAGE, re.MULTILINE))
    assert rooms == {path.parent.name for path in (PACKAGE / "shipper").glob("*/__init__.py")}
    doors = re.findall(r"^\| `shipper/([\w/]+)\S* .* \| `(\w+)\(", PAGE, re.MULTILINE)
    assert len(doors) == len(rooms) + 2
    for room, door in doors:
        place = PACKAGE / "shipper" / room
        files = (
            [place.with_suffix(".py")] if place.with_suffix(".py").exists() else place.glob("*.py")
        )
        assert any(f"\ndef {door}(" in file.read_text("utf-8") for file in files), door


def test_a_line_takes_the_way_that_the_page_describes(receiver: Receiver) -> None:
    receiver.reset()
    configured = settings({"LOKI_URL": receiver.url, "TAG_LABELS": "none"})
    shipper = Shipper(configured, "arn:aws:lambda:eu-central-1:123456789012:function:shipper")
    newest = 1_795_206_163_123
    data = from_lines(["[INFO] a", "b"], log_group="/aws/lambda/f", log_stream="s", newest=newest)
    event = invocation_event(data)
    visited: dict[str, None] = {}

    def note(frame: FrameType, what: str, _: object) -> None:
        path = Path(frame.f_code.co_filename)
        if what == "call" and path.is_relative_to(PACKAGE):
            visited[path.relative_to(PACKAGE).as_posix()] = None

    shipper.deliver(event, lambda: 60.0)  # the first one also fills caches
    sys.setprofile(note)
    try:
        report = shipper.deliver(event, lambda: 60.0)
    finally:
        sys.setprofile(None)
    assert report.delivered == 2
    stages = [name for name in visited if name not in NOT_A_STAGE and not name.startswith("local/")]
    assert WAY is not None
    assert re.findall(r"^\d+\. `([^`]+)`", WAY[1], re.MULTILINE) == stages
