"""Sends one push over HTTP and gives the answer. No other file of the shipper speaks HTTP."""

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
from loki_shipper.shipper.delivery.answer import MAX_BODY, OUT_OF_TIME, Answer, NoAnswer

_CONNECT_SECONDS = 5.0
# Loki's distributor waits 5 s for its ingesters. After twice that time it hangs.
_READ_SECONDS = 12.0
_FINAL = 200
# A name may have three addresses, each tried for as long, and sending the body needs time too.
_CONNECT_SHARE = 1 / 4


class LokiAccess(Struct, frozen=True):
    """The URL of Loki, the headers with the credentials, and the certificates.

    `ca` and `client` are paths of PEM files. `ca` None: the public certificate authorities.
    """

    url: str
    headers: dict[str, str]
    ca: str | None = None
    client: tuple[str, str] | None = None

    def __repr__(self) -> str:
        """Hide the headers."""
        return f"LokiAccess({self.url!r}, headers=***)"


class OpenSession(NamedTuple):
    """A session, and the access that it was opened with."""

    access: LokiAccess
    session: requests.Session


def connect(access: LokiAccess, *, connections: int = 1) -> requests.Session:
    """Open a session that keeps up to `connections` open between pushes and invocations."""
    session = requests.Session()
    # Only the proxies come from the environment: no .netrc and no CA bundle.
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
    """Push once, within `seconds`; raises for no failure of the network or of Loki."""
    if seconds <= 0:
        return NoAnswer(OUT_OF_TIME)
    timeout = urllib3.Timeout(
        connect=min(_CONNECT_SECONDS, seconds * _CONNECT_SHARE), read=_READ_SECONDS, total=seconds
    )
    try:
        response = _send(session, url, body, tenant, timeout)
    except requests.RequestException:
        # The URL, or that of the proxy, is not valid.
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
        # If the whole answer was read, the connection is back in its pool already.
        response.close()
        response.release_conn()


def _send(
    session: requests.Session, url: str, body: bytes, tenant: str | None, timeout: urllib3.Timeout
) -> BaseHTTPResponse:
    """Send without `session.post`, which would prepare the same request for each push."""
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
    # The next push can use the connection only if this body was read to its end. Some gateways
    # compress although the request accepts no compression.
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
    """Read `Retry-After` in seconds; None for a date, as the gateway's clock is not known."""
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
        # NewConnectionError is a ConnectTimeoutError in urllib3, so it comes first.
        case urllib3.exceptions.NewConnectionError() | urllib3.exceptions.ProtocolError():
            return "no_connection"
        case urllib3.exceptions.ConnectTimeoutError():
            return "connect_timeout"
        case urllib3.exceptions.TimeoutError():
            return "read_timeout"
        case _:
            return "request_failed"


class _Bounded(io.RawIOBase):
    """Reads a socket, with one timeout for all reads together.

    Python applies a socket's timeout to each read, so a slow answer could outlast the invocation.
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
    """An answer with one timeout for status, headers and body together.

    It skips interim answers (status 100 to 199). http.client skips 100 only: it would take another
    one for the answer, and the next push would read the real answer.
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
    """The pool, target and headers that all pushes to a URL share."""

    pool: ConnectionPool
    target: str
    headers: dict[str, str]


class _Adapter(HTTPAdapter):
    """Makes connections with one timeout, also through a proxy, and caches each URL's route."""

    def __init__(self, connections: int) -> None:
        self._routes: dict[str, _Route] = {}
        super().__init__(pool_maxsize=connections)

    def route(self, session: requests.Session, url: str) -> _Route:
        """Give the route of a URL; requests chooses its pool, TLS and proxy once."""
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
