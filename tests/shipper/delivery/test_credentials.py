import json
from pathlib import Path
from typing import Any

import pytest

from loki_shipper.environment import SettingsError
from loki_shipper.settings import settings
from loki_shipper.shipper.delivery.credentials import credentials
from loki_shipper.shipper.delivery.push import LokiAccess

CERT = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----"
KEY = "-----BEGIN PRIVATE KEY-----\nhunter2\n-----END PRIVATE KEY-----"
REFERENCE = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:loki"


def access(secrets: dict[str, str] | None = None, **environ: str) -> LokiAccess:
    def fetch(reference: str) -> str:
        if secrets is None or reference not in secrets:
            raise SettingsError("a secret that the settings refer to cannot be read")
        return secrets[reference]

    return credentials(settings({"LOKI_URL": "https://loki", **environ}), fetch)


def headers(secret: Any) -> dict[str, str]:
    text = secret if isinstance(secret, str) else json.dumps(secret)
    return access({REFERENCE: text}, LOKI_SECRET=REFERENCE).headers


def fault(secret: Any) -> str:
    with pytest.raises(SettingsError) as raised:
        headers(secret)
    return str(raised.value)


def test_without_credentials_there_are_no_headers_and_nothing_is_fetched() -> None:
    assert access() == LokiAccess("https://loki/loki/api/v1/push", {})


def test_plain_values_are_basic_auth_or_a_token() -> None:
    assert access(LOKI_USERNAME="user", LOKI_PASSWORD="pässword").headers == {
        "Authorization": "Basic dXNlcjpww6Rzc3dvcmQ="
    }
    assert access(LOKI_TOKEN="abc").headers == {"Authorization": "Bearer abc"}


@pytest.mark.parametrize(
    ("secret", "wanted"),
    [
        ({"username": "u", "password": "p"}, {"Authorization": "Basic dTpw"}),
        ({"token": "abc"}, {"Authorization": "Bearer abc"}),
        ({"headers": {"X-Key": "k"}}, {"X-Key": "k"}),
        (
            {"headers": {"X-Key": "k"}, "token": "abc", "owner": "us"},
            {"X-Key": "k", "Authorization": "Bearer abc"},
        ),
        (
            {"headers": {"X-Key": "a b"}, "username": "u", "password": "p"},
            {"X-Key": "a b", "Authorization": "Basic dTpw"},
        ),
    ],
)
def test_a_secret_is_json_of_three_shapes(secret: Any, wanted: dict[str, str]) -> None:
    assert headers(secret) == wanted


@pytest.mark.parametrize(
    "secret",
    [
        "hunter2",
        "",
        '{"token": "hunter2"',
        '"hunter2"',
        [],
        {},
        {"username": "hunter2"},
        {"token": 5},
        {"token": ""},
        {"token": "hunter2\n"},
        {"token": "hunter2 größe"},
        {"headers": "hunter2"},
        {"headers": {"X-Key": 5}},
        {"headers": {"X-Key": "hunter2\r\nX: y"}},
        {"headers": {"X-Key": " hunter2"}},
        {"headers": {"X-Key": ""}},
        {"headers": {"hunter2\n": "x"}},
        {"headers": {"": "x"}},
        {"headers": {"X-Key": "größe"}},
    ],
)
def test_another_secret_is_a_fault_that_does_not_show_it(secret: Any) -> None:
    assert "hunter2" not in fault(secret)


@pytest.mark.parametrize("token", ["größe", "a\nb", "a\x7fb"])
def test_a_token_that_no_header_can_hold_is_a_fault(token: str) -> None:
    with pytest.raises(SettingsError, match="token") as raised:
        access(LOKI_TOKEN=token)
    assert token not in str(raised.value)


def test_a_secret_that_cannot_be_read_is_a_fault() -> None:
    with pytest.raises(SettingsError, match="cannot be read"):
        access({}, LOKI_SECRET=REFERENCE)


def read(path: str | None) -> str:
    assert path is not None
    return Path(path).read_text()


def test_pem_text_becomes_a_file_of_ours_alone() -> None:
    got = access(LOKI_CA_CERT=CERT, LOKI_CLIENT_CERT=CERT, LOKI_CLIENT_KEY=KEY)
    assert read(got.ca) == CERT
    assert got.client is not None
    assert [read(path) for path in got.client] == [CERT, KEY]
    assert Path(got.client[1]).stat().st_mode & 0o077 == 0


def test_pem_may_be_a_path_or_a_secret(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text(CERT)
    assert access(LOKI_CA_CERT=str(tmp_path / "ca.pem")).ca == str(tmp_path / "ca.pem")
    assert read(access({REFERENCE: CERT}, LOKI_CA_CERT=REFERENCE).ca) == CERT


def test_a_preamble_before_pem_is_taken_along() -> None:
    text = f"Bag Attributes\n    friendlyName: loki\n{KEY}"
    got = access(LOKI_CLIENT_CERT=CERT, LOKI_CLIENT_KEY=text)
    assert got.client is not None
    assert read(got.client[1]) == text


@pytest.mark.parametrize("text", ["hunter2", "hunter2" * 5000, "/hunter2/\0"])
def test_what_is_no_pem_is_a_fault_that_does_not_show_it(text: str) -> None:
    for secrets in (None, {text: "hunter2"}):
        with pytest.raises(SettingsError) as raised:
            access(secrets, LOKI_CLIENT_CERT=CERT, LOKI_CLIENT_KEY=text)
        assert "hunter2" not in str(raised.value)


def test_what_has_not_changed_gives_an_access_that_has_not_changed() -> None:
    environ = {"LOKI_SECRET": REFERENCE, "LOKI_CA_CERT": CERT}
    one, two = ({REFERENCE: json.dumps({"token": token})} for token in ("a", "b"))
    assert access(one, **environ) == access(one, **environ)
    assert access(one, **environ) != access(two, **environ)


def test_an_access_does_not_show_its_headers() -> None:
    assert "hunter2" not in repr(access(LOKI_TOKEN="hunter2"))
    assert "https://loki" in repr(access(LOKI_TOKEN="hunter2"))
