"""From log groups to what is known of their filters: remembered, or looked at."""

import zlib
from collections.abc import Callable, Iterable, Iterator

from msgspec import Struct

from loki_shipper.aws.errors import AwsError
from loki_shipper.subscriber.memory import Memory, remembered_state
from loki_shipper.subscriber.model import Filters, Gone, LogGroup, Seen, Turn, UnreadableFilters

_HOUR_MS = 3_600_000
ROUND = 24
"""Hours in which every log group is looked at once, whatever the memory says."""

type RecheckPolicy = Callable[[LogGroup], bool]
"""Tells whether to look at a log group's filters although they are known."""

type IsSelected = Callable[[LogGroup], bool]
"""Tells whether the settings select a log group."""


class FilterReader(Struct, frozen=True):
    """How filters are read (`look`, raises AwsError), and when looking must end."""

    look: Callable[[str], Filters]
    remaining: Callable[[], float]


def observe(
    groups: Iterable[LogGroup],
    memory: Memory,
    recheck: RecheckPolicy,
    reader: FilterReader,
    is_selected: IsSelected,
) -> Iterator[Seen]:
    """Give log groups with their filters, until time is up.

    A run that is cut short has done what matters: first come log groups that are selected or known,
    then new ones that are not selected, and last those that are looked at out of distrust alone.
    The newest come first each time. Raises AwsError where nothing can be read at all.
    """

    def turn(group: LogGroup) -> tuple[bool, Turn]:
        is_last = remembered_state(memory, group) is None and not is_selected(group)
        return is_last, group.turn

    doubted = []
    for group in sorted(groups, key=turn):
        if reader.remaining() <= 0:
            return
        known = remembered_state(memory, group)
        if known is None:
            yield Seen(group, _looked(group.name, reader.look))
        elif recheck(group):
            doubted.append(group)
        else:
            yield Seen(group, known.filters)
    for group in doubted:
        if reader.remaining() <= 0:
            return
        yield Seen(group, _looked(group.name, reader.look))


def _looked(name: str, look: Callable[[str], Filters]) -> Filters | Gone | UnreadableFilters:
    try:
        return look(name)
    except AwsError as error:
        match error.kind:
            case "gone":
                return Gone()
            case "expired" | "unreachable":
                raise
            case _:
                return UnreadableFilters(error.code)


def hourly(now: int) -> RecheckPolicy:
    """Distrust one log group in 24, another one each hour; `now` is in ms since 1970."""
    turn = now // _HOUR_MS % ROUND
    return lambda group: zlib.crc32(group.name.encode()) % ROUND == turn


def always(_: LogGroup) -> bool:
    """Distrust every log group."""
    return True


def never(_: LogGroup) -> bool:
    """Trust the memory."""
    return False
