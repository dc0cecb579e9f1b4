"""What a run leaves for the next one, so that every object has its turn."""

from msgspec import DecodeError, Struct
from msgspec.json import decode, encode

from loki_shipper.redriver.bucket import Bucket, Share
from loki_shipper.shipper.delivery.dead_letters import PutObject


class Cursor(Struct, frozen=True):
    """Where a run begins: behind the key `after`, or at the beginning where that is empty.

    `doubts` counts by key the runs in which an object failed alone while Loki took others.
    """

    after: str = ""
    doubts: dict[str, int] = {}


BEGINNING = Cursor()


def cursor_key(share: Share) -> str:
    """Give the key of a worker's cursor in the bucket."""
    return f"redriver/{share.worker}-of-{share.workers}.json"


def read_cursor(bucket: Bucket, share: Share) -> Cursor:
    """Read a worker's cursor; the beginning where there is none or it cannot be read."""
    [body] = bucket.read([cursor_key(share)])
    try:
        return decode(body, type=Cursor) if isinstance(body, bytes) else Cursor()
    except (DecodeError, UnicodeDecodeError):
        return Cursor()


def write_cursor(before: Cursor, after: Cursor, share: Share, put: PutObject) -> None:
    """Write what the next run begins with, if that has changed. Raises SpillError."""
    if after != before:
        put(cursor_key(share), encode(after))
