"""The first hour of a new user: a wheel, an empty home, no clone, and an account of AWS."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest
from msgspec import Struct

from loki_shipper.local.find_loki import Running
from tests.cloud.cloud import Cloud
from tests.cloud.stack import Stack, awaited
from tests.install.installing import build_wheel, install
from tests.loki.asking import held
from tools.artifact import SamArtifact
from tools.loki_with_outages import LokiWithOutages

REGION: Final = "eu-south-1"
CHECKOUT: Final = "/aws/lambda/checkout"

WITHOUT_WAITS: Final = """
import sys, time
from loki_shipper.cli import main
from loki_shipper.clock import Clock

skipped = 0.0

def sleep(seconds):
    global skipped
    skipped += seconds

clock = Clock(lambda: int((time.time() + skipped) * 1000), sleep, lambda: float("inf"))
main(sys.argv[1:], prog_name="loki-shipper", obj=clock)
"""
"""Runs the installed command; where it would wait for AWS, its clock jumps."""


class User(Struct, frozen=True):
    """Somebody with an installed `loki-shipper`, an empty home and credentials of AWS."""

    command: Path
    home: Path
    environ: dict[str, str]

    def run(self, *words: str, waits: bool = False, code: int = 0) -> str:
        """Type a command; return all that it says. Without `waits`, none for AWS."""
        python = self.command.with_name("python")
        done = subprocess.run(
            [*([self.command] if waits else [python, "-c", WITHOUT_WAITS]), *words],
            cwd=self.home,
            env=self.environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        sys.stdout.write(f"$ loki-shipper {' '.join(words)}\n{done.stdout}\n")
        assert done.returncode == code, done.stdout
        return done.stdout


@pytest.fixture
def user(cloud: Cloud, tmp_path: Path) -> User:
    home = tmp_path / "home"
    home.mkdir()
    environment = tmp_path / "installed"
    environment.mkdir()
    command = install(build_wheel(tmp_path / "dist"), environment, "3.13")
    path = f"{command.parent}:{os.environ['PATH']}"
    environ = {"HOME": str(home), "PATH": path, **cloud.environ(region=REGION)}
    return User(command, home, environ)


def test_the_first_hour_of_a_new_user(
    cloud: Cloud, built: SamArtifact, user: User, outages: LokiWithOutages, tenant: str
) -> None:
    stack = Stack(cloud, "loki-shipper", REGION)
    stack.create_log_group(CHECKOUT, team="payments")
    stack.create_log_group("/ecs/shop", team="shop")

    # Look first: nothing is deployed, and nothing changes.
    said = user.run("plan")
    assert f"link    {CHECKOUT}" in said
    assert "2 log groups: 1 to link" in said
    parameters = {
        "LokiTenant": tenant,
        "Architecture": built.architecture,
        "RedriveSchedule": "off",
    }
    sets = [word for name, value in parameters.items() for word in ("--set", f"{name}={value}")]
    words = ["deploy", "--loki-url", outages.url, *sets]
    assert "Nothing was changed." in user.run(*words, "--dry-run")
    assert stack.filters(CHECKOUT) == {}

    # One command deploys, links, and proves that a line arrives.
    said = user.run(*words, "--yes")
    assert "created  ShipperFunction" in said
    assert "Loki gave it back." in said
    assert stack.filters(CHECKOUT) == {"loki-shipper": stack.physical("ShipperAlias")}

    # Lines are seen as they arrive, under the tag of their log group.
    stack.log(CHECKOUT, ["the first order"])
    awaited(lambda: held(Running(outages.url), tenant, '{team="payments"}'))
    said = user.run("tail", "--tag", "team=payments", "--since", "5m", "--for", "2s", waits=True)
    assert "the first order" in said
    assert CHECKOUT in user.run("status")
    assert "0 wrong" in user.run("doctor")

    # Loki is away, and comes back: what waited is shipped.
    outages.stop()
    stack.log(CHECKOUT, ["while Loki was away"])
    awaited(lambda: stack.keys("aws/lambda/async/"))
    outages.start()
    assert "1 object" in user.run("redrive", "--dry-run")
    user.run("redrive")
    lines = held(Running(outages.url), tenant, '{team="payments"}')
    assert [line.line for line in lines] == ["the first order", "while Loki was away"]

    # And away with it all, but for the bucket.
    bucket = stack.physical("Bucket")
    assert "The stack is deleted." in user.run("deploy", "--delete", "--yes")
    assert stack.filters(CHECKOUT) == {}
    assert bucket in [each["Name"] for each in stack.client("s3").list_buckets()["Buckets"]]
