"""What waits is listed folder by folder, oldest first, and no further than needed."""

from datetime import UTC, datetime, timedelta
from itertools import chain

import pytest

from loki_shipper.redriver.bucket import EVERYTHING, Share, key_without_folder, rejected, waiting
from tests.redriver.memory import NOW, MemoryBucket, failed, of_lambda


def keys(memory: MemoryBucket, *, share: Share = EVERYTHING, after: str = "") -> list[str]:
    return [each.key for each in waiting(memory.bucket(), NOW, share=share, after=after)]


def filled(*objects: tuple[str, bytes]) -> MemoryBucket:
    memory = MemoryBucket()
    for key, body in objects:
        memory.put(key, body)
    return memory


def test_each_folder_is_listed_oldest_first() -> None:
    stored = [
        of_lambda("09.00.02", function="a-former-shipper"),
        of_lambda("09.00.00", function="shipper"),
        of_lambda("09.00.03", function="shipper"),
        failed("09.00.01"),
        failed("09.00.04"),
    ]
    memory = filled(*reversed(stored))
    for other in (
        "rejected/2026/11/20/x.json",
        "tags/1/eu.json",
        "redriver/0-of-1.json",
        "links/x",
    ):
        memory.put(other, b"")
    assert keys(memory) == [key for key, _ in stored]


def test_what_is_for_later_is_listed_when_it_is_due() -> None:
    due, not_due = (
        "later/2026/11/20/2026-11-20T12.00.00-x",
        "later/2026/11/20/2026-11-20T12.10.00-y",
    )
    assert datetime(2026, 11, 20, 12, tzinfo=UTC) == NOW
    assert keys(filled((due, b""), (not_due, b""))) == [due]


def test_what_was_written_after_the_start_is_left_out() -> None:
    memory = filled(failed("09.00.00"))
    memory.put("failed/2026/11/20/young", b"", NOW + timedelta(seconds=1))
    assert len(keys(memory)) == 1


@pytest.mark.parametrize("place", range(6))
def test_a_run_begins_behind_a_key_and_ends_there(place: int) -> None:
    stored = [
        *(of_lambda(f"09.00.0{n}") for n in range(3)),
        *(failed(f"09.00.0{n}") for n in range(3)),
    ]
    everything = [key for key, _ in stored]
    after = everything[place]
    assert keys(filled(*stored), after=after) == everything[place + 1 :] + everything[: place + 1]


@pytest.mark.parametrize(
    "after", ["aws/lambda/async/shipper/2026/11/20/2026-11-20T09.00.01", "b", "z"]
)
def test_the_key_may_be_gone_by_now(after: str) -> None:
    stored = [of_lambda("09.00.00"), of_lambda("09.00.02"), failed("09.00.00")]
    assert sorted(keys(filled(*stored), after=after)) == sorted(key for key, _ in stored)


def test_lists_no_further_than_asked() -> None:
    memory = filled(*(failed(f"09.{minute:02}.00") for minute in range(60)))
    next(waiting(memory.bucket(), NOW, share=EVERYTHING))
    assert memory.listed == 1


def test_every_object_is_in_exactly_one_share() -> None:
    memory = filled(*(failed(f"09.{minute:02}.00") for minute in range(60)))
    shares = [keys(memory, share=Share(worker, 3)) for worker in range(3)]
    assert sorted(chain(*shares)) == memory.keys()
    assert min(map(len, shares)) > 5


def test_rejected_are_listed_apart() -> None:
    memory = filled(failed("09.00.00"), ("rejected/2026/11/20/2026-11-20T08.00.00-x.json", b""))
    assert [each.key for each in rejected(memory.bucket())] == [
        "rejected/2026/11/20/2026-11-20T08.00.00-x.json"
    ]


@pytest.mark.parametrize("folder", ["aws/lambda/async/shipper", "failed", "later", "rejected"])
def test_a_key_keeps_its_date_in_every_folder(folder: str) -> None:
    assert key_without_folder(f"{folder}/2026/11/20/a") == "2026/11/20/a"
