"""Each line is accounted for: a healthy log group has no difference, and each loss has its size."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from loki_shipper.audit.compare import compare
from loki_shipper.audit.model import (
    AuditedGroup,
    BucketCounts,
    CloudWatchCounts,
    Difference,
    GroupAudit,
    GroupCounts,
    LokiCounts,
    NotRead,
    OwnLog,
    StoredLines,
)
from tests.audit.world import GROUP, WINDOW, Fate, Lines, sources

HEALTHY: tuple[Fate, ...] = (
    "delivered",
    "dropped",
    "saved, then redriven",
    "failed, then redriven",
)
LOSSES: tuple[Fate, ...] = (
    "not forwarded",
    "never reported",
    "deleted from the bucket",
    "dropped by Loki",
)


def lines(
    *fates: Fate, first: int = WINDOW.start - 3, last: int = WINDOW.end - 1
) -> st.SearchStrategy[list[Lines]]:
    return st.lists(
        st.builds(
            Lines,
            fate=st.sampled_from(fates),
            hour=st.integers(first, last),
            count=st.integers(1, 99),
            forwarding=st.integers(0, 1),
            queue=st.integers(0, 2),
        ),
        max_size=30,
    )


def audit(*some: Lines) -> GroupAudit:
    return compare(WINDOW, GROUP, sources(*some))


@given(lines(*HEALTHY))
def test_a_healthy_log_group_has_no_difference(some: list[Lines]) -> None:
    assert audit(*some).differences == ()


@given(lines("delivered", "dropped"), st.integers(0, 300))
def test_late_lines_are_no_difference(some: list[Lines], age: int) -> None:
    assert audit(*(replace(each, age=age) for each in some)).differences == ()


@given(
    # A line that is delayed across the end of the window may seem to be the lost one.
    lines("delivered", "dropped", first=WINDOW.start, last=WINDOW.end - 2),
    st.sampled_from(LOSSES),
    st.integers(WINDOW.start, WINDOW.end - 1),
    st.integers(1, 999),
)
def test_each_loss_is_found_with_its_size(
    some: list[Lines], loss: Fate, hour: int, lost: int
) -> None:
    found = audit(*some, Lines(loss, hour, lost))
    assert [(each.kind, each.lines) for each in found.differences] == [("missing", lost)]


@pytest.mark.parametrize(
    ("fate", "difference"),
    [
        (
            "not forwarded",
            Difference(
                "missing", 7, "not forwarded by CloudWatch Logs: was the filter there?", 1010, 1010
            ),
        ),
        (
            "never reported",
            Difference(
                "missing",
                7,
                "sent to the shipper, but neither reported by it nor in aws/lambda/: an object was "
                "deleted, or Lambda lost an event",
                1010,
                1010,
            ),
        ),
        (
            "deleted from the bucket",
            Difference("missing", 7, "gone from the bucket: an object was deleted or has expired"),
        ),
        (
            "dropped by Loki",
            Difference("missing", 7, "accepted by Loki, and not in it", 1010, 1010),
        ),
        ("rejected", Difference("rejected", 7, "in rejected/, too_old")),
        ("saved, and waiting", Difference("waiting", 7, "in failed/, blocked")),
        ("failed, and waiting", Difference("waiting", 7, "in aws/lambda/")),
    ],
)
def test_each_place_has_its_words(fate: Fate, difference: Difference) -> None:
    found = audit(Lines("delivered", 1009, 100), Lines(fate, 1010, 7))
    assert found.differences == (difference,)
    assert found.incoming == 107


def test_a_dropped_line_is_counted_by_its_rule() -> None:
    all_sources = sources(Lines("delivered", 1009, 3), Lines("dropped", 1010, 7))
    own_log = all_sources.own_log
    assert isinstance(own_log, OwnLog)
    named = replace(all_sources, own_log=replace(own_log, reasons={"dropped/health": 5}))
    found = compare(WINDOW, GROUP, named)
    assert (found.dropped, found.agrees) == ({"health": 5, "other rules": 2}, True)


def test_lines_that_a_pattern_leaves_out_are_no_difference() -> None:
    patterned = replace(GROUP, pattern="ERROR")
    healthy = sources(Lines("delivered", 1009, 3), Lines("not forwarded", 1010, 7))
    found = compare(WINDOW, patterned, healthy)
    assert (found.agrees, found.incoming, found.forwarded) == (True, 10, 3)
    lost = sources(Lines("delivered", 1009, 3), Lines("never reported", 1010, 7))
    assert compare(WINDOW, patterned, lost).lines("missing") == 7


def test_lines_before_the_log_group_was_linked_are_no_difference() -> None:
    young = replace(GROUP, since=1012)
    healthy = sources(Lines("not forwarded", 1010, 7), Lines("delivered", 1013, 3))
    assert compare(WINDOW, young, healthy).agrees
    never = replace(GROUP, since=None)
    assert compare(WINDOW, never, sources(Lines("not forwarded", 1010, 7))).notes == (
        "there is no whole hour in which it was linked",
    )


def test_a_filter_that_was_put_again_is_younger_than_its_deliveries() -> None:
    again = replace(GROUP, since=1012)
    gap = sources(
        Lines("delivered", 1009, 5), Lines("not forwarded", 1011, 7), Lines("delivered", 1013, 3)
    )
    assert compare(WINDOW, again, gap).lines("missing") == 7


def test_the_first_lines_of_a_log_group_that_was_created_again_are_no_difference() -> None:
    """CloudWatch's metrics know log groups by name. First lines are read back."""
    again = replace(GROUP, created=1010, since=1011)
    some = (
        Lines("delivered", 1005, 5),
        Lines("not forwarded", 1011, 7),
        Lines("delivered", 1013, 3),
    )
    assert compare(WINDOW, again, sources(*some)).agrees
    lost = sources(*some, Lines("not forwarded", 1014, 2))
    assert compare(WINDOW, again, lost).lines("missing") == 2


