"""Whatever a log group is tagged with, its lines arrive in a real Loki and are found by it."""

import uuid

import pytest

from loki_shipper.local.find_loki import Running
from loki_shipper.local.loki import Loki
from loki_shipper.loki_names import BUILTINS
from loki_shipper.shipper.labels.decide import label_stream
from tests.conftest import not_here
from tests.loki.asking import discarded, held, now, open_environment, selector
from tests.pipeline.execution_environment import timed

LONG = "x" * 256
VALUES = [
    'say "hi"',
    "back\\slash",
    "end\\",
    "\\n",
    "new\nline",
    "\r\n\t",
    "\0\x01\x1b[31m\x7f",
    "\ufffd",
    f"lone {chr(0xD800)}",
    "größe",
    "日本語",
    "\N{PENGUIN}\N{ZERO WIDTH JOINER}",
    "\u2028\u2029\u0085",
    "\ufeffbom",
    "e\u0301",
    " ",
    "  both ends  ",
    "`back`tick`",
    "'single'",
    '{app="a", b="c"}',
    '"} |= "',
    "a=b,c=d",
    "$(rm -rf /) %s {{.}}",
    "null",
    "0",
    ".*",
    LONG,
    "€" * 256,
    '"' * 256,
    "\\" * 256,
    "\n" * 256,
    "\N{PENGUIN}" * 600,
]
WORDS = (  # noqa: SIM905 - words read best as a sentence
    "and bool by decolorize drop group_left group_right ignoring json keep label_format "
    "line_format logfmt offset on or pattern regexp unless unpack unwrap variants without"
).split()
KEYS: list[dict[str, str]] = [
    {"aws:cloudformation:stack-name": "stack"},
    {"aws:x": "1", "x": "2"},
    {"a.b": "1"},
    {"a.b": "1", "a_b": "2", "a-b": "3", "a b": "4"},
    {"größe": "m"},
    {"日本": "1", "大阪": "2"},
    {"1st": "one"},
    {"1st": "one", "_1st": "two"},
    {"__name__": "x"},
    {"__name__": "x", "_name_": "y"},
    {"__error__": "x", "__stream_shard__": "0", "__time_shard__": "0"},
    {"": "empty key"},
    {"_": "1", "__": "2", "...": "3", "-": "4"},
    {"late": "true"},
    {"late": "no", "Late": "yes", "LATE": "YES"},
    {"part": "1", "log_stream": "2", "level": "3", "request_id": "4"},
    {"service_name": "s", "detected_level": "debug"},
    {"source": "mine", "region": "mars", "account_id": "0", "log_group": "g"},
    {"team": "", "env": "prod"},
    {"Team": "a", "team": "b", "TEAM": "c"},
    {"a" * 128: "long"},
    {"ß" * 128: "long"},
    {"$": "1", "a$b": "2", "{}": "3", '"': "4", "\\": "5", "\n": "6"},
    {f"tag{n:02}": f"value {n}" for n in range(50)},
    {f"tag{n:02}": "€" * 256 for n in range(50)},
    {f"tag-{n:02}": "v" for n in range(50)},
    {"a": "1", "a.": "2", "a..": "3", ".a": "4", "_a": "5", "__a": "6"},
    dict.fromkeys(WORDS[:9], "x"),
    dict.fromkeys(WORDS[9:16], "x"),
    dict.fromkeys((word.upper() for word in WORDS[16:]), "x"),
    {"msg": "m", "line": "l", "timestamp": "t", "level_extracted": "e"},
]
TAGS = [{"note": value} for value in VALUES] + KEYS


def test_there_are_at_least_forty_hostile_sets() -> None:
    assert len(TAGS) >= 40


@pytest.fixture(scope="module")
def plain_tenant(loki: Loki | Running) -> str:
    """A tenant to whose streams and entries Loki adds nothing of its own, shared by this file."""
    tenant = f"labels-{uuid.uuid4().hex}"
    if isinstance(loki, Running):
        not_here("LOKI_URL is set, and only a Loki of our own gives a tenant limits.")
    else:
        loki.override(tenant, {"discover_service_name": [], "discover_log_levels": False})
    return tenant


@pytest.mark.parametrize("tags", TAGS, ids=range(len(TAGS)))
def test_lines_arrive_and_are_found_by_every_label(
    loki: Loki | Running, plain_tenant: str, tags: dict[str, str]
) -> None:
    environment = open_environment(loki, plain_tenant)
    environment.tags = tags
    group = f"/hostile/{uuid.uuid4().hex}"
    payload = timed((now() - 1, "one"), (now(), "two"), log_group=group)
    assert environment.ship(payload).delivered == 2
    given = label_stream(payload, tags, region="eu-central-1", settings=environment.settings)
    labels = dict(given.stream.labels)
    by_all = held(loki, plain_tenant, selector(labels))
    assert [line.line for line in by_all] == ["one", "two"]
    assert all(line.labels == labels for line in by_all)
    wanted = {
        f"{name}_extracted" if name in labels else name: value for name, value in given.metadata
    }
    assert all(line.metadata == wanted for line in by_all)
    for name in labels.keys() - {*BUILTINS}:
        pair = {name: labels[name], "log_group": labels["log_group"]}
        assert len(held(loki, plain_tenant, selector(pair))) == 2, name
    assert discarded(loki, plain_tenant) == {}
