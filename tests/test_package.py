"""The package keeps its shape: short modules, and one name for one type."""

import ast
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "src" / "loki_shipper"
MODULES = sorted(PACKAGE.rglob("*.py"))
MOST_LINES = 350


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_a_module_is_short(module: Path) -> None:
    assert len(module.read_text("utf-8").splitlines()) <= MOST_LINES


def types(module: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(module.read_text("utf-8"))):
        match node:
            case ast.ClassDef(name=name) | ast.TypeAlias(name=ast.Name(id=name)):
                yield name


def test_no_two_types_have_the_same_name() -> None:
    counts = Counter(name for module in MODULES for name in types(module))
    assert [name for name, count in counts.items() if count > 1] == []
