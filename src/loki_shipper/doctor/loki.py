"""The checks of Loki: from its name to a line that was pushed and read back.

Each check says what was found and what to do about it; the network is `way`'s. The checks end
where nothing more can be told until something is put right.
"""

import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from msgspec import Struct

from loki_shipper.doctor.finding import Finding, Level, failure, ok, warning
from loki_shipper.doctor.limits import check_limits
from loki_shipper.doctor.probe import LokiProbe, Reply, UnreachableError
from loki_shipper.model import Batch, Entry, LogEvent, Pairs, Stream
from loki_shipper.settings import PUSH_PATH, Settings
from loki_shipper.shipper.delivery.answer import Answer, NoAnswer
from loki_shipper.shipper.delivery.judge import (
    Accepted,
    Busy,
    Denied,
    MetadataRefused,
    Misconfigured,
    Refused,
    TooFarBehind,
    TooLarge,
    judge,
)

SERVICE = "loki-shipper-doctor"
_SECOND = 1_000_000_000
_DAY = 86_400.0

_SKEW_SEEN, _SKEW_HARMS = 30.0, 300.0
"""Seconds; Loki refuses what is ten minutes ahead of its clock."""

_READ_BACK_WAITS = (0.0, 0.3, 0.7, 1.5, 3.0, 5.0)
_LABEL_LIMIT = re.compile(r"label names; limit:? (\d+)")
_LONGEST_BODY = 160


