"""The formats of settings: how each text is read, and which texts CloudFormation accepts."""

import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from msgspec import Struct

from loki_shipper.loki_names import BUILTINS, chosen_label_name, is_tenant
from loki_shipper.model import LOG_FILE_TYPES, Pairs

PUSH_PATH = "/loki/api/v1/push"
NO_RULES = "none"
"""The word of RULES for no rules at all."""

MOST_LOG_BUCKETS = 20
"""Entries of LOG_BUCKETS. The template has as many places for the rights on them."""

_MAX_VALUE_BYTES = 2048
_ACCOUNT_DIGITS = 12
_ENTRY = r"[a-z0-9][a-z0-9.-]+[a-z0-9](/[^,\s]*)?(=[a-z0-9_]+)?"
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")

type AccountTenants = tuple[tuple[str, tuple[str, ...]], ...]
"""Accounts, each with its tenants."""


class LogBucket(Struct, frozen=True):
    """The log files of a bucket whose keys start with `prefix`; `type` None: decided by file."""

    bucket: str
    prefix: str = ""
    type: str | None = None


class Secret(Struct, frozen=True):
    """A value that `repr` and `str` hide. Only `value` shows it."""

    value: str

    def __repr__(self) -> str:
        """Hide the value."""
        return "Secret(***)"


class Format(Struct, frozen=True):
    """How the text of a setting is read.

    `parse` raises ValueError; the name of the variable in front makes its message a sentence.
    `constraints` are the properties of the template's parameter, such as `{"MinValue": 2}`.
    `names_secret`: the text may name a secret, and the functions get the right to read it.
    """

    parse: Callable[[str], Any]
    constraints: Mapping[str, Any] = {}
    names_secret: bool = False


def _url(text: str) -> str:
    try:
        parts = urlsplit(text)
        # urlsplit checks the port only when it is read.
        _ = parts.port
    except ValueError:
        raise ValueError("is not a URL") from None
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("must start with http:// or https:// and name a host")
    if parts.username is not None or parts.password is not None:
        raise ValueError("must not hold a user or password: use LOKI_SECRET")
    if parts.query or parts.fragment:
        raise ValueError("must not hold a query or a fragment")
    base = text.rstrip("/")
    return base if base.endswith(PUSH_PATH) else base + PUSH_PATH


def _tenant(text: str) -> str:
    if not is_tenant(text):
        raise ValueError("must be 1 to 150 of the characters A-Z a-z 0-9 ! - _ . * ' ( )")
    return text


def _pairs(text: str) -> list[tuple[str, str]]:
    items = [item.strip() for item in text.split(",")]
    return [
        (left.strip(), right.strip()) for left, _, right in (i.partition("=") for i in items if i)
    ]


def _unique(names: list[str]) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"names {', '.join(twice)} more than once")


def _tag_labels(text: str) -> Pairs | None:
    match text.lower():
        case "*":
            return None
        case "none":
            return ()
    pairs = _pairs(text)
    # A tag key without a new name need not be a label name: the shipper makes it one.
    named = [(key, chosen_label_name(name) if name else "") for key, name in pairs]
    if any(not key for key, _ in named):
        raise ValueError("has an entry without a tag key")
    _unique([key for key, _ in named])
    return tuple(named)


def _static_labels(text: str) -> Pairs:
    pairs = [(chosen_label_name(name), value) for name, value in _pairs(text)]
    for name, value in pairs:
        if not value:
            raise ValueError(f"gives {name} no value: write {name}=value")
        if len(value.encode()) > _MAX_VALUE_BYTES:
            raise ValueError(f"gives {name} more than {_MAX_VALUE_BYTES} bytes")
    _unique([name for name, _ in pairs])
    return tuple(sorted(pairs))


def _account_tenants(text: str) -> AccountTenants:
    pairs = _pairs(text)
    for account, tenants in pairs:
        if not (account.isascii() and account.isdigit() and len(account) == _ACCOUNT_DIGITS):
            raise ValueError(f"names {account!r}, which is no account: an account has 12 digits")
        for tenant in tenants.split("|"):
            if not is_tenant(tenant):
                raise ValueError(f"gives {account} {tenant!r}, which Loki takes as no tenant")
    _unique([account for account, _ in pairs])
    return tuple((account, tuple(tenants.split("|"))) for account, tenants in pairs)


def _builtin_labels(text: str) -> Pairs:
    match text.lower():
        case "all":
            return tuple((name, name) for name in BUILTINS)
        case "none":
            return ()
    pairs = [
        (builtin, builtin if name in {"", builtin} else chosen_label_name(name))
        for builtin, name in _pairs(text)
    ]
    unknown = sorted({builtin for builtin, _ in pairs} - set(BUILTINS))
    if unknown:
        raise ValueError(f"knows no {', '.join(unknown)}: there are {', '.join(BUILTINS)}")
    _unique([builtin for builtin, _ in pairs])
    _unique([name for _, name in pairs])
    return tuple(sorted(pairs, key=lambda pair: BUILTINS.index(pair[0])))


