"""From log data to a record: the inverse of `decode`, for what is kept or made by hand."""

import binascii
import gzip

from msgspec.json import encode

from loki_shipper.model import LogData


def pack(data: LogData) -> str:
    """Pack log data as CloudWatch Logs does; the same data always gives the same text."""
    return binascii.b2a_base64(gzip.compress(encode(data), mtime=0), newline=False).decode()
