"""The gate passes on whole requests only, as S3 stores whole objects only."""

import socket
from urllib.parse import urlsplit

from loki_shipper.local.receiver import Receiver
from tests.soak.gate import run_gate

REQUEST = b"PUT /bucket/key HTTP/1.1\r\nHost: s3\r\nContent-Length: 9\r\n\r\n"


def test_an_incomplete_request_is_not_passed_on(receiver: Receiver) -> None:
    with run_gate(receiver.url, "bucket") as gate:
        address = urlsplit(gate.url)
        with socket.create_connection((address.hostname or "", address.port or 0)) as connection:
            connection.sendall(
                b"PUT /bucket/key HTTP/1.1\r\nHost: s3\r\nContent-Length: 9\r\n\r\ncut"
            )
            connection.shutdown(socket.SHUT_WR)
            assert connection.recv(1) == b""
