"""Uncovers the README's lines for the first release; the release workflow runs it.

python -m tools.readme https://BUCKET.s3.amazonaws.com/loki-shipper-0.1.0.yaml
"""

import re
import sys
from pathlib import Path

_README = Path(__file__).parents[1] / "README.md"
_KEPT = re.compile(r"<!-- first release\n(.*?)/first release -->\n", re.DOTALL)
_TEMPLATE_URL = "TEMPLATE_URL"


class NothingKeptError(Exception):
    """Raised when the README has no lines for a release, such as after the first one."""


def released(readme: str, template_url: str) -> str:
    """Return the README with the lines for a release.

    Raises:
        NothingKeptError: there are no such lines.
    """
    shown, count = _KEPT.subn(lambda kept: kept[1], readme)
    if not count:
        raise NothingKeptError("README.md has no lines between the marks 'first release'")
    return shown.replace(_TEMPLATE_URL, template_url)


def main(template_url: str) -> None:
    """Rewrite README.md."""
    _README.write_text(released(_README.read_text("utf-8"), template_url), "utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
