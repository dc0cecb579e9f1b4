"""Each command reports a fault of AWS in one line, with what to do about it."""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from click.testing import Result

type Run = Callable[..., Result]

COMMANDS = {
    "plan": ["plan"],
    "link all": ["link", "--all"],
    "link one": ["link", "/ecs/a"],
    "unlink all": ["unlink", "--all"],
    "unlink one": ["unlink", "/ecs/a"],
    "status": ["status"],
    "backfill": ["backfill", "/ecs/a", "--since", "1d"],
    "tags sync": ["tags", "sync"],
    "explain": ["explain", "/ecs/a"],
    "doctor": ["doctor"],
    "tail": ["tail", "/ecs/a"],
    "deploy delete": ["deploy", "--delete", "--yes"],
    "redrive": ["redrive"],
    "redrive from a bucket": ["redrive", "--bucket", "b", "--dry-run"],
    "redrive with local settings": ["redrive", "--bucket", "b", "--local-settings"],
}
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local"}
HERE = CREDENTIALS | {"AWS_REGION": "eu-west-1", "AWS_MAX_ATTEMPTS": "1"}
PAGE = b"<!DOCTYPE html><html><head><title>Log in</title></head><body>Proxy<br></body></html>"
XHTML = b"<html><body>It works</body></html>"
ANSWERS = {
    "a page": (200, "text/html", PAGE),
    "a page that is XML": (200, "text/html", XHTML),
    "a page that refuses": (403, "text/html", PAGE),
    "a page that is missing": (404, "text/plain", b"404 page not found"),
    "a page of a proxy that fails": (502, "text/html", PAGE),
    "JSON of something else": (200, "application/json", b'{"status": "ok"}'),
    "a JSON list": (200, "application/json", b"[1]"),
    "nothing": (200, "text/plain", b""),
}


