"""The image of the service on Google Cloud: what its Dockerfile installs is all that it needs."""

import json
import os
import re
from pathlib import Path

import requests

from loki_shipper.local.receiver import Receiver
from tests.google.processes import run_service
from tests.install.installing import CLONE, UV, run

DOCKERFILE = (CLONE / "Dockerfile").read_text("utf-8")


def test_the_service_runs_with_the_packages_of_its_image(
    tmp_path: Path, receiver: Receiver
) -> None:
    [sync] = re.findall(r"^RUN uv (sync .*)$", DOCKERFILE, re.MULTILINE)
    home = tmp_path / "venv"
    run(UV, *sync.replace("--no-cache", "").split(), cwd=CLONE, UV_PROJECT_ENVIRONMENT=str(home))
    packages = {path.name for path in home.glob("lib/*/site-packages/*")}
    assert not packages & {"boto3", "moto", "flask", "loki_shipper"}
    environ = {"LOKI_URL": receiver.url, "PYTHONPATH": str(CLONE / "src")}
    python = os.fspath(home / "bin" / "python")
    sample = json.loads((CLONE / "events" / "google-text.json").read_bytes())
    with run_service(environ, tmp_path / "log", python) as service:
        assert requests.post(service.url, json=sample, timeout=30).status_code == 204
    assert len(receiver.held()) == 1


def test_the_image_starts_the_service() -> None:
    assert 'CMD ["python", "-m", "loki_shipper.google"]' in DOCKERFILE
    assert "PYTHONPATH=/app/src" in DOCKERFILE
