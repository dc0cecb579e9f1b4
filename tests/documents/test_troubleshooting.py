"""docs/troubleshooting.md gives the reason of each answer as the shipper does."""

import inspect
import re
from pathlib import Path
from typing import assert_never

import pytest

from loki_shipper.shipper.delivery import deliver, judge, push
from loki_shipper.shipper.delivery.answer import Answer
from loki_shipper.shipper.delivery.judge import (
    Accepted,
    Busy,
    Denied,
    MetadataRefused,
    Misconfigured,
    Refused,
    TooFarBehind,
    TooLarge,
)

DOCUMENT = (Path(__file__).resolve().parents[2] / "docs" / "troubleshooting.md").read_text("utf-8")
TABLE = DOCUMENT.partition("<!-- answers -->\n")[2].partition("<!-- /answers -->")[0]
ROWS = [row.strip("| ").split(" | ") for row in TABLE.splitlines()[2:]]


def reason(verdict: judge.Verdict) -> str:
    match verdict:
        case Accepted():
            return "delivered"
        case Refused(complaints=[complaint, *_]):
            return complaint.reason
        case Refused():
            raise AssertionError
        case TooFarBehind():
            return "late"
        case MetadataRefused():
            return "without metadata"
        case TooLarge():
            return "halved"
        case Busy(reason=why) | Misconfigured(reason=why):
            return why
        case Denied():
            return "denied"
        case _:
            assert_never(verdict)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0][:40])
def test_an_answer_has_the_reason_that_the_table_gives(row: list[str]) -> None:
    answer, told, *_ = (cell.strip("`") for cell in row)
    status, _, body = answer.partition(" ")
    assert reason(judge.judge(Answer(int(status), body))) == told


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0][:40])
def test_an_answer_has_something_to_do(row: list[str]) -> None:
    assert len(row) == 4
    assert all(cell.strip() for cell in row)


def test_every_reason_in_the_code_is_explained() -> None:
    source = "".join(map(inspect.getsource, (judge, deliver, push)))
    given = re.findall(
        r'(?:Complaint|Busy|Misconfigured|NoAnswer|Rejected)\([^"()]*"(\w+)"', source
    )
    given += re.findall(r'return "(\w+)"', inspect.getsource(push))
    missing = {each for each in given if f"`{each}`" not in DOCUMENT}
    assert len(set(given)) > 15
    assert missing == set()
