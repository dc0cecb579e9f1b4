"""Packs log data into a record, the inverse of `decode`."""

import binascii
import gzip

from msgspec.json import encode

from loki_shipper.model import LogData


def pack(data: LogData) -> str:
    """Return log data as base64 of gzip of JSON; the same data always gives the same text."""
    return binascii.b2a_base64(gzip.compress(encode(data), mtime=0), newline=False).decode()
