"""requests, imported without modules that the shipper does not need, for a faster cold start.

- `urllib3.http2` imports `importlib.metadata` to read the version of h2, which is not deployed.
  urllib3 needs only its module `probe`, so an empty package replaces it.
- `certifi` imports `importlib.resources`, which can read its file from a zip. On Lambda it is a
  plain file, so a module that knows its path replaces it.
- requests warns if no library that guesses charsets is installed. None is (scripts/requirements).

The first two happen on Lambda only, as other programs may use the rest of these packages. They do
not happen if a package lacks the expected file: the original is imported then.
"""

import os
import sys
import warnings
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any


def _replace(name: str, *, expects: Path, **members: Any) -> None:
    """Make the import of a package give these members only."""
    if name not in sys.modules and expects.is_file():
        sys.modules[name] = ModuleType(name)
        vars(sys.modules[name]).update(members)


def _folder(package: str) -> Path:
    """Give the folder of a package without importing it."""
    found = find_spec(package)
    return Path("/nowhere" if found is None or found.origin is None else found.origin).parent


if "AWS_LAMBDA_RUNTIME_API" in os.environ:
    _HTTP2, _BUNDLE = _folder("urllib3") / "http2", _folder("certifi") / "cacert.pem"
    _replace("urllib3.http2", expects=_HTTP2 / "probe.py", __path__=[str(_HTTP2)])
    _replace("certifi", expects=_BUNDLE, where=lambda: str(_BUNDLE))
with warnings.catch_warnings():
    warnings.filterwarnings("ignore", "Unable to find acceptable character detection dependency")
    import requests
    from requests.adapters import HTTPAdapter
    from requests.utils import get_environ_proxies

__all__ = ["HTTPAdapter", "get_environ_proxies", "requests"]
