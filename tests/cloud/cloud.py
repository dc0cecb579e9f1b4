"""Runs LocalStack as an AWS on loopback, with Lambda functions that really run.

It has as many accounts and Regions as are asked for: an access key of twelve digits is the
account. It starts empty. `differences.py` lists what LocalStack does unlike AWS and mends it;
`lambda_processes.py` runs the functions. LocalStack is a tool of these tests, in an environment of
its own, and never a part of the product. `scripts/cloud` starts it by hand.
"""

import argparse
import hashlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import boto3
import requests
from msgspec import Struct

from loki_shipper.local.build import locked
from loki_shipper.local.cache import cache_folder
from loki_shipper.local.loki import free_port
from loki_shipper.local.progress import Tell, clock_face, on_stream
from loki_shipper.local.runtime_api import runtime_alone
from tools.artifact import CLONE, this_architecture

ACCOUNT: Final = "111111111111"
REGION: Final = "eu-central-1"

_HERE = Path(__file__).parent
# LocalStack takes no later one.
_PYTHON = "3.12"
_READY_SECONDS = 120.0
_STOP_SECONDS = 20.0


class CloudError(Exception):
    """Raised when there is no such AWS here, or it does not start; the message says why."""


class Cloud(Struct, frozen=True):
    """A running AWS; `url` is what AWS_ENDPOINT_URL has to be, `log` the file of what it says."""

    url: str
    log: Path

    def environ(self, account: str = ACCOUNT, region: str = REGION) -> dict[str, str]:
        """Give the variables with which a program talks to it, as an account and in a Region."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": account,
            "AWS_SECRET_ACCESS_KEY": "local",
            "AWS_DEFAULT_REGION": region,
            "AWS_REGION": region,
            # The machine's own configuration must not come between.
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def client(self, service: str, account: str = ACCOUNT, region: str = REGION) -> Any:
        """Make a boto3 client."""
        session = boto3.Session(
            aws_access_key_id=account, aws_secret_access_key="local", region_name=region
        )
        return session.client(service, endpoint_url=self.url)  # type: ignore[call-overload] # any


def find_python(environ: Mapping[str, str], tell: Tell) -> Path:
    """Return a Python that has LocalStack, installed now unless the cache has it.

    Raises:
        CloudError: it cannot be installed here.
    """
    if sys.platform != "linux":
        raise CloudError("the functions hold Linux programs, and this machine runs none")
    wanted = _HERE / "requirements.txt"
    digest = hashlib.sha256(_PYTHON.encode() + wanted.read_bytes()).hexdigest()[:12]
    folder = cache_folder(environ) / f"localstack-{digest}"
    with locked(folder.with_suffix(".lock"), "another installation of LocalStack", tell):
        if not folder.exists():
            tell("installing LocalStack, the AWS of the tests")
            _install(wanted, folder, environ)
            tell("")
    return folder / "bin" / "python"


def _install(wanted: Path, folder: Path, environ: Mapping[str, str]) -> None:
    uv = _uv(environ)
    unfinished = folder.with_suffix(".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    for command in (
        # Moved once it is finished.
        [uv, "venv", "--quiet", "--relocatable", "--python", _python(uv), os.fspath(unfinished)],
        [uv, "pip", "sync", "--quiet", "--require-hashes", os.fspath(wanted)],
    ):
        ended = subprocess.run(
            command,
            env={**environ, "VIRTUAL_ENV": os.fspath(unfinished)},
            capture_output=True,
            text=True,
            check=False,
        )
        if ended.returncode:
            raise CloudError(f"LocalStack cannot be installed: {ended.stderr.strip()[-1000:]}")
    unfinished.rename(folder)


def _uv(environ: Mapping[str, str]) -> str:
    """Find uv: `uv run` names itself to what it runs."""
    found = environ.get("UV") or shutil.which("uv", path=environ.get("PATH"))
    if found is None:
        raise CloudError("LocalStack is installed with uv, and there is none: use scripts/test")
    return found


def _python(uv: str) -> str:
    """Name a Python that LocalStack runs on: one that is here, else one for uv to download."""
    found = subprocess.run(
        [uv, "python", "find", _PYTHON], cwd="/", capture_output=True, text=True, check=False
    )
    if not found.returncode:
        return found.stdout.strip()
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv", "versions")
    here = sorted(pyenv.glob(f"{_PYTHON}.*/bin/python"))
    return os.fspath(here[-1]) if here else _PYTHON


@contextmanager
def run_cloud(python: Path, directory: Path, *, port: int = 0, tell: Tell) -> Iterator[Cloud]:
    """Run an AWS on loopback as long as the block lasts; it keeps everything in `directory`.

    Port 0 takes a free one.

    Raises:
        CloudError: the port is in use, or it ends or is not ready in time.
    """
    port = port or free_port()
    if _is_in_use(port):
        # Its commands would go to another AWS, such as that of another terminal.
        raise CloudError(f"port {port} is in use: give --port 0")
    directory.mkdir(parents=True, exist_ok=True)
    cloud = Cloud(f"http://127.0.0.1:{port}", directory / "cloud.log")
    runtime = runtime_alone(directory / "runtime")
    (directory / "tmp").mkdir()
    with cloud.log.open("wb") as log:
        process = subprocess.Popen(
            [os.fspath(python), "-m", "tests.cloud.aws_server"],
            cwd=CLONE,
            env=_environment(port, directory, runtime),
            # It ends when this process lets go of it.
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
            # Ctrl-C is ours to handle.
            start_new_session=True,
        )
    try:
        _wait_until_ready(cloud, process, tell)
        yield cloud
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(_STOP_SECONDS)
        process.kill()
        process.communicate()


def _is_in_use(port: int) -> bool:
    with socket.socket() as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tried.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False


def _environment(port: int, directory: Path, runtime: Path) -> dict[str, str]:
    return {
        "HOME": os.fspath(directory),
        "LANG": "en_US.UTF-8",
        "PATH": os.defpath,
        "PYTHONPATH": os.pathsep.join([os.fspath(CLONE), os.fspath(CLONE / "src")]),
        "PYTHONDONTWRITEBYTECODE": "1",
        "TMPDIR": os.fspath(directory / "tmp"),
        "LAMBDA_PYTHON": sys.executable,
        "LAMBDA_RUNTIME": os.fspath(runtime),
        "LOCALSTACK_VOLUME_DIR": os.fspath(directory / "volume"),
        "FILESYSTEM_ROOT": os.fspath(directory / "volume"),
        "GATEWAY_LISTEN": f"127.0.0.1:{port}",
        "LOCALSTACK_HOST": f"127.0.0.1:{port}",
        "SQS_ENDPOINT_STRATEGY": "path",
        "DNS_ADDRESS": "0",
        # It reports to nobody and downloads nothing.
        "DISABLE_EVENTS": "1",
        "SKIP_SSL_CERT_DOWNLOAD": "1",
        # Dashboards are no part of it.
        "CFN_IGNORE_UNSUPPORTED_RESOURCE_TYPES": "1",
        # Seconds before the first retry of an event, twice as many before the second: 60 on AWS.
        "LAMBDA_RETRY_BASE_DELAY": "1",
    }


def _wait_until_ready(cloud: Cloud, process: subprocess.Popen[bytes], tell: Tell) -> None:
    began = time.monotonic()
    while not _is_ready(cloud.url):
        spent = time.monotonic() - began
        tell(f"starting an AWS on this machine: {clock_face(spent)}")
        with suppress(subprocess.TimeoutExpired):
            code = process.wait(0.1)
            last = cloud.log.read_text(errors="replace").splitlines()[-15:]
            raise CloudError("\n".join([f"LocalStack ended by itself (exit code {code}):", *last]))
        if spent > _READY_SECONDS:
            raise CloudError(f"LocalStack is not ready after {clock_face(spent)}: see {cloud.log}")
    tell("")


def _is_ready(url: str) -> bool:
    with suppress(requests.ConnectionError):
        return requests.get(f"{url}/_localstack/health", timeout=10).ok
    return False


def main(arguments: list[str] | None = None) -> None:
    """Run an AWS on loopback until Ctrl-C or SIGTERM, and print how to talk to it."""
    parser = argparse.ArgumentParser(prog="scripts/cloud", description=main.__doc__)
    parser.add_argument("--port", type=int, default=4566, help="default: 4566; 0: a free one")
    parser.add_argument("--account", default=ACCOUNT, help="twelve digits")
    parser.add_argument("--region", default=REGION)
    options = parser.parse_args(arguments)
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    tell = on_stream()
    with TemporaryDirectory(prefix="loki-shipper-cloud-") as directory:
        try:
            python = find_python(os.environ, tell)
            with run_cloud(python, Path(directory), port=options.port, tell=tell) as cloud:
                environ = cloud.environ(options.account, options.region)
                lines = [f"export {name}={value}" for name, value in environ.items()]
                # Functions are processes of this machine.
                deploy = f"# loki-shipper deploy --set Architecture={this_architecture()} …"
                sys.stdout.write("\n".join([*lines, deploy, f"# log: {cloud.log}", ""]))
                sys.stdout.flush()
                stopped.wait()
        except CloudError as error:
            sys.exit(str(error))


if __name__ == "__main__":
    main()
