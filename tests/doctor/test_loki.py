"""The checks of Loki that need a clock or a server of their own."""

import ssl
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import IPv4Address
from itertools import chain, repeat
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from msgspec.structs import replace

from loki_shipper.doctor.finding import Finding, Level
from loki_shipper.doctor.loki import check_loki
from loki_shipper.doctor.probe import Reply, loki_probe
from loki_shipper.local.loki import Loki
from loki_shipper.settings import Settings, settings
from loki_shipper.shipper.delivery.answer import Answer, NoAnswer
from loki_shipper.shipper.delivery.credentials import credentials
from loki_shipper.shipper.delivery.push import LokiAccess
from tests.cli.queries import found as loki_found
from tests.cli.queries import queried


def checked(configured: Settings, **effects: Callable[..., object]) -> dict[str, Finding]:
    """Check a Loki, with some effects in the place of the real ones."""
    access = credentials(configured, lambda _: "")
    real = loki_probe(access, configured.loki_tenant)
    found = check_loki(configured, replace(real, **effects), uuid.uuid4().hex)
    return {finding.check: finding for finding in found}


def faults(found: dict[str, Finding]) -> list[str]:
    return [check for check, finding in found.items() if finding.level is Level.WRONG]


def of(loki: Loki, **environ: str) -> Settings:
    tenant = f"doctor-{uuid.uuid4().hex}"
    return settings({"LOKI_URL": loki.url, "LOKI_TENANT": tenant, **environ})


@pytest.mark.parametrize(
    ("ahead", "says"), [(3600.0, "Loki is 60 minutes behind"), (-86400.0, "Loki is 24 hours ahead")]
)
def test_a_clock_that_is_off_is_the_only_fault(stock_loki: Loki, ahead: float, says: str) -> None:
    found = checked(of(stock_loki), clock=lambda: time.time() + ahead)
    assert faults(found) == ["clock"]
    assert found["clock"].says.startswith(says)
    assert found["read"].level is Level.OK


def test_a_clock_that_is_a_minute_off_is_a_warning(stock_loki: Loki) -> None:
    found = checked(of(stock_loki), clock=lambda: time.time() + 60)
    assert faults(found) == []
    assert found["clock"].level is Level.WARN


def test_without_a_date_loki_rejects_the_line_of_a_wrong_clock(stock_loki: Loki) -> None:
    found = checked(
        of(stock_loki), clock=lambda: time.time() + 3600, get=lambda *_: Reply(403, "", None)
    )
    assert faults(found) == ["clock"]
    assert "too new" in found["clock"].says


def test_a_test_line_that_loki_never_returns_is_a_fault(stock_loki: Loki) -> None:
    slept: list[float] = []
    nothing = Reply(200, '{"data": {"result": []}}', time.time())
    found = checked(of(stock_loki), get=lambda *_: nothing, sleep=slept.append)
    assert faults(found) == ["read"]
    assert sum(slept) > 5


def test_the_doctor_waits_for_its_line(stock_loki: Loki) -> None:
    stream = '{"data": {"result": [{"stream": {"doctor": "x"}, "values": []}]}}'
    replies = chain(
        ['{"data": ["a"]}', '{"data": {"result": []}}', "not JSON", stream], repeat("not JSON")
    )
    found = checked(
        of(stock_loki),
        get=lambda *_: Reply(200, next(replies), time.time()),
        sleep=lambda _: None,
    )
    assert found["read"].level is Level.OK


def test_a_loki_that_drops_metadata_is_reported_as_old(stock_loki: Loki) -> None:
    stream = '{"data": {"result": [{"stream": {"service_name": "x"}, "values": []}]}}'
    found = checked(of(stock_loki), get=lambda *_: Reply(200, stream, time.time()))
    assert found["metadata"].level is Level.WARN
    assert "before 2.9" in found["metadata"].says


