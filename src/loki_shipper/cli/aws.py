"""Opens AWS sessions for the command line, and explains AWS's errors in one line."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, override
from urllib.parse import urlsplit

import boto3
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConfigParseError,
    CredentialRetrievalError,
    HTTPClientError,
    InvalidRegionError,
    NoCredentialsError,
    NoRegionError,
    ParamValidationError,
    PartialCredentialsError,
    ProfileNotFound,
    SSOError,
    TokenRetrievalError,
)
from botocore.exceptions import ConnectionError as NoConnectionError
from botocore.parsers import ResponseParserError

from loki_shipper.aws.errors import AwsError
from loki_shipper.cli.errors import InputError, NotDeliveredError
from loki_shipper.subscriber.store import ConflictError

_LOG_IN = "log in to AWS, or name another profile with --profile, and repeat the command"
_CHECK_CONNECTION = (
    "check your connection, --region, AWS_ENDPOINT_URL and HTTPS_PROXY, and repeat the command"
)
_GET_THE_RIGHT = "get the right that AWS names, or name another profile with --profile"
_REPEAT = "what was done so far is kept: repeat the command"

_DENIED = {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "403"}
_NOT_KNOWN = {
    "ExpiredToken",
    "ExpiredTokenException",
    "InvalidAccessKeyId",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
}
_THROTTLED = {"Throttling", "ThrottlingException", "TooManyRequestsException", "SlowDown"}
_REQUEST_IDS = {"x-amzn-requestid", "x-amz-request-id"}


class NotAwsError(BotoCoreError):
    """Raised when something other than AWS answers, such as a proxy's page."""

    fmt = "an answer with HTTP status {status} to {operation} is not AWS's"


class EndpointError(BotoCoreError):
    """Raised when the environment or the AWS configuration makes a client impossible."""

    fmt = "{reason}"


class CommandSession(boto3.Session):
    """A session; its clients raise NotAwsError if something other than AWS answers."""

    def __init__(self, profile: str | None, region: str | None) -> None:
        super().__init__(profile_name=profile, region_name=region)
        self.events.register("before-parse", _check_answer)

    @override
    def client(self, *args: Any, **kwargs: Any) -> Any:
        """Make a client. Raises EndpointError, BotoCoreError."""
        try:
            client = super().client(*args, **kwargs)
            # urlsplit checks the port only when it is read.
            _ = urlsplit(client.meta.endpoint_url).port
        except BotoCoreError:
            raise
        except ValueError as error:
            # botocore raises ValueError if the endpoint is not a URL.
            raise EndpointError(reason=error) from None
        return client


def open_session(profile: str | None = None, region: str | None = None) -> CommandSession:
    """Open a session in this Region, else in that of AWS_REGION, else as the AWS CLI does.

    The AWS CLI reads AWS_DEFAULT_REGION and then the profile's Region. Raises BotoCoreError.
    """
    return CommandSession(profile, region or os.environ.get("AWS_REGION") or None)


def _check_answer(operation_model: Any, response_dict: Mapping[str, Any], **_: Any) -> None:
    """Raise NotAwsError for an answer without a request id: every answer of AWS has one."""
    names = {name.lower() for name in response_dict["headers"]}
    status = response_dict["status_code"]
    # A load balancer of AWS may fail without one, and botocore retries.
    if status < 500 and not names & _REQUEST_IDS:  # noqa: PLR2004 - HTTP's own
        raise NotAwsError(status=status, operation=operation_model.name)


@contextmanager
def aws_errors() -> Iterator[None]:
    """Turn AWS's errors in the block into one line that says what to do.

    Raises InputError for a refused call, and NotDeliveredError for an interrupted run.
    """
    try:
        yield
    except (BotoCoreError, ClientError, ResponseParserError) as error:
        raise InputError(_explained(error)) from None
    except AwsError as error:
        raise NotDeliveredError(f"{_cause(error)}: {_remedy(error)}") from None
    except ConflictError as error:
        raise NotDeliveredError(f"{error}: {_REPEAT}") from None


def _explained(error: BotoCoreError | ClientError | ResponseParserError) -> str:
    match error:
        case ClientError():
            return _refused(error)
        case NotAwsError() | ResponseParserError():
            what = f"{error}" if isinstance(error, NotAwsError) else "an answer cannot be read"
            return f"something other than AWS answers ({what}): {_CHECK_CONNECTION}"
        case EndpointError():
            return f"{error}: correct AWS_ENDPOINT_URL and your AWS configuration"
        case NoCredentialsError() | PartialCredentialsError():
            return (
                "there are no AWS credentials: name a profile with --profile or AWS_PROFILE, or "
                "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
            )
        case ProfileNotFound(kwargs={"profile": profile}):
            return (
                f"there is no AWS profile {profile}: correct --profile or AWS_PROFILE "
                "(`aws configure list-profiles` lists them)"
            )
        case NoRegionError():
            return "the AWS Region is missing: give --region, or set AWS_REGION"
        case InvalidRegionError(kwargs={"region_name": region}):
            return f"{region!r} is not an AWS Region: correct --region or AWS_REGION"
        case CredentialRetrievalError() | SSOError() | TokenRetrievalError():
            return f"the AWS credentials cannot be read ({type(error).__name__}): {_LOG_IN}"
        case ConfigParseError():
            return f"{error}: correct this file of your AWS configuration"
        case HTTPClientError() | NoConnectionError():
            return f"AWS cannot be reached ({type(error).__name__}): {_CHECK_CONNECTION}"
        case ParamValidationError():
            return f"{' '.join(str(error).split())}: correct your options"
        case _:
            return f"{error}: correct your AWS configuration"


def _refused(error: ClientError) -> str:
    """Explain an error that AWS answered."""
    code = error.response["Error"]["Code"]
    said = " ".join(error.response["Error"].get("Message", "").split())
    operation = error.operation_name
    match code:
        case _ if code in _NOT_KNOWN:
            return f"AWS refuses the credentials ({code}): {_LOG_IN}"
        case _ if code in _DENIED:
            return f"AWS denies {operation} ({code}: {said}): {_GET_THE_RIGHT}"
        case _ if code in _THROTTLED:
            return f"AWS throttles {operation} ({code}): repeat the command later"
        case _ if code.startswith("5"):
            return f"{operation} fails (HTTP status {code}): {_CHECK_CONNECTION}"
        case _:
            return f"AWS refuses {operation} ({code}: {said}): check --region and your options"


def _cause(error: AwsError) -> str:
    """Return AWS's error code, with the message if there is one."""
    return error.code if str(error) == error.code else f"{error.code}: {error}"


def _remedy(error: AwsError) -> str:
    match error.kind:
        case "expired":
            return _LOG_IN
        case "unreachable":
            return _CHECK_CONNECTION
        case "refused" if error.code == NotAwsError.__name__:
            return _CHECK_CONNECTION
        case "throttled":
            return "other callers use up AWS's limits: repeat the command later"
        case "refused" if error.code == "NoSuchBucket":
            return "deploy the stack again, which makes its bucket"
        case "denied":
            return f"{_GET_THE_RIGHT}; {_REPEAT}"
        case _:
            return _REPEAT
