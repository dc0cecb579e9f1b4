"""The template as data, with its intrinsic functions in their long form."""

from pathlib import Path
from typing import Any

import pytest
from cfnlint.decode import decode  # type: ignore[import-untyped]  # it ships no types

TEMPLATE = Path(__file__).parents[2] / "template.yaml"


@pytest.fixture(scope="session")
def template() -> dict[str, Any]:
    decoded: tuple[dict[str, Any], list[object]] = decode(str(TEMPLATE))
    template, faults = decoded
    assert faults == []
    return template
