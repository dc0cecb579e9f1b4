"""What comes back from a push: an answer, or none."""

from msgspec import Struct

MAX_BODY = 16 * 1024
"""How many bytes of an answer's body are read."""


class Answer(Struct, frozen=True):
    """Loki's or a gateway's answer: the beginning of its body, `retry_after` in seconds.

    `is_page`: it says that its body is HTML, or its body cannot be read and may be HTML.
    """

    status: int
    body: str = ""
    retry_after: float | None = None
    is_page: bool = False


class NoAnswer(Struct, frozen=True):
    """No answer came, for a reason such as `read_timeout`; Loki may hold the batch or not."""

    reason: str
