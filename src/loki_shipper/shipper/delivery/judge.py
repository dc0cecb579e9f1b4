"""Decides the meaning of an answer to a push: the table of `docs/troubleshooting.md`.

The messages are Loki's, from 2.6 to 3.8, compared without regard to case. A body may quote label
values, which may contain any text. So they are removed before it is searched, and only the fixed
reasons below reach a log or a metric.
"""

import re
from collections.abc import Iterator
from typing import Literal

from msgspec import Struct

from loki_shipper.shipper.delivery.answer import MAX_BODY, Answer, NoAnswer


class Accepted(Struct, frozen=True):
    """Loki holds the batch."""


class Refused(Struct, frozen=True):
    """Loki will never take the entries that the complaints name, and holds the rest of the batch.

    `complete` is False if the answer was truncated: it may have had more complaints.
    """

    complaints: tuple["Complaint", ...]
    complete: bool = True


class Complaint(Struct, frozen=True):
    """The reason why Loki refused entries of a batch, and which ones: by default all of them.

    `before` and `since` select entries by time, in seconds since 1970. `longer` selects lines of
    more bytes than that. Loki prints whole seconds, so every entry of the same second counts as
    refused: a duplicate in the bucket is better than a lost line.
    """

    reason: str
    before: float | None = None
    since: float | None = None
    longer: int | None = None


class TooFarBehind(Struct, frozen=True):
    """Loki refused the first `ignored` entries of a batch as too old for their stream.

    Loki's ingester received `total` entries of the batch. `cutoff`, in whole seconds since 1970, is
    the oldest time that it takes. None: the answer does not say so.
    """

    ignored: int | None
    total: int | None
    cutoff: float | None


class MetadataRefused(Struct, frozen=True):
    """Loki takes no structured metadata of the tenant, and stored no entry that has some."""


class TooLarge(Struct, frozen=True):
    """The batch, or its only entry, is larger than Loki or a gateway takes."""


class Busy(Struct, frozen=True):
    """A retry may succeed. Give up after `max_attempts` failures in a row."""

    reason: str
    max_attempts: int
    retry_after: float | None = None


class Denied(Struct, frozen=True):
    """Loki or a gateway refused the credentials."""


class Misconfigured(Struct, frozen=True):
    """No retry will succeed until somebody changes a setting, of the shipper or of Loki."""

    reason: str


type Verdict = (
    Accepted | Refused | TooFarBehind | MetadataRefused | TooLarge | Busy | Denied | Misconfigured
)

type Cause = Literal["settings", "limit", "failure"]
"""Somebody must change a setting, a limit of Loki is reached, or Loki or the network failed."""

_SETTINGS = ("blocked", "denied", "not_loki", "status_", "tenant")
_LIMITS = ("rate_limited", "stream_limit")

_ATTEMPTS_WHEN_DOWN = 4
# Halving a batch until a rate limit takes it needs some ten attempts in a row.
_ATTEMPTS_WHEN_LIMITED = 14

_TOO_LARGE = re.compile(r"larger? than max|request body too large|entity too large")
_IGNORED = re.compile(r"total ignored: (\d+) out of (\d+)")
_TIME = r"(\d{4}-\d\d-\d\dt\d\d:\d\d:\d\d(?:z|[+-]\d\d:\d\d))"
_OLDEST = re.compile(rf"oldest acceptable timestamp is: {_TIME}")
_TOO_OLD = re.compile(rf"has timestamp too old: \S+ oldest acceptable timestamp is: {_TIME}")
_TOO_NEW = re.compile(rf"has timestamp too new: {_TIME}")
_TOO_LONG = re.compile(r"max entry size '?(\d+)'? bytes")
_LABEL_VALUE = re.compile(r'="(?:[^"\\]|\\.)*"?')

_ALL_REFUSED = (
    ("couldn't parse labels", "labels"),
    ("at least one label pair is required", "labels"),
    ("label names", "labels"),
    ("label name too long", "labels"),
    ("label value too long", "labels"),
    ("duplicate label name", "labels"),
    ("missing required labels", "labels"),
    ("structured metadata too large", "metadata"),
    ("too many structured metadata labels", "metadata"),
    ("metadata size", "metadata"),
)


def cause(reason: str) -> Cause:
    """Give the cause of a reason for giving up a batch.

    `tenant_unknown` and `tenant_invalid`, which no answer gives, need a setting too.
    """
    if reason.startswith(_SETTINGS):
        return "settings"
    return "limit" if reason in _LIMITS else "failure"


