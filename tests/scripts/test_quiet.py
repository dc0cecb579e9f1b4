"""The scripts and the Makefile print only what a user needs."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

CLONE = Path(__file__).resolve().parents[2]
FAKE_UV = """#!/bin/sh
echo "$@" >> {calls}
case "$1" in
    sync) case "$*" in *--quiet*) ;; *) echo " + a-package==1.0" >&2 ;; esac ;;
esac
"""


def make(*words: str, cwd: Path = CLONE) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["make", "-f", str(CLONE / "Makefile"), *words],
        cwd=cwd,
        env={"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_bare_make_says_what_to_run() -> None:
    ended = make()
    assert (ended.returncode, ended.stderr) == (0, "")
    scripts = [word for word in ended.stdout.split() if word.startswith("./scripts/")]
    assert scripts
    assert all((CLONE / name).is_file() for name in scripts)


def test_a_target_of_sam_alone_deletes_nothing() -> None:
    ended = make("build-ShipperFunction")
    assert ended.returncode == 2
    assert "run ./scripts/sam build" in ended.stderr
    assert "rm" not in ended.stdout


def test_a_build_shows_no_recipe(tmp_path: Path) -> None:
    built = tmp_path / "built"
    ended = make(
        "build-ShipperFunction",
        f"ARTIFACTS_DIR={built}",
        f"PYTHON={sys.executable}",
        cwd=CLONE / "src",
    )
    assert ended.returncode == 0, ended.stderr
    assert (built / "loki_shipper" / "shipper").is_dir()
    assert "rm" not in ended.stdout
    assert "cp" not in ended.stdout


def test_setting_up_a_clone_lists_no_packages(tmp_path: Path) -> None:
    (tmp_path / "scripts").mkdir()
    shutil.copy(CLONE / "scripts" / "setup", tmp_path / "scripts")
    calls, uv = tmp_path / "calls", tmp_path / "bin" / "uv"
    uv.parent.mkdir()
    uv.write_text(FAKE_UV.format(calls=calls))
    uv.chmod(0o755)
    ended = subprocess.run(
        ["bash", "scripts/setup"],
        cwd=tmp_path,
        env={"PATH": f"{uv.parent}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "sync" in calls.read_text()
    assert ended.stdout == ""
    assert [line.partition(":")[0] for line in ended.stderr.splitlines()] == ["setup"]


def test_a_release_explains_itself_and_writes_nothing(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "tools.release", "--help"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(CLONE)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "usage: scripts/release" in ended.stdout
    assert "checksums" in ended.stdout
    assert not [*tmp_path.iterdir()]
