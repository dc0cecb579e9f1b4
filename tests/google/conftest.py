"""What the tests of Google Cloud share: its emulator of Pub/Sub, and a Loki to kill."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from loki_shipper.local.find_loki import Executable, Image, NotFound, Running, find_loki
from loki_shipper.local.progress import Tell
from tests.conftest import not_here
from tests.google.emulator import Emulator, find_emulator, run_emulator
from tools.loki_with_outages import LokiWithOutages, run_loki_with_outages


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    """Google's emulator of Pub/Sub, empty. Where it is not installed, the test is skipped."""
    jar = find_emulator()
    if jar is None:
        why = "no emulator of Pub/Sub, or no Java: gcloud components install pubsub-emulator"
        if os.environ.get("REQUIRE_PUBSUB"):
            pytest.fail(why)
        pytest.skip(why)
    with run_emulator(jar) as emulator:
        yield emulator


@pytest.fixture
def outages(tmp_path: Path, tell: Tell) -> Iterator[LokiWithOutages]:
    """A real Loki of the test's own, which it may kill and start."""
    environ = {name: value for name, value in os.environ.items() if name != "LOKI_URL"}
    match find_loki(environ, tell):
        case NotFound(why):
            not_here(why)
        case Running():
            raise AssertionError
        case Executable() | Image() as found:
            with run_loki_with_outages(found, tmp_path / "loki", tell) as loki:
                loki.start()
                yield loki
