"""Credentials for Loki in Secrets Manager, written as the shipper reads them."""

import json
from typing import Any

from msgspec import Struct


class Password(Struct, frozen=True):
    """A user and a password; `repr` does not show them."""

    username: str
    password: str

    def __repr__(self) -> str:
        return "Password(…)"


class Token(Struct, frozen=True):
    """A bearer token; `repr` does not show it."""

    token: str

    def __repr__(self) -> str:
        return "Token(…)"


type Credentials = Password | Token


def secret_name(stack: str) -> str:
    """Name the secret of a stack."""
    return f"{stack}/loki"


def _secret_arn(client: Any, stack: str) -> str | None:
    """Find the secret of a stack, also one that is to be deleted; None where there is none."""
    try:
        found = client.describe_secret(SecretId=secret_name(stack))
    except client.exceptions.ResourceNotFoundException:
        return None
    if "DeletedDate" in found:
        client.restore_secret(SecretId=found["ARN"])
    return str(found["ARN"])


def store(client: Any, stack: str, credentials: Credentials) -> str:
    """Store credentials as the stack's secret, in place of what it held; return its ARN."""
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
        Description=f"Credentials with which the stack {stack} pushes to Loki.",
        SecretString=text,
    )
    return str(made["ARN"])
