"""Asks Loki for the lines of the canary."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import Struct

from loki_shipper.canary.lines import Sent, decode_line
from loki_shipper.canary.measure import QueryFault
from loki_shipper.loki_names import FACTS
from loki_shipper.shipper.delivery.answer import NoAnswer
from loki_shipper.shipper.delivery.query import query

if TYPE_CHECKING:
    from collections.abc import Iterator

    from loki_shipper.lean_requests import requests
    from loki_shipper.model import Pairs

_PATH: Final = "/loki/api/v1/query_range"
_TIMEOUT: Final = (3.0, 5.0)
"""Seconds to connect, and to read."""

_LIMIT: Final = "5000"
"""Loki's default maximum. A day of the canary has fewer than 600 lines."""

_OK: Final = 200
_DENIED: Final = (401, 403)
_GROUP: Final = "log_group"


class QueryTarget(Struct, frozen=True):
    """The push URL of Loki, the tenant (None: no header), and the stream selector."""

    url: str
    tenant: str | None
    selector: str


def selector(labels: Pairs, builtin_labels: Pairs) -> str:
    """Write the stream selector of the canary's log group, by the labels that its lines have.

    If the log group is one of them, those of the tags are left out: a tag that somebody changes
    makes a new stream, and the lines before stay in the old one. `builtin_labels` are the names of
    the built-in labels, by their keys.
    """
    facts = {name for key, name in builtin_labels if key in FACTS}
    fixed = [pair for pair in labels if pair[0] in facts] if _GROUP in dict(builtin_labels) else []
    # LogQL quotes text as JSON does.
    return "{" + ",".join(f"{name}={_quoted(value)}" for name, value in fixed or labels) + "}"


def find(
    session: requests.Session, target: QueryTarget, since: int, now: int
) -> frozenset[str] | QueryFault:
    """Give the ids of the lines from a time on that Loki returns; times are in ms since 1970."""
    # Loki caches that a query found nothing, and would not see a line that arrives late. The second
    # filter excludes no line, but makes each query a new one.
    expression = f'{target.selector} |= `"canary":"sent"` != `asked at {now}`'
    parameters = {
        "query": expression,
        "start": str(since * 1_000_000),
        "end": str((now + 60_000) * 1_000_000),
        "limit": _LIMIT,
    }
    answer = query(session, target.url, _PATH, parameters, tenant=target.tenant, timeout=_TIMEOUT)
    if isinstance(answer, NoAnswer):
        return QueryFault(f"Loki does not answer: {answer.reason}")
    if answer.status_code in _DENIED:
        return QueryFault(
            f"Loki refuses queries with these credentials ({answer.status_code}): set "
            "LokiReadSecret to a secret with credentials that may read"
        )
    if answer.status_code != _OK:
        return QueryFault(f"Loki answers a query with {answer.status_code}")
    try:
        return frozenset(_runs(msgspec.json.decode(answer.content)))
    except (msgspec.DecodeError, UnicodeError, KeyError, TypeError, ValueError):
        return QueryFault("something other than Loki answers queries: set LokiReadUrl")


def _runs(body: Any) -> Iterator[str]:
    for stream in body["data"]["result"]:
        for _, line, *_ in stream["values"]:
            match decode_line(line):
                case Sent(run=run):
                    yield run


def _quoted(value: str) -> str:
    return msgspec.json.encode(value).decode()
