"""Explains what became of each tag of a log group, and which labels other settings change."""

from collections.abc import Iterator, Mapping

from msgspec import Struct

from loki_shipper.model import LogData, Pairs
from loki_shipper.settings import Settings
from loki_shipper.shipper.labels.decide import decide_labels, label_candidates, label_stream


class DecisionRow(Struct, frozen=True):
    """A tag, static or built-in label, and what became of it.

    `place` is `label`, `metadata` or `nowhere`.
    """

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
    """A label that other settings add (`before` is None), remove (`after` is None) or change."""

    name: str
    before: str | None
    after: str | None


def log_group_data(account: str, log_group: str) -> LogData:
    """Make a payload without lines, to explain a log group with."""
    return LogData("DATA_MESSAGE", account, log_group, "", [])


def explained(
    data: LogData, tags: Mapping[str, str], *, region: str, settings: Settings
) -> Explained:
    """Explain the labels of a log group's lines, by the shipper's own code."""
    candidates = label_candidates(data, tags, region=region, settings=settings)
    rows = [
        DecisionRow(
            decision.candidate.origin,
            decision.candidate.key,
            decision.candidate.value,
            decision.place,
            decision.name,
            decision.why,
        )
        for decision in decide_labels(candidates, settings.max_labels)
    ]
    used = {candidate.key for candidate in candidates if candidate.origin == "tag"}
    rows += [
        DecisionRow("tag", key, value, "nowhere", "", _why_left_out(value, settings))
        for key, value in sorted(tags.items())
        if key not in used
    ]
    labelled = label_stream(data, tags, region=region, settings=settings)
    metadata = labelled.metadata if settings.structured_metadata else ()
    return Explained(labelled.stream.tenant, labelled.stream.labels, metadata, rows)


def changes(before: Explained, after: Explained) -> Iterator[DecisionChange]:
    """List the labels that differ, in the order of their names; the tenant is `(tenant)`."""
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
        return "aws: tags become labels only if TAG_LABELS lists them"
    return "TAG_LABELS does not list it"
