"""Reads the file that RULES names, from a path or from Cloud Storage (`gs://bucket/key`)."""

import hashlib
import os
from pathlib import Path

from loki_shipper.shipper.rules.cache import FileUnchanged, FileUnreadable, RulesText

_GS = "gs://"


def google_rules_file(
    reference: str, etag: str | None
) -> RulesText | FileUnchanged | FileUnreadable:
    """Return the text of a rules file, unless its contents still have this hash."""
    try:
        body = _object(reference) if reference.startswith(_GS) else Path(reference).read_bytes()
    except OSError as error:
        return FileUnreadable(error.strerror or type(error).__name__)
    if body is None:
        return FileUnreadable("it cannot be read from Cloud Storage")
    found = hashlib.sha256(body).hexdigest()
    if found == etag:
        return FileUnchanged()
    try:
        return RulesText(body.decode(), found)
    except UnicodeDecodeError:
        return FileUnreadable("it is not UTF-8")


def _object(reference: str) -> bytes | None:
    # google-auth is installed only with the extra `google`.
    from loki_shipper.google.storage import StorageError, open_storage  # noqa: PLC0415

    bucket, _, key = reference.removeprefix(_GS).partition("/")
    try:
        return open_storage(bucket, os.environ).get(key)
    except StorageError:
        return None
