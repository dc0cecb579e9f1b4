"""docker-compose.yaml names files that exist, and listens on loopback only."""

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from loki_shipper.local.find_loki import IMAGE, Running
from loki_shipper.local.loki import Loki

ROOT = Path(__file__).resolve().parents[2]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yaml").read_text("utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
MOUNTS = [mount for service in SERVICES.values() for mount in service.get("volumes", [])]
OLD = {"loki-old", "demo-old"}


def test_loki_is_the_one_that_the_tests_run() -> None:
    assert SERVICES["loki"]["image"] == IMAGE


def test_the_old_loki_has_a_profile_of_its_own() -> None:
    assert {name for name, each in SERVICES.items() if each.get("profiles") == ["old"]} == OLD
    assert "9090:9090" in SERVICES["loki-old"]["ports"][0]


def test_every_port_is_on_loopback() -> None:
    ports = [port for each in SERVICES.values() for port in each.get("ports", [])]
    assert len(ports) == 3
    assert all(port.startswith("127.0.0.1:") for port in ports)


@pytest.mark.parametrize("mount", MOUNTS)
def test_each_mounted_path_exists(mount: str) -> None:
    source = mount.partition(":")[0]
    assert (ROOT / source).exists() if source.startswith(".") else source in COMPOSE["volumes"]


@pytest.mark.parametrize("name", ["loki", "loki-old"])
def test_each_loki_reads_a_mounted_configuration(name: str) -> None:
    [config] = [word for word in SERVICES[name]["command"] if word.startswith("-config.file=")]
    source = config.replace("-config.file=/etc/loki/", "compose/loki/")
    server = yaml.safe_load((ROOT / source).read_text("utf-8"))["server"]
    assert SERVICES[name]["ports"] == [
        f"127.0.0.1:{server['http_listen_port']}:{server['http_listen_port']}"
    ]


def test_its_traffic_comes_from_the_demo(loki: Loki | Running, tenant: str, tmp_path: Path) -> None:
    assert SERVICES["demo"]["entrypoint"][-1] == "/work/compose/demo"
    # As the container after its first start: uv and the environment are there.
    home = tmp_path / "home"
    (home / "uv" / "bin").mkdir(parents=True)
    uv = home / "uv" / "bin" / "uv"
    uv.write_text(f'#!/bin/sh\necho "$UV_PROJECT_ENVIRONMENT $*" > {home}/call\n')
    uv.chmod(0o755)
    (home / "env").symlink_to(ROOT / ".venv")
    shown = subprocess.run(
        [ROOT / "compose" / "demo"],
        env=os.environ
        | {"DEMO_HOME": str(home), "DEMO_FOR": "1s", "LOKI_URL": loki.url, "LOKI_TENANT": tenant},
        capture_output=True,
        text=True,
        check=False,
    )
    assert shown.returncode == 0, shown.stderr
    assert "10 lines logged, 10 lines held" in shown.stdout
    assert (home / "call").read_text() == f"{home}/env sync --locked --quiet\n"
    assert requests.get(f"{loki.url}/ready", timeout=10).ok
