"""`sam build` puts the right files into the function and the layer, and leaves out the others."""

import importlib.util
from collections.abc import Iterator
from pathlib import Path

import pytest

from loki_shipper.template import LAYERS
from tools.artifact import SamArtifact

UNCHECKED_HASH = (1).to_bytes(4, "little")


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def modules(folder: Path) -> Iterator[Path]:
    return folder.rglob("*.py")


def test_the_function_has_its_own_code_without_the_rooms_of_other_places(
    artifact: SamArtifact,
) -> None:
    assert names(artifact.function) == {"loki_shipper"}
    rooms = names(artifact.function / "loki_shipper")
    assert "shipper" in rooms
    assert not rooms & {"bundle.py", "cli", "deployment", "doctor", "google", "local"}


def test_the_layer_has_what_the_function_imports_and_no_tools(artifact: SamArtifact) -> None:
    assert names(artifact.layer) == {"python"}
    found = names(artifact.layer / "python")
    assert {"boto3", "isal", "msgspec", "requests", "snappy"} <= found
    assert not found & {"bin", "click", "rich", "pip", "moto", "pytest", "loki_shipper"}


@pytest.mark.parametrize(("architecture", "machine"), [("arm64", "aarch64"), ("x86_64", "x86_64")])
def test_a_build_has_a_layer_for_each_processor_with_its_own_wheels(
    artifact: SamArtifact, architecture: str, machine: str
) -> None:
    layer = artifact.layer.with_name(LAYERS[architecture])
    native = [path.name for path in layer.rglob("*-linux-gnu.so")]
    assert native
    assert [name for name in native if machine not in name] == []


@pytest.mark.parametrize("part", ["function", "layer"])
def test_every_module_has_bytecode_that_stays_valid_in_a_copy(
    artifact: SamArtifact, part: str
) -> None:
    folder: Path = getattr(artifact, part)
    without = [
        module
        for module in modules(folder)
        for bytecode in [Path(importlib.util.cache_from_source(str(module)))]
        if not bytecode.is_file() or bytecode.read_bytes()[4:8] != UNCHECKED_HASH
    ]
    assert without == []
    assert any(modules(folder))


def test_bytecode_names_the_places_where_lambda_unpacks_it(artifact: SamArtifact) -> None:
    """So the same sources give the same bytes on every machine."""
    settings = artifact.function / "loki_shipper/settings.py"
    requests = artifact.layer / "python/requests/api.py"
    for module, place in (
        (settings, b"/var/task/loki_shipper/settings.py"),
        (requests, b"/opt/python/requests/api.py"),
    ):
        assert place in Path(importlib.util.cache_from_source(str(module))).read_bytes()


def test_function_and_layer_fit_into_lambda_with_room_to_spare(artifact: SamArtifact) -> None:
    size = sum(
        path.stat().st_size
        for folder in (artifact.function, artifact.layer)
        for path in folder.rglob("*")
        if path.is_file()
    )
    assert size < 100 * 1024 * 1024