def judge(answer: Answer | NoAnswer) -> Verdict:
    """Decide what an answer means for the batch."""
    match answer:
        case NoAnswer(reason=reason):
            return Busy(reason, _ATTEMPTS_WHEN_DOWN)
        case Answer(status=204):
            return Accepted()
        case Answer(status=200) if _is_page(answer):
            # Loki answers 204, and a gateway may answer 200, but neither answers with a web page.
            return Misconfigured("not_loki")
        case Answer(status=200):
            return Accepted()
        case Answer(body=body, status=status):
            text = _LABEL_VALUE.sub("", body.casefold())
            return _by_body(status, text) or _by_status(answer, text)


def _is_page(answer: Answer) -> bool:
    body = answer.body.strip("\ufeff \t\r\n")
    return bool(body) and (answer.is_page or body.startswith("<"))


def _by_body(status: int, body: str) -> Verdict | None:
    """Judge by the body, if it says more than the status."""
    # Loki blocks with 260, or with the block_ingestion_status_code that its operator has set.
    if status == 260 or "ingestion blocked" in body:
        return Misconfigured("blocked")
    if status == 413 or _TOO_LARGE.search(body):
        return TooLarge()
    if status == 500 and "no schema config found" in body:
        return Refused((Complaint("no_schema"),))
    return None


def _by_status(answer: Answer, body: str) -> Verdict:
    match answer.status:
        case 400:
            return _bad_request(body, complete=len(answer.body.encode()) < MAX_BODY)
        case 401 | 403:
            return Denied()
        case 429:
            return _limited(answer, body)
        case 408:
            return Busy("timeout", _ATTEMPTS_WHEN_DOWN, answer.retry_after)
        case status if status >= 500:
            return Busy("server_error", _ATTEMPTS_WHEN_DOWN, answer.retry_after)
        case 422:
            return Refused((Complaint("other"),))
        case status:
            return Misconfigured(f"status_{status}")


def _limited(answer: Answer, body: str) -> Verdict:
    if "maximum active stream limit" in body:
        # A smaller push does not help. A stream must be idle for half an hour first.
        return Busy("stream_limit", _ATTEMPTS_WHEN_DOWN, answer.retry_after)
    return Busy("rate_limited", _ATTEMPTS_WHEN_LIMITED, answer.retry_after)


def _bad_request(body: str, *, complete: bool) -> Verdict:
    if "entry too far behind" in body or "entry out of order" in body:
        return _too_far_behind(body)
    if "structured metadata, but this feature is disallowed" in body:
        return MetadataRefused()
    if "tenant id" in body or "multiple org ids" in body or "no org id" in body:
        return Misconfigured("tenant")
    clauses = body.split("; ")
    # The last clause of a truncated answer may be incomplete.
    clauses = clauses if complete else clauses[:-1]
    unknown = () if clauses and all(map(_is_known, clauses)) else (Complaint("other"),)
    return Refused((*_complaints("; ".join(clauses)), *unknown), complete)


def _too_far_behind(body: str) -> TooFarBehind:
    counted = [(int(ignored), int(total)) for ignored, total in _IGNORED.findall(body)]
    ignored, total = counted[0] if len(counted) == 1 else (None, None)
    return TooFarBehind(ignored, total, max(_times(_OLDEST, body), default=None))


def _complaints(body: str) -> Iterator[Complaint]:
    if oldest := _times(_TOO_OLD, body):
        yield Complaint("too_old", before=max(oldest) + 1)
    if too_new := _times(_TOO_NEW, body):
        yield Complaint("too_new", since=min(too_new))
    if limits := _TOO_LONG.findall(body):
        yield Complaint("too_long", longer=min(map(int, limits)))
    for words, reason in _ALL_REFUSED:
        if words in body:
            yield Complaint(reason)


def _is_known(clause: str) -> bool:
    """Tell whether `_complaints` finds a complaint in a clause."""
    return any(pattern.search(clause) for pattern in (_TOO_OLD, _TOO_NEW, _TOO_LONG)) or any(
        words in clause for words, _ in _ALL_REFUSED
    )


def _times(pattern: re.Pattern[str], body: str) -> list[float]:
    from datetime import datetime  # noqa: PLC0415 - refusals are rare, cold starts are frequent

    return [datetime.fromisoformat(text.upper()).timestamp() for text in pattern.findall(body)]
