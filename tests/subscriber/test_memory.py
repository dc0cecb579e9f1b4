"""The memory is written, read and merged with the updates of other runs."""

import gzip

from hypothesis import given
from hypothesis import strategies as st

from loki_shipper.aws.arn import Origin
from loki_shipper.subscriber.memory import (
    GroupState,
    Memory,
    MemoryUpdate,
    decode_memory,
    encode_memory,
    memory_key,
    merge_memory,
    remembered_state,
)
from loki_shipper.subscriber.model import Filter, Filters, LogGroup
from tests.subscriber.fake_aws import SHIPPER

LINKED = GroupState(1, Filters(Filter("", SHIPPER, 5), ("theirs",)), caught_up=True)
FREE = GroupState(1, Filters())


def test_comes_back_as_it_was_written() -> None:
    memory = Memory({"a": LINKED, "b": FREE}, {"c": True}, stopped=True, account_policy=True)
    assert decode_memory(encode_memory(memory)) == memory


def test_each_account_and_region_has_one_object() -> None:
    assert memory_key(Origin("aws", "eu-central-1", "123")) == "links/123/eu-central-1.json.gz"


@given(st.binary() | st.none())
def test_a_memory_that_cannot_be_read_is_empty(body: bytes | None) -> None:
    assert decode_memory(body) == Memory()


def test_an_update_changes_only_what_it_holds() -> None:
    memory = Memory({"a": LINKED, "b": LINKED}, {"x": True, "y": False}, stopped=True)
    memory_update = MemoryUpdate(
        groups={"a": None, "c": FREE}, by_hand={"x": None, "z": True}, stopped=False
    )
    assert merge_memory(memory, memory_update) == Memory(
        {"b": LINKED, "c": FREE}, {"y": False, "z": True}
    )
    assert merge_memory(memory, MemoryUpdate()) == memory


def test_an_update_of_first_lines_keeps_the_filters() -> None:
    due, other = GroupState(1, LINKED.filters, since=5), GroupState(2, Filters())
    unlinked = GroupState(1, Filters())
    memory = Memory({"a": due, "b": unlinked, "c": other})
    learned = merge_memory(memory, MemoryUpdate(caught_up={"a": 1, "b": 1, "c": 1, "gone": 1}))
    assert learned.groups == {
        "a": GroupState(1, LINKED.filters, caught_up=True, since=5),
        "b": GroupState(1, Filters(), caught_up=True),
        # Made anew under the name of the one that was caught up.
        "c": other,
    }


def test_reads_a_memory_of_an_earlier_version() -> None:
    body = b'{"groups":{"a":[1,[["","%s",5],["theirs"],false],true]},"by_hand":{"b":false}}'
    memory = decode_memory(gzip.compress(body % SHIPPER.encode()))
    assert memory == Memory({"a": LINKED}, {"b": False})


def test_tells_a_log_group_from_a_later_one_of_its_name() -> None:
    memory = Memory({"a": LINKED})
    assert remembered_state(memory, LogGroup("a", 1)) == LINKED
    assert remembered_state(memory, LogGroup("a", 2)) is None


def test_holds_13_000_log_groups_in_less_than_a_megabyte() -> None:
    groups = {f"/aws/lambda/team-{n % 40}-service-{n}": LINKED for n in range(13_000)}
    assert len(encode_memory(Memory(groups))) < 1_000_000
