"""From log data and tags to a stream: which labels, under which names, and what finds no place.

The rules, in order:

1. Facts (the log group and the account) claim their names first, then static labels, then tags,
   then the other built-in labels; the first to claim a name keeps it. Among tags, keys that are
   label names as they stand come first, then the rest by key (by place in the list where
   `TAG_LABELS` is one). A tag with the name of a fact claims `tag_<name>` in its place.
2. The loser of a name goes to structured metadata as `tag_<name>` or `builtin_<name>`, unless the
   winner says the same.
3. Of `max_labels` one place is kept for `late`. Static labels come first, then the names of
   built-in ones, then other tags; what finds no place goes to structured metadata under its own
   name.
4. Empty values, tags that `TAG_LABELS` does not list and, where it is `*`, tags of `aws:` are left
   out.
"""

import re
import zlib
from collections.abc import Mapping
from typing import Literal

from msgspec import Struct

from loki_shipper.model import LogData, Pairs, Stream
from loki_shipper.settings import FACTS, LATE, Settings, is_logql_word, is_tenant

SERVICE_TAGS = ("service_name", "service", "app", "name")
MAX_VALUE_BYTES = 2048
"""Loki's default `max_label_value_length`."""

_ILLEGAL = re.compile(r"[^a-zA-Z0-9_]+")
_UNDERSCORES = re.compile(r"__+")
_METADATA = ("level", "log_stream", "part", "request_id")
"""Names in structured metadata that are ours."""


type Unowned = Literal["no_tenant", "tenant_unknown", "tenant_invalid"]
"""Why a log group has no tenant: no tag and no LOKI_TENANT, tags that are not known, or a tag with
a value that Loki does not take."""


class LabelCandidate(Struct, frozen=True):
    """A value that wants to be the label `name`; `key` is the tag's or built-in label's own."""

    origin: Literal["static", "tag", "builtin"]
    key: str
    name: str
    value: str


class LabelDecision(Struct, frozen=True):
    """What became of a claim: `name` is the label's or, in structured metadata, the pair's."""

    claim: LabelCandidate
    place: Literal["label", "metadata", "nowhere"]
    name: str
    why: str = ""


class LabelledStream(Struct, frozen=True):
    """A stream, and as structured metadata the log stream and what found no place as a label.

    `unowned` says why nobody knows whose the lines are: no tenant may then read them.
    """

    stream: Stream
    metadata: Pairs
    unowned: Unowned | None = None


def label_stream(
    data: LogData,
    tags: Mapping[str, str],
    *,
    region: str,
    settings: Settings,
    known: bool = True,
) -> LabelledStream:
    """Give the stream of a payload.

    `region` is the function's, used where the payload does not name its own. `known` is False where
    AWS did not give the tags. Pure: the same payload and tags always give the same labels, so that
    streams do not flap.
    """
    settled = decide_labels(
        label_candidates(data, tags, region=region, settings=settings), settings.max_labels
    )
    labels = sorted(
        (decision.name, decision.claim.value) for decision in settled if decision.place == "label"
    )
    spare = [
        (decision.name, decision.claim.value)
        for decision in settled
        if decision.place == "metadata"
    ]
    if log_stream := clean(data.log_stream):
        spare.append(("log_stream", log_stream))
    tenant, unowned = _tenant(tags, settings, known=known)
    return LabelledStream(Stream(tenant, tuple(labels)), tuple(sorted(spare)), unowned)


def label_candidates(
    data: LogData, tags: Mapping[str, str], *, region: str, settings: Settings
) -> list[LabelCandidate]:
    """List who wants which label name, the strongest claim first; empty values claim nothing."""
    static = [
        LabelCandidate("static", name, name, clean(value)) for name, value in settings.static_labels
    ]
    tagged = [
        LabelCandidate("tag", key, name, clean(tags[key]))
        for key, name in _tag_names(tags, settings.tag_labels)
    ]
    values = _builtin_values(data, tags, region)
    builtin = [
        LabelCandidate("builtin", key, name, clean(values[key]))
        for key, name in settings.builtin_labels
    ]
    facts = [claim for claim in builtin if claim.key in FACTS]
    others = [claim for claim in builtin if claim.key not in FACTS]
    return [claim for claim in (*facts, *static, *tagged, *others) if claim.value]