@pytest.fixture(autouse=True)
def nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty AWS configuration: that of this machine is not used."""
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", *CREDENTIALS):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@contextmanager
def answering(
    status: int, kind: str, body: bytes, headers: Mapping[str, str] = MappingProxyType({})
) -> Iterator[str]:
    """Run a server that has one answer to everything."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.send_response_only(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_GET = do_HEAD = do_PUT = do_POST = answer  # noqa: N815 - http.server calls them so

        def log_message(self, *_: Any) -> None:
            """Write no log."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def is_one_line(result: Result, *remedies: str) -> None:
    """Hold that a command failed with one line that names the remedies, and no traceback."""
    assert result.exit_code == 2, repr(result.exception)
    assert result.stdout == ""
    assert result.stderr.startswith("Error: ")
    assert result.stderr.count("\n") == 1, result.stderr
    for remedy in remedies:
        assert remedy in result.stderr


@pytest.fixture(params=COMMANDS)
def words(request: pytest.FixtureRequest) -> list[str]:
    return COMMANDS[request.param]


def test_a_page_of_a_proxy(run: Run, words: list[str]) -> None:
    with answering(*ANSWERS["a page"]) as url:
        is_one_line(run(*words, AWS_ENDPOINT_URL=url, **HERE), "AWS_ENDPOINT_URL", "HTTPS_PROXY")


@pytest.mark.parametrize("answer", ANSWERS)
@pytest.mark.parametrize(
    "words",
    [
        pytest.param(["plan"], id="CloudFormation"),
        pytest.param(["status", "--function", "shipper"], id="Lambda"),
        pytest.param(["redrive", "--bucket", "b", "--dry-run"], id="S3"),
    ],
)
def test_an_endpoint_that_is_not_aws(run: Run, words: list[str], answer: str) -> None:
    with answering(*ANSWERS[answer]) as url:
        is_one_line(run(*words, AWS_ENDPOINT_URL=url, **HERE), "AWS_ENDPOINT_URL", "HTTPS_PROXY")


def test_a_nonsense_endpoint(run: Run, words: list[str]) -> None:
    is_one_line(run(*words, AWS_ENDPOINT_URL="nonsense", **HERE), "AWS_ENDPOINT_URL")


@pytest.mark.parametrize("endpoint", ["http://", "localhost:4566", "http://a:b", "http://[::1"])
def test_an_endpoint_that_is_no_url(run: Run, endpoint: str) -> None:
    is_one_line(run("plan", AWS_ENDPOINT_URL=endpoint, **HERE), "AWS_ENDPOINT_URL")


def test_an_endpoint_without_a_server(run: Run, words: list[str]) -> None:
    result = run(*words, AWS_ENDPOINT_URL="http://127.0.0.1:9", **HERE)
    is_one_line(result, "AWS cannot be reached", "AWS_ENDPOINT_URL", "--region")


def test_missing_credentials(run: Run, words: list[str]) -> None:
    result = run(*words, AWS_REGION="eu-west-1", AWS_MAX_ATTEMPTS="1")
    is_one_line(result, "--profile", "AWS_PROFILE", "AWS_ACCESS_KEY_ID")


def test_half_of_the_credentials(run: Run) -> None:
    result = run("plan", AWS_REGION="eu-west-1", AWS_ACCESS_KEY_ID="a")
    is_one_line(result, "--profile", "AWS_SECRET_ACCESS_KEY")


@pytest.mark.parametrize(
    "words",
    # A bucket's Region is S3's to say.
    [each for each in COMMANDS.values() if "--bucket" not in each],
    ids=" ".join,
)
def test_a_missing_region(run: Run, words: list[str]) -> None:
    is_one_line(run(*words, **CREDENTIALS), "--region", "AWS_REGION")


@pytest.mark.parametrize("words", [["plan"], COMMANDS["redrive from a bucket"]])
def test_a_region_that_does_not_exist(run: Run, words: list[str]) -> None:
    result = run(*words, **HERE | {"AWS_REGION": "eu west"})
    is_one_line(result, "eu west", "--region", "AWS_REGION")


def test_a_profile_that_does_not_exist(run: Run, words: list[str]) -> None:
    is_one_line(run(*words, "--profile", "nobody", **HERE), "nobody", "--profile", "AWS_PROFILE")


def test_a_configuration_that_cannot_be_read(run: Run, tmp_path: Path) -> None:
    (tmp_path / "config").write_text("no section\n")
    is_one_line(run("plan", **HERE), str(tmp_path / "config"))


@pytest.mark.parametrize(
    ("code", "remedies"),
    [
        ("AccessDenied", ("cloudformation:ListStackResources on x", "get the right", "--profile")),
        ("ExpiredToken", ("log in to AWS", "--profile")),
        ("InvalidClientTokenId", ("log in to AWS", "--profile")),
        ("Throttling", ("repeat the command later",)),
        ("Odd", ("--region",)),
    ],
)
def test_an_answer_of_aws_that_is_an_error(run: Run, code: str, remedies: tuple[str, ...]) -> None:
    message = "User: me is not authorized to perform: cloudformation:ListStackResources on x"
    body = (
        f"<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message>"
        "</Error><RequestId>1</RequestId></ErrorResponse>"
    )
    with answering(400, "text/xml", body.encode(), {"x-amzn-RequestId": "1"}) as url:
        is_one_line(run("plan", AWS_ENDPOINT_URL=url, **HERE), *remedies)


def test_a_bucket_whose_region_s3_does_not_say(run: Run) -> None:
    words = ["redrive", "--bucket", "b", "--dry-run"]
    with answering(200, "text/xml", b"", {"x-amz-request-id": "1"}) as url:
        is_one_line(run(*words, AWS_ENDPOINT_URL=url, **CREDENTIALS), "--region")


def test_an_answer_that_cannot_be_read_is_not_from_aws(run: Run) -> None:
    with answering(200, "text/xml", PAGE, {"x-amzn-RequestId": "1"}) as url:
        is_one_line(run("plan", AWS_ENDPOINT_URL=url, **HERE), "AWS_ENDPOINT_URL")


@pytest.mark.parametrize("endpoint", ["nonsense", "http://127.0.0.1:9"])
@pytest.mark.parametrize(
    ("words", "setting"),
    [
        pytest.param(["check", "s3://b/rules.toml"], {}, id="check"),
        pytest.param(
            ["invoke", "lambda", "--loki", "http://127.0.0.1:9"],
            {"LOKI_SECRET": "/loki/secret"},
            id="invoke with a secret",
        ),
        pytest.param(["invoke", "lambda"], {"RULES": "s3://b/rules.toml"}, id="invoke with rules"),
    ],
)
def test_errors_of_objects_that_settings_name(
    run: Run, words: list[str], setting: dict[str, str], endpoint: str
) -> None:
    result = run(*words, AWS_ENDPOINT_URL=endpoint, **HERE, **setting)
    is_one_line(result)
    assert "fault of Loki-Shipper" not in result.stderr
