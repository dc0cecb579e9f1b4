"""`loki-shipper doctor` names what is wrong, against a real Loki: healthy, and broken in turn."""

import ast
import base64
import json
import os
import pty
import re
import socket
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import requests
from click.testing import CliRunner, Result
from moto.iam.responses import IamResponse

import loki_shipper.doctor as doctor_package
from loki_shipper.cli import main
from loki_shipper.doctor.finding import Finding, failure, warning
from loki_shipper.local.aws import LocalAws
from loki_shipper.local.loki import Loki
from loki_shipper.local.receiver import Receiver, ScriptedAnswer
from loki_shipper.settings import variables
from tests.local_deployment import deployed

type Run = Callable[..., Result]

USER = {"LOKI_USERNAME": "shipper", "LOKI_PASSWORD": "right"}


@pytest.fixture
def tenant() -> str:
    """A tenant of the Loki with stock limits that is not one of its faulty ones."""
    return f"doctor-{uuid.uuid4().hex}"


def levels(result: Result) -> dict[str, str]:
    findings = json.loads(result.stdout)
    return {finding["check"]: finding["level"] for finding in findings}


def faults(result: Result, level: str = "wrong") -> list[str]:
    return [check for check, found in levels(result).items() if found == level]


def told(result: Result, check: str) -> str:
    findings = json.loads(result.stdout)
    [finding] = [each for each in findings if each["check"] == check]
    return f"{finding['says']}: {finding['advice']}"


