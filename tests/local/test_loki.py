"""One finder serves tests, demo and scripts: each way to a Loki, in its order."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests
import snappy

from loki_shipper.local.find_loki import (
    IMAGE,
    Executable,
    Image,
    NotFound,
    Running,
    find_executable,
    find_loki,
)
from loki_shipper.local.go import LokiBuildError, build_loki, cached
from loki_shipper.local.logproto_pb2 import (
    EntryAdapter,
    LabelPairAdapter,
    PushRequest,
    StreamAdapter,
)
from loki_shipper.local.loki import Loki, start
from loki_shipper.local.query_loki import LokiError, query_range

type Install = Callable[[str, str], Path]

NEEDS_GO_1_20 = "module test\n\ngo 1.20.3\n"


@pytest.fixture
def install(tmp_path: Path) -> Install:
    """Put a shell script onto a PATH that has nothing else."""

    def install(name: str, script: str) -> Path:
        path = tmp_path / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        return path

    return install


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {"PATH": str(tmp_path / "bin"), "XDG_CACHE_HOME": str(tmp_path / "cache")}


@pytest.fixture
def module(tmp_path: Path) -> Path:
    module = tmp_path / "module"
    module.mkdir()
    (module / "go.mod").write_text(NEEDS_GO_1_20)
    (module / "go.sum").write_text("")
    return module


def ignore(_: str) -> None:
    """Take a progress line and say nothing."""


def test_a_running_loki_is_chosen_first(install: Install, environ: dict[str, str]) -> None:
    install("loki", "")
    install("docker", "exit 0")
    environ["LOKI_URL"] = "http://loki.example:3100/"
    assert find_loki(environ, ignore) == Running("http://loki.example:3100")


def test_a_push_url_gives_the_url_of_its_loki(environ: dict[str, str]) -> None:
    environ["LOKI_URL"] = "https://loki.example/loki/api/v1/push"
    assert find_loki(environ, ignore) == Running("https://loki.example")


def test_an_executable_on_path_is_chosen_before_docker(
    install: Install, environ: dict[str, str]
) -> None:
    path = install("loki", "")
    install("docker", "exit 0")
    assert find_loki(environ, ignore) == Executable(path)


def test_docker_is_chosen_before_go_if_it_answers(
    install: Install, environ: dict[str, str]
) -> None:
    install("docker", '[ "$1" = info ]')
    assert find_loki(environ, ignore) == Image(IMAGE)


def test_a_docker_that_does_not_answer_is_not_used(
    install: Install, environ: dict[str, str]
) -> None:
    install("docker", "exit 1")
    assert isinstance(find_loki(environ, ignore), NotFound)


def test_without_any_it_says_how_to_get_one(environ: dict[str, str]) -> None:
    found = find_loki(environ, ignore)
    assert isinstance(found, NotFound)
    for way in ("no `go` on PATH", "`loki` executable", "Docker", "Go (1.26.5", "LOKI_URL"):
        assert way in found.why


def test_a_go_that_is_too_old_is_named(install: Install, environ: dict[str, str]) -> None:
    install("go", "echo go version go1.22.1 linux/amd64")
    found = find_executable(environ, ignore)
    assert isinstance(found, NotFound)
    assert "Go 1.22.1 is too old to build Loki, which needs 1.26.5" in found.why


def test_go_builds_once_for_a_version(
    install: Install, environ: dict[str, str], module: Path
) -> None:
    go = install(
        "go",
        "[ $1 = version ] && echo go version go1.20.3 && exit\n"
        'echo "$@" CGO_ENABLED=$CGO_ENABLED >> $0.calls\n'
        'echo built > "$5"',
    )
    told: list[str] = []
    first = build_loki(environ, told.append, module)
    go.unlink()
    second = build_loki(environ, told.append, module)
    assert first == second == cached(environ, module)
    assert first.read_text() == "built\n"
    [call] = go.with_suffix(".calls").read_text().splitlines()
    assert call.startswith("build -tags noasm -o ")
    assert call.endswith("github.com/grafana/loki/v3/cmd/loki CGO_ENABLED=0")


def test_two_never_build_at_once(install: Install, environ: dict[str, str], module: Path) -> None:
    wait = module / "wait"
    os.mkfifo(wait)
    go = install(
        "go",
        "[ $1 = version ] && echo go1.21 && exit\n"
        "[ -e $0.calls ] && again=yes\necho build >> $0.calls\n"
        f'[ $again ] || read _ < {wait}\necho built > "$5"',
    )
    told: list[str] = []

    def tell(text: str) -> None:
        # The build goes on only when the other one is known to wait.
        if text.startswith("waiting for another build") and not told:
            told.append(text)
            wait.write_text("go on\n")

    with ThreadPoolExecutor(2) as threads:
        built = list(threads.map(lambda _: build_loki(environ, tell, module), range(2)))
    assert built[0] == built[1]
    assert go.with_suffix(".calls").read_text() == "build\n"
    assert told


def test_another_go_mod_is_another_executable(environ: dict[str, str], module: Path) -> None:
    before = cached(environ, module)
    (module / "go.sum").write_text("changed")
    assert cached(environ, module) != before


def test_a_failed_build_says_why_and_leaves_no_executable(
    install: Install, environ: dict[str, str], module: Path
) -> None:
    install("go", '[ $1 = version ] && echo go1.21 && exit\necho half > "$5"\necho no disk\nexit 1')
    with pytest.raises(LokiBuildError, match="could not build Loki: no disk"):
        build_loki(environ, ignore, module)
    assert not cached(environ, module).exists()


def test_a_long_build_shows_its_progress(
    install: Install, environ: dict[str, str], module: Path
) -> None:
    wait = module / "wait"
    os.mkfifo(wait)
    install("go", f'[ $1 = version ] && echo go1.21 && exit\nread _ < {wait}\necho built > "$5"')
    told: list[str] = []

    def tell(text: str) -> None:
        # The build goes on only after it was told of.
        if text and not told:
            wait.write_text("go on\n")
        told.append(text)

    build_loki(environ, tell, module)
    assert told[0].startswith("building Loki with Go (some five minutes the first time")
    assert told[-1] == ""


def test_a_loki_that_ends_at_once_shows_the_end_of_its_log(
    install: Install, tmp_path: Path
) -> None:
    loki = install("loki", "echo reading; echo no such key; exit 3")
    with (
        pytest.raises(LokiError, match=r"exit code 3.*\n.*reading\nno such key"),
        start(Executable(loki), tmp_path / "data", tell=ignore),
    ):
        pass


def test_a_real_loki_returns_the_pushed_lines(loki: Loki | Running, exact_tenant: str) -> None:
    now = time.time_ns()
    push(loki.url, exact_tenant, '{app="a"}', [(now, "first"), (now + 1, "second")])
    lines = query_range(
        loki.url, '{app="a"}', tenant=exact_tenant, start_ns=now, end_ns=now + 10**9
    )
    assert [(line.timestamp, line.line) for line in lines] == [
        (now, "first"),
        (now + 1, "second"),
    ]
    assert lines[0].labels == {"app": "a"}
    assert lines[0].metadata == {"trace": "t1"}


def test_a_tenant_gets_limits_of_its_own(loki: Loki | Running, tenant: str) -> None:
    if isinstance(loki, Running):
        pytest.skip("limits are given to a Loki of our own only")
    loki.override(tenant, {"max_line_size": 5})
    with pytest.raises(requests.HTTPError, match="400"):
        push(loki.url, tenant, '{app="a"}', [(time.time_ns(), "longer than five")])


def test_an_unknown_limit_is_refused_and_not_kept(loki: Loki | Running, tenant: str) -> None:
    if isinstance(loki, Running):
        pytest.skip("limits are given to a Loki of our own only")
    with pytest.raises(LokiError, match="rejects these limits"):
        loki.override(tenant, {"no_such_limit": 5})
    loki.override(tenant, {"max_line_size": 5})


def test_the_stock_loki_has_its_faulty_tenants(stock_loki: Loki) -> None:
    with pytest.raises(requests.HTTPError, match="429"):
        push(stock_loki.url, "block429", '{app="a"}', [(time.time_ns(), "line")])


def test_a_bad_query_is_an_error_with_lokis_message(loki: Loki | Running, tenant: str) -> None:
    with pytest.raises(LokiError, match="Loki answered 400: parse error"):
        query_range(loki.url, "{", tenant=tenant, start_ns=0, end_ns=1)


def test_no_loki_is_an_error_in_a_sentence() -> None:
    with pytest.raises(LokiError, match="Loki does not answer"):
        query_range("http://127.0.0.1:1", '{a="b"}', start_ns=0, end_ns=1)


def test_docker_runs_loki_in_the_foreground_on_loopback(
    tmp_path: Path, install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Docker is played by a script that does with its arguments what Docker would do."""
    found = find_executable(os.environ, ignore)
    if isinstance(found, NotFound):
        pytest.skip(found.why)
    docker = install(
        "docker",
        'echo "$@" > $0.call\n'
        'while [ "$1" != -v ]; do shift; done\n'
        'cd "${2%%:*}" && sed -i s/0.0.0.0/127.0.0.1/ loki.yaml\n'
        f'while [ "$1" != {IMAGE} ]; do shift; done; shift\nexec {found.path} "$@"',
    )
    monkeypatch.setenv("PATH", str(docker.parent), prepend=os.pathsep)
    with start(Image(IMAGE), tmp_path / "data", tell=ignore) as loki:
        port = loki.url.rpartition(":")[2]
        call = docker.with_suffix(".call").read_text()
        assert call.startswith("run --rm -v ")
        assert f"-p 127.0.0.1:{port}:{port} {IMAGE} -config.file=loki.yaml" in call
        assert requests.get(f"{loki.url}/ready", timeout=5).ok


