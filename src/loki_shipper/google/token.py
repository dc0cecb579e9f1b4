"""Checks the token that Pub/Sub puts into each push request.

It is an OpenID Connect token that Google signs
(https://cloud.google.com/pubsub/docs/authenticate-push-subscriptions). Cloud Run checks it too, if
the service takes no other callers; this check also holds if somebody opens the service.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from threading import Lock
from typing import Any, Final

import requests
from google.auth import jwt
from google.auth.exceptions import GoogleAuthError

from loki_shipper.google.settings import GoogleSettings

_CERTIFICATES: Final = "https://www.googleapis.com/oauth2/v1/certs"
_ISSUERS: Final = ("accounts.google.com", "https://accounts.google.com")
_FRESH: Final = 3600.0
"""Seconds for which certificates stay cached. Google publishes new ones days ahead."""

_RETRY: Final = 30.0
_MAX_TOKENS: Final = 64
_SKEW: Final = 30


class TokenError(Exception):
    """Raised for a request without the right token; the message is a reason of one word."""


class CertificatesError(Exception):
    """Raised when Google's certificates cannot be read; the request may succeed later."""


type ReadCertificates = Callable[[], Mapping[str, str]]
"""Reads Google's certificates by their ids. Raises CertificatesError."""


def read_certificates() -> Mapping[str, str]:
    """Read the certificates with which Google signs tokens. Raises CertificatesError."""
    try:
        answer = requests.get(_CERTIFICATES, timeout=10)
        answer.raise_for_status()
        certificates: Mapping[str, str] = answer.json()
    except (requests.RequestException, ValueError) as error:
        raise CertificatesError(type(error).__name__) from None
    return certificates


class TokenVerifier:
    """Verifies tokens; `clock` is in seconds since 1970. Several threads may call it.

    Pub/Sub sends the same token for up to an hour, so a verified one is remembered.
    """

    def __init__(
        self, google: GoogleSettings, read: ReadCertificates, clock: Callable[[], float]
    ) -> None:
        self._audience = google.push_audience
        self._email = google.push_service_account
        self._read = read
        self._clock = clock
        self._verified: dict[str, float] = {}
        self._certificates: Mapping[str, str] = {}
        self._read_at = float("-inf")
        self._lock = Lock()

    def remembers(self, authorization: str) -> bool:
        """Tell whether this header was verified, and its token is still valid."""
        return self._clock() < self._verified.get(authorization, 0.0)

    def verify(self, authorization: str) -> None:
        """Verify the header `Authorization`. Raises TokenError and CertificatesError."""
        if self.remembers(authorization):
            return
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise TokenError("no_token")
        claims = self._claims(token)
        if claims.get("iss") not in _ISSUERS:
            raise TokenError("issuer")
        if claims.get("email") != self._email or claims.get("email_verified") is not True:
            raise TokenError("email")
        with self._lock:
            if len(self._verified) >= _MAX_TOKENS:
                self._verified.clear()
            self._verified[authorization] = float(claims["exp"])

    def _claims(self, token: str) -> Mapping[str, Any]:
        decode: Callable[..., Mapping[str, Any]] = jwt.decode
        try:
            key = jwt.decode_header(token).get("kid")  # type: ignore[no-untyped-call] # it has none
        except (GoogleAuthError, ValueError):
            raise TokenError("no_token") from None
        certificates = self._certificates_with(key)
        try:
            return decode(
                token,
                certs=certificates,
                audience=self._audience,
                clock_skew_in_seconds=_SKEW,
            )
        except (GoogleAuthError, ValueError):
            # Its message quotes the token.
            raise TokenError("not_valid") from None

    def _certificates_with(self, key: Any) -> Mapping[str, str]:
        """Give certificates that are fresh; read them again, not too often, for an unknown key."""
        with self._lock:
            age = self._clock() - self._read_at
            if age >= _FRESH or (key not in self._certificates and age >= _RETRY):
                self._read_at = self._clock()
                # Without an answer the old certificates stay in use.
                with suppress(CertificatesError):
                    self._certificates = self._read()
            if not self._certificates:
                raise CertificatesError("certificates_unread")
            return self._certificates
