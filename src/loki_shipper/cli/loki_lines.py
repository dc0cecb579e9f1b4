"""Reads lines from Loki, page by page."""

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from loki_shipper.doctor.probe import Reply
from loki_shipper.local.query_loki import LokiLine
from loki_shipper.shipper.delivery.answer import NoAnswer

HEADERS = {"X-Loki-Response-Encoding-Flags": "categorize-labels"}
"""Makes Loki return structured metadata separately from the labels of a stream."""

_PATH = "/loki/api/v1/query_range"
_PAGE = 1_000
"""Lines of one answer. Loki 3.7.8 returns an empty 200 for an answer beyond gRPC's 4 MiB."""

_MOST_PAGES = 20
_LONGEST_BODY = 200
_DENIED = {401, 403}
_BUSY = 429
_FAILING = 500

type Get = Callable[[str, Mapping[str, str]], Reply | NoAnswer]
"""Sends a query: its path, which stands beside the push path, and its parameters."""


class QueryError(Exception):
    """Raised when a query fails; the message contains no secret.

    `may_pass` tells whether the same query may succeed later.
    """

    def __init__(self, message: str, *, may_pass: bool) -> None:
        super().__init__(message)
        self.may_pass = may_pass


def read_lines(get: Get, selector: str, start: int, end: int) -> tuple[list[LokiLine], bool]:
    """Read the lines of a stream selector from `start` to before `end`, in ns since 1970.

    Returns the lines in the order of their time, and whether Loki has more than 20,000. Raises
    QueryError.
    """
    lines: list[LokiLine] = []
    for _ in range(_MOST_PAGES):
        page = sorted(_page(get, selector, start, end), key=lambda line: line.timestamp)
        lines += page
        if len(page) < _PAGE:
            return lines, False
        # The page may end between two lines of the same nanosecond.
        newest = page[-1].timestamp
        start = newest if newest > start else newest + 1
    return lines, True


def _page(get: Get, selector: str, start: int, end: int) -> Iterator[LokiLine]:
    parameters = {
        "query": selector,
        "start": str(start),
        "end": str(end),
        "limit": str(_PAGE),
        "direction": "forward",
    }
    for stream in _result(get(_PATH, parameters)):
        for at, line, *rest in stream["values"]:
            metadata = (rest or [{}])[0].get("structuredMetadata", {})
            yield LokiLine(stream["stream"], int(at), line, metadata)


def _result(reply: Reply | NoAnswer) -> list[Any]:
    match reply:
        case NoAnswer(reason=reason):
            raise QueryError(f"Loki does not answer ({reason})", may_pass=True)
        case Reply(status=200, body=body):
            return _streams(body)
        case Reply(status=status) if status in _DENIED:
            raise QueryError(
                f"Loki refuses queries with these credentials ({status}): they may only allow "
                "pushes; give --loki URL, and set LOKI_TOKEN, or LOKI_USERNAME and LOKI_PASSWORD, "
                "in the environment",
                may_pass=False,
            )
        case Reply(status=status, body=body):
            message = f"Loki answers {status}: {_excerpt(body)}"
            raise QueryError(message, may_pass=status == _BUSY or status >= _FAILING)


def _streams(body: str) -> list[Any]:
    try:
        streams: list[Any] = json.loads(body)["data"]["result"]
    except (ValueError, KeyError, TypeError):
        raise QueryError(
            "something other than Loki answers: correct the URL, or log in to the gateway",
            may_pass=False,
        ) from None
    return streams


def _excerpt(body: str) -> str:
    text = " ".join(body.split())
    return "".join(each if each.isprintable() else " " for each in text)[:_LONGEST_BODY]
