"""The network calls of the checks: name, connection, TLS, pushes, queries."""

import socket
import ssl
import time
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

import requests
from msgspec import Struct
from requests.utils import DEFAULT_CA_BUNDLE_PATH, select_proxy

from loki_shipper.model import Batch
from loki_shipper.shipper.delivery.answer import Answer, NoAnswer
from loki_shipper.shipper.delivery.encode import encode
from loki_shipper.shipper.delivery.push import LokiAccess, connect, push
from loki_shipper.shipper.delivery.query import query

_SECONDS = 10.0
_CONNECT_SECONDS = 5.0
_TIMEOUT = (_CONNECT_SECONDS, _SECONDS)
_PORTS = {"http": 80, "https": 443}


class LokiAddress(Struct, frozen=True):
    """The other end of the connection: Loki, its gateway, or a proxy."""

    host: str
    port: int
    tls: bool
    proxied: bool


class Reply(Struct, frozen=True):
    """An answer to a query; `date` is the server's time, in seconds since 1970."""

    status: int
    body: str
    date: float | None


class UnreachableError(Exception):
    """Raised when a step fails; `kind` says how. The message has no secrets."""

    def __init__(self, kind: str, message: str = "") -> None:
        super().__init__(message)
        self.kind = kind


class LokiProbe(Struct, frozen=True):
    """The effects of the checks of Loki.

    `resolve`, `reach` and `shake_hands` raise UnreachableError. `shake_hands` returns the time at
    which the certificate expires, in seconds since 1970. `push` takes a batch and a URL, `get` a
    path below Loki's root and its parameters.
    """

    target: LokiAddress
    resolve: Callable[[], list[str]]
    reach: Callable[[], None]
    shake_hands: Callable[[], float | None]
    push: Callable[[Batch, str], Answer | NoAnswer]
    get: Callable[[str, Mapping[str, str]], Reply | NoAnswer]
    clock: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep


def loki_probe(
    access: LokiAccess, tenant: str | None, headers: Mapping[str, str] | None = None
) -> LokiProbe:
    """Return the effects for a Loki; every query has these headers too."""
    session = connect(access)
    proxy = select_proxy(access.url, session.proxies)
    target = _target(proxy or access.url, proxied=proxy is not None)
    return LokiProbe(
        target,
        resolve=lambda: _resolve(target),
        reach=lambda: _reach(target),
        shake_hands=lambda: _shake_hands(target, access),
        push=lambda batch, url: push(
            encode(batch), batch.stream.tenant, session=session, url=url, seconds=_SECONDS
        ),
        get=lambda path, params: _reply(
            query(
                session, access.url, path, params, tenant=tenant, timeout=_TIMEOUT, headers=headers
            )
        ),
    )


def _target(url: str, *, proxied: bool) -> LokiAddress:
    parts = urlsplit(url)
    tls = parts.scheme == "https" and not proxied
    return LokiAddress(
        parts.hostname or "", parts.port or _PORTS.get(parts.scheme, 80), tls, proxied
    )


def _resolve(target: LokiAddress) -> list[str]:
    try:
        found = socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise UnreachableError("unknown_name") from None
    return sorted({str(address[0]) for *_, address in found})


def _reach(target: LokiAddress) -> None:
    _connected(target).close()


def _connected(target: LokiAddress) -> socket.socket:
    try:
        return socket.create_connection((target.host, target.port), _CONNECT_SECONDS)
    except ConnectionRefusedError:
        raise UnreachableError("refused") from None
    except TimeoutError:
        raise UnreachableError("silent") from None
    except OSError as error:
        raise UnreachableError("unreachable", error.strerror or "") from None


def _shake_hands(target: LokiAddress, access: LokiAccess) -> float | None:
    # The shipper trusts the authorities that requests trusts.
    context = ssl.create_default_context(cafile=access.ca or DEFAULT_CA_BUNDLE_PATH)
    if access.client is not None:
        context.load_cert_chain(*access.client)
    with _connected(target) as plain:
        try:
            with context.wrap_socket(plain, server_hostname=target.host) as secured:
                certificate = secured.getpeercert() or {}
        except ssl.SSLCertVerificationError as error:
            raise UnreachableError("certificate", error.verify_message) from None
        except ssl.SSLError as error:
            kind = "no_tls" if error.reason in _NOT_TLS else "tls"
            raise UnreachableError(kind, error.reason or "") from None
        except OSError:
            raise UnreachableError("no_tls") from None
    ends = certificate.get("notAfter")
    return float(ssl.cert_time_to_seconds(ends)) if isinstance(ends, str) else None


_NOT_TLS = {"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "UNEXPECTED_EOF_WHILE_READING"}


def _reply(answer: requests.Response | NoAnswer) -> Reply | NoAnswer:
    if isinstance(answer, NoAnswer):
        return answer
    return Reply(answer.status_code, answer.text, _date(answer.headers.get("Date", "")))


def _date(text: str) -> float | None:
    try:
        return parsedate_to_datetime(text).timestamp()
    except ValueError:
        return None
