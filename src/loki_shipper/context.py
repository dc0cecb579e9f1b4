"""The context of an invocation, as far as the functions use it; Lambda publishes no types."""

from typing import Protocol


class Context(Protocol):
    """The second argument of a handler."""

    invoked_function_arn: str

    def get_remaining_time_in_millis(self) -> int:
        """Give the remaining time of the invocation, in ms."""
        ...
