"""What an answer to a push means; the table of `docs/troubleshooting.md`.

The messages are Loki's own, from 2.6 to 3.8, compared without regard to case. A body may name
labels, so only the fixed reasons below ever reach a log or a metric, and label values, which may
say anything, are left out before it is read.
"""

import re
from collections.abc import Iterator

from msgspec import Struct

from loki_shipper.shipper.delivery.answer import MAX_BODY, Answer, NoAnswer


class Accepted(Struct, frozen=True):
    """Loki holds the batch."""


class Refused(Struct, frozen=True):
    """Loki will never take what these complaints name; it holds the rest of the batch.

    `whole` is False where the answer was cut short: there may be more complaints than these.
    """

    complaints: tuple["Complaint", ...]
    whole: bool = True


class Complaint(Struct, frozen=True):
    """Why entries were refused, and which of the batch: all, where nothing says less.

    Those `before` a time or from a time on (`since`), both in seconds since 1970, or of lines
    `longer` than so many bytes. Loki prints whole seconds, so an entry in the same second counts
    as refused: kept once too often rather than lost.
    """

    reason: str
    before: float | None = None
    since: float | None = None
    longer: int | None = None


class TooFarBehind(Struct, frozen=True):
    """The first `ignored` of an ascending batch fell out of the stream's window.

    Of the batch Loki's ingester saw `total` entries; `cutoff`, in whole seconds since 1970, is the
    oldest time that it takes.
    """

    ignored: int | None
    total: int | None
    cutoff: float | None


class MetadataRefused(Struct, frozen=True):
    """The tenant may not send structured metadata; entries with it were not stored."""


class TooLarge(Struct, frozen=True):
    """The batch, or the entry if there is but one, is larger than something on the way takes."""


class Busy(Struct, frozen=True):
    """Not now: worth another try, `max_attempts` of them without one success between."""

    reason: str
    max_attempts: int
    retry_after: float | None = None


class Denied(Struct, frozen=True):
    """The credentials were refused."""


class Misconfigured(Struct, frozen=True):
    """Neither the entries nor time will mend it: somebody has to."""

    reason: str


type Verdict = (
    Accepted | Refused | TooFarBehind | MetadataRefused | TooLarge | Busy | Denied | Misconfigured
)

_PATIENCE_WHEN_DOWN = 4
# Halving a batch down to what a rate limit lets through takes some ten refusals in a row.
_PATIENCE_WHEN_LIMITED = 14

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


def judge(answer: Answer | NoAnswer) -> Verdict:
    """Say what an answer means for the batch."""
    match answer:
        case NoAnswer(reason=reason):
            return Busy(reason, _PATIENCE_WHEN_DOWN)
        case Answer(status=204):
            return Accepted()
        case Answer(status=200) if _is_page(answer):
            # Loki answers 204 and a gateway may answer 200, but neither with a page for people.
            return Misconfigured("not_loki")
        case Answer(status=200):
            return Accepted()
        case Answer(body=body, status=status):
            said = _LABEL_VALUE.sub("", body.casefold())
            return _by_words(status, said) or _by_status(answer, said)


def _is_page(answer: Answer) -> bool:
    body = answer.body.strip("\ufeff \t\r\n")
    return bool(body) and (answer.is_page or body.startswith("<"))


def _by_words(status: int, body: str) -> Verdict | None:
    """Judge by what the body says, where that is more than the status."""
    # HTTP 260, and whatever else an operator sets as block_ingestion_status_code.
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
            return _bad_request(body, whole=len(answer.body.encode()) < MAX_BODY)
        case 401 | 403:
            return Denied()
        case 429:
            return _limited(answer, body)
        case 408:
            return Busy("timeout", _PATIENCE_WHEN_DOWN, answer.retry_after)
        case status if status >= 500:
            return Busy("server_error", _PATIENCE_WHEN_DOWN, answer.retry_after)
        case 422:
            return Refused((Complaint("other"),))
        case status:
            return Misconfigured(f"status_{status}")


def _limited(answer: Answer, body: str) -> Verdict:
    if "maximum active stream limit" in body:
        # Until a stream has been idle for half an hour no smaller push helps.
        return Busy("stream_limit", _PATIENCE_WHEN_DOWN, answer.retry_after)
    return Busy("rate_limited", _PATIENCE_WHEN_LIMITED, answer.retry_after)


def _bad_request(body: str, *, whole: bool) -> Verdict:
    if "entry too far behind" in body or "entry out of order" in body:
        return _too_far_behind(body)
    if "structured metadata, but this feature is disallowed" in body:
        return MetadataRefused()
    if "tenant id" in body or "multiple org ids" in body or "no org id" in body:
        return Misconfigured("tenant")
    clauses = body.split("; ")
    # The last clause of an answer that was cut short may have lost its meaning.
    clauses = clauses if whole else clauses[:-1]
    unknown = () if clauses and all(map(_is_known, clauses)) else (Complaint("other"),)
    return Refused((*_complaints("; ".join(clauses)), *unknown), whole)


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
    """Tell whether `_complaints` understands one of Loki's complaints."""
    return any(pattern.search(clause) for pattern in (_TOO_OLD, _TOO_NEW, _TOO_LONG)) or any(
        words in clause for words, _ in _ALL_REFUSED
    )


def _times(pattern: re.Pattern[str], body: str) -> list[float]:
    from datetime import datetime  # noqa: PLC0415 - a refusal is rare and a cold start is not

    return [datetime.fromisoformat(text.upper()).timestamp() for text in pattern.findall(body)]
