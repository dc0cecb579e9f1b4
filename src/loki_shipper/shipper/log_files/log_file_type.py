"""What a type of log files is: how to know its files, and how to read them."""

import re
from collections.abc import Callable

from msgspec import Struct

from loki_shipper.shipper.log_files.reader import Layout

AWS_LOGS = r"(?:^|/)AWSLogs/(?:o-[a-z0-9]{10,32}/)?(?:aws-account-id=)?(?P<account>\d{12})/"
"""Where most services write: below any prefix, with the id of an organization if it has one trail.

The names of folders that Hive reads are `name=value`.
"""

REGION = r"(?:aws-region=)?(?P<region>[a-z]{2,5}(?:-[a-z]+)+-\d+)"
ISO = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z?"


class Head(Struct, frozen=True):
    """The beginning of a file, 64 KB at most, and its first line."""

    text: str
    line: str


class LogFileType(Struct, frozen=True):
    """A type of log files.

    `key` finds a file of the type by its key; its groups `account`, `region` and `resource` are
    those of a `LogFile`. `begins` tells whether a file begins like those of the type. `layout` says
    how to read a file with this beginning. `tagged_as` gives the resource's name in the tag index.
    `region` finds the Region that a key does not name.
    """

    name: str
    begins: Callable[[Head], bool]
    layout: Callable[[Head], Layout]
    key: re.Pattern[str] | None = None
    tagged_as: Callable[[re.Match[str]], str] | None = None
    region: Callable[[Head], str | None] | None = None


def matches(pattern: str) -> Callable[[Head], bool]:
    """Give a function that tells whether the first line begins with a pattern."""
    match = re.compile(pattern).match
    return lambda head: match(head.line) is not None


def always(layout: Layout) -> Callable[[Head], Layout]:
    """Give one layout for all files of a type."""
    return lambda _: layout
