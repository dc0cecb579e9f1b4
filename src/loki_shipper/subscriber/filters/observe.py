"""Gives log groups with their filters: from the memory, or read from AWS."""

import zlib
from collections.abc import Callable, Iterable, Iterator

from msgspec import Struct

from loki_shipper.aws.errors import AwsError
from loki_shipper.subscriber.memory import Memory, remembered_state
from loki_shipper.subscriber.model import (
    Filters,
    Gone,
    LogGroup,
    ObservedGroup,
    Turn,
    UnreadableFilters,
)

_HOUR_MS = 3_600_000
_ROUND = 24
"""Hours in which the filters of every log group are read once, whatever the memory holds."""

type RecheckPolicy = Callable[[LogGroup], bool]
"""Tells whether to read a log group's filters although the memory has them."""

type IsSelected = Callable[[LogGroup], bool]
"""Tells whether the settings select a log group."""


class FilterReader(Struct, frozen=True):
    """Reads the filters of a log group (raises AwsError), and gives the seconds left to do so."""

    read: Callable[[str], Filters]
    remaining: Callable[[], float]


def observe(
    groups: Iterable[LogGroup],
    memory: Memory,
    recheck: RecheckPolicy,
    reader: FilterReader,
    is_selected: IsSelected,
) -> Iterator[ObservedGroup]:
    """Give log groups with their filters, until time is up.

    Log groups that are selected or remembered come first, then new ones that are not selected,
    and last those that are only rechecked, so a run that is cut short has done what matters.
    The newest log groups of each kind come first. Raises AwsError if no filters can be
    read at all.
    """

    def turn(group: LogGroup) -> tuple[bool, Turn]:
        comes_later = remembered_state(memory, group) is None and not is_selected(group)
        return comes_later, group.turn

    to_recheck = []
    for group in sorted(groups, key=turn):
        if reader.remaining() <= 0:
            return
        state = remembered_state(memory, group)
        if state is None:
            yield ObservedGroup(group, _read(group.name, reader))
        elif recheck(group):
            to_recheck.append(group)
        else:
            yield ObservedGroup(group, state.filters)
    for group in to_recheck:
        if reader.remaining() <= 0:
            return
        yield ObservedGroup(group, _read(group.name, reader))


def _read(name: str, reader: FilterReader) -> Filters | Gone | UnreadableFilters:
    try:
        return reader.read(name)
    except AwsError as error:
        match error.kind:
            case "gone":
                return Gone()
            case "expired" | "unreachable":
                raise
            case _:
                return UnreadableFilters(error.code)


def hourly(now: int) -> RecheckPolicy:
    """Recheck one log group in 24, other ones each hour; `now` is in ms since 1970."""
    turn = now // _HOUR_MS % _ROUND
    return lambda group: zlib.crc32(group.name.encode()) % _ROUND == turn


def always(_: LogGroup) -> bool:
    """Recheck every log group."""
    return True


def never(_: LogGroup) -> bool:
    """Recheck no log group."""
    return False
