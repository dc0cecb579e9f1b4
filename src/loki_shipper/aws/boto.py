"""Calls to AWS with boto3: clients, S3 objects, and the errors of botocore as AwsError.

boto3 is slow to load, so each function imports it when it runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import Struct

from loki_shipper.aws.errors import AwsError, error_kind
from loki_shipper.aws.objects import ObjectFound
from loki_shipper.aws.sigv4 import AwsCredentials

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from boto3 import Session

type AwsSession = Session
"""boto3's session: it gives the credentials and the Region. None means boto3's default session."""


class Bounds(Struct, frozen=True):
    """The bounds of one call: seconds to connect, seconds to read, and the number of attempts."""

    connect: float
    read: float
    attempts: int


def make_client(
    service: str, bounds: Bounds, session: AwsSession | None = None, *, connections: int = 10
) -> Any:
    """Give a boto3 client. Raises BotoCoreError, for example without a Region."""
    from botocore.config import Config

    config = Config(
        retries={"total_max_attempts": bounds.attempts},
        connect_timeout=bounds.connect,
        read_timeout=bounds.read,
        max_pool_connections=connections,
    )
    session = session or _default_session()
    return session.client(service, config=config)  # type: ignore[call-overload] # any service


def get_object(s3: Any, bucket: str, key: str, etag: str | None = None) -> ObjectFound:
    """Read an object; S3 does not send one that still has this ETag. Raises AwsError."""
    condition = {} if etag is None else {"IfNoneMatch": etag}

    def get() -> ObjectFound:
        answer = s3.get_object(Bucket=bucket, Key=key, **condition)
        return ObjectFound(answer["Body"].read(), answer["ETag"])

    return call_boto(get)


def put_object(s3: Any, bucket: str, key: str, body: bytes, etag: str | None) -> None:
    """Write an object that still has this ETag; None: that does not exist. Raises AwsError."""
    condition = {"IfNoneMatch": "*"} if etag is None else {"IfMatch": etag}
    call_boto(lambda: s3.put_object(Bucket=bucket, Key=key, Body=body, **condition))


def call_boto[T](call: Callable[[], T]) -> T:
    """Call boto3, and turn the errors of botocore into AwsError."""
    from botocore.exceptions import (
        BotoCoreError,
        ClientError,
        CredentialRetrievalError,
        HTTPClientError,
        NoCredentialsError,
        SSOError,
        TokenRetrievalError,
    )
    from botocore.exceptions import (
        ConnectionError as NoConnectionError,
    )

    try:
        return call()
    except ClientError as error:
        raise _answered_error(error.response) from None
    except (NoCredentialsError, CredentialRetrievalError, SSOError, TokenRetrievalError) as error:
        raise AwsError("expired", type(error).__name__, str(error)) from None
    except (HTTPClientError, NoConnectionError) as error:
        raise AwsError("unreachable", type(error).__name__, "AWS cannot be reached") from None
    except BotoCoreError as error:
        raise AwsError("refused", type(error).__name__, str(error)) from None


def _answered_error(answer: Mapping[str, Any]) -> AwsError:
    code, message = answer["Error"]["Code"], answer["Error"].get("Message", "")
    if "Could not execute the lambda function" in message:
        # CloudWatch Logs tests a new filter's permission, which takes a while to become effective.
        return AwsError("not_permitted_yet", code, message)
    status = answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 400)
    return AwsError(error_kind(code, status), code, message)


def session_credentials(session: AwsSession | None) -> AwsCredentials | None:
    """Give the credentials of a session; None if it has none. Raises AwsError."""

    def frozen() -> Any:
        credentials = (session or _default_session()).get_credentials()
        return credentials and credentials.get_frozen_credentials()

    found = call_boto(frozen)
    if not found:
        return None
    return AwsCredentials(found.access_key or "", found.secret_key or "", found.token)


def session_region(session: AwsSession | None) -> str | None:
    """Give the Region of a session; None if it has none. Raises AwsError."""
    return call_boto(lambda: (session or _default_session()).region_name)


def _default_session() -> AwsSession:
    import boto3

    if boto3.DEFAULT_SESSION is None:
        boto3.setup_default_session()
    assert boto3.DEFAULT_SESSION is not None
    return boto3.DEFAULT_SESSION
