"""Loki's rules for the names of labels and tenants, and the label names that we reserve."""

import re

BUILTINS = (
    *("service_name", "log_group", "account_id", "region", "source"),
    *("log_type", "bucket", "resource"),
)
"""The labels that a stream can have without a tag, in the order of their priority.

The streams of log groups have the first line, those of log files all except `log_group`.
"""

LATE = "late"
"""Label of the streams for late entries. Its value is the time that the stream covers."""

DETECTED_LEVEL = "detected_level"
"""Structured metadata with the level of a line. Loki 3.0 and later add it if it is absent."""

SAMPLE_RATE = "sample_rate"
"""Structured metadata of a line that a rule `sample` let pass: for how many lines it stands."""

FACTS = ("log_group", "account_id")
"""Labels that always tell the origin of a line: no tag, setting or rule can set them."""

_LABEL_NAME = re.compile(r"(?!__)[a-zA-Z_][a-zA-Z0-9_]*")
_LOGQL_WORD = re.compile(
    "and|bool|by|decolorize|drop|group_(left|right)|ignoring|json|keep|(label|line)_format|logfmt"
    "|offset|on|or|pattern|regexp|unless|unpack|unwrap|variants|without",
    re.IGNORECASE,
)
_TENANT = re.compile(r"(?!\.{1,2}$)[A-Za-z0-9!\-_.*'()]{1,150}")


def is_tenant(text: str) -> bool:
    """Tell whether Loki accepts `text` as one tenant (`X-Scope-OrgID`)."""
    return _TENANT.fullmatch(text) is not None


def is_logql_word(name: str) -> bool:
    """Tell whether `name` is a keyword of LogQL: Loki stores such a label but cannot query it."""
    return _LOGQL_WORD.fullmatch(name) is not None


def chosen_label_name(text: str) -> str:
    """Return the name of a label that a setting or a rule chose.

    Raises ValueError, with a message that starts with the name.
    """
    if not _LABEL_NAME.fullmatch(text):
        raise ValueError(f"{text!r} is not a label name: letters, digits and _, no __ in front")
    if is_logql_word(text):
        raise ValueError(f"{text!r} is a word of LogQL, so nobody could ask for that label")
    if text == LATE:
        raise ValueError(f"{LATE!r} is kept for entries that arrive late")
    if text in FACTS:
        raise ValueError(f"{text!r} is kept for where a line came from")
    return text
