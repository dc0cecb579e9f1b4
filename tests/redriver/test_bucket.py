"""What waits comes oldest first, whoever wrote it, and is not listed further than needed."""

from loki_shipper.redriver.bucket import dated, rejected, waiting
from tests.redriver.memory import Memory, failed, of_lambda


def test_oldest_first_across_all_folders() -> None:
    memory = Memory()
    stored = [
        of_lambda("09.00.00", function="shipper"),
        failed("09.00.01"),
        of_lambda("09.00.02", function="a-former-shipper"),
        of_lambda("09.00.03", function="shipper"),
        failed("09.00.04"),
    ]
    for key, body in reversed(stored):
        memory.put(key, body)
    memory.put("rejected/2026/11/20/2026-11-20T08.00.00-x.json", b"")
    memory.put("tags/123456789012/eu-central-1.json", b"")
    assert [each.key for each in waiting(memory.bucket())] == [key for key, _ in stored]


def test_years_come_before_hours() -> None:
    memory = Memory()
    newer = "failed/2027/01/01/2027-01-01T00.00.00-x.json"
    older = "aws/lambda/async/shipper/2026/12/31/2026-12-31T23.59.59-y"
    memory.put(newer, b"")
    memory.put(older, b"")
    assert [each.key for each in waiting(memory.bucket())] == [older, newer]


def test_lists_no_further_than_asked() -> None:
    memory = Memory()
    for minute in range(60):
        memory.put(*failed(f"09.{minute:02}.00"))
    next(waiting(memory.bucket()))
    assert memory.listed == 1


def test_rejected_are_listed_apart() -> None:
    memory = Memory()
    memory.put(*failed("09.00.00"))
    memory.put("rejected/2026/11/20/2026-11-20T08.00.00-x.json", b"")
    assert [each.key for each in rejected(memory.bucket())] == [
        "rejected/2026/11/20/2026-11-20T08.00.00-x.json"
    ]


def test_a_key_keeps_its_date_in_every_folder() -> None:
    assert dated("aws/lambda/async/shipper/2026/11/20/a") == "2026/11/20/a"
    assert dated("failed/2026/11/20/a") == "2026/11/20/a"
    assert dated("rejected/2026/11/20/a") == "2026/11/20/a"
