"""Stores credentials for Loki in Secrets Manager, in the format that the shipper reads."""

import json
from typing import Any

from msgspec import Struct


class Password(Struct, frozen=True):
    """A user and a password; `repr` hides them."""

    username: str
    password: str

    def __repr__(self) -> str:
        return "Password(…)"


class Token(Struct, frozen=True):
    """A bearer token; `repr` hides it."""

    token: str

    def __repr__(self) -> str:
        return "Token(…)"


type Credentials = Password | Token


def secret_name(stack: str) -> str:
    """Return the name of a stack's secret."""
    return f"{stack}/loki"


def _secret_arn(client: Any, stack: str) -> str | None:
    """Find the secret of a stack and cancel its deletion; None without a secret."""
    try:
        found = client.describe_secret(SecretId=secret_name(stack))
    except client.exceptions.ResourceNotFoundException:
        return None
    if "DeletedDate" in found:
        client.restore_secret(SecretId=found["ARN"])
    return str(found["ARN"])


def store(client: Any, stack: str, credentials: Credentials) -> str:
    """Write credentials to the stack's secret; make it if necessary. Return its ARN."""
    match credentials:
        case Password(username=username, password=password):
            text = json.dumps({"username": username, "password": password})
        case Token(token=token):
            text = json.dumps({"token": token})
    if arn := _secret_arn(client, stack):
        client.put_secret_value(SecretId=arn, SecretString=text)
        return arn
    made = client.create_secret(
        Name=secret_name(stack),
        Description=f"Loki credentials of the stack {stack}.",
        SecretString=text,
    )
    return str(made["ARN"])
