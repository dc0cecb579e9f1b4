"""Reads times of Google's APIs."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

_RFC3339 = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt](\d\d):(\d\d):(\d\d)(?:\.(\d{1,9})\d*)?(?:[Zz]|([+-])(\d\d):(\d\d))"
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NS = 1_000_000_000
_LATEST = 2**63 - 1


def timestamp_ns(value: Any) -> int | None:
    """Return a time of RFC 3339 in ns since 1970; None if it is none, or before 1970."""
    found = _RFC3339.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        return None
    *date, fraction, sign, hours, minutes = found.groups()
    try:
        moment = datetime(*map(int, date), tzinfo=UTC)  # type: ignore[arg-type, misc] # six numbers
    except ValueError:
        return None
    if sign:
        shift = timedelta(hours=int(hours), minutes=int(minutes))
        moment += shift if sign == "-" else -shift
    ns = (moment - _EPOCH) // timedelta(seconds=1) * _NS + int((fraction or "0").ljust(9, "0"))
    return ns if 0 <= ns <= _LATEST else None


def rfc3339(moment: int) -> str:
    """Return a time in ns since 1970 as RFC 3339, in UTC."""
    seconds, nanoseconds = divmod(moment, _NS)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{nanoseconds:09}Z"
