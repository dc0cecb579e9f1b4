"""Builds the wheel, and installs it as people do: into an empty environment."""

import os
import re
import shutil
import subprocess
from pathlib import Path

CLONE = Path(__file__).resolve().parents[2]
UV = os.environ.get("UV") or shutil.which("uv") or str(CLONE / ".tools/bin/uv")
"""uv names itself to what it runs; a shim on PATH may refuse to run in another folder."""


def run(*command: str | Path, cwd: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run a command that has to succeed, with nothing of our own in its environment."""
    ours = re.compile(r"AWS_|LOKI_|PYTHON|VIRTUAL_ENV")
    kept = {name: value for name, value in os.environ.items() if not ours.match(name)}
    done = subprocess.run(
        command,
        cwd=cwd,
        env=kept | environ,
        capture_output=True,
        stdin=subprocess.DEVNULL,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def build_wheel(folder: Path) -> Path:
    """Build the wheel of this clone."""
    run(UV, "build", "--quiet", "--wheel", "--out-dir", folder, cwd=CLONE)
    [wheel] = folder.glob("*.whl")
    return wheel


def install(wheel: Path, home: Path, version: str) -> Path:
    """Install a wheel with what it asks for and no more; return the command `loki-shipper`."""
    run(UV, "venv", "--quiet", "--python", interpreter(version), "venv", cwd=home)
    python = home / "venv/bin/python"
    constraints = home / "constraints.txt"
    export = ("export", "--quiet", "--frozen", "--no-dev", "--no-hashes", "--no-emit-project")
    constraints.write_text(run(UV, *export, cwd=CLONE).stdout)
    words = ("pip", "install", "--quiet", "--python", python, "--constraints", constraints)
    run(UV, *words, wheel, cwd=home)
    return home / "venv/bin/loki-shipper"


def interpreter(version: str) -> str:
    """Find a Python as scripts/setup does: pyenv's, else what uv finds or installs."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    return next(map(str, pyenv.glob(f"versions/{version}*/bin/python{version}")), version)
