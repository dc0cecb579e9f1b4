"""Reads and writes objects of Cloud Storage, over its JSON API.

The client library of Google would bring a dozen packages for these four calls
(https://cloud.google.com/storage/docs/json_api/v1). `STORAGE_EMULATOR_HOST` names an emulator, as
for Google's own clients.
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import quote

import google.auth
import requests
from google.auth.exceptions import GoogleAuthError
from google.auth.transport.requests import AuthorizedSession
from msgspec import Struct

from loki_shipper.shipper.delivery.dead_letters import DeadLetterError

_URL: Final = "https://storage.googleapis.com"
_SCOPE: Final = "https://www.googleapis.com/auth/devstorage.read_write"
_SCOPE_TO_READ: Final = "https://www.googleapis.com/auth/cloud-platform"
_SECONDS: Final = (3.0, 20.0)


class StorageError(DeadLetterError):
    """Raised when Cloud Storage refuses a call or gives no answer; the message says why."""


class CloudObject(Struct, frozen=True):
    """An object in a list; `size` is in bytes, `written` is its last write."""

    key: str
    size: int
    written: datetime


class CloudStorage:
    """A bucket of Cloud Storage. Each call raises StorageError. Several threads may call."""

    def __init__(
        self, bucket: str, session: requests.Session | AuthorizedSession, url: str = _URL
    ) -> None:
        self.bucket = bucket
        self._session = session
        self._objects = f"{url}/storage/v1/b/{quote(bucket, safe='')}/o"
        self._uploads = f"{url}/upload/storage/v1/b/{quote(bucket, safe='')}/o"

    def put(self, key: str, body: bytes) -> None:
        """Write an object, in place of one with the same key."""
        parameters = {"uploadType": "media", "name": key}
        headers = {"Content-Type": "text/plain; charset=utf-8"}
        self._send("POST", self._uploads, params=parameters, data=body, headers=headers)

    def get(self, key: str) -> bytes | None:
        """Read an object; None if there is none."""
        answer = self._send("GET", self._url(key), params={"alt": "media"}, may_lack=True)
        return None if answer is None else bytes(answer.content)

    def delete(self, key: str) -> None:
        """Delete an object, if there is one."""
        self._send("DELETE", self._url(key), may_lack=True)

    def objects(self, prefix: str) -> Iterator[CloudObject]:
        """List objects in the order of keys, page by page."""
        token = ""
        while True:
            parameters = {"prefix": prefix, "pageToken": token, "maxResults": "1000"}
            wanted = {name: value for name, value in parameters.items() if value}
            answer = self._send("GET", self._objects, params=wanted)
            page = {} if answer is None else answer.json()
            for each in page.get("items", []):
                written = datetime.fromisoformat(each["updated"])
                yield CloudObject(each["name"], int(each["size"]), written)
            token = page.get("nextPageToken", "")
            if not token:
                return

    def _url(self, key: str) -> str:
        return f"{self._objects}/{quote(key, safe='')}"

    def _send(
        self, method: str, url: str, *, may_lack: bool = False, **options: Any
    ) -> requests.Response | None:
        try:
            answer = self._session.request(method, url, timeout=_SECONDS, **options)
        except (requests.RequestException, GoogleAuthError) as error:
            raise self._error(method, type(error).__name__) from None
        if may_lack and answer.status_code == HTTPStatus.NOT_FOUND:
            return None
        if not answer.ok:
            raise self._error(method, f"status {answer.status_code}")
        return answer

    def _error(self, method: str, reason: str) -> StorageError:
        return StorageError(f"{method} in the bucket {self.bucket} failed: {reason}")


def open_storage(bucket: str, environ: Mapping[str, str]) -> CloudStorage:
    """Open a bucket with the default credentials of Google. Raises StorageError without any."""
    if host := environ.get("STORAGE_EMULATOR_HOST"):
        url = host if "://" in host else f"http://{host}"
        return CloudStorage(bucket, requests.Session(), url.rstrip("/"))
    return CloudStorage(bucket, _authorized(_SCOPE))


def describe(url: str, *, signed: bool) -> Any:
    """Return what one of Google's APIs says about a resource. Raises StorageError."""
    session = _authorized(_SCOPE_TO_READ) if signed else requests.Session()
    try:
        answer = session.get(url, timeout=_SECONDS)
    except (requests.RequestException, GoogleAuthError) as error:
        raise StorageError(f"{url} does not answer: {type(error).__name__}") from None
    if not answer.ok:
        raise StorageError(f"{url} cannot be read: status {answer.status_code}")
    return answer.json()


def _authorized(scope: str) -> AuthorizedSession:
    default: Callable[..., Any] = google.auth.default
    try:
        credentials, _ = default(scopes=[scope])
    except GoogleAuthError as error:
        reason = f"there are no credentials of Google ({type(error).__name__})"
        raise StorageError(f"{reason}: run gcloud auth application-default login") from None
    session: Callable[..., AuthorizedSession] = AuthorizedSession
    return session(credentials)
