"""Formats times, delays, counts and log lines for output."""

from datetime import UTC, datetime

NS_PER_MS = 1_000_000
_CENT = 0.01


def time_text(ms: int) -> str:
    """Format a time in ms since 1970 as `2026-11-20T10:30:00.000Z`."""
    time = datetime.fromtimestamp(ms / 1000, UTC)
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def clock_text(ms: int) -> str:
    """Format the time of day of a time in ms since 1970, in UTC, as `10:30:00.000`."""
    return f"{datetime.fromtimestamp(ms / 1000, UTC):%H:%M:%S.%f}"[:-3]


def delay_text(ms: int | None) -> str:
    """Format a delay in ms as `1.2s`, `3m20s` or `2h05m`, and None as an empty text."""
    if ms is None:
        return ""
    seconds = ms / 1000
    minutes = ms // 60_000
    hours = minutes // 60
    if hours:
        return f"{hours}h{minutes % 60:02}m"
    return f"{minutes}m{int(seconds) % 60:02}s" if minutes else f"{seconds:.1f}s"


def ago_text(when: int | None, now: int) -> str:
    """Format how long ago a time was, as `5m ago`, `2h ago` or `3d ago`, and None as `-`.

    Both times are in ms since 1970.
    """
    if when is None:
        return "-"
    minutes = max(0, now - when) // 60_000
    hours, days = minutes // 60, minutes // 1440
    return f"{days}d ago" if days else f"{hours}h ago" if hours else f"{minutes}m ago"


def count_text(count: int, noun: str, plural: str = "") -> str:
    """Format a count with its noun: `1 line`, `2,000 lines`."""
    return f"{count:,} {noun if count == 1 else plural or f'{noun}s'}"


def size_text(size: int) -> str:
    """Format a number of bytes as `512 bytes`, `2.3 MB` or `1.0 GB`."""
    for name, unit in (("GB", 1_000_000_000), ("MB", 1_000_000), ("KB", 1_000)):
        if size >= unit:
            return f"{size / unit:,.1f} {name}"
    return f"{size} bytes"


def dollars_text(dollars: float) -> str:
    """Format a price in US dollars as `$1,234.50`, or say that it is below a cent."""
    return f"${dollars:,.2f}" if dollars >= _CENT else "less than a cent"


def control_escapes(newline: str) -> dict[int, str]:
    """Return a table for `str.translate` that escapes control characters, which steer terminals.

    `newline` replaces a line feed.
    """
    escapes = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160))}
    return escapes | {ord("\t"): "\t", ord("\r"): "\\r", ord("\n"): newline}
