"""The environment becomes one frozen `Settings`; every fault is named in one message.

`Settings` is the one declaration of what can be set: tests compare the template's parameters with
it, and docs/settings.md is written from both. Absent and empty variables are the same.
"""

import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal, get_type_hints
from urllib.parse import urlsplit

from msgspec import NODEFAULT, Struct, structs

from loki_shipper.model import Pairs

PUSH_PATH = "/loki/api/v1/push"
BUILTINS = ("service_name", "log_group", "account_id", "region", "source")
NO_RULES = "none"
"""The word of RULES for no rules at all."""

LATE = "late"
"""Label of the sibling streams that take late entries; its value names the time they are of."""

FACTS = ("log_group", "account_id")
"""Labels that always say where a line came from: no tag, setting or rule gives another value."""

_LABEL_NAME = re.compile(r"(?!__)[a-zA-Z_][a-zA-Z0-9_]*")
_LOGQL_WORD = re.compile(
    "and|bool|by|decolorize|drop|group_(left|right)|ignoring|json|keep|(label|line)_format|logfmt"
    "|offset|on|or|pattern|regexp|unless|unpack|unwrap|variants|without",
    re.IGNORECASE,
)
_TENANT = re.compile(r"(?!\.{1,2}$)[A-Za-z0-9!\-_.*'()]{1,150}")
_MAX_VALUE_BYTES = 2048


class SettingsError(Exception):
    """Raised when the environment cannot be used; `faults` lists every fault, a sentence each."""

    def __init__(self, *faults: str, about: str = "") -> None:
        super().__init__(about + "; ".join(faults))
        self.faults = faults


class Secret(Struct, frozen=True):
    """A value that shows itself to nobody but who asks for `value`."""

    value: str

    def __repr__(self) -> str:
        """Hide the value."""
        return "Secret(***)"


class Variable(Struct, frozen=True):
    """How one variable is read and explained; `parameter` is its name in the template."""

    parse: Callable[[str], Any]
    help: str
    parameter: str | None


def is_tenant(text: str) -> bool:
    """Tell whether Loki takes `text` as one tenant (`X-Scope-OrgID`)."""
    return _TENANT.fullmatch(text) is not None


def is_logql_word(name: str) -> bool:
    """Tell whether a label of this name, though Loki takes it, is one nobody could ask for."""
    return _LOGQL_WORD.fullmatch(name) is not None


def _url(text: str) -> str:
    try:
        parts = urlsplit(text)
        # Reading the port is what checks it.
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


def chosen_label_name(text: str) -> str:
    """Check a label's name that somebody chose. Raises ValueError, which says what is wrong."""
    if not _LABEL_NAME.fullmatch(text):
        raise ValueError(f"{text!r} is not a label name: letters, digits and _, no __ in front")
    if is_logql_word(text):
        raise ValueError(f"{text!r} is a word of LogQL, so nobody could ask for that label")
    if text == LATE:
        raise ValueError(f"{LATE!r} is kept for entries that arrive late")
    if text in FACTS:
        raise ValueError(f"{text!r} is kept for where a line came from")
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
    # A tag key may itself not be a label name: label.py makes it one.
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


def _rules(text: str) -> str:
    if text.lower() == NO_RULES:
        return NO_RULES
    bucket, _, key = text.removeprefix("s3://").partition("/")
    if text.startswith("s3://") and not (bucket and key):
        raise ValueError("must be a path, s3://bucket/key, or none")
    return text


