"""Checks a Loki: from its name to a line that was pushed and read back.

The checks stop at a fault that hides all later results.
"""

import json
import re
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from msgspec import Struct

from loki_shipper.doctor.connection import check_connection
from loki_shipper.doctor.finding import Finding, Level, duration_text, failure, ok, warning
from loki_shipper.doctor.limits import check_limits
from loki_shipper.doctor.probe import LokiProbe, Reply
from loki_shipper.doctor.round_trip import find_stream
from loki_shipper.formats import PUSH_PATH
from loki_shipper.model import Batch, Entry, LogEvent, Pairs, Stream
from loki_shipper.settings import Settings
from loki_shipper.shipper.delivery.answer import Answer, NoAnswer
from loki_shipper.shipper.delivery.judge import (
    Accepted,
    Busy,
    Denied,
    MetadataRefused,
    Misconfigured,
    Refused,
    TooFarBehind,
    cause,
    judge,
)

SERVICE = "loki-shipper-doctor"
_SECOND = 1_000_000_000
_DAY = 86_400.0

_SKEW_SEEN, _SKEW_HARMS = 30.0, 300.0
"""Seconds; Loki rejects lines from ten minutes in the future."""

_LABEL_LIMIT = re.compile(r"label names; limit:? (\d+)")
_LONGEST_BODY = 160


