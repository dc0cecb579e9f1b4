"""A release: zips that can be deployed without building, the template that names them, checksums.

The same sources give the same bytes with the same Python: names are sorted, times and modes fixed,
bytecode names no place of this machine. Another Python 3.13.x may compile and compress otherwise.
"""

import argparse
import hashlib
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

import yaml

from loki_shipper import VERSION
from loki_shipper.local.artifact import CLONE, LAYERS, BuildError, copy_sources, sam_build
from loki_shipper.local.progress import Tell, on_stream

NAME: Final = f"loki-shipper-{VERSION}"
_FIRST_TIME_OF_ZIP = (1980, 1, 1, 0, 0, 0)
_PLAIN_FILE = 0o100644 << 16
_UNIX = 3


def release(
    target: Path, environ: Mapping[str, str], tell: Tell, clone: Path = CLONE
) -> list[Path]:
    """Build for both architectures, write the release's files into a folder, and list them.

    The folder must be new or empty. Raises BuildError.
    """
    target.mkdir(parents=True, exist_ok=True)
    if any(target.iterdir()):
        raise BuildError(f"{target} is not empty")
    with TemporaryDirectory(prefix="loki-shipper-release-") as name:
        copy = Path(name, "clone")
        copy_sources(clone, copy)
        build = Path(name, "build")
        sam_build(copy, build, environ, tell)
        for architecture, layer in LAYERS.items():
            write_zip(build / layer, target / layer_zip(architecture))
        template = yaml.safe_load((build / "template.yaml").read_text("utf-8"))
        _write_function([build / name for name in _functions(template)], target / function_zip())
    text = yaml.safe_dump(released(template), sort_keys=False, width=100, allow_unicode=True)
    (target / f"{NAME}.yaml").write_text(text, "utf-8")
    sums = "".join(f"{_sha256(path)}  {path.name}\n" for path in sorted(target.iterdir()))
    (target / f"{NAME}-SHA256SUMS").write_text(sums, "utf-8")
    return sorted(target.iterdir())


def function_zip() -> str:
    """Name the zip of the code, which is the same for all functions and processors."""
    return f"{NAME}-function.zip"


def layer_zip(architecture: str) -> str:
    """Name the zip of a layer."""
    return f"{NAME}-layer-{architecture}.zip"


def released(template: Mapping[str, Any]) -> dict[str, Any]:
    """Make of a built template the one whose functions and layers are the release's zips."""
    resources = {name: dict(resource) for name, resource in template["Resources"].items()}
    for architecture, name in LAYERS.items():
        _point(resources, name, ContentUri=f"./{layer_zip(architecture)}")
    for name in _functions(template):
        _point(resources, name, CodeUri=f"./{function_zip()}")
    return {**template, "Resources": resources}


def _point(resources: dict[str, Any], name: str, **uri: str) -> None:
    """Name the zip of a function or layer, which is not built any more."""
    resource = resources[name]
    del resource["Metadata"]
    resource["Properties"] = resource["Properties"] | uri


def write_zip(folder: Path, target: Path) -> None:
    """Zip a folder's files so that only names and contents matter."""
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*")}
    with ZipFile(target, "w") as archive:
        for name, path in sorted(files.items()):
            if path.is_file():
                info = ZipInfo(name, _FIRST_TIME_OF_ZIP)
                info.create_system, info.external_attr = _UNIX, _PLAIN_FILE
                archive.writestr(info, path.read_bytes(), ZIP_DEFLATED, compresslevel=9)


def _functions(template: Mapping[str, Any]) -> Iterator[str]:
    for name, resource in template["Resources"].items():
        if resource["Type"] == "AWS::Serverless::Function":
            yield name


def _write_function(folders: list[Path], target: Path) -> None:
    for folder in folders:
        other = target.with_suffix(f".{folder.name}")
        write_zip(folder, other)
        if target.exists() and other.read_bytes() != target.read_bytes():
            raise BuildError(f"{folder.name} is not like the others")
        other.replace(target)


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def main() -> None:
    """Write a release into a folder, and list its files."""
    parser = argparse.ArgumentParser(
        prog="scripts/release",
        description="Write what is published of a version: zips for both architectures, the "
        "template that uses them, and checksums.",
    )
    parser.add_argument(
        "folder",
        nargs="?",
        type=Path,
        default=CLONE / "dist",
        help="new or empty folder to write into (default: dist)",
    )
    target = parser.parse_args().folder
    try:
        files = release(target, os.environ, on_stream())
    except BuildError as error:
        sys.exit(f"{error}")
    sys.stdout.write("".join(f"{path}\n" for path in files))


if __name__ == "__main__":
    main()
