"""What `explain` shows of labels: what became of each tag and why, and what settings change."""

from collections.abc import Iterator, Mapping

from msgspec import Struct

from loki_shipper.model import LogData, Pairs
from loki_shipper.settings import Settings
from loki_shipper.shipper.labels.decide import decide_labels, label_candidates, label_stream


class DecisionRow(Struct, frozen=True):
    """A tag, static or built-in label, and what became of it; `place` is where its value is."""

    origin: str
    key: str
    value: str
    place: str
    name: str
    why: str


class Explained(Struct, frozen=True):
    """The labels, structured metadata and tenant of a log group's lines, row by row."""

    tenant: str | None
    labels: Pairs
    metadata: Pairs
    rows: list[DecisionRow]


class DecisionChange(Struct, frozen=True):
    """A label that a change of settings takes away (`after` None), adds or alters."""

    name: str
    before: str | None
    after: str | None


def explained(
    data: LogData, tags: Mapping[str, str], *, region: str, settings: Settings
) -> Explained:
    """Say what the shipper makes of a log group's tags, with the shipper's own rules."""
    wanted = label_candidates(data, tags, region=region, settings=settings)
    rows = [
        DecisionRow(
            decision.claim.origin,
            decision.claim.key,
            decision.claim.value,
            decision.place,
            decision.name,
            decision.why,
        )
        for decision in decide_labels(wanted, settings.max_labels)
    ]
    claimed = {claim.key for claim in wanted if claim.origin == "tag"}
    rows += [
        DecisionRow("tag", key, value, "nowhere", "", _why_left_out(value, settings))
        for key, value in sorted(tags.items())
        if key not in claimed
    ]
    made = label_stream(data, tags, region=region, settings=settings)
    metadata = made.metadata if settings.structured_metadata else ()
    return Explained(made.stream.tenant, made.stream.labels, metadata, rows)


def changes(before: Explained, after: Explained) -> Iterator[DecisionChange]:
    """List the labels that differ, the tenant as `(tenant)` among them, in order of name."""
    old, new = _named(before), _named(after)
    for name in sorted(old.keys() | new.keys()):
        if old.get(name) != new.get(name):
            yield DecisionChange(name, old.get(name), new.get(name))


def _named(explained: Explained) -> dict[str, str]:
    tenant = {} if explained.tenant is None else {"(tenant)": explained.tenant}
    return dict(explained.labels) | tenant


def _why_left_out(value: str, settings: Settings) -> str:
    if not value:
        return "its value is empty"
    if settings.tag_labels is None:
        return "tags of aws: are left out unless TAG_LABELS lists them"
    return "TAG_LABELS does not list it"