def _log_buckets(text: str) -> tuple[LogBucket, ...]:
    found = tuple(_log_bucket(item.strip()) for item in text.split(",") if item.strip())
    _unique([f"{each.bucket}/{each.prefix}" for each in found])
    if len(found) > MOST_LOG_BUCKETS:
        raise ValueError(f"has more than {MOST_LOG_BUCKETS} entries")
    return found


def _log_bucket(item: str) -> LogBucket:
    """Read `bucket/prefix=type`. A prefix may hold `=`, but a type holds no `/`."""
    path, equals, kind = item.rpartition("=")
    if not equals or "/" in kind:
        path, equals, kind = item, "", ""
    elif kind not in LOG_FILE_TYPES:
        raise ValueError(
            f"gives {path} the type {kind!r}: must be one of {', '.join(LOG_FILE_TYPES)}"
        )
    bucket, _, prefix = path.partition("/")
    if not _BUCKET.fullmatch(bucket):
        raise ValueError(f"names {bucket!r}, which is no name of a bucket")
    return LogBucket(bucket, prefix, kind or None)


def _rules(text: str) -> str:
    if text.lower() == NO_RULES:
        return NO_RULES
    bucket, _, key = text.removeprefix("s3://").partition("/")
    if text.startswith("s3://") and not (bucket and key):
        raise ValueError("must be a path, s3://bucket/key, or none")
    return text


def one_of(*words: str) -> Format:
    """Return the format of a choice between these words, in any case."""

    def parse(text: str) -> str:
        for word in words:
            if text.lower() == word.lower():
                return word
        raise ValueError(f"must be one of {', '.join(words)}")

    return Format(parse, {"AllowedValues": words})


def one_of_numbers(*allowed: int) -> Format:
    """Return the format of a choice between these numbers."""

    def parse(text: str) -> int:
        if text not in map(str, allowed):
            raise ValueError(f"must be one of {', '.join(map(str, allowed))}")
        return int(text)

    return Format(parse, {"Type": "Number", "AllowedValues": allowed})


def integer(low: int, high: int) -> Format:
    """Return the format of a whole number between these bounds, which belong to it."""

    def parse(text: str) -> int:
        if not (text.isascii() and text.isdigit() and low <= int(text) <= high):
            raise ValueError(f"must be a whole number from {low} to {high}")
        return int(text)

    return Format(parse, {"Type": "Number", "MinValue": low, "MaxValue": high})


def secret_name(parse: Callable[[str], Any] = str) -> Format:
    """Return the format of a secret's ARN, or of the name of an SSM parameter."""
    arn, name = r"^arn:[^:\s]+:(secretsmanager|ssm):\S+$", r"^/?[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*$"
    explained = "must be the ARN or name of a secret, never the secret itself."
    return Format(parse, _pattern(f"^$|{arn}|{name}", explained), names_secret=True)


def _pattern(pattern: str, explained: str) -> dict[str, str]:
    return {"AllowedPattern": pattern, "ConstraintDescription": explained}


TEXT = Format(str)
HIDDEN_TEXT = Format(Secret)
PEM_OR_SECRET_NAME = Format(str, names_secret=True)
URL = Format(
    _url,
    _pattern(
        r"^$|^https?://[^\s?#@]+$",
        "must start with http:// or https://, without user, query or fragment.",
    ),
)
TENANT = Format(_tenant)
ACCOUNT_TENANTS = Format(
    _account_tenants,
    _pattern(
        r"^(\d{12}=[^\s,=|]+(\|[^\s,=|]+)*(,|$))*$",
        "must be such as 111111111111=team-a|team-b,222222222222=team-c.",
    ),
)
TAG_LABELS = Format(_tag_labels)
STATIC_LABELS = Format(_static_labels)
BUILTIN_LABELS = Format(_builtin_labels)
LOG_BUCKET_LIST = Format(
    _log_buckets,
    _pattern(
        rf"^$|^{_ENTRY}(,{_ENTRY}){{0,{MOST_LOG_BUCKETS - 1}}}$",
        f"must be such as my-logs/AWSLogs/=alb,my-other-logs: {MOST_LOG_BUCKETS} entries at most.",
    ),
)
RULES = Format(
    _rules, _pattern(r"^$|^s3://[^/\s]+/\S+$|^[^:\s]+$", "must be s3://bucket/key, a path or none.")
)
SWITCH = Format(
    lambda text: one_of("on", "off").parse(text) == "on", {"AllowedValues": ("on", "off")}
)
