"""Our signatures are equal to those of botocore for any request."""

from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from loki_shipper.aws.sigv4 import AwsCredentials, HttpRequest, signed

NOW = datetime(2026, 11, 29, 18, 30, 59, tzinfo=UTC)


def botocores(request: HttpRequest, caller: AwsCredentials, service: str, region: str) -> str:
    credentials = Credentials(caller.access_key, caller.secret_key, caller.session_token)
    asked = AWSRequest(request.method, request.url, request.headers, request.body)
    asked.context["timestamp"] = NOW.strftime("%Y%m%dT%H%M%SZ")
    auth: Any = S3SigV4Auth(credentials, service, region)
    asked.headers["X-Amz-Date"] = asked.context["timestamp"]
    auth._modify_request_before_signing(asked)
    canonical = auth.canonical_request(asked)
    signature = auth.signature(auth.string_to_sign(asked, canonical), asked)
    auth._inject_signature_to_request(asked, signature)
    said: str = asked.headers["Authorization"]
    return said


@given(
    st.sampled_from(["GET", "PUT", "POST"]),
    st.from_regex(r"/([a-z0-9./_~-]|%2B|%20){0,30}", fullmatch=True).filter(
        lambda path: not path.startswith("//")
    ),
    st.dictionaries(
        st.sampled_from(["Content-Type", "X-Amz-Target", "If-None-Match"]),
        st.from_regex(r"[!-~]{1,20}", fullmatch=True),
    ),
    st.binary(max_size=100),
    st.none() | st.text("abc/+=", min_size=1, max_size=30),
    st.sampled_from(["", "?versionId=null", "?versionId=3%2FL4kqtJlcpXroDTDmJ.rmSpXd3dIbrHY"]),
)
def test_signatures_are_equal_to_those_of_botocore(  # noqa: PLR0913, PLR0917 - hypothesis passes them
    method: str, path: str, headers: dict[str, str], body: bytes, token: str | None, query: str
) -> None:
    request = HttpRequest(
        method, f"https://bucket.s3.eu-central-1.amazonaws.com{path}{query}", headers, body
    )
    caller = AwsCredentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCY", token)
    ours = signed(request, caller, service="s3", region="eu-central-1", now=NOW)
    assert ours["Authorization"] == botocores(request, caller, "s3", "eu-central-1")


@pytest.mark.parametrize("url", ["http://127.0.0.1:4566/", "http://localhost:1/bucket/key"])
def test_a_port_is_signed(url: str) -> None:
    request, caller = HttpRequest("POST", url, {}, b"{}"), AwsCredentials("a", "b", None)
    ours = signed(request, caller, service="ssm", region="us-east-1", now=NOW)
    assert ours["Authorization"] == botocores(request, caller, "ssm", "us-east-1")


def test_secrets_are_not_in_a_repr() -> None:
    assert "hunter2" not in repr(AwsCredentials("AKID", "hunter2", "hunter2"))