def test_the_script_prints_the_url_and_stops_when_asked(tmp_path: Path, loki: object) -> None:
    assert loki
    environ = {name: value for name, value in os.environ.items() if name != "LOKI_URL"}
    with (
        (tmp_path / "errors").open("w") as errors,
        subprocess.Popen(
            [sys.executable, "-m", "loki_shipper.local.loki", "--profile", "demo"],
            env=environ,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        ) as process,
    ):
        assert process.stdout
        url = process.stdout.readline().strip()
        assert requests.get(f"{url}/ready", timeout=5).ok
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    with pytest.raises(requests.ConnectionError):
        requests.get(f"{url}/ready", timeout=5)


def push(url: str, tenant: str, labels: str, lines: list[tuple[int, str]]) -> None:
    stream = StreamAdapter(labels=labels)
    for at, line in lines:
        entry = EntryAdapter(
            line=line, structuredMetadata=[LabelPairAdapter(name="trace", value="t1")]
        )
        entry.timestamp.FromNanoseconds(at)
        stream.entries.append(entry)
    headers = {"Content-Type": "application/x-protobuf", "X-Scope-OrgID": tenant}
    body = snappy.compress(PushRequest(streams=[stream]).SerializeToString())
    requests.post(
        f"{url}/loki/api/v1/push", data=body, headers=headers, timeout=10
    ).raise_for_status()
