"""Payloads for the benchmark: log events of 200 bytes, and the worst that Lambda lets through."""

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
    """An invocation event as it goes over the wire, and the lines in it."""

    lines: list[str]
    body: bytes

    @property
    def events(self) -> int:
        """How many log events are in it."""
        return len(self.lines)


def payload(events: int) -> Payload:
    """Give so many log events of 200 bytes, ten of them a request, as varied as real ones."""
    return _payload(list(_lines(events, LINE_BYTES)))


def largest() -> Payload:
    """Give the most that one event can unpack to: 1 MB, of lines that compress well.

    One character a line is no Latin letter, so that Python takes four bytes for each.
    """
    return _payload([f"{line}\N{PACKAGE}" for line in _lines(9_600, 3_000)])


def _payload(lines: list[str]) -> Payload:
    data = from_lines(lines, log_group=LOG_GROUP, log_stream="stream", newest=_NEWEST)
    return Payload(lines, json.dumps(invocation_event(data)).encode())


def _lines(count: int, size: int) -> Iterator[str]:
    # The same lines on every machine and on every day.
    draw = random.Random(200)  # noqa: S311 - nothing is secret here
    request = ""
    for number in range(count):
        if number % 10 == 0:
            request = str(UUID(int=draw.getrandbits(128)))
        words = " ".join(draw.choices(_WORDS, k=18))
        line = f"[INFO] 2027-01-15T08:00:00.{number % 1000:03}Z {request} {words}"
        yield line[:size].ljust(size, ".")
