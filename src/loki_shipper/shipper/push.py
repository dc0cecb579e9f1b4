"""From a body to Loki's answer; the only file that knows HTTP."""

import math
import time
from http import HTTPStatus

import requests
import urllib3
from msgspec import Struct
from requests.adapters import HTTPAdapter
from requests.utils import get_environ_proxies

from loki_shipper import VERSION
from loki_shipper.shipper.answer import MAX_BODY, Answer, NoAnswer

_CONNECT_SECONDS = 5.0
# Loki's distributor gives its ingesters 5 s; twice that is a hang.
_READ_SECONDS = 12.0


class Access(Struct, frozen=True):
    """How to reach Loki and who we are there.

    `headers` hold the credentials. `ca` and `client` are paths of PEM files; `ca` None: the
    certificate authorities that everybody trusts.
    """

    url: str
    headers: dict[str, str]
    ca: str | None = None
    client: tuple[str, str] | None = None

    def __repr__(self) -> str:
        """Hide the headers."""
        return f"Access({self.url!r}, headers=***)"


def connect(access: Access) -> requests.Session:
    """Open a session that keeps its connection to Loki between pushes and invocations."""
    session = requests.Session()
    # The environment is read here once: a push must not, and a .netrc must not overrule us.
    session.trust_env = False
    session.proxies = get_environ_proxies(access.url)
    session.verify = access.ca or True
    session.cert = access.client
    session.mount("https://", HTTPAdapter(pool_maxsize=1))
    session.headers = {
        "Content-Type": "application/x-protobuf",
        "User-Agent": f"loki-shipper/{VERSION}",
        "Accept-Encoding": "identity",
        **access.headers,
    }
    return session


def push(
    body: bytes, tenant: str | None, *, session: requests.Session, url: str, seconds: float
) -> Answer | NoAnswer:
    """Push once, within `seconds`; never raises for what the network or Loki does."""
    deadline = time.monotonic() + seconds
    try:
        response = session.post(
            url,
            data=body,
            headers={"X-Scope-OrgID": tenant} if tenant is not None else None,
            timeout=(min(_CONNECT_SECONDS, seconds), min(_READ_SECONDS, seconds)),
            allow_redirects=False,
            stream=True,
        )
        with response:
            return _answer(response, deadline)
    except requests.RequestException as error:
        return NoAnswer(_reason(error))
    except urllib3.exceptions.HTTPError:
        return NoAnswer("answer_broken")


def _answer(response: requests.Response, deadline: float) -> Answer | NoAnswer:
    if response.status_code in {HTTPStatus.OK, HTTPStatus.NO_CONTENT}:
        return Answer(response.status_code)
    body = b""
    while len(body) < MAX_BODY and (chunk := response.raw.read1(MAX_BODY - len(body))):
        body += chunk
        # Each read has its own timeout: an answer that trickles must not outlive the invocation.
        if time.monotonic() >= deadline:
            return NoAnswer("read_timeout")
    text = body.decode("utf-8", "replace")
    return Answer(response.status_code, text, _retry_after(response))


def _retry_after(response: requests.Response) -> float | None:
    """Read `Retry-After` where it is a number of seconds; a date would need the gateway's clock."""
    try:
        seconds = float(response.headers.get("Retry-After", ""))
    except ValueError:
        return None
    return seconds if math.isfinite(seconds) and seconds >= 0 else None


def _reason(error: requests.RequestException) -> str:
    match error:
        case requests.exceptions.SSLError():
            return "tls"
        case requests.exceptions.ProxyError():
            return "proxy"
        case requests.exceptions.ConnectTimeout():
            return "connect_timeout"
        case requests.exceptions.Timeout():
            return "read_timeout"
        case requests.exceptions.ConnectionError():
            return "no_connection"
        case _:
            return "request_failed"
