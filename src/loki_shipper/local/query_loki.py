"""Reads entries back from a Loki."""

from collections.abc import Mapping

import requests
from msgspec import Struct


class LokiError(Exception):
    """Raised when a Loki does not start or does not answer; the message gives the reason."""


class LokiLine(Struct, frozen=True):
    """An entry that Loki returns; `timestamp` is in ns since 1970."""

    labels: dict[str, str]
    timestamp: int
    line: str
    metadata: dict[str, str]


def query_range(  # noqa: PLR0913 -- the parameters of Loki's API
    url: str,
    selector: str,
    *,
    start_ns: int,
    end_ns: int,
    tenant: str | None = None,
    limit: int = 1_000_000,
) -> list[LokiLine]:
    """Return the entries of `[start_ns, end_ns)`, ordered by time.

    Stock Loki allows 5000 entries a query; the profiles `open` and `demo` allow 1,000,000.

    Raises:
        LokiError: Loki does not answer, or not with 200.
    """
    answer = get(
        f"{url}/loki/api/v1/query_range",
        tenant,
        {
            "query": selector,
            "start": str(start_ns),
            "end": str(end_ns),
            "limit": str(limit),
            "direction": "forward",
        },
    )
    if not answer.ok:
        raise LokiError(f"Loki answered {answer.status_code}: {answer.text[:500].strip()}")
    lines = [
        # Loki 2.6 has no structured metadata and returns no third value.
        LokiLine(stream["stream"], int(at), line, (rest or [{}])[0].get("structuredMetadata", {}))
        for stream in answer.json()["data"]["result"]
        for at, line, *rest in stream["values"]
    ]
    return sorted(lines, key=lambda line: line.timestamp)


def get(
    url: str, tenant: str | None = None, params: Mapping[str, str] | None = None
) -> requests.Response:
    """Send a GET request to Loki, without a proxy.

    Raises:
        LokiError: Loki does not answer.
    """
    headers = {"X-Loki-Response-Encoding-Flags": "categorize-labels"}
    if tenant:
        headers["X-Scope-OrgID"] = tenant
    with requests.Session() as session:
        # The environment may name a proxy or a .netrc, which loopback does not need.
        session.trust_env = False
        try:
            return session.get(url, headers=headers, params=params, timeout=60)
        except requests.RequestException as error:
            raise LokiError(f"Loki does not answer: {type(error).__name__}") from None
