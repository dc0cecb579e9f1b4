"""Reads the URL, the credentials and the certificates for Loki from settings and secrets."""

import base64
import hashlib
import os
import re
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from loki_shipper.environment import SettingsError
from loki_shipper.settings import Settings
from loki_shipper.shipper.delivery.push import LokiAccess

type FetchSecret = Callable[[str], str]
"""Reads a secret by its reference. Raises SettingsError if that fails."""

_PEM = "-----BEGIN "
# requests sends such text unchanged: ASCII, without blanks at its ends.
_HEADER = re.compile(r"[!-~](?:[ -~]*[!-~])?")


def credentials(settings: Settings, fetch: FetchSecret) -> LokiAccess:
    """Give the URL, headers and certificates that the settings name, directly or in a secret.

    A secret is JSON: `{"username": …, "password": …}` or `{"token": …}`, either with
    `"headers": {…}`, or only the headers. Raises SettingsError, never with a secret's content.
    """
    client = None
    if settings.loki_client_cert is not None and settings.loki_client_key is not None:
        key = settings.loki_client_key.value
        client = (_pem(settings.loki_client_cert, fetch), _pem(key, fetch))
    ca = None if settings.loki_ca_cert is None else _pem(settings.loki_ca_cert, fetch)
    return LokiAccess(settings.loki_url, _headers(settings, fetch), ca, client)


def _headers(settings: Settings, fetch: FetchSecret) -> dict[str, str]:
    match settings:
        case Settings(loki_secret=str(reference)):
            return _from_secret(fetch(reference))
        case Settings(loki_token=token) if token is not None:
            return {"Authorization": _bearer(token.value)}
        case Settings(loki_username=str(username), loki_password=password) if password is not None:
            return {"Authorization": _basic(username, password.value)}
        case _:
            return {}


def _from_secret(text: str) -> dict[str, str]:
    try:
        secret: Any = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError):
        raise SettingsError("LOKI_SECRET does not hold JSON") from None
    headers = secret.get("headers", {}) if isinstance(secret, dict) else None
    if not isinstance(headers, dict) or not all(map(_is_header, headers.items())):
        raise SettingsError("LOKI_SECRET holds headers that are not names with text")
    match secret:
        case {"username": str(username), "password": str(password)}:
            return {**headers, "Authorization": _basic(username, password)}
        case {"token": str(token)}:
            return {**headers, "Authorization": _bearer(token)}
        case {"headers": _}:
            return headers
        case _:
            raise SettingsError("LOKI_SECRET holds no username and password, token or headers")


def _is_header(pair: tuple[Any, Any]) -> bool:
    return all(isinstance(text, str) and _HEADER.fullmatch(text) for text in pair)


def _bearer(token: str) -> str:
    if not _HEADER.fullmatch(token):
        raise SettingsError("the token is empty or has characters that no header can hold")
    return f"Bearer {token}"


def _basic(username: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()


def _pem(text: str, fetch: FetchSecret) -> str:
    """Give the path of a PEM file, for PEM text, a path, or a reference to a secret."""
    # Text may precede the first certificate. PEM text must not reach an error message as a path.
    if _PEM not in text:
        if os.path.isfile(text):  # noqa: PTH113 - Path raises for a name that is too long
            return text
        text = fetch(text)
        if _PEM not in text:
            raise SettingsError("a certificate setting refers to a secret that holds no PEM text")
    # requests takes certificates by path only. The path depends on the content only: an unchanged
    # secret gives an equal LokiAccess.
    path = _folder() / f"{hashlib.sha256(text.encode()).hexdigest()}.pem"
    path.touch(mode=0o600)
    path.write_text(text)
    return str(path)


@cache
def _folder() -> Path:
    return Path(tempfile.mkdtemp(prefix="loki-shipper-"))
