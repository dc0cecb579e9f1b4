"""docs/architecture.md names the rooms that exist, and the way that a line takes."""

import re
import sys
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from loki_shipper.local.aws import LocalAws
from loki_shipper.local.notifications import queue_event
from loki_shipper.local.receiver import Receiver
from loki_shipper.local.sample import from_lines, invocation_event
from loki_shipper.model import S3Object
from loki_shipper.settings import settings
from loki_shipper.shipper.shipper import Shipper

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src" / "loki_shipper"
PAGE = (ROOT / "docs" / "architecture.md").read_text("utf-8")
PICTURE = re.search(r"```mermaid\n(.*?)```", PAGE, re.DOTALL)
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
    delivered, stages = passed(event, shipper)
    assert delivered == 2
    assert stages == told("way")


def test_a_log_file_takes_the_way_that_the_page_describes(
    receiver: Receiver, aws: LocalAws, monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver.reset()
    for name, value in aws.environ.items():
        monkeypatch.setenv(name, value)
    s3 = aws.client("s3")
    s3.create_bucket(Bucket="my-logs", CreateBucketConfiguration={"LocationConstraint": aws.region})
    line = b"https 2026-11-20T20:20:23.186641Z app/shop/50dc6c495c0c9188 192.0.2.39:2817 - -1"
    s3.put_object(Bucket="my-logs", Key="x.log", Body=line)
    configured = settings(
        {"LOKI_URL": receiver.url, "TAG_LABELS": "none", "LOG_BUCKETS": "my-logs"}
    )
    shipper = Shipper(configured, f"arn:aws:lambda:{aws.region}:123456789012:function:log-files")
    delivered, stages = passed(queue_event([S3Object("my-logs", "x.log")], "s3"), shipper)
    assert delivered == 1
    way = told("way of a log file")
    assert [name for name in stages if name in way] == way
    # Lines then take the way of all lines, from the labels on.
    rest = told("way")[told("way").index("shipper/labels/decide.py") :]
    after = stages[stages.index("shipper/pipeline.py") + 1 :]
    assert [name for name in after if name in rest] == [name for name in rest if name in after]
    assert set(after) <= {*rest}


def told(way: str) -> list[str]:
    """Give the files that the page names, in their order."""
    [part] = re.findall(rf"<!-- {way} -->\n(.*?)<!-- /{way} -->", PAGE, re.DOTALL)
    return re.findall(r"^\d+\. `([^`]+)`", part, re.MULTILINE)


def passed(event: Any, shipper: Shipper) -> tuple[int, list[str]]:
    """Ship an event; give the number of lines that Loki got, and the files that they passed."""
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
    stages = [name for name in visited if name not in NOT_A_STAGE and not name.startswith("local/")]
    return report.delivered, stages
