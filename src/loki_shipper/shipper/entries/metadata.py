"""Merges the metadata that rules extract with the metadata that all entries share."""

from loki_shipper.model import Pairs

_MAX_EXTRACTED = 16
"""With 2 KiB each, half of the structured metadata that Loki takes for an entry."""


class MetadataMerger:
    """Makes the metadata of entries; entries with equal metadata share one tuple.

    `shared` is the metadata of all entries. With `enabled=False` no entry has metadata.
    """

    def __init__(self, shared: Pairs, *, enabled: bool) -> None:
        self.shared = shared if enabled else ()
        self._enabled = enabled
        self._shared_names = {name for name, _ in self.shared}
        self._cached: dict[Pairs, Pairs] = {(): self.shared}

    def merged(self, extracted: Pairs) -> Pairs:
        """Return `merge(extracted)`, cached."""
        metadata = self._cached.get(extracted)
        if metadata is None:
            metadata = self._cached[extracted] = self.merge(extracted)
        return metadata

    def merge(self, extracted: Pairs) -> Pairs:
        """Return an entry's metadata, sorted; the first pair of a name counts."""
        if not self._enabled or not extracted:
            return self.shared
        merged = self.shared + extracted
        if len(dict(merged)) < len(merged) or len(extracted) > _MAX_EXTRACTED:
            merged = self.shared + self._renamed(extracted)
        return tuple(sorted(merged))

    def _renamed(self, extracted: Pairs) -> Pairs:
        """Return at most 16 pairs with names of their own."""
        renamed: dict[str, str] = {}
        for name, value in extracted:
            if (name, value) not in self.shared:
                renamed.setdefault(f"rule_{name}" if name in self._shared_names else name, value)
        return tuple(renamed.items())[:_MAX_EXTRACTED]
