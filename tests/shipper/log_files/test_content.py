"""Bytes of an object become lines or elements of an array, in bounded memory."""

import gzip
import json
import random
import tracemalloc
from collections.abc import Iterator
from itertools import chain
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loki_shipper.shipper.log_files.content import (
    BLOCK,
    MAX_ELEMENT,
    MAX_LINE,
    UnreadableError,
    elements,
    inflate,
    lines,
)


def chunks(body: bytes, size: int) -> Iterator[bytes]:
    return (body[start : start + size] for start in range(0, len(body), size))


def inflated(body: bytes, size: int = 1000) -> bytes:
    return b"".join(inflate(chunks(body, size)))


def split(*blocks: bytes) -> list[bytes]:
    return [*chain.from_iterable(lines(blocks))]


def read_array(body: bytes, name: str | None = "Records", size: int = 1000) -> list[Any]:
    return [json.loads(each) for each in chain.from_iterable(elements(chunks(body, size), name))]


@given(st.binary(max_size=5000), st.integers(1, 3000), st.booleans())
def test_a_text_is_inflated_if_it_is_gzip(text: bytes, size: int, is_gzip: bool) -> None:
    if text.startswith(b"\x1f\x8b"):
        return
    assert inflated(gzip.compress(text) if is_gzip else text, size) == text


@given(st.lists(st.binary(max_size=300), min_size=1, max_size=5), st.integers(1, 400))
def test_several_members_of_gzip_are_one_text(members: list[bytes], size: int) -> None:
    assert inflated(b"".join(map(gzip.compress, members)), size) == b"".join(members)


@pytest.mark.parametrize("garbage", [b"\0" * 512, b"garbage", b"\x1f"])
@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_what_follows_the_last_member_and_is_no_gzip_is_ignored(garbage: bytes, size: int) -> None:
    assert inflated(gzip.compress(b"text") + garbage, size) == b"text"


@pytest.mark.parametrize("kept", [2, 3, 12, 500, -1])
def test_gzip_that_is_cut_short_gives_its_begin_and_a_fault(kept: int) -> None:
    body = gzip.compress(random.Random(1).randbytes(2000))
    found: list[bytes] = []
    with pytest.raises(UnreadableError, match="cut short"):
        found.extend(inflate(chunks(body[:kept], 100)))
    assert random.Random(1).randbytes(2000).startswith(b"".join(found))


def test_broken_gzip_is_a_fault() -> None:
    body = bytearray(gzip.compress(random.Random(1).randbytes(2000)))
    body[-6] ^= 1
    with pytest.raises(UnreadableError, match="broken"):
        inflated(bytes(body))


def test_an_empty_object_has_no_text() -> None:
    assert inflated(b"") == b""
    assert split() == split(b"") == []
    assert inflated(gzip.compress(b"")) == b""


def test_gzip_of_a_gigabyte_of_zeros_takes_little_memory() -> None:
    body = gzip.compress(bytes(64 * BLOCK)) * 16
    tracemalloc.start()
    size = sum(len(line) for some in lines(inflate(chunks(body, BLOCK))) for line in some)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert size == 1024 * BLOCK
    assert peak < 16 * BLOCK


@given(st.text("ab\n\rä", max_size=60), st.integers(1, 20))
def test_lines_do_not_depend_on_the_blocks(text: str, size: int) -> None:
    body = text.encode()
    expected = body.replace(b"\r\n", b"\n").split(b"\n")
    last = expected.pop() if body.endswith((b"\n", b"")) and not expected[-1] else b""
    assert last == b""
    assert split(*chunks(body, size)) == _without_last_return(expected, body)


def _without_last_return(expected: list[bytes], body: bytes) -> list[bytes]:
    """A file may end in a return without a newline, as its writer stopped between the two."""
    if expected and body.endswith(b"\r"):
        expected[-1] = expected[-1].removesuffix(b"\r")
        return expected if expected != [b""] or body == b"\r" else []
    return expected


@pytest.mark.parametrize("size", [1000, BLOCK, BLOCK + 1, 10 * BLOCK])
def test_a_line_that_is_too_long_is_cut_between_two_characters(size: int) -> None:
    text = "x" + "ä€𝄞" * 300_000
    body = b"first\n" + text.encode() + b"\nlast"
    first, *pieces, last = split(*chunks(body, size))
    assert (first, last) == (b"first", b"last")
    assert "".join(piece.decode() for piece in pieces) == text
    assert [len(piece) > MAX_LINE - 4 for piece in pieces] == [True, True, False]
    assert max(map(len, pieces)) <= MAX_LINE


def test_a_line_that_is_too_long_and_no_utf_8_is_cut_all_the_same() -> None:
    body = b"\x80" * (2 * MAX_LINE + 5)
    assert [*map(len, split(body))] == [MAX_LINE, MAX_LINE, 5]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)


@given(st.lists(JSON, max_size=6), st.integers(1, 60), st.sampled_from([None, 1]), st.booleans())
def test_the_elements_of_an_array_do_not_depend_on_the_blocks(
    array: list[Any], size: int, indent: int | None, is_escaped: bool
) -> None:
    """The array stands between other members of its object, as in a file of AWS Config."""
    content = {"fileVersion": "1.0", "nested": {"Records": [7]}, "Records": array, "last": [8]}
    body = json.dumps(content, indent=indent, ensure_ascii=is_escaped).encode()
    assert read_array(body, size=size) == array
    assert read_array(json.dumps(array, indent=indent).encode(), None, size=size) == array


def test_an_element_is_the_text_that_the_file_has() -> None:
    body = b'{"Records": [ {"a" : 1.0e1,"b":"\\u00e4\xff"} , {} ] }'
    assert [*elements([body], "Records")] == [[b'{"a" : 1.0e1,"b":"\\u00e4\xef\xbf\xbd"}', b"{}"]]


def test_a_file_without_the_array_has_no_elements() -> None:
    assert read_array(b'{"other": [1], "more": 2}') == []
    assert read_array(b"{}") == []


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[1]",
        b'{"Records"',
        b'{"Records": 7}',
        b'{"Records": [{"a": 1}',
        b'{"Records": [{"a": 1},',
        b'{"Records": [{"a": 1} {"b": 1}]}',
        b'{"Records": [{"a": 1}, nonsense]}',
        b'{"Records": [{"a": 1}, "' + b"x" * (MAX_ELEMENT + BLOCK),
        b'{"Records": [' + b"[" * 100_000,
    ],
)
def test_json_that_is_cut_short_or_broken_is_a_fault(body: bytes) -> None:
    with pytest.raises(UnreadableError):
        read_array(body, size=BLOCK)


def test_an_array_of_100_mb_takes_little_memory() -> None:
    element = json.dumps({"eventTime": "2026-11-30T00:00:00Z", "text": "x" * 2000}).encode()
    body = chain([b'{"Records":['], (element + b"," for _ in range(50_000)), [b"1]}"])
    tracemalloc.start()
    count = sum(map(len, elements(body, "Records")))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count == 50_001
    assert peak < 16 * BLOCK