def test_a_line_that_came_twice_is_no_difference() -> None:
    once = sources(Lines("delivered", 1009, 5))
    own_log = once.own_log
    assert isinstance(own_log, OwnLog)
    twice = replace(once, own_log=replace(own_log, counts=[*own_log.counts, own_log.counts[-1]]))
    assert compare(WINDOW, GROUP, twice).agrees


def test_a_surplus_in_loki_explains_lines_that_were_shipped_by_hand() -> None:
    saved = sources(Lines("delivered", 1009, 5), Lines("deleted from the bucket", 1010, 7))
    by_hand = replace(saved, loki=LokiCounts({1009: 5, 1010: 7}))
    assert compare(WINDOW, GROUP, by_hand).agrees


def test_with_an_account_policy_the_shipper_is_compared_with_cloudwatch() -> None:
    found = sources(Lines("delivered", 1009, 5), Lines("never reported", 1010, 7))
    assert isinstance(found.cloudwatch, CloudWatchCounts)
    policy = replace(found, cloudwatch=replace(found.cloudwatch, forwarded=None))
    assert compare(WINDOW, GROUP, policy).lines("missing") == 7


def test_lines_that_may_be_in_lambdas_queue_wait() -> None:
    recent = replace(WINDOW, now=WINDOW.end)
    found = compare(recent, GROUP, sources(Lines("never reported", WINDOW.end - 3, 7)))
    [difference] = found.differences
    assert (difference.kind, difference.place) == ("waiting", "in Lambda's queue, or being shipped")


def test_old_lines_that_loki_does_not_show_yet_wait() -> None:
    recent = replace(WINDOW, now=WINDOW.end)
    found = compare(recent, GROUP, sources(Lines("dropped by Loki", WINDOW.end - 1, 7, age=4)))
    [difference] = found.differences
    assert (difference.kind, difference.place) == ("waiting", "in Loki, not visible yet")


@pytest.mark.parametrize("source", ["cloudwatch", "own_log", "bucket", "loki"])
def test_a_source_that_was_not_read_is_named_and_hides_no_other_loss(source: str) -> None:
    lost = sources(Lines("not forwarded", 1010, 7))
    found = compare(WINDOW, GROUP, replace(lost, **{source: NotRead("denied")}))
    assert any("denied" in note for note in found.notes)
    assert not found.agrees
    assert found.lines("missing") == (0 if source == "cloudwatch" else 7)


def test_without_the_bucket_lines_that_went_there_are_a_note() -> None:
    saved = sources(Lines("saved, and waiting", 1010, 7))
    found = compare(WINDOW, GROUP, replace(saved, bucket=NotRead("denied")))
    assert (found.differences, found.notes[-1]) == ((), "7 lines should be in the bucket")
    partly = replace(saved, bucket=BucketCounts([], is_complete=False))
    assert "7 lines should be in the bucket" in compare(WINDOW, GROUP, partly).notes


def test_an_older_version_without_counts_is_no_loss() -> None:
    some = sources(Lines("delivered", 1009, 3), Lines("delivered", 1015, 2))
    assert isinstance(some.own_log, OwnLog)
    counts = [each for each in some.own_log.counts if each.at >= 1015]
    upgraded = replace(some, own_log=OwnLog(counts, counts_from=1012))
    assert compare(WINDOW, GROUP, upgraded).differences == ()
    none = compare(WINDOW, GROUP, replace(some, own_log=OwnLog([], None)))
    assert none.notes == ("the shipper has logged no counts in these hours",)


def test_rejected_lines_whose_objects_are_gone_are_still_named() -> None:
    gone = replace(sources(Lines("rejected", 1010, 7)), bucket=BucketCounts([]))
    assert isinstance(gone.own_log, OwnLog)
    named = replace(gone, own_log=replace(gone.own_log, reasons={"rejected/too_old": 7}))
    [difference] = compare(WINDOW, GROUP, named).differences
    assert (difference.lines, difference.place) == (7, "rejected (too_old), no longer in rejected/")


def test_objects_that_the_redriver_set_aside_are_rejected_and_not_missing() -> None:
    saved = sources(Lines("deleted from the bucket", 1010, 7))
    aside = replace(saved, bucket=BucketCounts([StoredLines("rejected/", "poison", 7)]))
    [difference] = compare(WINDOW, GROUP, aside).differences
    assert (difference.kind, difference.place) == ("rejected", "in rejected/, poison")


def test_hours_without_a_count_of_loki_are_left_out() -> None:
    chosen: GroupCounts = sources(Lines("dropped by Loki", 1010, 7))
    left_out = replace(chosen, loki=LokiCounts({}, not_read=frozenset({1010})))
    found = compare(WINDOW, AuditedGroup("/ecs/shop", 0), left_out)
    assert found.agrees
    assert "a rule chooses the tenant" in found.notes[0]
