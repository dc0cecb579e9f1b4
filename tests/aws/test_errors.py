"""Each error of AWS has one kind, by its code, or else by the HTTP status."""

import pytest
from botocore.exceptions import (
    ClientError,
    EndpointConnectionError,
    NoCredentialsError,
    NoRegionError,
)

from loki_shipper.aws.boto import call_boto
from loki_shipper.aws.errors import AwsError, ErrorKind, error_kind


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [
        ("SlowDown", 503, "throttled"),
        ("InternalFailure", 500, "busy"),
        ("502", 502, "busy"),
        ("AccessDenied", 403, "denied"),
        ("ExpiredToken", 400, "expired"),
        ("NoSuchBucket", 404, "refused"),
        ("304", 304, "refused"),
    ],
)
def test_an_answer_has_a_kind(code: str, status: int, kind: ErrorKind) -> None:
    assert error_kind(code, status) == kind
    answer = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
    raised = _raised(ClientError(answer, "GetObject"))  # type: ignore[arg-type] # as S3 answers
    assert (raised.kind, raised.code) == (kind, code)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (EndpointConnectionError(endpoint_url="http://127.0.0.1:1"), "unreachable"),
        (NoCredentialsError(), "expired"),
        (NoRegionError(), "refused"),
    ],
)
def test_an_error_of_botocore_has_a_kind_and_its_own_name(
    error: Exception, kind: ErrorKind
) -> None:
    raised = _raised(error)
    assert (raised.kind, raised.code) == (kind, type(error).__name__)


def test_a_permission_that_is_not_effective_yet_has_a_kind_of_its_own() -> None:
    message = "Could not execute the lambda function. Make sure you have given permission"
    answer = {
        "Error": {"Code": "InvalidParameterException", "Message": message},
        "ResponseMetadata": {"HTTPStatusCode": 400},
    }
    raised = _raised(ClientError(answer, "PutSubscriptionFilter"))  # type: ignore[arg-type] # likewise
    assert raised.kind == "not_permitted_yet"


def _raised(error: Exception) -> AwsError:
    def call() -> None:
        raise error

    with pytest.raises(AwsError) as raised:
        call_boto(call)
    return raised.value