@contextmanager
def gateway(loki: str, *, reads: bool = True) -> Iterator[str]:
    """A gateway with basic auth in front of a Loki, which can refuse reads."""

    class Gateway(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self._relay()

        def do_GET(self) -> None:
            self._relay()

        def _relay(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            status, answer = 401, b"no such user"
            if self.headers.get("Authorization") == _basic("shipper", "right"):
                status, answer = 403, b"not for you"
                if reads or self.command == "POST":
                    got = requests.request(
                        self.command,
                        loki + self.path,
                        data=body,
                        headers=dict(self.headers),
                        timeout=30,
                    )
                    status, answer = got.status_code, got.content
            self.send_response(status)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: Any) -> None:
            """Write no log."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Gateway)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def test_a_healthy_loki_is_green(run: Run, stock_loki: Loki, tenant: str) -> None:
    run("doctor", "--loki", stock_loki.url, LOKI_TENANT=tenant)
    # The second time, the tenant has lines.
    result = run("doctor", "--json", "--loki", stock_loki.url, LOKI_TENANT=tenant)
    found = levels(result)
    assert (result.exit_code, {*found.values()}) == (0, {"ok"})
    checks = "settings dns tcp clock path auth tenant write read metadata labels limits"
    assert [*found] == checks.split()


def test_a_wrong_port_is_named(run: Run) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        result = run("doctor", "--json", "--loki", f"http://127.0.0.1:{port}")
    assert (result.exit_code, faults(result)) == (1, ["tcp"])
    assert f"nothing listens at 127.0.0.1:{port}" in told(result, "tcp")


def test_a_wrong_path_is_named_with_the_right_one(run: Run, stock_loki: Loki, tenant: str) -> None:
    url = f"{stock_loki.url}/api/prom"
    result = run("doctor", "--json", "--loki", url, LOKI_TENANT=tenant)
    assert (result.exit_code, faults(result)) == (1, ["path"])
    assert f"set LOKI_URL to {stock_loki.url}" in told(result, "path")


def test_a_server_that_takes_no_pushes_at_any_path_may_not_be_loki(
    run: Run, receiver: Receiver
) -> None:
    receiver.script(lambda _: ScriptedAnswer(status=404))
    result = run("doctor", "--json", "--loki", f"{receiver.url}/loki")
    assert (result.exit_code, faults(result)) == (1, ["path"])
    assert "is this Loki?" in told(result, "path")


def test_a_missing_tenant_is_named(run: Run, stock_loki: Loki) -> None:
    result = run("doctor", "--json", "--loki", stock_loki.url)
    assert (result.exit_code, faults(result)) == (1, ["tenant"])
    assert "set LOKI_TENANT" in told(result, "tenant")


def test_a_tenant_that_may_be_mistyped_is_a_warning(
    run: Run, stock_loki: Loki, tenant: str
) -> None:
    result = run("doctor", "--json", "--loki", stock_loki.url, LOKI_TENANT=tenant)
    assert (result.exit_code, faults(result, "warn")) == (0, ["tenant"])
    assert "correct LOKI_TENANT" in told(result, "tenant")


def test_a_wrong_password_is_named_and_not_shown(run: Run, stock_loki: Loki, tenant: str) -> None:
    with gateway(stock_loki.url) as url:
        wrong = USER | {"LOKI_PASSWORD": "wr0ng-one", "LOKI_TENANT": tenant}
        result = run("doctor", "--json", "--loki", url, **wrong)
    assert (result.exit_code, faults(result)) == (1, ["auth"])
    assert "wr0ng-one" not in result.output


def test_missing_credentials_are_named(run: Run, stock_loki: Loki, tenant: str) -> None:
    with gateway(stock_loki.url) as url:
        result = run("doctor", "--json", "--loki", url, LOKI_TENANT=tenant)
    assert (result.exit_code, faults(result)) == (1, ["auth"])
    assert "none are set" in told(result, "auth")


def test_credentials_that_may_only_write_are_fine(run: Run, stock_loki: Loki, tenant: str) -> None:
    with gateway(stock_loki.url, reads=False) as url:
        result = run("doctor", "--json", "--loki", url, LOKI_TENANT=tenant, **USER)
    assert (result.exit_code, faults(result)) == (0, [])
    assert levels(result)["read"] == "warn"
    assert levels(result)["write"] == "ok"


def test_disallowed_structured_metadata_is_a_warning(run: Run, stock_loki: Loki) -> None:
    result = run("doctor", "--json", "--loki", stock_loki.url, LOKI_TENANT="nosm")
    assert (result.exit_code, faults(result)) == (0, [])
    assert levels(result)["metadata"] == "warn"
    assert levels(result)["read"] == "ok"
    assert "allow_structured_metadata: true" in told(result, "metadata")


def test_structured_metadata_that_is_not_sent_is_fine(run: Run, stock_loki: Loki) -> None:
    off = {"LOKI_TENANT": "nosm", "STRUCTURED_METADATA": "off"}
    result = run("doctor", "--json", "--loki", stock_loki.url, **off)
    assert levels(result)["metadata"] == "ok"


@pytest.mark.parametrize("blocked", ["block", "block429"])
def test_blocked_ingestion_is_named(run: Run, stock_loki: Loki, blocked: str) -> None:
    result = run("doctor", "--json", "--loki", stock_loki.url, LOKI_TENANT=blocked)
    assert (result.exit_code, faults(result)) == (1, ["write"])
    assert "blocks" in told(result, "write")


def test_a_label_limit_below_ours_is_named(run: Run, stock_loki: Loki, tenant: str) -> None:
    many = {"LOKI_TENANT": tenant, "MAX_LABELS": "40"}
    result = run("doctor", "--json", "--loki", stock_loki.url, **many)
    assert (result.exit_code, faults(result)) == (1, ["labels"])
    assert "set MAX_LABELS=15" in told(result, "labels")


def test_labels_that_loki_requires_come_from_the_settings(run: Run, stock_loki: Loki) -> None:
    alone = run("doctor", "--json", "--loki", stock_loki.url, LOKI_TENANT="enforced")
    assert faults(alone) == ["write"]
    labels = {"LOKI_TENANT": "enforced", "STATIC_LABELS": "app=shop,region=eu"}
    result = run("doctor", "--json", "--loki", stock_loki.url, **labels)
    assert faults(result) == []


def test_an_https_url_of_an_http_server_is_named(run: Run, stock_loki: Loki) -> None:
    url = stock_loki.url.replace("http:", "https:")
    result = run("doctor", "--json", "--loki", url)
    assert (result.exit_code, faults(result)) == (1, ["tls"])
    assert "write http://" in told(result, "tls")


def test_an_unknown_host_name_is_named(run: Run) -> None:
    result = run("doctor", "--json", "--loki", "http://loki.invalid:3100")
    assert (result.exit_code, faults(result)) == (1, ["dns"])


def test_a_query_path_that_is_not_found_is_a_warning(run: Run, receiver: Receiver) -> None:
    result = run("doctor", "--json", "--loki", receiver.url)
    assert (result.exit_code, levels(result)["read"]) == (0, "warn")


def test_with_bad_settings_it_reports_only_them(run: Run) -> None:
    result = run("doctor", "--json", "--loki", "ftp://x", MAX_LABELS="zero")
    assert (result.exit_code, levels(result)) == (1, {"settings": "wrong"})
    assert "LOKI_URL must start with" in told(result, "settings")
    assert "MAX_LABELS must be" in told(result, "settings")


def test_without_a_deployment_it_says_how_to_check_a_loki(run: Run, aws: LocalAws) -> None:
    result = run("doctor", **aws.environ)
    assert result.exit_code == 2
    assert "there is no stack loki-shipper here (eu-central-1)" in result.stderr
    assert "before anything is deployed, check a Loki with --loki URL" in result.stderr


@pytest.mark.usefixtures("allowed")
def test_without_arguments_it_checks_the_default_stack(stock_loki: Loki, tenant: str) -> None:
    with deployed() as here:
        here.name = "loki-shipper"
        here.make_stack()
        environ = {"LOKI_URL": stock_loki.url, "LOKI_TENANT": tenant, "BUCKET": here.bucket}
        here.aws.client("lambda").update_function_configuration(
            FunctionName=here.shipper, Environment={"Variables": environ}
        )
        result = CliRunner(env=here.aws.environ).invoke(main, ["doctor", "--json"])
        here.aws.client("cloudformation").delete_stack(StackName=here.name)
    found = levels(result)
    assert result.exit_code == 1, result.output
    assert told(result, "settings").startswith(stock_loki.url)
    assert (found["shipper"], found["subscriber"], found["bucket"]) == ("ok",) * 3


def test_a_loki_that_is_named_needs_no_deployment_and_no_aws(run: Run, receiver: Receiver) -> None:
    result = run("doctor", "--json", "--loki", receiver.url, AWS_PROFILE="nobody")
    assert result.exit_code == 0, result.output
    assert "shipper" not in levels(result)


def test_a_loki_url_replaces_that_of_the_function(
    run: Run, aws: LocalAws, function: str, receiver: Receiver
) -> None:
    words = ["--function", function, "--loki", receiver.url]
    result = run("doctor", "--json", *words, **aws.environ)
    assert told(result, "settings").startswith(receiver.url)
    assert levels(result)["shipper"] == "ok"


def test_a_pipe_gets_plain_lines_and_a_sum(run: Run, stock_loki: Loki, tenant: str) -> None:
    result = run("doctor", "--loki", stock_loki.url, LOKI_TENANT=tenant)
    lines = result.stdout.splitlines()
    assert "\x1b" not in result.stdout
    assert (
        lines[2]
        == f"ok     tcp         {stock_loki.url.removeprefix('http://')} accepts connections"
    )
    assert lines[-1] == "11 ok, 1 warn, 0 wrong"


def test_on_a_terminal_of_80_columns_a_long_text_stays_in_its_column(stock_loki: Loki) -> None:
    shown = on_a_terminal(stock_loki.url, LOKI_TENANT="enforced")
    assert "\x1b[1;31mwrong" in shown
    plain = re.sub(r"\x1b\[[0-9;]*m", "", shown).splitlines()
    assert max(map(len, plain)) <= 80
    folded = plain[plain.index(next(line for line in plain if line.startswith("wrong"))) + 1]
    assert folded.startswith(" " * 19)


def test_no_color_is_obeyed_on_a_terminal(stock_loki: Loki) -> None:
    shown = on_a_terminal(stock_loki.url, LOKI_TENANT="enforced", NO_COLOR="1")
    assert "\x1b[31m" not in shown
    assert ";31m" not in shown


def on_a_terminal(url: str, **environ: str) -> str:
    """Run it on a terminal of 80 columns and return the screen."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-c", "from loki_shipper.cli import main; main()"]
    kept = {name: value for name, value in os.environ.items() if name not in variables()}
    process = subprocess.Popen(
        [*command, "doctor", "--loki", url],
        env=kept | {"COLUMNS": "80", "TERM": "xterm"} | environ,
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    shown = b""
    # Linux ends a terminal that nobody writes to any more with an error.
    with suppress(OSError):
        while part := os.read(ours, 4096):
            shown += part
    os.close(ours)
    assert process.wait() == 1
    return shown.decode().replace("\r\n", "\n")


ALLOWED = """<SimulatePrincipalPolicyResponse><SimulatePrincipalPolicyResult><EvaluationResults>
<member><EvalActionName>any</EvalActionName><EvalDecision>allowed</EvalDecision></member>
</EvaluationResults></SimulatePrincipalPolicyResult></SimulatePrincipalPolicyResponse>"""


@pytest.fixture
def allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let IAM allow everything: moto has no simulation at all."""
    monkeypatch.setattr(IamResponse, "simulate_principal_policy", lambda _: ALLOWED, raising=False)


@pytest.fixture
def function(aws: LocalAws, stock_loki: Loki, tenant: str, request: pytest.FixtureRequest) -> str:
    """A shipper on an AWS of this machine, whose bucket was deleted."""
    request.getfixturevalue("allowed")
    name = f"doctor-{uuid.uuid4().hex[:12]}"
    arn = aws.create_function(name, lambda _: None)
    environ = {"LOKI_URL": stock_loki.url, "LOKI_TENANT": tenant, "BUCKET": f"{name}-gone"}
    aws.client("lambda").update_function_configuration(
        FunctionName=name,
        Handler="loki_shipper.shipper.handler.handle",
        Environment={"Variables": environ},
    )
    return arn


def test_a_deployed_shippers_missing_bucket_is_named(
    run: Run, aws: LocalAws, function: str
) -> None:
    result = run("doctor", "--json", "--function", function, **aws.environ)
    found = levels(result)
    assert (result.exit_code, found["bucket"], found["read"]) == (1, "wrong", "ok")
    assert "-gone does not exist" in told(result, "bucket")
    assert found["iam"] == "ok"


def test_a_function_is_checked_with_its_own_settings(
    run: Run, aws: LocalAws, function: str, stock_loki: Loki, tenant: str
) -> None:
    elsewhere = {"LOKI_URL": "http://127.0.0.1:1", "LOKI_TENANT": "other"}
    result = run("doctor", "--json", "--function", function, **aws.environ, **elsewhere)
    assert told(result, "settings").startswith(stock_loki.url)
    assert tenant in told(result, "tenant")


@pytest.mark.parametrize("words", [("--function", "nobody"), ("--stack", "nothing")])
def test_a_missing_function_cannot_be_checked(
    run: Run, aws: LocalAws, words: tuple[str, str]
) -> None:
    result = run("doctor", *words, **aws.environ)
    assert result.exit_code == 2
    assert f"there is no {words[0][2:]} {words[1]} here" in result.stderr


def strings(path: Path) -> Iterator[str]:
    """Give every text of a module that is no docstring."""
    tree = ast.parse(path.read_text("utf-8"))
    for node in ast.walk(tree):
        match node:
            case ast.Expr(value=ast.Constant()):
                pass
            case ast.Constant(value=str(text)):
                yield text


@pytest.mark.parametrize("name", ["limits.py", "loki.py", "stack.py"])
def test_no_next_step_needs_the_clone(name: str) -> None:
    # A text for a person has words.
    said = strings(Path(doctor_package.__file__).parent / name)
    texts = [text for text in said if " " in text]
    assert any("loki-shipper" in text for text in texts) or name == "limits.py"
    named = ("docs/", "README", "scripts/", "template.yaml", "make ")
    assert [text for text in texts if any(each in text for each in named)] == []


@pytest.mark.parametrize("make", [warning, failure])
def test_each_fault_and_warning_has_a_next_step(make: Callable[[str, str, str], Finding]) -> None:
    assert make("check", "it is broken", "mend it").advice == "mend it"
    with pytest.raises(ValueError, match="no advice"):
        make("check", "it is broken", "")
