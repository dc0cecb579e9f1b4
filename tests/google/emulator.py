"""Google's emulator of Pub/Sub, on loopback."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests

PROJECT = "shop-prod"
_SDK = "google-cloud-sdk/platform/pubsub-emulator"
_JARS = "lib/cloud-pubsub-emulator-*-all.jar"
_SECONDS = 60
_TOPICS = 8


def find_emulator() -> Path | None:
    """Find the emulator of the gcloud SDK, if it is installed with a Java to run it."""
    gcloud = shutil.which("gcloud")
    roots = [Path("/usr/lib"), Path("/usr/share"), Path.home()]
    if gcloud is not None:
        roots.insert(0, Path(gcloud).resolve().parents[2])
    jars = [jar for root in roots for jar in (root / _SDK).glob(_JARS)]
    return jars[0] if jars and shutil.which("java") else None


def free_port() -> int:
    """Give a port of loopback that nobody listens to."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


class Emulator:
    """A running emulator.

    It posts one message of a subscription at a time, so it has several topics with a subscription
    each. Google posts many at a time. With a retry policy it forgets messages that were refused
    (0.8.20), so the subscriptions have none.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._session = requests.Session()
        for number in range(_TOPICS):
            self._call("PUT", f"topics/logs-{number}", {})

    def subscribe(self, endpoint: str, *, deadline: int = 10) -> None:
        """Push the topics' messages to an endpoint; `deadline` of an answer is in seconds."""
        for number in range(_TOPICS):
            self._call(
                "PUT",
                f"subscriptions/loki-shipper-{number}",
                {
                    "topic": f"projects/{PROJECT}/topics/logs-{number}",
                    "pushConfig": {"pushEndpoint": endpoint},
                    "ackDeadlineSeconds": deadline,
                },
            )

    def publish(self, data: Sequence[str]) -> None:
        """Publish messages; each is base64."""
        for number in range(_TOPICS):
            messages = [{"data": each} for each in data[number::_TOPICS]]
            if messages:
                self._call("POST", f"topics/logs-{number}:publish", {"messages": messages})

    def _call(self, method: str, path: str, body: dict[str, Any]) -> None:
        url = f"{self.url}/v1/projects/{PROJECT}/{path}"
        answer = self._session.request(method, url, json=body, timeout=30)
        assert answer.ok, answer.text


@contextmanager
def run_emulator(jar: Path) -> Iterator[Emulator]:
    """Run an emulator."""
    port = free_port()
    command = ["java", "-Xmx1g", "-jar", os.fspath(jar), "--host=127.0.0.1", f"--port={port}"]
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        _wait_for(port, process)
        yield Emulator(f"http://127.0.0.1:{port}")
    finally:
        process.terminate()
        process.wait()


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + _SECONDS
    while time.monotonic() < end:
        assert process.poll() is None, "the emulator ended at once"
        try:
            if requests.get(f"http://127.0.0.1:{port}", timeout=5).ok:
                return
        except requests.ConnectionError:
            time.sleep(0.1)
    raise AssertionError("the emulator does not answer")
