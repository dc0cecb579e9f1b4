"""The one error of AWS calls, over HTTP or with boto3, and its kinds."""

from typing import Literal

type ErrorKind = Literal[
    "throttled",
    "busy",
    "unreachable",
    "not_permitted_yet",
    "gone",
    "full",
    "denied",
    "refused",
    "expired",
]

SERVER_ERROR = 500
"""The lowest HTTP status of an error on the side of AWS."""

_KINDS: dict[str, ErrorKind] = {
    "ThrottlingException": "throttled",
    "Throttling": "throttled",
    "TooManyRequestsException": "throttled",
    "ThrottledException": "throttled",
    "SlowDown": "throttled",
    "OperationAborted": "busy",
    "OperationAbortedException": "busy",
    "ServiceUnavailableException": "busy",
    "ServiceException": "busy",
    "InternalServiceException": "busy",
    "InternalFailure": "busy",
    "InternalError": "busy",
    "ResourceNotFoundException": "gone",
    "NoSuchKey": "gone",
    "LimitExceededException": "full",
    "AccessDenied": "denied",
    "AccessDeniedException": "denied",
    "UnauthorizedOperation": "denied",
    "ExpiredToken": "expired",
    "ExpiredTokenException": "expired",
    "InvalidClientTokenId": "expired",
    "UnrecognizedClientException": "expired",
}


class AwsError(Exception):
    """Raised when a call to AWS fails.

    `kind` says what the caller can do about it. `code` is the error code of AWS, or the name of
    botocore's exception; it is empty if the HTTP client cannot reach AWS.
    """

    def __init__(self, kind: ErrorKind, code: str, message: str = "") -> None:
        super().__init__(message or code)
        self.kind = kind
        self.code = code


def error_kind(code: str, status: int = 400) -> ErrorKind:
    """Give the kind of an error from its code, or else from the HTTP status."""
    return _KINDS.get(code, "busy" if status >= SERVER_ERROR else "refused")
