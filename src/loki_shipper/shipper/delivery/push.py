"""From a body to Loki's answer; the only file that knows HTTP."""

import io
import math
import time
from http.client import HTTPResponse, parse_headers
from typing import Any, NamedTuple, override

import urllib3
from msgspec import Struct
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import ConnectionPool, HTTPConnectionPool, HTTPSConnectionPool
from urllib3.response import BaseHTTPResponse

from loki_shipper import VERSION
from loki_shipper.lean_requests import HTTPAdapter, get_environ_proxies, requests
from loki_shipper.shipper.delivery.answer import MAX_BODY, Answer, NoAnswer

_CONNECT_SECONDS = 5.0
# Loki's distributor gives its ingesters 5 s; twice that is a hang.
_READ_SECONDS = 12.0
_FINAL = 200
# A name may have three addresses, each tried for as long, and then the body has to go out.
_CONNECT_SHARE = 1 / 4


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


class Opened(NamedTuple):
    """An access and the session that was opened with it."""

    access: Access
    session: requests.Session


def connect(access: Access, *, connections: int = 1) -> requests.Session:
    """Open a session that keeps so many connections to Loki between pushes and invocations."""
    session = requests.Session()
    # Of the environment this is all that counts: no .netrc overrules us, and no CA bundle.
    session.proxies = get_environ_proxies(access.url)
    session.verify = access.ca or True
    session.cert = access.client
    session.mount("http://", _Adapter(connections))
    session.mount("https://", _Adapter(connections))
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
    if seconds <= 0:
        return NoAnswer("out_of_time")
    timeout = urllib3.Timeout(
        connect=min(_CONNECT_SECONDS, seconds * _CONNECT_SHARE), read=_READ_SECONDS, total=seconds
    )
    try:
        response = _send(session, url, body, tenant, timeout)
    except requests.RequestException:
        # The URL, or that of the proxy, is none.
        return NoAnswer("request_failed")
    except urllib3.exceptions.HTTPError as error:
        return NoAnswer(_reason(error))
    try:
        return _answer(response)
    except urllib3.exceptions.TimeoutError:
        return NoAnswer("read_timeout")
    except urllib3.exceptions.HTTPError:
        return NoAnswer("answer_broken")
    finally:
        # A connection that was read to the answer's end is back in its pool already.
        response.close()
        response.release_conn()


def _send(
    session: requests.Session, url: str, body: bytes, tenant: str | None, timeout: urllib3.Timeout
) -> BaseHTTPResponse:
    """Send past the session, which would prepare the same request again for each push."""
    adapter = session.get_adapter(url)
    assert isinstance(adapter, _Adapter)
    route = adapter.route(session, url)
    headers = route.headers if tenant is None else {**route.headers, "X-Scope-OrgID": tenant}
    return route.pool.urlopen(  # type: ignore[attr-defined,no-any-return] # each pool has it
        "POST",
        route.target,
        body=body,
        headers=headers,
        timeout=timeout,
        retries=False,
        redirect=False,
        assert_same_host=False,
        preload_content=False,
        decode_content=False,
    )


def _answer(response: BaseHTTPResponse) -> Answer:
    body = b""
    is_page = "html" in response.headers.get("Content-Type", "").lower()
    # Only a body that was read to its end leaves the connection for the next push. We ask for no
    # compression, and some gateways compress all the same.
    try:
        while len(body) < MAX_BODY and (
            chunk := response.read1(MAX_BODY - len(body), decode_content=True)
        ):
            body += chunk
    except urllib3.exceptions.DecodeError:
        body, is_page = body or b"\xff", True
    text = body[:MAX_BODY].decode("utf-8", "replace")
    return Answer(response.status, text, _retry_after(response), is_page)


def _retry_after(response: BaseHTTPResponse) -> float | None:
    """Read `Retry-After` where it is a number of seconds; a date would need the gateway's clock."""
    try:
        seconds = float(response.headers.get("Retry-After", ""))
    except ValueError:
        return None
    return seconds if math.isfinite(seconds) and seconds >= 0 else None


def _reason(error: urllib3.exceptions.HTTPError) -> str:
    match error:
        case urllib3.exceptions.SSLError():
            return "tls"
        case urllib3.exceptions.ProxyError():
            return "proxy"
        # Before the timeouts: urllib3 counts it among them.
        case urllib3.exceptions.NewConnectionError() | urllib3.exceptions.ProtocolError():
            return "no_connection"
        case urllib3.exceptions.ConnectTimeoutError():
            return "connect_timeout"
        case urllib3.exceptions.TimeoutError():
            return "read_timeout"
        case _:
            return "request_failed"


class _Bounded(io.RawIOBase):
    """Reads a socket for as long as its timeout says, all reads together.

    Python starts a socket's timeout anew with each read, so an answer that trickles would outlive
    the invocation.
    """

    def __init__(self, sock: Any, raw: Any) -> None:
        self._sock = sock
        self._raw = raw
        self._deadline = time.monotonic() + sock.gettimeout()

    @override
    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> Any:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._sock.settimeout(left)
        return self._raw.readinto(buffer)

    @override
    def close(self) -> None:
        self._raw.close()
        super().close()


class _Response(HTTPResponse):
    """An answer whose status, headers and body share one timeout.

    Interim answers (status 100 to 199) before it are read past: http.client takes all but 100 for
    the answer, and would leave the answer itself to the next push.
    """

    def __init__(self, sock: Any, *arguments: Any, **options: Any) -> None:
        super().__init__(sock, *arguments, **options)
        self.fp = io.BufferedReader(_Bounded(sock, self.fp.detach()))

    def _read_status(self) -> tuple[str, int, str]:
        while True:
            version, status, reason = super()._read_status()  # type: ignore[misc] # not in its types
            if status >= _FINAL:
                return version, status, reason
            parse_headers(self.fp)


class _Http(HTTPConnection):
    response_class = _Response


class _Https(HTTPSConnection):
    response_class = _Response


class _HttpPool(HTTPConnectionPool):
    ConnectionCls = _Http


class _HttpsPool(HTTPSConnectionPool):
    ConnectionCls = _Https


_POOLS = {"http": _HttpPool, "https": _HttpsPool}


class _Route(Struct, frozen=True):
    """What is the same for every push to a URL."""

    pool: ConnectionPool
    target: str
    headers: dict[str, str]


class _Adapter(HTTPAdapter):
    """Makes connections of ours, also through a proxy, and remembers how each URL is reached."""

    def __init__(self, connections: int) -> None:
        self._routes: dict[str, _Route] = {}
        super().__init__(pool_maxsize=connections)

    def route(self, session: requests.Session, url: str) -> _Route:
        """Let requests choose the pool, with its TLS and its proxy, once for each URL."""
        route = self._routes.get(url)
        if route is None:
            headers = dict(session.headers)
            request = requests.Request("POST", url, headers=headers, data=b"").prepare()
            verify, cert, proxies = session.verify or True, session.cert, session.proxies
            pool = self.get_connection_with_tls_context(request, verify, proxies, cert)
            self.cert_verify(pool, url, verify, cert)  # type: ignore[no-untyped-call] # it has none
            target = self.request_url(request, proxies)
            del request.headers["Content-Length"]
            route = self._routes[url] = _Route(pool, target, dict(request.headers))
        return route

    @override
    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        super().init_poolmanager(*arguments, **options)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    @override
    def proxy_manager_for(self, *arguments: Any, **options: Any) -> Any:
        manager = super().proxy_manager_for(*arguments, **options)
        manager.pool_classes_by_scheme = _POOLS
        return manager
