"""Decides a stream's labels and their names, and what goes to structured metadata instead.

The rules, in order:

1. The first candidate for a name gets it. Facts (the log group and the account) come first, then
   static labels, then tags, then the other built-in labels. Among tags, keys that are valid label
   names come first, then the others, in the order of keys; a list in `TAG_LABELS` sets its own
   order. A tag with the name of a fact becomes `tag_<name>`.
2. The other candidates for the name go to structured metadata as `tag_<name>`, `builtin_<name>` or
   `static_<name>`, unless their value is the same.
3. A stream has at most `max_labels` labels, one of them reserved for `late`. Static labels get
   places first, then names of built-in labels, then other tags. A label without a place goes to
   structured metadata under its own name.
4. Empty values, and tags that `TAG_LABELS` does not select, are left out. `*` selects all tags
   except `aws:*`.
"""

import re
import zlib
from collections.abc import Mapping
from typing import Literal

from msgspec import Struct

from loki_shipper.loki_names import DETECTED_LEVEL, FACTS, LATE, is_logql_word, is_tenant
from loki_shipper.model import LogData, LogFile, LogSource, Pairs, Stream, log_source
from loki_shipper.settings import Settings
from loki_shipper.shipper.labels.service import service_of_group

SERVICE_TAGS = ("service_name", "service", "app", "name")
MAX_VALUE_BYTES = 2048
"""Loki's default `max_label_value_length`."""

_ILLEGAL = re.compile(r"[^a-zA-Z0-9_]+")
_UNDERSCORES = re.compile(r"__+")
_METADATA = (DETECTED_LEVEL, "level", "log_stream", "part", "request_id")
"""Names in structured metadata that the shipper uses itself, or that Loki takes for a level."""

_DISTRIBUTION = "distribution/"
_OF_DISTRIBUTIONS = "us-east-1"
"""The Region in which the tagging API gives the tags of distributions."""


type MissingTenant = Literal["no_tenant", "tenant_unknown", "tenant_invalid"]
"""The reason why a log group has no tenant: neither a tag nor LOKI_TENANT, unknown tags, or a tag
value that Loki does not take."""


class LabelCandidate(Struct, frozen=True):
    """A value for the label `name`; `key` is the key of its tag or built-in label."""

    origin: Literal["static", "tag", "builtin"]
    key: str
    name: str
    value: str


class LabelDecision(Struct, frozen=True):
    """The place of a candidate, and its name there."""

    candidate: LabelCandidate
    place: Literal["label", "metadata", "nowhere"]
    name: str
    why: str = ""


class LabelledStream(Struct, frozen=True):
    """A stream, and structured metadata: the log stream, and candidates that became no label.

    With a `missing_tenant` the lines must go to no tenant at all.
    """

    stream: Stream
    metadata: Pairs
    missing_tenant: MissingTenant | None = None


def label_stream(
    data: LogData,
    tags: Mapping[str, str],
    *,
    region: str,
    settings: Settings,
    tags_known: bool = True,
) -> LabelledStream:
    """Give the stream of a payload; the same payload and tags always give the same stream.

    `region` is the function's, for payloads that name none. `tags_known` is False if AWS did not
    give the tags.
    """
    decisions = decide_labels(
        label_candidates(data, tags, region=region, settings=settings), settings.max_labels
    )
    labels = sorted(
        (decision.name, decision.candidate.value)
        for decision in decisions
        if decision.place == "label"
    )
    spare = [
        (decision.name, decision.candidate.value)
        for decision in decisions
        if decision.place == "metadata"
    ]
    if log_stream := clean(data.log_stream):
        spare.append(("log_stream", log_stream))
    tenant, missing_tenant = choose_tenant(tags, settings, tags_known=tags_known)
    return LabelledStream(Stream(tenant, tuple(labels)), tuple(sorted(spare)), missing_tenant)


def tag_source(data: LogData, *, region: str, settings: Settings) -> LogSource:
    """Give the log group, bucket or resource whose tags a payload's lines have."""
    file = data.log_file
    if file is None or file.tagged_as is None or settings.log_file_tags == "bucket":
        return log_source(data, region)
    if file.tagged_as.startswith(_DISTRIBUTION) and region != _OF_DISTRIBUTIONS:
        return log_source(data, region)
    return LogSource(
        file.account or data.owner, file.region or region, file.tagged_as, resource=True
    )


