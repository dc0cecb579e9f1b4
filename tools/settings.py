"""Writes everything that repeats the declarations of the settings; `scripts/settings` runs it."""

import sys
from pathlib import Path

from loki_shipper.template import read_template
from tools.settings_page import settings_page
from tools.template_parts import with_parts
from tools.terraform import terraform

_CLONE = Path(__file__).parents[1]


def main(folder: Path) -> None:
    """Write the template, `docs/settings.md` and `terraform/parameters.tf` below a folder."""
    template = folder / "template.yaml"
    _write(template, with_parts((_CLONE / "template.yaml").read_text("utf-8")))
    parameters = read_template(template)["Parameters"]
    _write(folder / "docs/settings.md", settings_page(parameters))
    _write(folder / "terraform/parameters.tf", terraform(parameters))


def _write(target: Path, text: str) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text, "utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else _CLONE)
