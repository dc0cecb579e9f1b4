"""Where there is no such AWS, its tests say why."""

import socket
from pathlib import Path

import pytest

from tests.cloud.cloud import CloudError, find_python, run_cloud
from tests.cloud.conftest import no_cloud


def silent(_: str) -> None: ...


def test_an_aws_that_does_not_start_shows_the_end_of_its_log(tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho no room left\nexit 3\n")
    python.chmod(0o755)
    with (
        pytest.raises(CloudError, match=r"(?s)exit code 3.*no room left"),
        run_cloud(python, tmp_path / "cloud", tell=silent),
    ):
        pytest.fail("it has not started")


def test_a_port_of_another_program_is_not_taken_for_this_aws(tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\nexit 3\n")
    python.chmod(0o755)
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with (
            pytest.raises(CloudError, match=f"port {port} is in use: give --port 0"),
            run_cloud(python, tmp_path / "cloud", port=port, tell=silent),
        ):
            pytest.fail("it has not started")


def test_without_the_network_it_says_what_cannot_be_installed(tmp_path: Path) -> None:
    environ = {"PATH": str(tmp_path), "HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)}
    uv = tmp_path / "uv"
    uv.write_text("#!/bin/sh\necho no network >&2\nexit 1\n")
    uv.chmod(0o755)
    with pytest.raises(CloudError, match="LocalStack cannot be installed: no network"):
        find_python(environ, silent)


def test_without_it_tests_are_skipped_and_in_ci_they_fail(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("CI", "REQUIRE_CLOUD"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(pytest.skip.Exception, match="no network"):
        no_cloud("no network")
    monkeypatch.setenv("REQUIRE_CLOUD", "1")
    with pytest.raises(pytest.fail.Exception, match="no network"):
        no_cloud("no network")
