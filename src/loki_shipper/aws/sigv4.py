"""AWS Signature Version 4: the headers that prove to AWS who sends a request. Pure.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

import hashlib
import hmac
from datetime import datetime
from urllib.parse import urlsplit

from msgspec import Struct

_ALGORITHM = "AWS4-HMAC-SHA256"


class Identity(Struct, frozen=True):
    """Who calls AWS: an access key, its secret, and the token of a role's session."""

    access_key: str
    secret_key: str
    session_token: str | None

    def __repr__(self) -> str:
        """Hide the secrets."""
        return f"Identity({self.access_key!r}, ***)"


class Request(Struct, frozen=True):
    """What is sent: the URL's path is percent-encoded as it goes over the wire, without a query."""

    method: str
    url: str
    headers: dict[str, str]
    body: bytes


def signed(
    request: Request, identity: Identity, *, service: str, region: str, now: datetime
) -> dict[str, str]:
    """Give the request's headers with those that sign it; `now` is in UTC."""
    stamp, place = f"{now:%Y%m%dT%H%M%SZ}", urlsplit(request.url)
    digest = hashlib.sha256(request.body).hexdigest()
    added = {"X-Amz-Date": stamp, "X-Amz-Content-Sha256": digest}
    if identity.session_token is not None:
        added["X-Amz-Security-Token"] = identity.session_token
    headers = {**request.headers, **added}
    canonical = {name.lower(): value for name, value in headers.items()} | {"host": place.netloc}
    names = sorted(canonical)
    text = "\n".join(
        [
            request.method,
            place.path or "/",
            "",
            *(f"{name}:{canonical[name]}" for name in names),
            "",
            ";".join(names),
            digest,
        ]
    )
    scope = f"{now:%Y%m%d}/{region}/{service}/aws4_request"
    hashed = hashlib.sha256(text.encode()).hexdigest()
    signature = _hmac(_key(identity, scope), f"{_ALGORITHM}\n{stamp}\n{scope}\n{hashed}").hex()
    credential = f"Credential={identity.access_key}/{scope}"
    proof = f"{_ALGORITHM} {credential}, SignedHeaders={';'.join(names)}, Signature={signature}"
    return {**headers, "Authorization": proof}


def _key(identity: Identity, scope: str) -> bytes:
    key = f"AWS4{identity.secret_key}".encode()
    for part in scope.split("/"):
        key = _hmac(key, part)
    return key


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.digest(key, text.encode(), "sha256")
