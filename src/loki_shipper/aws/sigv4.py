"""Signs requests with AWS Signature Version 4.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

import hashlib
import hmac
from datetime import datetime
from urllib.parse import urlsplit

from msgspec import Struct

_ALGORITHM = "AWS4-HMAC-SHA256"


class AwsCredentials(Struct, frozen=True):
    """An access key, its secret, and the session token of a role."""

    access_key: str
    secret_key: str
    session_token: str | None

    def __repr__(self) -> str:
        """Hide the secrets."""
        return f"AwsCredentials({self.access_key!r}, ***)"


class HttpRequest(Struct, frozen=True):
    """A request to sign. The URL is percent-encoded, and its query has at most one parameter."""

    method: str
    url: str
    headers: dict[str, str]
    body: bytes


def signed(
    request: HttpRequest, credentials: AwsCredentials, *, service: str, region: str, now: datetime
) -> dict[str, str]:
    """Give the headers of the request and of its signature; `now` is in UTC."""
    stamp, place = f"{now:%Y%m%dT%H%M%SZ}", urlsplit(request.url)
    digest = hashlib.sha256(request.body).hexdigest()
    added = {"X-Amz-Date": stamp, "X-Amz-Content-Sha256": digest}
    if credentials.session_token is not None:
        added["X-Amz-Security-Token"] = credentials.session_token
    headers = {**request.headers, **added}
    canonical = {name.lower(): value for name, value in headers.items()} | {"host": place.netloc}
    names = sorted(canonical)
    text = "\n".join(
        [
            request.method,
            place.path or "/",
            place.query,
            *(f"{name}:{canonical[name]}" for name in names),
            "",
            ";".join(names),
            digest,
        ]
    )
    scope = f"{now:%Y%m%d}/{region}/{service}/aws4_request"
    hashed = hashlib.sha256(text.encode()).hexdigest()
    signature = _hmac(_key(credentials, scope), f"{_ALGORITHM}\n{stamp}\n{scope}\n{hashed}").hex()
    scoped_key = f"Credential={credentials.access_key}/{scope}"
    proof = f"{_ALGORITHM} {scoped_key}, SignedHeaders={';'.join(names)}, Signature={signature}"
    return {**headers, "Authorization": proof}


def _key(credentials: AwsCredentials, scope: str) -> bytes:
    key = f"AWS4{credentials.secret_key}".encode()
    for part in scope.split("/"):
        key = _hmac(key, part)
    return key


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.digest(key, text.encode(), "sha256")
