"""Decides the labels and the structured metadata of an entry.

The labels of a resource and of an entry are what tags are on AWS: `TAG_LABELS` chooses among them,
and `decide_labels` decides as for a log group. With `*` those are left out whose name promises many
values, such as a pod or an instance: each value would be a stream of its own. They become
structured metadata, as do all that became no label.
"""

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, Final

from msgspec import Struct

from loki_shipper.google.entry import SKYPILOT, LoggedEntry, member
from loki_shipper.google.settings import FACTS, GoogleSettings
from loki_shipper.loki_names import DETECTED_LEVEL
from loki_shipper.model import Pairs, Stream
from loki_shipper.settings import Settings
from loki_shipper.shipper.labels.decide import (
    LabelCandidate,
    MissingTenant,
    choose_tenant,
    clean,
    decide_labels,
    label_name,
)

SOURCE: Final = "cloud-logging"

_OF_ORIGIN = frozenset({"project_id", "location", "region", "zone"})
"""Labels of a resource that are in the built-in labels."""

_MANY_VALUED = re.compile(
    "id|uid|uuid|guid|hash|sha|digest|commit|ip|pod|instance|node|host|hostname|vm|revision|version"
    "|execution|attempt|task|trace|span|request|session|user|email|address|port|pid|rank|worker"
    "|index|time|timestamp|date|url|uri|path|method|image|base|resource"
)
"""Words in the name of a label that promise many values."""

_FEW_VALUED = re.compile("(cluster|database|dataset|module|queue|space|subscription|topic)_id")
"""Labels of resources that are names, and not numbers of something short-lived."""

_SERVICES = (
    "service_name",
    "service",
    "app",
    "k8s-pod/app_kubernetes_io/name",
    "k8s-pod/app",
    "function_name",
    "job_name",
    "container_name",
    "module_id",
    "database_id",
)
"""Labels that name the service, the first one that an entry has."""

_LEVELS_OF_GOOGLE = ("notice", "alert", "emergency")
"""Severities for which Loki has no level of its own."""

_WORDS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+|\d+")
_MAX_METADATA = 64
_MAX_METADATA_BYTES = 16 * 1024
"""Loki takes 128 pairs and 64 KB for an entry; rules may add 16 of up to 2 KB each."""


class LabelledEntry(Struct, frozen=True):
    """The stream and the structured metadata of an entry.

    With a `missing_tenant` the line must go to no tenant.
    """

    stream: Stream
    metadata: Pairs
    missing_tenant: MissingTenant | None = None


def label_entry(entry: LoggedEntry, settings: Settings, google: GoogleSettings) -> LabelledEntry:
    """Give the stream of an entry; the same entry always gives the same stream."""
    candidates = [*_candidates(entry, settings, google)]
    decisions = decide_labels(candidates, settings.max_labels)
    labels = {d.name: d.candidate.value for d in decisions if d.place == "label"}
    spare = [(d.name, d.candidate.value) for d in decisions if d.place == "metadata"]
    chosen = {candidate.key for candidate in candidates if candidate.origin == "tag"}
    left_out = _OF_ORIGIN | chosen | (SKYPILOT.keys() if entry.is_skypilot else set())
    spare += [
        (_metadata_name(key), clean(value))
        for key, value in sorted(entry.labels.items())
        if key not in left_out
    ]
    tenant, missing = choose_tenant(entry.labels, settings)
    return LabelledEntry(
        Stream(tenant, tuple(sorted(labels.items()))),
        _bounded([*_facts(entry), *spare]),
        missing,
    )


@lru_cache(maxsize=4096)
def is_many_valued(key: str) -> bool:
    """Tell whether the name of a label promises many values."""
    name = key.rpartition("/")[2]
    if key in SKYPILOT:
        return True
    words = (word.lower() for word in _WORDS.findall(name))
    return not _FEW_VALUED.fullmatch(name) and any(map(_MANY_VALUED.fullmatch, words))


def _candidates(
    entry: LoggedEntry, settings: Settings, google: GoogleSettings
) -> Iterator[LabelCandidate]:
    values = _builtin_values(entry)
    builtin = [
        LabelCandidate("builtin", key, name, clean(values[key]))
        for key, name in google.builtin_labels
        if values[key]
    ]
    yield from (each for each in builtin if each.key in FACTS)
    for name, value in settings.static_labels:
        yield LabelCandidate("static", name, name, clean(value))
    for key, name in _chosen(entry.labels, settings.tag_labels):
        if value := clean(entry.labels[key]):
            yield LabelCandidate("tag", key, name, value)
    yield from (each for each in builtin if each.key not in FACTS)


def _chosen(labels: Mapping[str, str], wanted: Pairs | None) -> list[tuple[str, str]]:
    if wanted is not None:
        return [(key, name or _tag_name(key)) for key, name in wanted if key in labels]
    few = (key for key in labels if key not in _OF_ORIGIN and not is_many_valued(key))
    return sorted(((key, _tag_name(key)) for key in few), key=lambda pair: pair[0] != pair[1])


def _tag_name(key: str) -> str:
    name = label_name(key)
    return f"tag_{name}" if name in FACTS else name


def _builtin_values(entry: LoggedEntry) -> dict[str, str]:
    named = (entry.labels.get(key) for key in _SERVICES)
    log_group = entry.data.log_group
    return {
        "service_name": next(filter(None, named), log_group.rpartition("/")[2]),
        "log_name": entry.origin.log_name,
        "project": entry.origin.project,
        "location": entry.origin.location,
        "resource_type": entry.origin.resource_type,
        "source": SOURCE,
    }


def _facts(entry: LoggedEntry) -> Iterator[tuple[str, str]]:
    """Give what the fields of an entry say beside its line, as far as they say it."""
    found = entry.entry
    severity = str(found.severity or "").lower()
    members: tuple[tuple[str, Any], ...] = (
        (DETECTED_LEVEL, entry.level),
        ("severity", severity if severity in _LEVELS_OF_GOOGLE else ""),
        ("trace_id", str(found.trace or "").rpartition("/")[2]),
        ("span_id", found.span_id),
        ("operation_id", member(found.operation, "id")),
        ("source_file", member(found.source_location, "file")),
        ("source_line", member(found.source_location, "line")),
        ("source_function", member(found.source_location, "function")),
        ("split_uid", member(found.split, "uid")),
        ("split_index", member(found.split, "index")),
    )
    return ((name, clean(str(value))) for name, value in members if value not in (None, ""))


def _metadata_name(key: str) -> str:
    name = label_name(key).lstrip("_")
    return name if name[:1].isalpha() else f"label_{name}"


def _bounded(pairs: list[tuple[str, str]]) -> Pairs:
    """Return the first pair of each name, as many as Loki takes."""
    kept: dict[str, str] = {}
    size = 0
    for name, value in pairs:
        if value and name not in kept:
            size += len(name) + len(value.encode())
            if len(kept) == _MAX_METADATA or size > _MAX_METADATA_BYTES:
                break
            kept[name] = value
    return tuple(sorted(kept.items()))
