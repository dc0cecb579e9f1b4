"""Credentials that change while several threads push, as those of the redriver do."""

import time
from concurrent.futures import ThreadPoolExecutor

from loki_shipper.local.receiver import Receiver
from loki_shipper.local.receiver import ScriptedAnswer as Scripted
from loki_shipper.model import Batch, Entry, LogEvent, Stream
from loki_shipper.shipper.delivery.answer import Answer
from loki_shipper.shipper.delivery.push import LokiAccess
from loki_shipper.shipper.delivery.session import LokiSession

BATCH = Batch(Stream(None, (("app", "a"),)), [Entry(5, "hello", (), LogEvent("", 0, ""))])


def test_a_refused_thread_uses_credentials_that_another_thread_renewed(
    receiver: Receiver,
) -> None:
    tokens = ["old", "new", "new"]
    url = f"{receiver.url}/loki/api/v1/push"
    receiver.script(lambda push: Scripted(204 if push.headers["authorization"] == "new" else 401))

    def read(*, fresh: bool) -> LokiAccess:
        assert fresh is (len(tokens) < 3)
        return LokiAccess(url, {"Authorization": tokens.pop(0)})

    session = LokiSession(read, time.monotonic, connections=2)
    with ThreadPoolExecutor(1) as one, ThreadPoolExecutor(1) as other:
        threads = (one, other)

        def push() -> list[object]:
            return [each.submit(session.send, BATCH, seconds=5.0).result() for each in threads]

        assert push() == [Answer(401), Answer(401)]
        assert [each.submit(session.renew).result() for each in threads] == [True, True]
        assert push() == [Answer(204), Answer(204)]
    assert tokens == ["new"]
