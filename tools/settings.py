"""Writes every file that repeats the settings; `scripts/settings` runs it."""

import sys
from pathlib import Path

from tools.settings_page import settings_page
from tools.template import CLONE, read_template
from tools.terraform import terraform


def main(folder: Path) -> None:
    """Write `docs/settings.md` and `terraform/parameters.tf` below a folder."""
    template = read_template()
    texts = {
        "docs/settings.md": settings_page(template),
        "terraform/parameters.tf": terraform(template.parameters),
    }
    for name, text in texts.items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, "utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else CLONE)
