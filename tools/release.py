"""Writes a release: zips for deployment, templates, the wheel, an SBOM, checksums.

With the same Python 3.13.x, the same sources give the same bytes.
"""

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import yaml

from loki_shipper import VERSION
from loki_shipper.deployment.artifact import (
    ArtifactError,
    find_compiler,
    function_artifact,
    layer_artifact,
    write_artifact,
)
from loki_shipper.local.progress import Tell, on_stream
from loki_shipper.template import LAYERS, Template, read_template, with_code
from tools.standalone import standalone

CLONE: Final = Path(__file__).parents[1]
NAME: Final = f"loki-shipper-{VERSION}"
PREFIX: Final = f"loki-shipper/{VERSION}/"
"""The default folder of the zips in a bucket, for the standalone template."""


class ReleaseError(Exception):
    """Raised when a release cannot be made; the message gives the reason."""


def release(target: Path, environ: Mapping[str, str], tell: Tell) -> list[Path]:
    """Write the release's files into a new or empty folder; list them. Raises ReleaseError."""
    target.mkdir(parents=True, exist_ok=True)
    if any(target.iterdir()):
        raise ReleaseError(f"{target} is not empty")
    _write_zips(target, environ, tell)
    tell("writing templates, the wheel and the SBOM")
    sam, plain = _templates()
    _write_template(sam, target / f"{NAME}.yaml")
    _write_template(plain, target / standalone_name())
    _write_packages(target, environ)
    _write_sbom(target / f"{NAME}-sbom.cdx.json", environ)
    sums = "".join(f"{_sha256(path)}  {path.name}\n" for path in sorted(target.iterdir()))
    (target / f"{NAME}-SHA256SUMS").write_text(sums, "utf-8")
    tell("")
    return sorted(target.iterdir())


def function_zip() -> str:
    """Return the name of the zip of the code, for all functions and architectures."""
    return f"{NAME}-function.zip"


def layer_zip(architecture: str) -> str:
    """Return the name of a layer's zip."""
    return f"{NAME}-layer-{architecture}.zip"


def standalone_name() -> str:
    """Return the name of the template without the SAM transform."""
    return f"{NAME}-standalone.yaml"


def _write_zips(target: Path, environ: Mapping[str, str], tell: Tell) -> None:
    compiler = find_compiler(environ)
    if compiler is None:
        raise ReleaseError("a release needs Python 3.13, or uv, on PATH")
    zips = {function_zip(): function_artifact(compiler, environ)}
    zips |= {layer_zip(each): layer_artifact(each, compiler, environ) for each in LAYERS}
    with TemporaryDirectory(prefix="loki-shipper-release-") as folder:
        for name, artifact in zips.items():
            tell(f"making {name}")
            try:
                shutil.move(write_artifact(artifact, Path(folder)), target / name)
            except ArtifactError as error:
                raise ReleaseError(f"{error}") from None


def _templates() -> tuple[Template, Template]:
    """Return the template for SAM, with its zips beside it, and the standalone template."""
    template = read_template()
    layers = {architecture: layer_zip(architecture) for architecture in LAYERS}
    beside = {architecture: f"./{name}" for architecture, name in layers.items()}
    sam = with_code(template, f"./{function_zip()}", beside)
    return sam, standalone(template, function_zip(), layers, PREFIX)


def _write_template(template: Template, path: Path) -> None:
    text = yaml.dump(template, Dumper=_Dumper, sort_keys=False, width=100, allow_unicode=True)
    path.write_text(text, "utf-8")


class _Dumper(yaml.SafeDumper):
    """Writes every value in full, without YAML aliases."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - pyyaml's signature
        """Write no value as an alias."""
        return True


def _write_packages(target: Path, environ: Mapping[str, str]) -> None:
    """Write the wheel and the source distribution."""
    _uv(["build", "--quiet", "--out-dir", os.fspath(target)], environ)
    # uv writes a .gitignore for its output.
    (target / ".gitignore").unlink(missing_ok=True)


def _write_sbom(path: Path, environ: Mapping[str, str]) -> None:
    """Write the layer's packages as CycloneDX."""
    export = ["export", "--quiet", "--frozen", "--only-group", "functions"]
    sbom: dict[str, Any] = json.loads(_uv([*export, "--format", "cyclonedx1.5"], environ))
    # Both change with every run.
    del sbom["serialNumber"], sbom["metadata"]["timestamp"]
    path.write_text(json.dumps(sbom, indent=1) + "\n", "utf-8")


def _uv(words: list[str], environ: Mapping[str, str]) -> str:
    uv = environ.get("UV") or shutil.which("uv", path=environ.get("PATH")) or ".tools/bin/uv"
    done = subprocess.run(
        [uv, *words], cwd=CLONE, env=dict(environ), capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise ReleaseError(f"uv {words[0]} failed: {done.stderr.strip()[-1000:]}")
    return done.stdout


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def main() -> None:
    """Write a release into a folder, and list its files."""
    parser = argparse.ArgumentParser(
        prog="scripts/release",
        description="Write the files of a release: zips for both architectures, the templates that "
        "use them, the wheel, an SBOM, and checksums.",
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
        files = release(target.resolve(), os.environ, on_stream())
    except ReleaseError as error:
        sys.exit(f"{error}")
    sys.stdout.write("".join(f"{path}\n" for path in files))


if __name__ == "__main__":
    main()
