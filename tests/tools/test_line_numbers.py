"""Lines of a large log file that arrived at a stand-in for Loki, counted by their numbers."""

from collections.abc import Iterator
from pathlib import Path

from cramjam import snappy

from loki_shipper.local.logproto_pb2 import EntryAdapter, PushRequest, StreamAdapter
from tools.line_numbers import Arrived, LokiOnDisk, read_arrived

BOTH = '{log_type="alb"}'


def test_lines_that_did_not_arrive_are_missing(tmp_path: Path) -> None:
    found = read_arrived(pushed(tmp_path, push(0, 1), push(3)), 4)
    assert found == Arrived(lines=4, arrived=3, same=0, other=0)
    assert not found.is_each_once


def test_a_line_that_comes_again_unchanged_is_in_loki_once(tmp_path: Path) -> None:
    found = read_arrived(pushed(tmp_path, push(0, 1), push(1, 2)), 3)
    assert found == Arrived(lines=3, arrived=3, same=1, other=0)
    assert found.is_each_once


def test_a_line_that_comes_again_with_another_nanosecond_or_label_is_in_loki_twice(
    tmp_path: Path,
) -> None:
    later, elsewhere = push(1, nanoseconds=6), push(0, labels="{}")
    found = read_arrived(pushed(tmp_path, push(0, 1), later, elsewhere), 2)
    assert found == Arrived(lines=2, arrived=2, same=0, other=2)
    assert not found.is_each_once


def test_the_bytes_of_pushes_are_told_before_compression(tmp_path: Path) -> None:
    told: list[int] = []
    loki = LokiOnDisk("http://127.0.0.1", tmp_path / "pushes")
    loki.watch = told.append
    for body in bodies(push(0), push(1)):
        loki.keep({}, body)
    one = len(push(0).SerializeToString())
    assert (told, loki.pushes) == ([one, 2 * one], 2)


def push(*numbers: int, nanoseconds: int = 5, labels: str = BOTH) -> PushRequest:
    entries = [EntryAdapter(line=f"GET https://x/orders/{n} HTTP/1.1") for n in numbers]
    for entry in entries:
        entry.timestamp.seconds, entry.timestamp.nanos = 1_795_206_000, nanoseconds
    return PushRequest(streams=[StreamAdapter(labels=labels, entries=entries)])


def bodies(*requests: PushRequest) -> Iterator[bytes]:
    for each in requests:
        yield bytes(snappy.compress_raw(each.SerializeToString()))


def pushed(folder: Path, *requests: PushRequest) -> Path:
    loki = LokiOnDisk("http://127.0.0.1", folder / "pushes")
    for body in bodies(*requests):
        loki.keep({}, body)
    return folder / "pushes"
