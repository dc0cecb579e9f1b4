"""The tag index: small, steady, and merged without losing what anybody wrote."""

from hypothesis import given
from hypothesis import strategies as st

from loki_shipper.shipper.labels.tag_index import (
    Tagged,
    TagIndex,
    decode_index,
    encode_index,
    index_key,
    merge,
)

NAMES = st.sampled_from(["a", "b", "c", "d"])
TAGGED = st.builds(
    Tagged, st.integers(0, 9), st.dictionaries(st.sampled_from("xy"), st.sampled_from("12"))
)
INDEXES = st.builds(TagIndex, st.dictionaries(NAMES, TAGGED), st.integers(0, 5))


def groups(index: TagIndex) -> dict[str, dict[str, str]]:
    return {name: tagged.tags for name, tagged in index.groups.items()}


def test_what_is_encoded_is_decoded_and_the_same_bytes_every_time() -> None:
    one = TagIndex({"b": Tagged(2, {"x": "ä"}), "a": Tagged(1, {})}, swept=1)
    other = TagIndex({"a": Tagged(1, {}), "b": Tagged(2, {"x": "ä"})}, swept=1)
    assert decode_index(encode_index(one)) == one
    assert encode_index(one) == encode_index(other)


def test_an_object_that_is_no_index_is_none() -> None:
    whole = encode_index(TagIndex({"a": Tagged(1, {"x": "1"})}))
    assert [decode_index(body) for body in (b"", b"{}", whole[:-9], whole[:9])] == [None] * 4


def test_the_key_names_account_and_region() -> None:
    assert index_key("123456789012", "eu-central-1") == "tags/123456789012/eu-central-1.json.gz"


def test_thirteen_thousand_log_groups_take_less_than_a_megabyte() -> None:
    tags = {"team": "payments", "env": "prod", "driver": "python", "owner": "someone@example.org"}
    index = TagIndex(
        {
            f"/aws/lambda/function-number-{n}": Tagged(1_795_000_000_000 + n, tags | {"n": str(n)})
            for n in range(13_000)
        }
    )
    assert len(encode_index(index)) < 1_000_000


def test_of_each_log_group_the_tags_read_last_stay() -> None:
    swept = TagIndex({"a": Tagged(10, {"x": "old"}), "b": Tagged(11, {"x": "b"})}, swept=10)
    event = TagIndex({"a": Tagged(12, {"x": "new"}), "c": Tagged(12, {"x": "c"})})
    assert groups(merge(swept, event)) == {"a": {"x": "new"}, "b": {"x": "b"}, "c": {"x": "c"}}


def test_a_log_group_that_a_complete_sweep_did_not_see_is_gone() -> None:
    known = TagIndex({"deleted": Tagged(5, {"x": "1"}), "new": Tagged(12, {"x": "2"})}, swept=4)
    sweep = TagIndex({"kept": Tagged(11, {"x": "3"})}, swept=10)
    assert groups(merge(known, sweep)) == {"kept": {"x": "3"}, "new": {"x": "2"}}


@given(INDEXES, INDEXES, INDEXES)
def test_the_order_of_writers_decides_nothing_but_ties(
    one: TagIndex, two: TagIndex, three: TagIndex
) -> None:
    left, right = merge(merge(one, two), three), merge(one, merge(two, three))
    assert left == right
    assert merge(one, two).groups.keys() == merge(two, one).groups.keys()
