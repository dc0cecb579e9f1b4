"""requests, without its warning that nothing is there to guess the charset of a text.

What guesses is not deployed (scripts/requirements): a tenth of a cold start, and nobody here asks.
"""

import warnings

with warnings.catch_warnings():
    warnings.filterwarnings("ignore", "Unable to find acceptable character detection dependency")
    import requests
    from requests.adapters import HTTPAdapter
    from requests.utils import get_environ_proxies

__all__ = ["HTTPAdapter", "get_environ_proxies", "requests"]
