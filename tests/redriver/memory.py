"""A bucket in memory, and records to put into it."""

import hashlib
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from loki_shipper.local.sample import Call, invocation_event, log_data
from loki_shipper.redriver.bucket import Bucket, Read, Stored

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
AN_HOUR_AGO = NOW - timedelta(hours=1)


class Memory:
    """The objects by key: body and time of writing; `moved` are keys and reasons."""

    def __init__(self) -> None:
        self.objects: dict[str, tuple[bytes, datetime]] = {}
        self.moved: list[tuple[str, str, str]] = []
        self.listed = 0

    def put(self, key: str, body: bytes, written: datetime = AN_HOUR_AGO) -> None:
        self.objects[key] = (body, written)

    def bucket(self) -> Bucket:
        return Bucket(self._folders, self._list, self._read, self._delete, self._move)

    def _folders(self, prefix: str) -> list[str]:
        below = (key.removeprefix(prefix) for key in self.objects if key.startswith(prefix))
        return sorted({f"{prefix}{key.split('/')[0]}/" for key in below if "/" in key})

    def _list(self, prefix: str) -> Iterator[Stored]:
        key = prefix
        while key := min((k for k in self.objects if k.startswith(prefix) and k > key), default=""):
            body, written = self.objects[key]
            self.listed += 1
            yield Stored(key, etag(body), len(body), written)

    def _read(self, key: str) -> Read | None:
        if key not in self.objects:
            return None
        body = self.objects[key][0]
        return Read(body, etag(body))

    def _delete(self, key: str, tag: str) -> bool:
        same = key in self.objects and etag(self.objects[key][0]) == tag
        if same:
            del self.objects[key]
        return same

    def _move(self, key: str, tag: str, to: str, reason: str) -> bool:
        if key not in self.objects or etag(self.objects[key][0]) != tag:
            return False
        self.objects[to] = (self.objects.pop(key)[0], NOW)
        self.moved.append((key, to, reason))
        return True


def etag(body: bytes) -> str:
    return f'"{hashlib.md5(body).hexdigest()}"'


def failed(at: str, group: str = "/ecs/shop", *lines: str) -> tuple[str, bytes]:
    """Give key and body of what the shipper kept of a log group at a time of the day."""
    return f"failed/2026/11/20/2026-11-20T{at}-{group.strip('/')}.json", record(group, *lines)


def of_lambda(
    at: str, group: str = "/ecs/shop", *lines: str, function: str = "shipper"
) -> tuple[str, bytes]:
    """Give key and body of what Lambda wrote."""
    key = f"aws/lambda/async/{function}/2026/11/20/2026-11-20T{at}-{group.strip('/')}"
    return key, record(group, *lines)


def record(group: str, *lines: str) -> bytes:
    return json.dumps({"version": "1.0", "requestPayload": event(group, *lines)}).encode()


def event(group: str, *lines: str) -> dict[str, Any]:
    at = int(AN_HOUR_AGO.timestamp() * 1000)
    calls = [Call(at, [(at, line) for line in lines or ("a line",)])]
    return invocation_event(log_data(group, "stream", calls))
