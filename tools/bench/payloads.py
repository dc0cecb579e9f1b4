"""Makes payloads for the benchmark: log events of 200 bytes, and the largest event of Lambda."""

import json
import random
from collections.abc import Iterator
from uuid import UUID

from msgspec import Struct

from loki_shipper.local.sample import from_lines, invocation_event

LOG_GROUP = "/aws/lambda/fun-checkout"
LINE_BYTES = 200

_NEWEST = 1_800_000_000_000
_WORDS = (
    *("order", "paid", "cart", "user", "session", "retry", "timeout", "query", "rows", "cache"),
    *("miss", "hit", "worker", "queue", "message", "accepted", "rejected", "status", "latency"),
)


class Payload(Struct, frozen=True):
    """An invocation event as JSON, and its lines."""

    lines: list[str]
    body: bytes

    @property
    def events(self) -> int:
        """The number of log events."""
        return len(self.lines)


def payload(events: int) -> Payload:
    """Return a payload with varied log events of 200 bytes, ten for each request."""
    return _payload(list(_lines(events, LINE_BYTES)))


def largest() -> Payload:
    """Return the event that unpacks to the most: 1 MB of lines that compress well.

    Each line has a character for which Python stores the whole line with four bytes a character.
    """
    return _payload([f"{line}\N{PACKAGE}" for line in _lines(9_600, 3_000)])


def _payload(lines: list[str]) -> Payload:
    data = from_lines(lines, log_group=LOG_GROUP, log_stream="stream", newest=_NEWEST)
    return Payload(lines, json.dumps(invocation_event(data)).encode())


def _lines(count: int, size: int) -> Iterator[str]:
    # Every run has the same lines.
    draw = random.Random(200)  # noqa: S311 - not for secrets
    request = ""
    for number in range(count):
        if number % 10 == 0:
            request = str(UUID(int=draw.getrandbits(128)))
        words = " ".join(draw.choices(_WORDS, k=18))
        line = f"[INFO] 2027-01-15T08:00:00.{number % 1000:03}Z {request} {words}"
        yield line[:size].ljust(size, ".")
