"""Does only the work of libraries in C for the same payload."""

from typing import Any

import cramjam
import msgspec
import pybase64
from isal import isal_zlib

from loki_shipper.local.logproto_pb2 import PushRequest
from loki_shipper.model import LogData

_LOG_DATA = msgspec.json.Decoder(LogData)
_SECOND = 1_000


def handle(event: dict[str, Any], _context: object) -> int:
    """Decode a payload and encode its lines as a push; return the push's size in bytes."""
    packed = pybase64.b64decode(event["awslogs"]["data"], validate=True)
    data = _LOG_DATA.decode(isal_zlib.decompress(packed, wbits=31))
    request = PushRequest()
    stream = request.streams.add(labels=f'{{log_group="{data.log_group}"}}')
    for each in data.log_events:
        entry = stream.entries.add(line=each.message)
        entry.timestamp.seconds, milliseconds = divmod(each.timestamp, _SECOND)
        entry.timestamp.nanos = milliseconds * 1_000_000
        entry.structuredMetadata.add(name="log_stream", value=data.log_stream)
    return len(cramjam.snappy.compress_raw(request.SerializeToString()))
