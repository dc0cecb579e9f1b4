import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID
from google.auth import crypt, jwt

from loki_shipper.google.settings import GoogleSettings
from loki_shipper.google.token import CertificatesError, TokenError, TokenVerifier

AUDIENCE = "https://loki-shipper.example"
EMAIL = "push@shop-prod.iam.gserviceaccount.com"
KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
SETTINGS = GoogleSettings(push_audience=AUDIENCE, push_service_account=EMAIL)


def certificate() -> str:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "google")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(KEY.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(KEY, hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.PEM).decode()


CERTIFICATES = {"key-1": certificate()}
PEM = KEY.private_bytes(
    serialization.Encoding.PEM,
    serialization.PrivateFormat.TraditionalOpenSSL,
    serialization.NoEncryption(),
)


def header(key: str = "key-1", **claims: Any) -> str:
    signer = crypt.RSASigner.from_string(PEM, key)  # type: ignore[no-untyped-call] # it has no types
    now = int(time.time())
    payload = {
        "iss": "https://accounts.google.com",
        "aud": AUDIENCE,
        "email": EMAIL,
        "email_verified": True,
        "iat": now,
        "exp": now + 3600,
    }
    encode: Callable[..., bytes] = jwt.encode
    return f"Bearer {encode(signer, payload | claims).decode()}"


class Certificates:
    """Google's certificates, which count how often they were read."""

    def __init__(self, *answers: Mapping[str, str] | None) -> None:
        self.answers = [*answers]
        self.reads = 0

    def __call__(self) -> Mapping[str, str]:
        self.reads += 1
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if answer is None:
            raise CertificatesError("unread")
        return answer


def verifier(
    read: Callable[[], Mapping[str, str]] = lambda: CERTIFICATES,
    clock: Callable[[], float] = time.time,
) -> TokenVerifier:
    return TokenVerifier(SETTINGS, read, clock)


def test_a_token_of_the_subscription_is_verified_and_remembered() -> None:
    made, token = verifier(), header()
    made.verify(token)
    assert made.remembers(token)


def test_a_remembered_token_is_forgotten_when_it_expires() -> None:
    now = [time.time()]
    made, token = verifier(clock=lambda: now[0]), header()
    made.verify(token)
    now[0] += 3601
    assert not made.remembers(token)


@pytest.mark.parametrize(
    ("token", "reason"),
    [
        ("", "no_token"),
        ("Basic abc", "no_token"),
        ("Bearer abc", "no_token"),
        (header(aud="https://other.example"), "not_valid"),
        (header(exp=1), "not_valid"),
        (header(iat=int(time.time()) + 3600), "not_valid"),
        (header(key="key-2"), "not_valid"),
        (header()[:-8] + "AAAAAAAA", "not_valid"),
        (header(iss="https://evil.example"), "issuer"),
        (header(email="other@shop-prod.iam.gserviceaccount.com"), "email"),
        (header(email_verified=False), "email"),
    ],
)
def test_another_token_is_refused_for_a_reason_of_one_word(token: str, reason: str) -> None:
    made = verifier()
    with pytest.raises(TokenError, match=f"^{reason}$"):
        made.verify(token)
    assert not made.remembers(token)


def test_a_token_that_nobody_signed_is_refused() -> None:
    unsigned = "eyJhbGciOiJub25lIn0.eyJhdWQiOiJ4In0."
    with pytest.raises(TokenError):
        verifier().verify(f"Bearer {unsigned}")


def test_certificates_are_read_once_for_many_tokens() -> None:
    read = Certificates(CERTIFICATES)
    made = verifier(read)
    for number in range(3):
        made.verify(header(sub=str(number)))
    assert read.reads == 1


def test_an_unknown_key_makes_it_read_the_certificates_again_but_not_each_time() -> None:
    now = [time.time()]
    read = Certificates({"key-0": CERTIFICATES["key-1"]}, CERTIFICATES)
    made = verifier(read, clock=lambda: now[0])
    with pytest.raises(TokenError):
        made.verify(header())
    now[0] += 31
    made.verify(header())
    assert read.reads == 2


def test_old_certificates_stay_in_use_while_google_does_not_answer() -> None:
    now = [time.time()]
    made = verifier(Certificates(CERTIFICATES, None), clock=lambda: now[0])
    made.verify(header())
    now[0] += 3601
    token = header(sub="2", exp=int(now[0]) + 3600)
    made.verify(token)
    assert made.remembers(token)


def test_without_any_certificates_the_request_may_succeed_later() -> None:
    with pytest.raises(CertificatesError):
        verifier(Certificates(None)).verify(header())
