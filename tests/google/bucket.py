"""A Cloud Storage of this machine."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from gcp_storage_emulator.server import create_server

from loki_shipper.local.loki import free_port

BUCKET: Final = "loki-shipper-kept"


@contextmanager
def run_storage() -> Iterator[str]:
    """Run one with an empty bucket, and give its address."""
    port = free_port()
    server = create_server("127.0.0.1", port, in_memory=True, default_bucket=BUCKET)
    server.start()
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.stop()
