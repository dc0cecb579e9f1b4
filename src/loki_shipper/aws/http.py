"""The AWS calls of the shipper, over HTTP: loading boto3 would double the time of a cold start.

docs/decisions/aws-http.md has the reasons, and lists the calls that use boto3.
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

from loki_shipper.aws.boto import Bounds, session_credentials, session_region
from loki_shipper.aws.errors import SERVER_ERROR, AwsError, error_kind
from loki_shipper.aws.objects import ObjectFound
from loki_shipper.aws.sigv4 import AwsCredentials, HttpRequest, signed
from loki_shipper.aws.tags import tags_of_xml
from loki_shipper.lean_requests import get_environ_proxies, requests

if TYPE_CHECKING:
    from collections.abc import Mapping

    from loki_shipper.aws.boto import AwsSession
    from loki_shipper.model import S3Object

_OK = range(200, 300)
_RETRY_PAUSE = 0.1
"""Seconds."""

_TARGETS = {
    "ssm": "AmazonSSM",
    "secretsmanager": "secretsmanager",
    "logs": "Logs_20140328",
    "sqs": "AmazonSQS",
}
_ENDPOINTS = {
    "ssm": "SSM",
    "secretsmanager": "SECRETS_MANAGER",
    "logs": "CLOUDWATCH_LOGS",
    "s3": "S3",
    "sqs": "SQS",
}
_DOMAINS = {
    "cn": "amazonaws.com.cn",
    "eusc": "amazonaws.eu",
    "us-iso": "c2s.ic.gov",
    "us-isob": "sc2s.sgov.gov",
    "us-isof": "csp.hci.ic.gov",
    "eu-isoe": "cloud.adc-e.uk",
}
# It becomes part of a host name.
_REGION = re.compile(r"[a-z]{2,5}(-[a-z]+)+-\d{1,2}")
_CODE = re.compile(rb"<Code>([^<]*)</Code>")


class RegionError(AwsError):
    """Raised when a bucket is in another Region, which S3 names."""

    def __init__(self, region: str) -> None:
        super().__init__("refused", "PermanentRedirect")
        self.region = region


class AwsHttp(Struct, frozen=True):
    """Calls AWS over HTTP, within bounds.

    Without a `session`, the credentials and the Region are those of the Lambda function, and off
    Lambda those of boto3's default session.
    """

    session: AwsSession | None
    bounds: Bounds

    def call(self, service: str, operation: str, arguments: Mapping[str, Any]) -> Any:
        """Call an operation of a service with a JSON protocol. Raises AwsError."""
        headers = {
            "Content-Type": f"application/x-amz-json-1.{0 if service == 'sqs' else 1}",
            "X-Amz-Target": f"{_TARGETS[service]}.{operation}",
        }
        url = f"{endpoint(service, _region(self.session))}/"
        body = msgspec.json.encode(arguments)
        answer = self._send(service, HttpRequest("POST", url, headers, body))
        try:
            return msgspec.json.decode(answer.content)
        except msgspec.DecodeError:
            raise _unreachable() from None

    def get_object(self, bucket: str, key: str, etag: str | None = None) -> ObjectFound:
        """Read an object; S3 does not send one that still has this ETag. Raises AwsError."""
        headers = {} if etag is None else {"If-None-Match": etag}
        url = object_url(bucket, key, _region(self.session))
        answer = self._send("s3", HttpRequest("GET", url, headers, b""))
        return ObjectFound(answer.content, answer.headers.get("ETag", ""))

    def put_object(self, bucket: str, key: str, body: bytes) -> None:
        """Write an object of JSON. Raises AwsError."""
        url = object_url(bucket, key, _region(self.session))
        headers = {"Content-Type": "application/json"}
        self._send("s3", HttpRequest("PUT", url, headers, body))

    def delete_object(self, bucket: str, key: str) -> None:
        """Delete an object, if it exists. Raises AwsError."""
        url = object_url(bucket, key, _region(self.session))
        self._send("s3", HttpRequest("DELETE", url, {}, b""))

    def get_bucket_tags(self, bucket: str) -> dict[str, str]:
        """Read the tags of a bucket of any Region, none if it has no tags. Raises AwsError."""
        region = _region(self.session)
        try:
            return self._bucket_tags(bucket, region)
        except RegionError as other:
            return self._bucket_tags(bucket, other.region)

    def _bucket_tags(self, bucket: str, region: str) -> dict[str, str]:
        url = f"{object_url(bucket, '', region)}?tagging="
        try:
            answer = self._send("s3", HttpRequest("GET", url, {}, b""), region)
        except AwsError as error:
            if error.code == "NoSuchTagSet":
                return {}
            raise
        return tags_of_xml(answer.content.decode("utf-8", "replace"))

    def open_object(self, found: S3Object, headers: dict[str, str]) -> requests.Response:
        """Begin to read an object of any bucket; the caller reads and closes the answer.

        `found.region` is the Region of the bucket; None: the caller's. Raises RegionError if the
        bucket is in another one, and AwsError.
        """
        region = found.region or _region(self.session)
        version = "" if found.version is None else f"?versionId={quote(found.version, safe='')}"
        url = object_url(found.bucket, found.key, region) + version
        return self._send("s3", HttpRequest("GET", url, headers, b""), region, stream=True)

    def _send(
        self,
        service: str,
        request: HttpRequest,
        region: str | None = None,
        *,
        stream: bool = False,
    ) -> requests.Response:
        region = region or _region(self.session)
        error = _unreachable()
        for attempt in range(self.bounds.attempts):
            if attempt:
                time.sleep(_RETRY_PAUSE)
            try:
                answer = self._send_once(service, request, region, stream=stream)
                if answer.status_code in _OK:
                    return answer
                error = _error(answer, region)
            except requests.RequestException:
                continue
            status = answer.status_code
            if status < SERVER_ERROR and error.kind != "throttled":
                break
        raise error

    def _send_once(
        self, service: str, request: HttpRequest, region: str, *, stream: bool
    ) -> requests.Response:
        headers = signed(
            request,
            _credentials(self.session),
            service=service,
            region=region,
            now=datetime.now(UTC),
        )
        return _http().request(
            request.method,
            request.url,
            headers=headers,
            data=request.body or None,
            timeout=(self.bounds.connect, self.bounds.read),
            allow_redirects=False,
            stream=stream,
            proxies=get_environ_proxies(request.url),
        )


def endpoint(service: str, region: str) -> str:
    """Give the URL of a service in a Region; `AWS_ENDPOINT_URL` and the like replace it."""
    for name in (f"AWS_ENDPOINT_URL_{_ENDPOINTS[service]}", "AWS_ENDPOINT_URL"):
        if url := os.environ.get(name):
            return url.rstrip("/")
    family = region.rsplit("-", 2)[0]
    domain = _DOMAINS.get(family, _DOMAINS.get(region.partition("-")[0], "amazonaws.com"))
    return f"https://{service}.{region}.{domain}"


def object_url(bucket: str, key: str, region: str) -> str:
    """Give the URL of an object."""
    base, path = endpoint("s3", region), quote(key, safe="/-_.~")
    # The certificate of S3 covers one level of names. A custom endpoint may cover none.
    if "." in bucket or not base.startswith("https://s3."):
        return f"{base}/{bucket}/{path}"
    return f"https://{bucket}.{base.removeprefix('https://')}/{path}"


def _unreachable() -> AwsError:
    return AwsError("unreachable", "", "AWS cannot be reached")


def _error(answer: requests.Response, region: str) -> AwsError:
    code, status = _code(answer), answer.status_code
    other = answer.headers.get("x-amz-bucket-region", region)
    if other != region and _REGION.fullmatch(other):
        return RegionError(other)
    # S3 has the same code if the KMS key refuses. Only the message names the key.
    reason = "kms" if code == "AccessDenied" and b"kms:" in answer.content else ""
    return AwsError(error_kind(code, status), code, reason)


def _code(answer: requests.Response) -> str:
    """Read the error code from the XML of S3 or the JSON of the other services."""
    if found := _CODE.search(answer.content):
        return found[1].decode("utf-8", "replace")
    try:
        error = msgspec.json.decode(answer.content)
    except msgspec.DecodeError:
        return str(answer.status_code)
    kind = error.get("__type") if isinstance(error, dict) else None
    return kind.rpartition("#")[2] if isinstance(kind, str) else str(answer.status_code)


@cache
def _http() -> requests.Session:
    http = requests.Session()
    # A .netrc would replace the signature with its own Authorization.
    http.trust_env = False
    names = ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
    http.verify = next(filter(None, map(os.environ.get, names)), True)
    return http


def _credentials(session: AwsSession | None) -> AwsCredentials:
    # Lambda sets the credentials of the function's role in the environment.
    if session is None and _is_lambda():
        environ = os.environ
        return AwsCredentials(
            environ["AWS_ACCESS_KEY_ID"],
            environ["AWS_SECRET_ACCESS_KEY"],
            environ.get("AWS_SESSION_TOKEN"),
        )
    found = session_credentials(session)
    if found is None:
        raise _unreachable()
    return found


def _region(session: AwsSession | None) -> str:
    if session is None and _is_lambda():
        return os.environ["AWS_REGION"]
    region = session_region(session)
    if region is None:
        raise _unreachable()
    return region


def _is_lambda() -> bool:
    return "AWS_LAMBDA_RUNTIME_API" in os.environ and "AWS_ACCESS_KEY_ID" in os.environ
