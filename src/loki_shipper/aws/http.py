"""The few calls of AWS that the shipper makes, over HTTP: boto3 doubles the time of a cold start.

docs/decisions/aws-http.md says why, and what is left to boto3.
"""

from __future__ import annotations

import os
import re
import time
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import msgspec
from msgspec import Struct

from loki_shipper.aws.sigv4 import Identity, Request, signed
from loki_shipper.lean_requests import get_environ_proxies, requests

if TYPE_CHECKING:
    from collections.abc import Mapping

    from boto3 import Session

_OK = range(200, 300)
_SERVER_ERROR = 500
_THROTTLED = {"ThrottlingException", "Throttling", "TooManyRequestsException", "SlowDown"}
_WAIT = 0.1

_TARGETS = {"ssm": "AmazonSSM", "secretsmanager": "secretsmanager", "logs": "Logs_20140328"}
_ENDPOINTS = {
    "ssm": "SSM",
    "secretsmanager": "SECRETS_MANAGER",
    "logs": "CLOUDWATCH_LOGS",
    "s3": "S3",
}
_DOMAINS = {
    "cn": "amazonaws.com.cn",
    "eusc": "amazonaws.eu",
    "us-iso": "c2s.ic.gov",
    "us-isob": "sc2s.sgov.gov",
    "us-isof": "csp.hci.ic.gov",
    "eu-isoe": "cloud.adc-e.uk",
}
_CODE = re.compile(rb"<Code>([^<]*)</Code>")


class AwsHttpError(Exception):
    """Raised when AWS refuses a call, with its `code`, or cannot be reached (`code` is empty)."""

    def __init__(self, code: str) -> None:
        super().__init__(code or "AWS cannot be reached")
        self.code = code


class Bounds(Struct, frozen=True):
    """How long a call may take: seconds to connect and to read, and how many attempts."""

    connect: float
    read: float
    attempts: int


class Object(Struct, frozen=True):
    """An object of a bucket."""

    body: bytes
    etag: str


class Aws(Struct, frozen=True):
    """AWS for one caller, within bounds.

    A `session` says whose credentials and which Region count: on Lambda there is none, and the
    function's own do.
    """

    session: Session | None
    bounds: Bounds

    def ask(self, service: str, operation: str, arguments: Mapping[str, str | bool]) -> Any:
        """Call an operation of a service that speaks JSON. Raises AwsError."""
        headers = {
            "Content-Type": "application/x-amz-json-1.1",
            "X-Amz-Target": f"{_TARGETS[service]}.{operation}",
        }
        url = f"{endpoint(service, _region(self.session))}/"
        answer = self._sent(service, Request("POST", url, headers, msgspec.json.encode(arguments)))
        try:
            return msgspec.json.decode(answer.content)
        except msgspec.DecodeError:
            raise AwsHttpError("") from None

    def get_object(self, bucket: str, key: str, *, unless: str | None = None) -> Object:
        """Read an object; one that still has the etag `unless` is not sent again.

        Raises AwsError, with the code 304 then.
        """
        headers = {} if unless is None else {"If-None-Match": unless}
        url = object_url(bucket, key, _region(self.session))
        answer = self._sent("s3", Request("GET", url, headers, b""))
        return Object(answer.content, answer.headers.get("ETag", ""))

    def put_object(self, bucket: str, key: str, body: bytes) -> None:
        """Write an object of JSON. Raises AwsError."""
        url = object_url(bucket, key, _region(self.session))
        self._sent("s3", Request("PUT", url, {"Content-Type": "application/json"}, body))

    def _sent(self, service: str, request: Request) -> requests.Response:
        error = AwsHttpError("")
        for attempt in range(self.bounds.attempts):
            if attempt:
                time.sleep(_WAIT)
            try:
                answer = self._send(service, request)
            except requests.RequestException:
                continue
            if answer.status_code in _OK:
                return answer
            error = AwsHttpError(_code(answer))
            if answer.status_code < _SERVER_ERROR and error.code not in _THROTTLED:
                break
        raise error

    def _send(self, service: str, request: Request) -> requests.Response:
        headers = signed(
            request,
            _identity(self.session),
            service=service,
            region=_region(self.session),
            now=datetime.now(UTC),
        )
        return _http().request(
            request.method,
            request.url,
            headers=headers,
            data=request.body or None,
            timeout=(self.bounds.connect, self.bounds.read),
            allow_redirects=False,
            proxies=get_environ_proxies(request.url),
        )


def endpoint(service: str, region: str) -> str:
    """Give the URL of a service in a Region; a variable of the environment may name another."""
    for name in (f"AWS_ENDPOINT_URL_{_ENDPOINTS[service]}", "AWS_ENDPOINT_URL"):
        if url := os.environ.get(name):
            return url.rstrip("/")
    family = region.rsplit("-", 2)[0]
    domain = _DOMAINS.get(family, _DOMAINS.get(region.partition("-")[0], "amazonaws.com"))
    return f"https://{service}.{region}.{domain}"


def object_url(bucket: str, key: str, region: str) -> str:
    """Give the URL of an object."""
    base, path = endpoint("s3", region), quote(key, safe="/-_.~")
    # A certificate of S3 covers one level of names; an endpoint of one's own may cover none.
    if "." in bucket or not base.startswith("https://s3."):
        return f"{base}/{bucket}/{path}"
    return f"https://{bucket}.{base.removeprefix('https://')}/{path}"


def _code(answer: requests.Response) -> str:
    """Read the code of an error: S3 says it in XML, the others in JSON."""
    if found := _CODE.search(answer.content):
        return found[1].decode("utf-8", "replace")
    try:
        told = msgspec.json.decode(answer.content)
    except msgspec.DecodeError:
        return str(answer.status_code)
    kind = told.get("__type") if isinstance(told, dict) else None
    return kind.rpartition("#")[2] if isinstance(kind, str) else str(answer.status_code)


@cache
def _http() -> requests.Session:
    http = requests.Session()
    # A .netrc would put its own Authorization in the place of the signature.
    http.trust_env = False
    names = ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
    http.verify = next(filter(None, map(os.environ.get, names)), True)
    return http


def _identity(session: Session | None) -> Identity:
    """Give the credentials: Lambda puts the role's into the environment, people have sessions."""
    if session is None and _is_lambda():
        environ = os.environ
        return Identity(
            environ["AWS_ACCESS_KEY_ID"],
            environ["AWS_SECRET_ACCESS_KEY"],
            environ.get("AWS_SESSION_TOKEN"),
        )
    from botocore.exceptions import BotoCoreError

    try:
        credentials = (session or _default()).get_credentials()
        found = credentials and credentials.get_frozen_credentials()
    except BotoCoreError:
        raise AwsHttpError("") from None
    if not found:
        raise AwsHttpError("")
    return Identity(found.access_key or "", found.secret_key or "", found.token)


def _region(session: Session | None) -> str:
    if session is None and _is_lambda():
        return os.environ["AWS_REGION"]
    from botocore.exceptions import BotoCoreError

    try:
        region = (session or _default()).region_name
    except BotoCoreError:
        raise AwsHttpError("") from None
    if region is None:
        raise AwsHttpError("")
    return region


def _default() -> Session:
    """Give boto3's default session."""
    import boto3

    if boto3.DEFAULT_SESSION is None:
        boto3.setup_default_session()
    assert boto3.DEFAULT_SESSION is not None
    return boto3.DEFAULT_SESSION


def _is_lambda() -> bool:
    return "AWS_LAMBDA_RUNTIME_API" in os.environ and "AWS_ACCESS_KEY_ID" in os.environ