class DoctorLine(Struct, frozen=True):
    """The line that the checks push: its stream, its text, its time in ns since 1970."""

    stream: Stream
    line: str
    timestamp: int

    def batch(self, metadata: Pairs) -> Batch:
        """Return the batch to push, with this structured metadata."""
        event = LogEvent(0, self.timestamp // 1_000_000, self.line)
        return Batch(self.stream, [Entry(self.timestamp, self.line, metadata, event)])


def check_loki(settings: Settings, probe: LokiProbe, name: str) -> Iterator[Finding]:
    """Check a Loki, finding by finding; `name` is unique to this run and part of the test line."""
    for finding in check_connection(probe):
        yield finding
        if finding.level is Level.WRONG:
            return
    before = probe.clock()
    reply = probe.get("/loki/api/v1/labels", {"start": str(int((before - _DAY) * _SECOND))})
    skew = _skew(reply, (before + probe.clock()) / 2)
    yield _clock(skew)
    # A Loki that requires labels gets them from the static ones.
    labels = {**dict(settings.static_labels), "service_name": SERVICE, "source": "loki-shipper"}
    stream = Stream(settings.loki_tenant, tuple(sorted(labels.items())))
    # A wrong clock is one finding: the later checks use Loki's time.
    now = probe.clock() + (skew if skew is not None and abs(skew) > _SKEW_SEEN else 0.0)
    line = DoctorLine(stream, f"loki-shipper doctor {name}", int(now * 1000) * 1_000_000)
    yield from _push(settings, probe, line, _tenant(settings.loki_tenant, reply))


def _skew(reply: Reply | NoAnswer, at: float) -> float | None:
    """Return by how many seconds the server's clock is ahead; None if it sends no date."""
    if isinstance(reply, NoAnswer) or reply.date is None:
        return None
    # A date header has whole seconds only.
    return reply.date + 0.5 - at


def _clock(skew: float | None) -> Finding:
    if skew is None:
        says = "no answer has a date, so the clocks could not be compared"
        return warning("clock", says, "compare the clocks of Loki and this machine yourself")
    if abs(skew) <= _SKEW_SEEN:
        return ok("clock", "the clocks of Loki and this machine agree")
    says = f"Loki is {duration_text(abs(skew))} {'ahead of' if skew > 0 else 'behind'} this machine"
    advice = "set both by NTP: Loki rejects lines from ten minutes ahead or seven days ago"
    return (failure if abs(skew) > _SKEW_HARMS else warning)("clock", says, advice)


def _tenant(tenant: str | None, reply: Reply | NoAnswer) -> Finding | None:
    """Report whether a tenant has lines; Loki accepts any name for a tenant."""
    if tenant is None or isinstance(reply, NoAnswer) or reply.status != HTTPStatus.OK:
        return None
    if _json(reply.body).get("data"):
        return ok("tenant", f"{tenant} has lines of the last day")
    says = f"{tenant} has no lines of the last day"
    return warning("tenant", says, "fine if it is new; else correct LOKI_TENANT")


def _push(
    settings: Settings, probe: LokiProbe, line: DoctorLine, tenant: Finding | None
) -> Iterator[Finding]:
    url = settings.loki_url
    metadata: Pairs = (("doctor", SERVICE),) if settings.structured_metadata else ()
    answer = probe.push(line.batch(metadata), url)
    if fault := _refusal(answer, settings, probe, line):
        yield fault
        return
    yield ok("path", f"{urlsplit(url).path} accepts pushes")
    yield ok("auth", "not required" if _is_open(settings) else "accepted")
    if tenant is not None:
        yield tenant
    disallowed = isinstance(judge(answer), MetadataRefused)
    if disallowed:
        answer = probe.push(line.batch(()), url)
    if fault := _not_written(answer):
        yield fault
        return
    yield ok("write", "Loki accepted the test line")
    found = _read_back(probe, line)
    yield found if isinstance(found, Finding) else ok("read", "Loki returned the test line")
    yield _metadata(settings, found, disallowed=disallowed)
    yield _labels(settings, probe, line)
    yield check_limits(settings, probe)


def _refusal(
    answer: Answer | NoAnswer, settings: Settings, probe: LokiProbe, line: DoctorLine
) -> Finding | None:
    """Return what is wrong with the settings of the connection, if anything."""
    if isinstance(answer, NoAnswer):
        says = f"a push gets no answer: {answer.reason}"
        return failure("write", says, "read the log of Loki, or of its gateway")
    body = answer.body.casefold()
    if "http request to an https server" in body:
        return failure("tls", "the port speaks TLS", "write https:// in LOKI_URL")
    match judge(answer):
        case Denied() if "no org id" in body and settings.tenant_tag is not None:
            says = "Loki asks for a tenant, and with TENANT_TAG each log group has its own"
            return warning("tenant", says, "name one in LOKI_TENANT to check the rest with it")
        case Denied() if "no org id" in body:
            return failure("tenant", "Loki asks for a tenant, and none is set", "set LOKI_TENANT")
        case Misconfigured(reason="tenant"):
            return failure("tenant", "Loki rejects this tenant", "correct LOKI_TENANT")
        case Denied():
            return _denied(answer, settings)
        case Misconfigured(reason="not_loki"):
            says = "a web page answers, such as a login page, and not Loki"
            advice = "correct LOKI_URL, or set the credentials that the gateway asks for"
            return failure("path", says, advice)
        case Misconfigured(reason=reason) if reason != "blocked":
            return _wrong_path(answer, settings, probe, line)
        case _:
            return None


def _denied(answer: Answer, settings: Settings) -> Finding:
    if _is_open(settings):
        says = f"Loki asks for credentials ({answer.status}), and none are set"
        return failure("auth", says, "set LOKI_SECRET (here: LOKI_USERNAME and LOKI_PASSWORD)")
    says = f"Loki refuses the credentials ({answer.status})"
    advice = "correct the value of LOKI_SECRET; the user must be allowed to write"
    tenant = settings.loki_tenant
    return failure("auth", says, advice if tenant is None else f"{advice} to tenant {tenant}")


def _wrong_path(answer: Answer, settings: Settings, probe: LokiProbe, line: DoctorLine) -> Finding:
    parts = urlsplit(settings.loki_url)
    says = f"{parts.path} accepts no pushes ({answer.status})"
    root = f"{parts.scheme}://{parts.netloc}"
    if root + PUSH_PATH != settings.loki_url:
        other = probe.push(line.batch(()), root + PUSH_PATH)
        if isinstance(other, Answer) and not _is_wrong_path(other):
            return failure("path", says, f"Loki is at the root: set LOKI_URL to {root}")
    advice = "is this Loki? If it has a gateway, LOKI_URL needs the gateway's path"
    return failure("path", says, advice)


def _is_wrong_path(answer: Answer) -> bool:
    match judge(answer):
        case Misconfigured(reason=reason):
            return reason.startswith("status_")
        case _:
            return False


def _is_open(settings: Settings) -> bool:
    named = (settings.loki_secret, settings.loki_token, settings.loki_password)
    return all(each is None for each in named)


def _not_written(answer: Answer | NoAnswer) -> Finding | None:
    """Return why Loki did not accept the test line; None if it did."""
    body = "" if isinstance(answer, NoAnswer) else f": {_excerpt(answer.body)}"
    match judge(answer):
        case Accepted():
            return None
        case Misconfigured():
            advice = "ask its operator: limits_config.block_ingestion_until, or a policy"
            return failure("write", "Loki blocks this tenant's ingestion (and drops lines)", advice)
        case Refused(complaints=[first, *_]) if first.reason in {"too_old", "too_new"}:
            says = f"for Loki, a present line is too {first.reason.removeprefix('too_')}"
            return failure("clock", says, "set Loki's clock by NTP")
        case TooFarBehind():
            says = "Loki has doctor lines from the future: a clock was ahead"
            return warning("clock", says, "set the clocks by NTP, and try again in two hours")
        case Busy(reason=reason) if cause(reason) == "limit":
            advice = "raise ingestion_rate_mb or max_global_streams_per_user for this tenant"
            return warning("write", f"Loki is at a limit{body}", advice)
        case Busy(reason=reason):
            return failure("write", f"Loki fails ({reason}){body}", "read its log")
        case _:
            advice = "raise the limit that Loki names, or correct the fault of the line"
            return failure("write", f"Loki rejects the test line{body}", advice)


def _read_back(probe: LokiProbe, line: DoctorLine) -> dict[str, str] | Finding:
    """Return the labels and structured metadata with which Loki returns the test line."""
    query = f'{{service_name="{SERVICE}"}} |= "{line.line}"'
    match find_stream(probe, query, line.timestamp - _SECOND, line.timestamp + _SECOND):
        case NoAnswer(reason):
            return warning("read", f"a query gets no answer: {reason}", "query it in Grafana")
        case Reply(status) if status in {401, 403, 404, 405}:
            says = f"Loki refuses queries ({status}): the test line was not read back"
            advice = "fine for credentials that may only write: query it in Grafana"
            return warning("read", says, advice)
        case Reply(status, body):
            return failure("read", f"queries fail ({status}): {_excerpt(body)}", "read Loki's log")
        case None:
            says = "Loki accepted the test line (2xx), and does not return it"
            advice = "is this Loki? If so: is ingestion blocked with status 200? Do queries work?"
            return failure("read", says, advice)
        case found:
            return found


def _metadata(settings: Settings, found: dict[str, str] | Finding, *, disallowed: bool) -> Finding:
    """Report whether Loki keeps structured metadata, as far as that is known."""
    if not settings.structured_metadata:
        return ok("metadata", "not sent (STRUCTURED_METADATA=off)")
    if disallowed:
        says = "Loki rejects structured metadata: log stream, level, request id are not kept"
        advice = "set allow_structured_metadata: true (schema v13), or STRUCTURED_METADATA=off"
        return warning("metadata", says, advice)
    if isinstance(found, Finding):
        says = "accepted; whether Loki keeps it is unknown, as nothing was read back"
        return warning("metadata", says, "find the details of the test line in Grafana")
    if "doctor" in found:
        return ok("metadata", "kept")
    says = "Loki drops structured metadata silently, as before 2.9"
    return warning("metadata", says, "fine, or upgrade Loki; STRUCTURED_METADATA=off saves bytes")


def _labels(settings: Settings, probe: LokiProbe, line: DoctorLine) -> Finding:
    """Push a stream with the most labels that the shipper may use."""
    renamed = {new for old, new in settings.builtin_labels if old == "service_name"}
    named = (*settings.static_labels, *((name, SERVICE) for name in renamed))
    most = settings.max_labels
    more = tuple((f"doctor_{n:02}", "1") for n in range(most - len(named)))
    stream = Stream(line.stream.tenant, tuple(sorted((*named, *more))))
    full = DoctorLine(stream, line.line, line.timestamp)
    answer = probe.push(full.batch(()), settings.loki_url)
    if isinstance(answer, Answer) and (limit := _LABEL_LIMIT.search(answer.body.casefold())):
        says = f"Loki accepts {limit[1]} labels a stream, MAX_LABELS is {most}"
        advice = f"set MAX_LABELS={limit[1]}, or raise max_label_names_per_series to {most}"
        return failure("labels", says, advice)
    if isinstance(judge(answer), Accepted):
        return ok("labels", f"a stream may have {most}, as in MAX_LABELS")
    reason = answer.reason if isinstance(answer, NoAnswer) else _excerpt(answer.body)
    says = f"Loki did not accept a stream of {most} labels: {reason}"
    return warning("labels", says, "run doctor again; if it repeats, set a lower MAX_LABELS")


def _excerpt(body: str) -> str:
    text = " ".join(body.split())
    return "".join(each if each.isprintable() else " " for each in text)[:_LONGEST_BODY]


def _json(body: str) -> dict[str, Any]:
    try:
        value = json.loads(body)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
