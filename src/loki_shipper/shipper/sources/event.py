"""From what Lambda hands over to the record in it."""

from typing import Any


class UndecodableError(Exception):
    """Raised when an event is not a CloudWatch Logs record; says why, never what it holds."""


def source(event: Any) -> str:
    """Take the record, base64 text, out of a subscription filter's invocation event.

    The shape is `{"awslogs": {"data": "<base64 of gzip of JSON>"}}`. Raises UndecodableError.
    """
    match event:
        case {"awslogs": {"data": str(data)}}:
            return data
        case _:
            raise UndecodableError("the event has no text at awslogs.data")
