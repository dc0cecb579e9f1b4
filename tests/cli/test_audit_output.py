"""The text of an audit says what was compared, and what was not."""

from loki_shipper.audit.model import Difference, GroupAudit, Window
from loki_shipper.cli.audit_output import audit_text

WINDOW = Window(1000, 1024, 1031)
HEALTHY = GroupAudit(name="/a", incoming=1200, forwarded=1200, received=1200, loki=1200)
YOUNG = GroupAudit(name="/young", notes=("there is no whole hour in which it was linked",))
LOSS = Difference("missing", 3, "gone from the bucket", 1002, 1003)


def lines_of(*audits: GroupAudit) -> list[str]:
    return [line.plain for line in audit_text(audits, WINDOW, every=False)]


def test_a_log_group_that_agrees_has_its_numbers() -> None:
    _, title, row, summary = lines_of(HEALTHY)
    assert title.split() == [
        *("log", "group", "CloudWatch", "forwarded", "shipper", "dropped", "Loki", "result"),
    ]
    assert row.split() == ["/a", "1,200", "1,200", "1,200", "0", "1,200", "agrees"]
    assert summary == "1 of 1 log group agrees, 1,200 lines"


def test_a_log_group_that_was_linked_later_does_not_seem_to_agree() -> None:
    _, _, _, row, note, summary = lines_of(HEALTHY, YOUNG)
    assert row.split() == ["/young", "-", "-", "-", "-", "-", "nothing", "to", "compare"]
    assert note == "note: there is no whole hour in which it was linked (1 log group)"
    assert summary == "1 of 2 log groups agree, 1,200 lines, nothing to compare in 1 log group"


def test_a_difference_has_its_size_its_place_and_its_hours() -> None:
    lost = GroupAudit(name="/b", incoming=1200, differences=(LOSS,))
    _, _, row, summary = lines_of(lost)
    assert row.endswith(
        "missing: 3 of 1,200 lines: gone from the bucket (1970-02-11 18:00 to 1970-02-11 20:00)"
    )
    assert summary == "0 of 1 log group agrees, 1,200 lines, 3 missing"
