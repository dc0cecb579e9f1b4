"""The result of a push: an answer, or none."""

from msgspec import Struct

OUT_OF_TIME = "out_of_time"
"""The reason of a push, or of entries, for which the invocation had no time."""

MAX_BODY = 16 * 1024
"""Bytes of an answer's body that are read."""


class Answer(Struct, frozen=True):
    """The answer of Loki or of a gateway before it.

    `body` is the beginning of its body. `retry_after` is in seconds. `is_page`: its content type is
    HTML, or its body cannot be decoded and may be HTML.
    """

    status: int
    body: str = ""
    retry_after: float | None = None
    is_page: bool = False


class NoAnswer(Struct, frozen=True):
    """No answer came, for a reason such as `read_timeout`. Loki may or may not hold the batch."""

    reason: str
