"""The folder for what is built once and kept."""

from collections.abc import Mapping
from pathlib import Path


def cache_folder(environ: Mapping[str, str]) -> Path:
    """Return the cache folder of Loki-Shipper: in XDG_CACHE_HOME, else in ~/.cache."""
    home = environ.get("XDG_CACHE_HOME") or Path(environ.get("HOME", "~"), ".cache").expanduser()
    return Path(home, "loki-shipper")
