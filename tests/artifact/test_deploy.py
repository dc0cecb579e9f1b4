"""`loki-shipper deploy` makes the same files from the package as `sam build` from a clone."""

import os
from pathlib import Path

from loki_shipper.deployment.artifact import find_compiler, function_artifact, layer_artifact
from loki_shipper.template import LAYERS
from tools.artifact import SamArtifact


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith((".", "RECORD", "INSTALLER"))
    }


def test_the_functions_are_the_same(artifact: SamArtifact, tmp_path: Path) -> None:
    function_artifact(find_compiler(os.environ), os.environ).fill(tmp_path)
    assert contents(tmp_path).keys() == contents(artifact.function).keys()
    assert contents(tmp_path) == contents(artifact.function)


def test_the_layers_are_the_same(artifact: SamArtifact, tmp_path: Path) -> None:
    for architecture, name in LAYERS.items():
        folder = tmp_path / architecture
        layer_artifact(architecture, find_compiler(os.environ), os.environ).fill(folder)
        assert contents(folder) == contents(artifact.layer.with_name(name))
