"""Finds the project's files that commands read: in the clone, or copied into the wheel."""

from pathlib import Path
from typing import Final

_PACKAGE: Final = Path(__file__).parent
_COPIES: Final = _PACKAGE / "bundled"


def bundled(name: str) -> Path:
    """Return the path of a file or folder, with its name in a clone: `events/lambda.json`.

    `force-include` in pyproject.toml lists the copies in a wheel.
    """
    return (_PACKAGE.parents[1] if in_clone() else _COPIES) / name


def in_clone() -> bool:
    """Tell whether this code runs in a clone, and not from a wheel."""
    return not _COPIES.is_dir()


def sample_events() -> dict[str, Path]:
    """Return the sample events by name, such as `lambda` and `ecs`."""
    return {path.stem: path for path in sorted(bundled("events").glob("*.json"))}
