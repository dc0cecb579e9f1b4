"""Files of the project that commands read: a clone's own, or the copies that the wheel has."""

from pathlib import Path
from typing import Final

_PACKAGE: Final = Path(__file__).parent
_COPIES: Final = _PACKAGE / "bundled"


def bundled(name: str) -> Path:
    """Return the path of a file or folder, named as in a clone: `events/lambda.json`.

    A wheel has those that pyproject.toml lists under `force-include`.
    """
    return (_PACKAGE.parents[1] if in_clone() else _COPIES) / name


def in_clone() -> bool:
    """Tell whether this code runs in a clone, not from an installed wheel."""
    return not _COPIES.is_dir()


def sample_events() -> dict[str, Path]:
    """Return the sample events by name, such as `lambda` and `ecs`."""
    return {path.stem: path for path in sorted(bundled("events").glob("*.json"))}
