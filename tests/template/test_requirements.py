"""The layer's requirements are those of uv.lock, and so that pip checks every wheel."""

import re
import subprocess
from pathlib import Path

CLONE = Path(__file__).parents[2]
REQUIREMENTS = CLONE / "layers/dependencies/requirements.txt"


def requirements() -> list[str]:
    """Give each requirement with its hashes as one line."""
    text = REQUIREMENTS.read_text().replace("\\\n", " ")
    return [line for line in text.splitlines() if not line.lstrip().startswith("#")]


def test_they_match_the_lock_file() -> None:
    command = [str(CLONE / "scripts/requirements"), "/dev/stdout"]
    locked = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert locked == REQUIREMENTS.read_text(), "run scripts/requirements"


def test_each_is_one_version_with_hashes() -> None:
    pinned = re.compile(r"[a-z0-9.-]+==\S+(\s+--hash=sha256:[0-9a-f]{64})+\s*")
    assert requirements()
    assert [line for line in requirements() if not pinned.fullmatch(line)] == []


def test_they_name_no_package_index() -> None:
    assert "//" not in REQUIREMENTS.read_text()
