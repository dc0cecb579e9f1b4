"""What a check finds."""

from enum import StrEnum

from msgspec import Struct


class Level(StrEnum):
    """How severe a finding is: all is well, a warning, or a fault that stops delivery."""

    OK = "ok"
    WARN = "warn"
    WRONG = "wrong"


class Finding(Struct, frozen=True):
    """One check's result; `advice` says what to do next, and is there unless all is well.

    Raises ValueError where it is missing.
    """

    check: str
    level: Level
    says: str
    advice: str = ""

    def __post_init__(self) -> None:
        if self.level is not Level.OK and not self.advice:
            raise ValueError(f"{self.check} says no next step")


def ok(check: str, says: str) -> Finding:
    """Make a finding that all is well."""
    return Finding(check, Level.OK, says)


def warning(check: str, says: str, advice: str) -> Finding:
    """Make a finding that is worth a look."""
    return Finding(check, Level.WARN, says, advice)


def failure(check: str, says: str, advice: str) -> Finding:
    """Make a finding that is in the way of delivery."""
    return Finding(check, Level.WRONG, says, advice)