def takes_tenant(
    account: str | None, data: LogData, tenant: str | None, settings: Settings, *, region: str
) -> bool:
    """Tell whether the payload's lines may go to this tenant, by ACCOUNT_TENANTS.

    `account` and `region` are those of the function: its own lines may go to any tenant. Each
    other account that the lines come from must have the tenant in its list: the owner, which only
    CloudWatch Logs writes, and the source that centralized lines name, as the tags are the
    source's. Tags of a load balancer are those of its account too.
    """
    if account is None:
        return True
    source = tag_source(data, region=region, settings=settings)
    others = {data.owner, source.account} - {account}
    if not settings.account_tenants:
        return not others or tenant == settings.loki_tenant
    listed = dict(settings.account_tenants)
    return all(tenant in listed.get(other, ()) for other in others)


def label_candidates(
    data: LogData, tags: Mapping[str, str], *, region: str, settings: Settings
) -> list[LabelCandidate]:
    """List the candidates for labels with a value, those with the highest priority first."""
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
    facts = [candidate for candidate in builtin if candidate.key in FACTS]
    others = [candidate for candidate in builtin if candidate.key not in FACTS]
    return [candidate for candidate in (*facts, *static, *tagged, *others) if candidate.value]


def decide_labels(candidates: list[LabelCandidate], max_labels: int) -> list[LabelDecision]:
    """Decide which candidates become labels, and give the reason for each that does not."""
    winners: dict[str, LabelCandidate] = {}
    for candidate in candidates:
        if candidate.name != LATE:
            winners.setdefault(candidate.name, candidate)
    builtin = {candidate.name for candidate in candidates if candidate.origin == "builtin"}
    placed = sorted(winners.values(), key=lambda candidate: _rank(candidate, builtin))
    labels = {candidate.name for candidate in placed[: max_labels - 1]}
    taken = set(_METADATA)
    return [
        _decision(candidate, winners.get(candidate.name), labels, taken) for candidate in candidates
    ]


def _rank(candidate: LabelCandidate, builtin: set[str]) -> int:
    if candidate.origin == "static":
        return 0
    return 1 if candidate.name in builtin else 2


def _decision(
    candidate: LabelCandidate, winner: LabelCandidate | None, labels: set[str], taken: set[str]
) -> LabelDecision:
    if winner is candidate and candidate.name in labels:
        return LabelDecision(candidate, "label", candidate.name)
    if winner is candidate:
        return LabelDecision(
            candidate, "metadata", _metadata_name(candidate.name, taken), "MAX_LABELS is reached"
        )
    if winner is None:
        why = f"{LATE} is reserved for late lines"
    elif winner.value == candidate.value:
        return LabelDecision(
            candidate, "nowhere", "", f"{winner.origin} {winner.key} has the same value"
        )
    else:
        why = f"{winner.origin} {winner.key} has this name"
    return LabelDecision(
        candidate, "metadata", _metadata_name(f"{candidate.origin}_{candidate.name}", taken), why
    )


def label_name(key: str) -> str:
    """Turn a tag key into a label name: `a.b` is `a_b`, `1st` is `_1st`, `größe` is `gr_e`.

    A word of LogQL cannot be queried, so it gets a prefix: `keep` is `_keep`. A key without ASCII
    letter or digit gets a name from its checksum, so two such keys stay two labels.
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
    """Give a valid name for structured metadata that is not `taken`, and add it to `taken`.

    Loki answers 500 to a name that is empty or only underscores, and accepts two equal names.
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
    tagged = next((tags[tag] for tag in SERVICE_TAGS if tags.get(tag)), None)
    if data.log_file is not None:
        return _values_of_log_file(data.log_file, data.owner, region, tagged)
    source = log_source(data, region)
    return {
        "service_name": tagged or service_of_group(data.log_group),
        "log_group": data.log_group,
        "account_id": source.account,
        "region": source.region,
        "source": "cloudwatch",
        "log_type": "",
        "bucket": "",
        "resource": "",
    }


def _values_of_log_file(
    file: LogFile, owner: str, region: str, tagged: str | None
) -> dict[str, str]:
    return {
        "service_name": tagged or file.resource or file.type,
        "log_group": "",
        "account_id": file.account or owner,
        "region": file.region or region,
        "source": "s3",
        "log_type": file.type,
        "bucket": file.bucket,
        "resource": file.resource or "",
    }


def choose_tenant(
    tags: Mapping[str, str], settings: Settings, *, tags_known: bool = True
) -> tuple[str | None, MissingTenant | None]:
    """Give the tenant, or the reason why the lines must go to no tenant."""
    if settings.tenant_tag is None:
        return settings.loki_tenant, None
    if not tags_known:
        return None, "tenant_unknown"
    tenant = tags.get(settings.tenant_tag)
    if not tenant:
        return settings.loki_tenant, None if settings.loki_tenant else "no_tenant"
    return (tenant, None) if is_tenant(tenant) else (None, "tenant_invalid")
