"""Counts the lines in the stack's bucket by log group, folder and reason."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from itertools import islice
from typing import Any, Final

import msgspec
from msgspec import Struct

from loki_shipper.audit.model import REJECTED, BucketCounts, StoredLines
from loki_shipper.shipper.delivery.dead_letters import FIRST_LINES
from loki_shipper.shipper.sources.event import read_records

FOLDERS: Final = ("aws/lambda/", "failed/", FIRST_LINES, "later/", REJECTED)

_MOST_LISTED: Final = 100_000
"""Objects that are listed in one folder: 100 calls."""

_MOST_READ: Final = 10_000
"""Objects that are read: half a cent."""

_AT_A_TIME: Final = 256
_NOT_DELIVERED: Final = "not delivered: "
_OURS: Final = {"Failed", "First-lines", "Later", "Rejected"}


class BucketObject(Struct, frozen=True):
    """An object in a list of the bucket."""

    key: str
    written: datetime


class StoredObjectCalls(Struct, frozen=True):
    """Lists the objects of a folder, and reads several objects; a deleted one is None.

    Both raise AwsError.
    """

    objects: Callable[[str], Iterator[BucketObject]]
    read: Callable[[Sequence[str]], list[bytes | None]]


def read_bucket(
    calls: StoredObjectCalls, account: str, since: datetime
) -> tuple[dict[str, BucketCounts], bool]:
    """Count the lines of an account in objects that were written since a time, by log group.

    Tells also whether these are all; if not, no count is complete. Raises AwsError.
    """
    keys: list[str] = []
    is_complete = True
    for folder in FOLDERS:
        listed = [*islice(calls.objects(folder), _MOST_LISTED)]
        is_complete &= len(listed) < _MOST_LISTED
        keys += [each.key for each in listed if each.written >= since]
    is_complete &= len(keys) <= _MOST_READ
    lines: defaultdict[str, Counter[tuple[str, str]]] = defaultdict(Counter)
    for start in range(0, min(len(keys), _MOST_READ), _AT_A_TIME):
        some = keys[start : min(start + _AT_A_TIME, _MOST_READ)]
        for key, body in zip(some, calls.read(some), strict=True):
            for name, reason, count in _lines(body or b"", account):
                lines[name][_folder(key), reason] += count
    return {
        name: BucketCounts(
            [StoredLines(folder, reason, count) for (folder, reason), count in counts.items()],
            is_complete,
        )
        for name, counts in lines.items()
    }, is_complete


def _folder(key: str) -> str:
    return next(folder for folder in FOLDERS if key.startswith(folder))


def _lines(body: bytes, account: str) -> Iterator[tuple[str, str, int]]:
    """Give the log groups in an object, the reason, and the numbers of lines.

    The shape is that of `redriver/record.py`. An object that has another one has no lines.
    """
    stored = _decoded(body)
    match stored:
        case {"requestPayload": event}:
            pass
        case {"payload": str(text)}:
            event = _decoded(text.encode())
        case _:
            return
    reason = _reason(stored)
    for record in read_records(event):
        for data in record.payloads:
            if data.owner == account:
                yield data.log_group, reason, len(data.log_events)


def _reason(stored: Any) -> str:
    match stored:
        # Lambda's own objects have the error of the function there.
        case {
            "version": "1.0",
            "responsePayload": {"errorType": str(kind), "errorMessage": str(text)},
        }:
            is_ours = kind in {"Failed", "Rejected", "Later", "First-lines"}
            return text.removeprefix(_NOT_DELIVERED) if is_ours else ""
        case _:
            return ""


def _decoded(text: bytes) -> Any:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