class Canary(Struct, frozen=True):
    """The line that is pushed: its stream, its text, its time in ns since 1970."""

    stream: Stream
    line: str
    timestamp: int

    def batch(self, metadata: Pairs) -> Batch:
        """Give the push that carries it."""
        event = LogEvent(0, self.timestamp // 1_000_000, self.line)
        return Batch(self.stream, [Entry(self.timestamp, self.line, metadata, event)])


def check_loki(settings: Settings, way: LokiProbe, name: str) -> Iterator[Finding]:
    """Check a Loki, one finding after the other; `name` is this run's own, in the canary's text."""
    for step in (_dns, _tcp, _tls):
        if finding := step(way):
            yield finding
            if finding.level is Level.WRONG:
                return
    before = way.clock()
    reply = way.get("/loki/api/v1/labels", {"start": str(int((before - _DAY) * _SECOND))})
    skew = _skew(reply, (before + way.clock()) / 2)
    yield _clock(skew)
    # A Loki that asks for labels of every stream gets them as static ones.
    labels = {**dict(settings.static_labels), "service_name": SERVICE, "source": "loki-shipper"}
    stream = Stream(settings.loki_tenant, tuple(sorted(labels.items())))
    # A wrong clock is named once, and is not to spoil the rest.
    now = way.clock() + (skew if skew is not None and abs(skew) > _SKEW_SEEN else 0.0)
    canary = Canary(stream, f"loki-shipper doctor {name}", int(now * 1000) * 1_000_000)
    yield from _push(settings, way, canary, _tenant(settings.loki_tenant, reply))


def _dns(way: LokiProbe) -> Finding | None:
    host = way.target.host
    try:
        addresses = way.resolve()
    except UnreachableError:
        return failure(
            "dns", f"{host} is not known", "correct LOKI_URL, or the DNS of this machine"
        )
    through = " (a proxy)" if way.target.proxied else ""
    return ok("dns", f"{host}{through} is {', '.join(addresses[:3])}")


def _tcp(way: LokiProbe) -> Finding | None:
    place = f"{way.target.host}:{way.target.port}"
    try:
        way.reach()
    except UnreachableError as error:
        return _no_connection(place, error)
    return ok("tcp", f"{place} takes connections")


def _no_connection(place: str, error: UnreachableError) -> Finding:
    match error.kind:
        case "refused":
            advice = "correct the port in LOKI_URL (Loki's own is 3100, a gateway's 80 or 443)"
            return failure("tcp", f"nothing listens at {place}", f"{advice}, or start Loki")
        case "silent":
            advice = "let this machine through the firewall or security group, or correct LOKI_URL"
            return failure("tcp", f"{place} does not answer at all", advice)
        case _:
            return failure("tcp", f"{place} is out of reach: {error}", "check the route to it")


def _tls(way: LokiProbe) -> Finding | None:
    if not way.target.tls:
        return None
    try:
        ends = way.shake_hands()
    except UnreachableError as error:
        return _no_tls(way.target.host, error)
    days = None if ends is None else (ends - way.clock()) / _DAY
    if days is not None and days < 14:  # noqa: PLR2004 - two weeks to act
        return warning("tls", f"the certificate ends in {days:.0f} days", "renew it")
    return ok("tls", "the certificate is trusted")


def _no_tls(host: str, error: UnreachableError) -> Finding:
    match error.kind:
        case "no_tls":
            return failure("tls", f"{host} speaks no TLS at this port", "write http:// in LOKI_URL")
        case "certificate":
            advice = "name its authority in LOKI_CA_CERT, or use the name that it is made out to"
            return failure("tls", f"the certificate is not trusted: {error}", advice)
        case _:
            advice = "if Loki asks for a client certificate, set LOKI_CLIENT_CERT and its key"
            return failure("tls", f"TLS fails: {error}", advice)


def _skew(reply: Reply | NoAnswer, at: float) -> float | None:
    """Give the seconds by which the server's clock is ahead, None where it does not say."""
    if isinstance(reply, NoAnswer) or reply.date is None:
        return None
    # A header's time is cut to whole seconds.
    return reply.date + 0.5 - at


def _clock(skew: float | None) -> Finding:
    if skew is None:
        says = "no answer says the time, so the clocks could not be compared"
        return warning("clock", says, "compare Loki's and this machine's yourself")
    if abs(skew) <= _SKEW_SEEN:
        return ok("clock", "Loki's and this machine's agree")
    off = f"Loki is {_duration(abs(skew))} {'ahead of' if skew > 0 else 'behind'} this machine"
    advice = "set both by NTP: Loki refuses lines ten minutes ahead of it, or seven days old"
    return (failure if abs(skew) > _SKEW_HARMS else warning)("clock", off, advice)


def _tenant(tenant: str | None, reply: Reply | NoAnswer) -> Finding | None:
    """Say whether a tenant has anything yet; Loki itself takes any name for one."""
    if tenant is None or isinstance(reply, NoAnswer) or reply.status != 200:  # noqa: PLR2004 - HTTP's own
        return None
    if _json(reply.body).get("data"):
        return ok("tenant", f"{tenant} has lines of the last day")
    says = f"{tenant} has no lines of the last day"
    return warning("tenant", says, "fine if it is new; else correct LOKI_TENANT")


def _push(
    settings: Settings, way: LokiProbe, canary: Canary, about_tenant: Finding | None
) -> Iterator[Finding]:
    url = settings.loki_url
    metadata: Pairs = (("doctor", SERVICE),) if settings.structured_metadata else ()
    answer = way.push(canary.batch(metadata), url)
    if fault := _refusal(answer, settings, way, canary):
        yield fault
        return
    yield ok("path", f"{urlsplit(url).path} takes pushes")
    yield ok("auth", "not asked for" if _is_open(settings) else "accepted")
    if about_tenant is not None:
        yield about_tenant
    disallowed = isinstance(judge(answer), MetadataRefused)
    if disallowed:
        answer = way.push(canary.batch(()), url)
    fault = _written(answer)
    if fault is not None:
        yield fault
        return
    yield ok("write", "the canary was taken")
    found = _read_back(way, canary)
    if isinstance(found, Finding):
        yield found
    else:
        yield ok("read", "the canary was read back")
    yield _metadata(settings, found, disallowed=disallowed)
    yield _labels(settings, way, canary)
    yield check_limits(settings, way)


def _refusal(
    answer: Answer | NoAnswer, settings: Settings, way: LokiProbe, canary: Canary
) -> Finding | None:
    """Say what is wrong with how we come to Loki, if it is that."""
    if isinstance(answer, NoAnswer):
        says = f"a push gets no answer: {answer.reason}"
        return failure("write", says, "look into the log of Loki, or of what is before it")
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
            return failure("tenant", "Loki does not take this tenant", "correct LOKI_TENANT")
        case Denied():
            return _denied(answer, settings)
        case Misconfigured(reason="not_loki"):
            says = "a web page answers, such as a login page, and not Loki"
            return failure(
                "path", says, "correct LOKI_URL, or give the gateway the credentials it asks"
            )
        case Misconfigured(reason=reason) if reason != "blocked":
            return _lost(answer, settings, way, canary)
        case _:
            return None


def _denied(answer: Answer, settings: Settings) -> Finding:
    if _is_open(settings):
        says = f"Loki asks for credentials ({answer.status}), and none are set"
        return failure("auth", says, "set LOKI_SECRET (here: LOKI_USERNAME and LOKI_PASSWORD)")
    says = f"Loki refuses the credentials ({answer.status})"
    advice = "correct what LOKI_SECRET holds; the user must be allowed to write"
    tenant = settings.loki_tenant
    return failure("auth", says, advice if tenant is None else f"{advice} to tenant {tenant}")


def _lost(answer: Answer, settings: Settings, way: LokiProbe, canary: Canary) -> Finding:
    parts = urlsplit(settings.loki_url)
    says = f"{parts.path} takes no pushes ({answer.status})"
    root = f"{parts.scheme}://{parts.netloc}"
    if root + PUSH_PATH != settings.loki_url:
        other = way.push(canary.batch(()), root + PUSH_PATH)
        if isinstance(other, Answer) and not _is_lost(other):
            return failure("path", says, f"Loki is at the root: set LOKI_URL to {root}")
    advice = "is this Loki? If a gateway is before it, LOKI_URL needs the gateway's path"
    return failure("path", says, advice)


def _is_lost(answer: Answer) -> bool:
    match judge(answer):
        case Misconfigured(reason=reason):
            return reason.startswith("status_")
        case _:
            return False


def _is_open(settings: Settings) -> bool:
    named = (settings.loki_secret, settings.loki_token, settings.loki_password)
    return all(each is None for each in named)


def _written(answer: Answer | NoAnswer) -> Finding | None:
    """Say why the canary was not taken; None: it was."""
    said = "" if isinstance(answer, NoAnswer) else f": {_excerpt(answer.body)}"
    match judge(answer):
        case Accepted():
            return None
        case Misconfigured():
            advice = "ask whoever runs it: limits_config.block_ingestion_until, or a policy"
            return failure("write", "Loki blocks this tenant's ingestion (and drops lines)", advice)
        case Refused(complaints=[first, *_]) if first.reason in {"too_old", "too_new"}:
            says = "Loki finds a line of now too " + first.reason.removeprefix("too_")
            return failure("clock", says, "set Loki's clock by NTP")
        case TooFarBehind():
            says = "Loki has newer lines of the doctor than of now: a clock was ahead"
            return warning("clock", says, "set the clocks by NTP, and try again in two hours")
        case Busy(reason="rate_limited" | "stream_limit"):
            advice = "raise ingestion_rate_mb or max_global_streams_per_user for this tenant"
            return warning("write", f"Loki is at a limit{said}", advice)
        case Busy(reason=reason):
            return failure("write", f"Loki fails ({reason}){said}", "look into its log")
        case Refused() | TooLarge() | MetadataRefused() | Denied():
            advice = "raise the limit that Loki names, or correct what it says of the line"
            return failure("write", f"Loki refuses the canary{said}", advice)


def _metadata(settings: Settings, found: dict[str, str] | Finding, *, disallowed: bool) -> Finding:
    """Say what became of structured metadata, as far as it is known."""
    if not settings.structured_metadata:
        return ok("metadata", "not sent (STRUCTURED_METADATA=off)")
    if disallowed:
        says = "Loki takes no structured metadata: log stream, level, request id are not kept"
        advice = "set allow_structured_metadata: true (schema v13), or STRUCTURED_METADATA=off"
        return warning("metadata", says, advice)
    if isinstance(found, Finding):
        says = "not refused; whether it is kept was not seen, as nothing was read back"
        return warning("metadata", says, "look at the canary's details in Grafana")
    if "doctor" in found:
        return ok("metadata", "kept")
    says = "Loki drops structured metadata without a word, as before 2.9"
    return warning("metadata", says, "fine, or upgrade Loki; STRUCTURED_METADATA=off saves bytes")


def _read_back(way: LokiProbe, canary: Canary) -> dict[str, str] | Finding:
    """Give the stream in which the canary is found, structured metadata included."""
    query = f'{{service_name="{SERVICE}"}} |= "{canary.line}"'
    deps = {
        "query": query,
        "start": str(canary.timestamp - _SECOND),
        "end": str(canary.timestamp + _SECOND),
    }
    for wait in _READ_BACK_WAITS:
        way.sleep(wait)
        reply = way.get("/loki/api/v1/query_range", deps)
        if isinstance(reply, NoAnswer):
            return warning("read", f"a query gets no answer: {reply.reason}", "ask Grafana")
        if reply.status in {401, 403, 404, 405}:
            says = f"queries are refused here ({reply.status}): the canary was not read back"
            return warning(
                "read", says, "fine for credentials that may only write: look in Grafana"
            )
        if reply.status != 200:  # noqa: PLR2004 - HTTP's own
            says = f"queries fail ({reply.status}): {_excerpt(reply.body)}"
            return failure("read", says, "look into Loki's log")
        for stream in _json(reply.body).get("data", {}).get("result", []):
            return dict(stream["stream"])
    says = "Loki took the canary (2xx), and does not give it back"
    advice = "is this Loki? If so: is ingestion blocked with status 200? Do queries reach it?"
    return failure("read", says, advice)


def _labels(settings: Settings, way: LokiProbe, canary: Canary) -> Finding:
    """Push a stream with as many labels as the shipper may give one."""
    known = {new for old, new in settings.builtin_labels if old == "service_name"}
    named = (*settings.static_labels, *((name, SERVICE) for name in known))
    more = tuple((f"doctor_{n:02}", "1") for n in range(settings.max_labels - len(named)))
    stream = Stream(canary.stream.tenant, tuple(sorted((*named, *more))))
    full = Canary(stream, canary.line, canary.timestamp)
    answer = way.push(full.batch(()), settings.loki_url)
    most = settings.max_labels
    if isinstance(answer, Answer) and (limit := _LABEL_LIMIT.search(answer.body.casefold())):
        says = f"Loki takes {limit[1]} labels a stream, MAX_LABELS is {most}"
        advice = f"set MAX_LABELS={limit[1]}, or raise max_label_names_per_series to {most}"
        return failure("labels", says, advice)
    if isinstance(judge(answer), Accepted):
        return ok("labels", f"a stream may have {most}, as MAX_LABELS says")
    said = answer.reason if isinstance(answer, NoAnswer) else _excerpt(answer.body)
    says = f"a stream of {most} labels was not taken: {said}"
    return warning("labels", says, "run doctor again; if it stays so, set a lower MAX_LABELS")


def _duration(seconds: float) -> str:
    if seconds < 120:  # noqa: PLR2004 - then minutes say more
        return f"{seconds:.0f} seconds"
    return f"{seconds / 60:.0f} minutes" if seconds < 7200 else f"{seconds / 3600:.0f} hours"  # noqa: PLR2004 - likewise


def _excerpt(body: str) -> str:
    text = " ".join(body.split())
    return "".join(each if each.isprintable() else " " for each in text)[:_LONGEST_BODY]


def _json(body: str) -> dict[str, Any]:
    try:
        value = json.loads(body)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