def _minutes(*allowed: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if text not in map(str, allowed):
            raise ValueError(f"must be one of {', '.join(map(str, allowed))}")
        return int(text)

    return parse


def _integer(low: int, high: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not (text.isascii() and text.isdigit() and low <= int(text) <= high):
            raise ValueError(f"must be a whole number from {low} to {high}")
        return int(text)

    return parse


def one_of(*words: str) -> Callable[[str], str]:
    """Make what reads one of these words, in any case."""

    def parse(text: str) -> str:
        for word in words:
            if text.lower() == word.lower():
                return word
        raise ValueError(f"must be one of {', '.join(words)}")

    return parse


def switch(text: str) -> bool:
    """Read `on` or `off`. Raises ValueError."""
    return one_of("on", "off")(text) == "on"


class Settings(Struct, frozen=True, kw_only=True):
    """What the shipper runs with; one field a variable, the variable's name in capitals."""

    loki_url: Annotated[str, Variable(_url, "Base URL or full push URL of Loki.", "LokiUrl")]
    loki_tenant: Annotated[
        str | None, Variable(_tenant, "Tenant, sent as `X-Scope-OrgID`.", "LokiTenant")
    ] = None
    loki_secret: Annotated[
        str | None,
        Variable(
            str,
            "Secrets Manager ARN or SSM parameter (name or ARN) that holds JSON: "
            "`username` and `password`, or `token`, or `headers`.",
            "LokiSecret",
        ),
    ] = None
    loki_username: Annotated[
        str | None, Variable(str, "User of basic auth, for local use.", None)
    ] = None
    loki_password: Annotated[
        Secret | None, Variable(Secret, "Password of basic auth, for local use.", None)
    ] = None
    loki_token: Annotated[Secret | None, Variable(Secret, "Bearer token, for local use.", None)] = (
        None
    )
    loki_ca_cert: Annotated[
        str | None,
        Variable(
            str,
            "Certificate authority of Loki: PEM text, a path, or a secret as in `LOKI_SECRET`.",
            "LokiCaCert",
        ),
    ] = None
    loki_client_cert: Annotated[
        str | None, Variable(str, "Client certificate: likewise.", "LokiClientCert")
    ] = None
    loki_client_key: Annotated[
        Secret | None, Variable(Secret, "Key of the client certificate: likewise.", "LokiClientKey")
    ] = None
    tag_labels: Annotated[
        Pairs | None,
        Variable(
            _tag_labels,
            "Tags that become labels: `*` (all but `aws:*`), a list such as "
            "`team,env=environment`, or `none` (then, without `TENANT_TAG`, AWS is never asked).",
            "TagLabels",
        ),
    ] = None
    static_labels: Annotated[
        Pairs,
        Variable(_static_labels, "Labels of every stream: `env=prod,cluster=eu1`.", "StaticLabels"),
    ] = ()
    builtin_labels: Annotated[
        Pairs,
        Variable(
            _builtin_labels,
            "Built-in labels: `all`, `none`, or a list such as `log_group,region=aws_region` "
            "of `service_name`, `log_group`, `account_id`, `region`, `source`.",
            "BuiltinLabels",
        ),
    ] = tuple((name, name) for name in BUILTINS)
    tenant_tag: Annotated[
        str | None,
        Variable(
            str,
            "Tag whose value is the tenant. A log group without the tag belongs to `LOKI_TENANT`.",
            "TenantTag",
        ),
    ] = None
    max_labels: Annotated[
        int,
        Variable(
            _integer(2, 100),
            "Labels a stream may have, one of them kept free for `late`; the rest goes to "
            "structured metadata.",
            "MaxLabels",
        ),
    ] = 15
    late_stream_minutes: Annotated[
        int,
        Variable(
            # Each divides a day, so that a week has a whole number of them.
            _minutes(5, 10, 15, 20, 30, 60, 120),
            "Minutes of log time that one late stream holds, at most a quarter of Loki's "
            "`max_chunk_age`. A line is late when it is one and a half times as old.",
            "LateStreamMinutes",
        ),
    ] = 30
    max_line_bytes: Annotated[
        int, Variable(_integer(1024, 1_048_576), "Longest line, in bytes of UTF-8.", "MaxLineBytes")
    ] = 262_144
    max_batch_bytes: Annotated[
        int,
        Variable(
            _integer(65_536, 4_000_000),
            "Largest push, in bytes before compression.",
            "MaxBatchBytes",
        ),
    ] = 1_048_576
    long_lines: Annotated[
        Literal["split", "truncate"],
        Variable(
            one_of("split", "truncate"),
            "What becomes of a longer line: `split` into numbered parts, or `truncate`.",
            "LongLines",
        ),
    ] = "split"
    structured_metadata: Annotated[
        bool,
        Variable(switch, "`on`, or `off` for a Loki that does not take it.", "StructuredMetadata"),
    ] = True
    rules: Annotated[
        str | None,
        Variable(
            _rules,
            "Rules for what lines say: a file of the function, `s3://bucket/key`, or `none`. "
            "By default, the level of a Lambda function's lines becomes structured metadata.",
            "Rules",
        ),
    ] = None
    bucket: Annotated[
        str | None, Variable(str, "Bucket for what could not be delivered.", None)
    ] = None
    stack: Annotated[
        str | None, Variable(str, "Stack that the metrics are of: their dimension `stack`.", None)
    ] = None
    log_level: Annotated[
        Literal["DEBUG", "INFO", "WARNING", "ERROR"],
        Variable(
            one_of("DEBUG", "INFO", "WARNING", "ERROR"),
            "Level of the shipper's own log.",
            "LogLevel",
        ),
    ] = "INFO"


def variables() -> dict[str, Variable]:
    """Give each setting's variable, keyed by its name in the environment."""
    return declared(Settings)


def settings(environ: Mapping[str, str]) -> Settings:
    """Read the settings from an environment.

    Raises SettingsError, which names every variable that is missing or wrong, never a secret.
    """
    return read(Settings, environ, _contradictions)


def declared(kind: type[Struct]) -> dict[str, Variable]:
    """Give each field's variable, keyed by its name in the environment."""
    hints = get_type_hints(kind, include_extras=True)
    return {name.upper(): hint.__metadata__[0] for name, hint in hints.items()}


def read[T: Struct](
    kind: type[T],
    environ: Mapping[str, str],
    contradictions: Callable[[Mapping[str, Any]], list[str]] = lambda _: [],
) -> T:
    """Read what a kind of settings declares. Raises SettingsError, which names every fault."""
    values: dict[str, Any] = {}
    faults: list[str] = []
    for name, variable in declared(kind).items():
        text = environ.get(name, "").strip()
        if text:
            try:
                values[name.lower()] = variable.parse(text)
            except ValueError as fault:
                faults.append(f"{name} {fault}")
    required = [f.name.upper() for f in structs.fields(kind) if f.default is NODEFAULT]
    faults += [f"{name} is not set" for name in required if not environ.get(name, "").strip()]
    faults += contradictions(values)
    if faults:
        raise SettingsError(*faults)
    return kind(**values)


def _contradictions(values: Mapping[str, Any]) -> list[str]:
    faults = []
    basic = {"loki_username", "loki_password"} & values.keys()
    if len(basic) == 1:
        faults.append("LOKI_USERNAME and LOKI_PASSWORD go together")
    if bool(basic) + ("loki_token" in values) + ("loki_secret" in values) > 1:
        faults.append("only one of LOKI_SECRET, LOKI_TOKEN and LOKI_USERNAME may be set")
    if ("loki_client_cert" in values) != ("loki_client_key" in values):
        faults.append("LOKI_CLIENT_CERT and LOKI_CLIENT_KEY go together")
    if len(values.get("static_labels", ())) >= values.get("max_labels", 15):
        faults.append("STATIC_LABELS has as many labels as MAX_LABELS, or more")
    return faults
