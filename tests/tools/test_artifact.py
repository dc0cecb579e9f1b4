"""An artifact is kept as long as its sources do not change."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tools.artifact import SamBuildError, build_artifact

SAM = """#!/bin/sh
# sam build --build-dir BUILD --template-file FILE
echo "$5" >> "$COUNT"
[ -z "$FAIL" ] || { echo "no network"; exit 1; }
mkdir -p "$3/ShipperFunction" "$3/DependenciesLayerArm64/python" "$3/DependenciesLayerX8664/python"
cp "$(dirname "$5")/src/app.py" "$3/ShipperFunction/"
"""


def silent(_: str) -> None: ...


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    clone = tmp_path / "clone"
    for name in ("src/app.py", "layers/requirements.txt", "Makefile", "template.yaml"):
        (clone / name).parent.mkdir(parents=True, exist_ok=True)
        (clone / name).write_text(name)
    (clone / "scripts").mkdir()
    (clone / "scripts/sam").write_text(SAM)
    (clone / "scripts/sam").chmod(0o755)
    return clone


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    count = tmp_path / "count"
    count.touch()
    return {
        "PATH": "/usr/bin:/bin",
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "COUNT": str(count),
    }


def builds(environ: dict[str, str]) -> int:
    return len(Path(environ["COUNT"]).read_text().splitlines())


def test_the_same_sources_are_built_once(clone: Path, environ: dict[str, str]) -> None:
    first = build_artifact(environ, silent, clone)
    (clone / "src/__pycache__").mkdir()
    (clone / "src/__pycache__/app.pyc").write_bytes(b"of no account")
    assert build_artifact(environ, silent, clone) == first
    assert builds(environ) == 1
    assert (first.function / "app.py").read_text() == "src/app.py"
    assert first.paths == (first.function, first.layer / "python")


@pytest.mark.parametrize(
    "name", ["src/app.py", "src/new.py", "layers/requirements.txt", "Makefile", "template.yaml"]
)
def test_a_change_of_any_source_is_built_again(
    clone: Path, environ: dict[str, str], name: str
) -> None:
    first = build_artifact(environ, silent, clone)
    (clone / name).write_text("changed")
    second = build_artifact(environ, silent, clone)
    assert second != first
    assert builds(environ) == 2
    assert (second.function / "app.py").read_text() == (clone / "src/app.py").read_text()


def test_two_processes_build_once(clone: Path, environ: dict[str, str]) -> None:
    with ThreadPoolExecutor(2) as pool:
        built = [*pool.map(lambda _: build_artifact(environ, silent, clone), range(2))]
    assert built[0] == built[1]
    assert builds(environ) == 1


def test_a_build_that_fails_says_why_and_leaves_nothing(
    clone: Path, environ: dict[str, str]
) -> None:
    with pytest.raises(SamBuildError, match="no network"):
        build_artifact(environ | {"FAIL": "yes"}, silent, clone)
    left = Path(environ["XDG_CACHE_HOME"], "loki-shipper").iterdir()
    assert [each.name for each in left] == ["artifact.lock"]
    build_artifact(environ, silent, clone)


def test_only_the_artifacts_that_were_used_last_are_kept(
    clone: Path, environ: dict[str, str]
) -> None:
    first = build_artifact(environ, silent, clone)
    for number in range(5):
        (clone / "src/app.py").write_text(str(number))
        last = build_artifact(environ, silent, clone)
    assert last.function.is_dir()
    assert not first.function.exists()
