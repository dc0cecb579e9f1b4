"""What a person ordered for single log groups becomes what is to be remembered of it."""

from collections.abc import Iterable

from msgspec.structs import replace

from loki_shipper.subscriber.memory import MemoryUpdate
from loki_shipper.subscriber.model import LogGroup
from loki_shipper.subscriber.select import NotSelected, Selection, select


def orders(groups: Iterable[LogGroup], rules: Selection, *, linked: bool) -> MemoryUpdate:
    """Have log groups linked, or not, whatever the settings say of them.

    Where the settings say the same, an earlier order is forgotten, so that they rule again.
    """
    unordered = replace(rules, by_hand={}, stopped=False)
    needed = {
        group.name: isinstance(select(group, unordered), NotSelected) is linked for group in groups
    }
    return MemoryUpdate(by_hand={name: linked if need else None for name, need in needed.items()})
