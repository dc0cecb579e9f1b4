"""From a batch to the body of a push: protobuf in a snappy block."""

import snappy

from loki_shipper.model import Batch, Pairs
from loki_shipper.shipper.logproto_pb2 import LabelPairAdapter, PushRequest

_SECOND = 1_000_000_000


def encode(batch: Batch) -> bytes:
    """Encode a batch as Loki's PushRequest, one stream in it, the same bytes for the same batch."""
    request = PushRequest()
    stream = request.streams.add(labels=label_set(batch.stream.labels))
    add = stream.entries.add
    known: Pairs = ()
    pairs: list[LabelPairAdapter] = []
    for entry in batch.entries:
        if entry.metadata is not known:
            known = entry.metadata
            pairs = [LabelPairAdapter(name=name, value=value) for name, value in known]
        added = add(line=entry.line, structuredMetadata=pairs)
        added.timestamp.seconds, added.timestamp.nanos = divmod(entry.timestamp, _SECOND)
    return bytes(snappy.compress(request.SerializeToString()))


def label_set(labels: Pairs) -> str:
    r"""Write labels as Loki reads them; only `\`, `"` and newline are escaped.

    >>> label_set((("app", 'say "hi"'), ("env", "prod")))
    '{app="say \\"hi\\"", env="prod"}'
    """
    return "{" + ", ".join(f'{name}="{_escaped(value)}"' for name, value in labels) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
