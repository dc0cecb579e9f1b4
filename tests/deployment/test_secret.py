"""Credentials are stored as the shipper reads them, and shown nowhere."""

from typing import Any

import pytest

from loki_shipper.deployment.secret import Credentials, Password, Token, store
from loki_shipper.local.aws import LocalAws
from loki_shipper.settings import settings
from loki_shipper.shipper.delivery.credentials import credentials


@pytest.fixture
def client(aws: LocalAws) -> Any:
    return aws.client("secretsmanager")


@pytest.mark.parametrize(
    ("stored", "header"),
    [(Password("12", "geheim"), "Basic MTI6Z2VoZWlt"), (Token("geheim"), "Bearer geheim")],
)
def test_the_shipper_reads_the_stored_secret(client: Any, stored: Credentials, header: str) -> None:
    arn = store(client, "ls", stored)
    configured = settings({"LOKI_URL": "https://loki.example", "LOKI_SECRET": arn})
    access = credentials(
        configured, lambda name: str(client.get_secret_value(SecretId=name)["SecretString"])
    )
    assert access.headers["Authorization"] == header
    assert "geheim" not in repr(stored)


def test_storing_again_replaces_the_secret(client: Any) -> None:
    first, again = store(client, "ls", Token("a")), store(client, "ls", Token("b"))
    assert first == again
    assert client.get_secret_value(SecretId=first)["SecretString"] == '{"token": "b"}'
    assert store(client, "other", Token("a")) != first


def test_a_secret_scheduled_for_deletion_is_restored(client: Any) -> None:
    arn = store(client, "ls", Token("a"))
    client.delete_secret(SecretId=arn, RecoveryWindowInDays=7)
    assert store(client, "ls", Token("b")) == arn
    assert client.get_secret_value(SecretId=arn)["SecretString"] == '{"token": "b"}'