def test_with_tenants_from_tags_a_missing_loki_tenant_is_a_warning(stock_loki: Loki) -> None:
    configured = settings({"LOKI_URL": stock_loki.url, "TENANT_TAG": "team"})
    found = checked(configured)
    assert found["tenant"].level is Level.WARN
    assert "TENANT_TAG" in found["tenant"].says
    assert "LOKI_TENANT" in found["tenant"].advice


@pytest.mark.parametrize(
    ("answer", "check", "level"),
    [
        (Answer(400, "Client sent an HTTP request to an HTTPS server."), "tls", "wrong"),
        (Answer(302, ""), "path", "wrong"),
        (Answer(200, "<!DOCTYPE html><title>Sign in</title>"), "path", "wrong"),
        (Answer(400, "tenant ID 'a|b' contains unsupported character"), "tenant", "wrong"),
        (Answer(403, "no"), "auth", "wrong"),
        (Answer(429, "Ingestion rate limit exceeded for user x"), "write", "warn"),
        (Answer(500, "empty ring"), "write", "wrong"),
        (Answer(400, "entry too far behind, total ignored: 1 out of 1"), "clock", "warn"),
        (NoAnswer("read_timeout"), "write", "wrong"),
    ],
    ids=lambda case: str(case)[:40],
)
def test_an_answer_to_a_push_names_its_check(
    stock_loki: Loki, answer: Answer | NoAnswer, check: str, level: str
) -> None:
    found = checked(of(stock_loki), push=lambda *_: answer)
    assert found[check].level == level
    assert found[check].advice


class Https:
    """A server with a self-signed certificate."""

    def __init__(self, directory: Path, days: int) -> None:
        self.ca = directory / "ca.pem"
        key = directory / "key.pem"
        _certificate(self.ca, key, days)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.ca, key)
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), AcceptsPushes)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.url = f"https://127.0.0.1:{self.server.server_port}"


class AcceptsPushes(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(204)
        self.end_headers()

    def do_GET(self) -> None:
        self.send_response(403)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Write no log."""


def _certificate(ca: Path, key: Path, days: int) -> None:
    secret = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "loki")])
    now = datetime.now(UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(secret.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]),
            critical=False,
        )
        .sign(secret, hashes.SHA256())
    )
    ca.write_bytes(built.public_bytes(serialization.Encoding.PEM))
    key.write_bytes(
        secret.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )


@pytest.fixture
def https(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Https]:
    """A server that speaks TLS; the parameter is how many days its certificate lasts."""
    made = Https(tmp_path, getattr(request, "param", 90))
    thread = threading.Thread(target=made.server.serve_forever)
    thread.start()
    try:
        yield made
    finally:
        made.server.shutdown()
        made.server.server_close()
        thread.join()


def test_an_untrusted_certificate_names_the_setting_for_its_authority(https: Https) -> None:
    found = checked(settings({"LOKI_URL": https.url}))
    assert faults(found) == ["tls"]
    assert "LOKI_CA_CERT" in found["tls"].advice
    trusted = checked(settings({"LOKI_URL": https.url, "LOKI_CA_CERT": str(https.ca)}))
    assert faults(trusted) == []
    assert trusted["tls"].level is Level.OK


@pytest.mark.parametrize("https", [7], indirect=True)
def test_a_certificate_that_ends_soon_is_a_warning(https: Https) -> None:
    found = checked(settings({"LOKI_URL": https.url, "LOKI_CA_CERT": str(https.ca)}))
    assert found["tls"].level is Level.WARN
    assert found["tls"].says == "the certificate expires in 7 days"


def test_a_query_has_the_tenant_of_the_secret_if_the_settings_name_none() -> None:
    came: list[Mapping[str, str]] = []
    with queried([loki_found({})], came) as url:
        access = LokiAccess(f"{url}/loki/api/v1/push", {"X-Scope-OrgID": "of the secret"})
        for tenant in (None, "of the settings"):
            loki_probe(access, tenant).get("/loki/api/v1/labels", {})
    assert [each["X-Scope-OrgID"] for each in came] == ["of the secret", "of the settings"]
    assert all("Content-Type" not in each for each in came)
