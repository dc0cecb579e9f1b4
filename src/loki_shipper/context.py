"""What Lambda tells a function about an invocation; the types of its own runtime are not known."""

from typing import Protocol


class Context(Protocol):
    """The second argument of a handler."""

    invoked_function_arn: str

    def get_remaining_time_in_millis(self) -> int:
        """Give the time that is left, in ms."""
        ...
