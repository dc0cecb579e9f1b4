"""requests, imported without what nobody here uses: a fifth of the imports of a cold start.

- `urllib3.http2` reads the version of a library that is not deployed, with `importlib.metadata`.
  urllib3 itself needs only the module `probe` of this package. So the package stands there without
  its own code.
- `certifi` finds its file with `importlib.resources`, which can also read it from a zip. Here it is
  a file. So a module stands there that knows where it is.
- What guesses the charset of a text is not deployed (scripts/requirements). requests warns of that.

The first two import `inspect` and more. Each is left as it is where its library is not as
expected: then a cold start takes longer, and nothing else changes. So it is outside Lambda, where
others in the process may use the rest of them.
"""

import os
import sys
import warnings
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

_HTTP2, _CERTIFI = "urllib3.http2", "certifi"


def _stand_in_for_http2() -> None:
    http2 = _folder("urllib3") / "http2"
    if _HTTP2 not in sys.modules and (http2 / "probe.py").is_file():
        package = ModuleType(_HTTP2)
        package.__path__ = [str(http2)]
        sys.modules[_HTTP2] = package


def _stand_in_for_certifi() -> None:
    bundle = _folder(_CERTIFI) / "cacert.pem"
    if _CERTIFI not in sys.modules and bundle.is_file():
        module = ModuleType(_CERTIFI)
        module.__dict__["where"] = lambda: str(bundle)
        sys.modules[_CERTIFI] = module


def _folder(package: str) -> Path:
    """Give the folder of a package, without importing it."""
    found = find_spec(package)
    return Path("/nowhere" if found is None or found.origin is None else found.origin).parent


if "AWS_LAMBDA_RUNTIME_API" in os.environ:
    _stand_in_for_http2()
    _stand_in_for_certifi()
with warnings.catch_warnings():
    warnings.filterwarnings("ignore", "Unable to find acceptable character detection dependency")
    import requests
    from requests.adapters import HTTPAdapter
    from requests.utils import get_environ_proxies

__all__ = ["HTTPAdapter", "get_environ_proxies", "requests"]