def decide_labels(contenders: list[LabelCandidate], max_labels: int) -> list[LabelDecision]:
    """Settle who becomes a label, and say why where a claim does not."""
    winners: dict[str, LabelCandidate] = {}
    for claim in contenders:
        if claim.name != LATE:
            winners.setdefault(claim.name, claim)
    builtin = {claim.name for claim in contenders if claim.origin == "builtin"}
    placed = sorted(winners.values(), key=lambda claim: _rank(claim, builtin))
    labels = {claim.name for claim in placed[: max_labels - 1]}
    taken = set(_METADATA)
    return [_decision(claim, winners.get(claim.name), labels, taken) for claim in contenders]


def _rank(claim: LabelCandidate, builtin: set[str]) -> int:
    if claim.origin == "static":
        return 0
    return 1 if claim.name in builtin else 2


def _decision(
    claim: LabelCandidate, winner: LabelCandidate | None, labels: set[str], taken: set[str]
) -> LabelDecision:
    if winner is claim and claim.name in labels:
        return LabelDecision(claim, "label", claim.name)
    if winner is claim:
        return LabelDecision(
            claim, "metadata", _metadata_name(claim.name, taken), "no label is left"
        )
    if winner is None:
        why = f"{LATE} is kept for entries that arrive late"
    elif winner.value == claim.value:
        return LabelDecision(claim, "nowhere", "", f"{winner.origin} {winner.key} says the same")
    else:
        why = f"{winner.origin} {winner.key} has the name"
    return LabelDecision(
        claim, "metadata", _metadata_name(f"{claim.origin}_{claim.name}", taken), why
    )


def label_name(key: str) -> str:
    """Turn a tag key into a label name: `a.b` is `a_b`, `1st` is `_1st`, `größe` is `gr_e`.

    A word of LogQL, for which nobody could ask, becomes another: `keep` is `_keep`. A key without
    a letter or digit of ASCII gets a name from its checksum, so that two such keys stay two labels.
    """
    name = _UNDERSCORES.sub("_", _ILLEGAL.sub("_", key))
    if not name.strip("_"):
        return f"tag_{zlib.crc32(key.encode('utf-8', 'replace')):08x}"
    return f"_{name}" if name[0].isdigit() or is_logql_word(name) else name


def clean(value: str) -> str:
    """Give a label value that Loki takes: no lone surrogate, no U+FFFD, at most 2,048 bytes."""
    encoded = value.encode("utf-8", "replace").replace(b"\xef\xbf\xbd", b"?")
    return encoded[:MAX_VALUE_BYTES].decode("utf-8", "ignore")


def _metadata_name(key: str, taken: set[str]) -> str:
    """Give a name for structured metadata that Loki takes and that nobody has yet.

    Loki answers 500 to a name that is empty or only underscores, and lets names collide silently.
    """
    name = label_name(key).lstrip("_")
    name = f"tag_{name}" if name[0].isdigit() or is_logql_word(name) else name
    free, number = name, 2
    while free in taken:
        free, number = f"{name.rstrip('_')}_{number}", number + 1
    taken.add(free)
    return free


def _tag_names(tags: Mapping[str, str], wanted: Pairs | None) -> list[tuple[str, str]]:
    if wanted is not None:
        return [(key, name or _tag_name(key)) for key, name in wanted if key in tags]
    named = [(key, _tag_name(key)) for key in tags if not key.startswith("aws:")]
    return sorted(named, key=lambda pair: (pair[0] != pair[1], pair[0]))


def _tag_name(key: str) -> str:
    name = label_name(key)
    return f"tag_{name}" if name in FACTS else name


def _builtin_values(data: LogData, tags: Mapping[str, str], region: str) -> dict[str, str]:
    # `emitSystemFields` puts the origin of centralized logs on each event.
    said = (data.log_events[0].extracted_fields if data.log_events else None) or {}
    tail = data.log_group.rstrip("/").rpartition("/")[2]
    service = next((tags[tag] for tag in SERVICE_TAGS if tags.get(tag)), tail)
    return {
        "service_name": service,
        "log_group": data.log_group,
        "account_id": str(said.get("@aws.account") or data.owner),
        "region": str(said.get("@aws.region") or region),
        "source": "cloudwatch",
    }


def _tenant(
    tags: Mapping[str, str], settings: Settings, *, known: bool
) -> tuple[str | None, Unowned | None]:
    """Give the tenant, or why it is not known: nobody else may read the lines then."""
    if settings.tenant_tag is None:
        return settings.loki_tenant, None
    if not known:
        return None, "tenant_unknown"
    named = tags.get(settings.tenant_tag)
    if not named:
        return settings.loki_tenant, None if settings.loki_tenant else "no_tenant"
    return (named, None) if is_tenant(named) else (None, "tenant_invalid")
