"""Makes large log files of a load balancer, with a number in each line."""

import random
from collections.abc import Iterator
from datetime import UTC, datetime

from isal import igzip

KEY = (
    "AWSLogs/123456789012/elasticloadbalancing/eu-central-1/2026/11/30/"
    "123456789012_elasticloadbalancing_eu-central-1_app.shop.50dc6c495c0c9188_"
    "20261130T0000Z_10.0.0.1_2soosksi.log.gz"
)
_LINES = 50_000


def packed_lines(lines: int, *, oldest: float, newest: float) -> Iterator[bytes]:
    """Give gzip of lines whose times, in s since 1970, grow from `oldest` to `newest`."""
    dice = random.Random(1)  # noqa: S311 - the same lines each time
    step = (newest - oldest) / lines
    for start in range(0, lines, _LINES):
        end = min(start + _LINES, lines)
        text = "".join(_line(n, oldest + n * step, dice) for n in range(start, end))
        yield igzip.compress(text.encode(), 1)


def _line(number: int, seconds: float, dice: random.Random) -> str:
    when = datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds")[:-6]
    chance = f"{dice.getrandbits(96):024x}"
    return (
        f"https {when}Z app/shop/50dc6c495c0c9188 2001:db8::{chance[:4]}:{number % 60_000} "
        f'10.0.{number % 7}.66:9000 0.086 0.0{number % 89} 0.037 200 200 0 {number % 7919} "GET '
        f'https://www.example.com:443/orders/{number} HTTP/1.1" "curl/7.46.0" '
        "ECDHE-RSA-AES128-GCM-SHA256 TLSv1.2 arn:aws:elasticloadbalancing:eu-central-1:"
        "123456789012:targetgroup/my-targets/73e2d6bc24d8a067 "
        f'"Root=1-{chance[:8]}-{chance}" "www.example.com" '
        '"arn:aws:acm:eu-central-1:123456789012:certificate/12345678-1234-1234-1234-123456789012" '
        f'1 {when}Z "authenticate,forward" "-" "-" "10.0.{number % 7}.66:9000" "200" "-" "-" '
        f"TID_{chance}\n"
    )
