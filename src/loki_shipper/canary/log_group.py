"""Reads and writes the canary's log group over HTTP."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from msgspec import Struct

from loki_shipper.canary.lines import CanaryLine, decode_line, encode_line

STREAM: Final = "canary"
"""The log stream that the template makes."""


class CanaryLogGroup(Struct, frozen=True):
    """The log group of this name.

    `call` calls one operation of CloudWatch Logs. What it raises passes through: AwsError, of the
    kind `gone` if somebody deleted the log group or its log stream.
    """

    name: str
    call: Callable[[str, Mapping[str, Any]], Any]

    def read(self, since: int) -> list[CanaryLine]:
        """Give the lines from a time on, in ms since 1970."""
        lines: list[CanaryLine] = []
        arguments: dict[str, Any] = {"logGroupName": self.name, "startTime": since}
        while True:
            page = self.call("FilterLogEvents", arguments)
            for event in page.get("events") or ():
                content = decode_line(event["message"])
                if content is not None:
                    lines.append(CanaryLine(event["timestamp"], content))
            if not page.get("nextToken"):
                return lines
            arguments["nextToken"] = page["nextToken"]

    def write(self, lines: Sequence[CanaryLine]) -> None:
        """Add lines, which are in the order of their times."""
        events = [{"timestamp": line.at, "message": encode_line(line.content)} for line in lines]
        self.call(
            "PutLogEvents",
            {"logGroupName": self.name, "logStreamName": STREAM, "logEvents": events},
        )
