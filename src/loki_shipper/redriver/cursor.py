"""The state that a run saves for the next one, so that no object starves."""

from msgspec import DecodeError, Struct, field
from msgspec.json import decode, encode

from loki_shipper.redriver.bucket import Bucket, Share
from loki_shipper.shipper.delivery.dead_letters import PutObject


class Cursor(Struct, frozen=True):
    """The start of a run: after the key `after`, or at the first object if that is empty.

    `lone_failures` counts, by key, the runs in which an object failed alone while Loki took others.
    """

    after: str = ""
    lone_failures: dict[str, int] = field(default_factory=dict, name="doubts")


BEGINNING = Cursor()


def cursor_key(share: Share) -> str:
    """Give the key of a worker's cursor in the bucket."""
    return f"redriver/{share.worker}-of-{share.workers}.json"


def read_cursor(bucket: Bucket, share: Share) -> Cursor:
    """Read a worker's cursor; the beginning if it is missing or cannot be read."""
    [body] = bucket.read([cursor_key(share)])
    try:
        return decode(body, type=Cursor) if isinstance(body, bytes) else Cursor()
    except (DecodeError, UnicodeDecodeError):
        return Cursor()


def write_cursor(before: Cursor, after: Cursor, share: Share, put: PutObject) -> None:
    """Write the cursor of the next run, if it has changed. Raises DeadLetterError."""
    if after != before:
        put(cursor_key(share), encode(after))
