"""A Loki on loopback that answers queries from a script."""

import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from loki_shipper.local.receiver import ScriptedAnswer


def found(labels: Mapping[str, str], *entries: tuple[int, str]) -> ScriptedAnswer:
    """Make Loki's answer with the entries of one stream, each with its time in ns since 1970."""
    values = [[str(at), line] for at, line in entries]
    result = [{"stream": dict(labels), "values": values}] if values else []
    return ScriptedAnswer(200, json.dumps({"data": {"result": result}}).encode())


@contextmanager
def queried(
    answers: Sequence[ScriptedAnswer], came: list[Mapping[str, str]] | None = None
) -> Iterator[str]:
    """Run the server as long as the block lasts, and give its URL.

    The last answer stays. `came` gets the headers of each query.
    """
    left = [*answers]

    class Queries(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if came is not None:
                came.append(dict(self.headers))
            answer = left.pop(0) if len(left) > 1 else left[0]
            self.send_response(answer.status)
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            self.wfile.write(answer.body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Queries)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
