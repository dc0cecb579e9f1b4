"""Streams objects of S3, however large they are, from buckets of any Region.

A connection may break while Loki takes its time. The download then goes on at the next byte.
https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html
"""

from __future__ import annotations

from contextlib import closing
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace
from urllib3.exceptions import HTTPError

from loki_shipper.aws.errors import AwsError
from loki_shipper.aws.http import RegionError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from loki_shipper.aws.http import AwsHttp
    from loki_shipper.lean_requests import requests
    from loki_shipper.model import S3Object

_CHUNK = 512 * 1024
_GONE = {
    *("NoSuchKey", "NoSuchVersion", "NoSuchBucket", "404"),
    "MethodNotAllowed",  # the version is a delete marker
    "PreconditionFailed",  # the object has been replaced since its begin was read
}
_BREAKS = 5
"""Connections that may break one after the other without a byte."""

# A bucket that is not of this kind ignores it.
_REQUESTER_PAYS = {"x-amz-request-payer": "requester"}


class Download(Struct, frozen=True):
    """An object with the ETag, size and time that S3 tells, and its bytes; they raise AwsError."""

    found: S3Object
    chunks: Iterator[bytes]


class Downloads:
    """Opens objects, and remembers the Regions of their buckets."""

    def __init__(self, aws: AwsHttp) -> None:
        self._aws = aws
        self._regions: dict[str, str] = {}

    def open(self, found: S3Object) -> Download:
        """Begin to read an object. Raises AwsError."""
        answer = self._get(found, {})
        told = replace(
            found,
            etag=answer.headers.get("ETag", "").strip('"') or found.etag,
            size=int(answer.headers["Content-Length"]),
            written=_milliseconds(answer.headers.get("Last-Modified")) or found.written,
        )
        return Download(told, self._chunks(answer, told))

    def _get(self, found: S3Object, headers: dict[str, str]) -> requests.Response:
        region = self._regions.get(found.bucket, found.region)
        headers = _REQUESTER_PAYS | headers
        try:
            return self._aws.open_object(replace(found, region=region), headers)
        except RegionError as error:
            self._regions[found.bucket] = error.region
            return self._aws.open_object(replace(found, region=error.region), headers)

    def _chunks(self, answer: requests.Response, found: S3Object) -> Iterator[bytes]:
        assert found.size is not None
        place = breaks = 0
        while True:
            with closing(answer):
                try:
                    # Not decoded: S3 sends the Content-Encoding that the object's writer set.
                    for chunk in answer.raw.stream(_CHUNK, decode_content=False):
                        breaks = 0
                        place += len(chunk)
                        yield chunk
                except (HTTPError, OSError):
                    breaks += 1
            if place >= found.size:
                return
            if breaks > _BREAKS:
                raise AwsError("unreachable", "", "S3 breaks the connection")
            answer = self._go_on(found, place)

    def _go_on(self, found: S3Object, place: int) -> requests.Response:
        headers = {"Range": f"bytes={place}-"}
        if found.etag is not None:
            headers["If-Match"] = f'"{found.etag}"'
        return self._get(found, headers)


def is_gone(error: AwsError) -> bool:
    """Tell whether a download failed because the object, or its version, no longer exists."""
    return error.code in _GONE


def _milliseconds(date: str | None) -> int | None:
    try:
        return int(parsedate_to_datetime(date or "").timestamp() * 1000)
    except ValueError:
        return None
