"""The result of a check."""

from enum import StrEnum

from msgspec import Struct


class Level(StrEnum):
    """How severe a finding is: all is well, a warning, or a fault that stops delivery."""

    OK = "ok"
    WARN = "warn"
    WRONG = "wrong"


class Finding(Struct, frozen=True):
    """The result of one check; every level except `ok` needs `advice`, which says what to do.

    Raises ValueError without it.
    """

    check: str
    level: Level
    says: str
    advice: str = ""

    def __post_init__(self) -> None:
        if self.level is not Level.OK and not self.advice:
            raise ValueError(f"{self.check} gives no advice")


def ok(check: str, says: str) -> Finding:
    """Make a finding of a check that passed."""
    return Finding(check, Level.OK, says)


def warning(check: str, says: str, advice: str) -> Finding:
    """Make a finding that does not stop delivery."""
    return Finding(check, Level.WARN, says, advice)


def failure(check: str, says: str, advice: str) -> Finding:
    """Make a finding of a fault that stops delivery."""
    return Finding(check, Level.WRONG, says, advice)


def duration_text(seconds: float) -> str:
    """Return a duration with the largest unit of which it has two or more."""
    units = (("days", 86_400), ("hours", 3_600), ("minutes", 60), ("seconds", 1))
    name, size = next((each for each in units if seconds >= 2 * each[1]), units[-1])
    return f"{max(0.0, seconds) / size:.0f} {name}"
