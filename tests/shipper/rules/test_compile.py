"""What each rule makes of lines: the whole of `transform`, as rules are written."""

import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loki_shipper.local.sample import event_id
from loki_shipper.model import Entry, LogData, LogEvent, Pairs, Stream
from loki_shipper.settings import Settings
from loki_shipper.shipper.entries.transform import RuleState, Transformed, transform
from loki_shipper.shipper.rules.model import Rules
from loki_shipper.shipper.rules.parse import parse_rules

NOW = 1_795_206_163_123
STREAM = Stream("us", (("log_group", "g"), ("region", "r")))
SHARED: Pairs = (("log_stream", "s"),)
HOUR = 3_600_000


class Given:
    """One sandbox with rules, and what it makes of payloads."""

    def __init__(self, body: str | Rules, **settings: Any) -> None:
        self._book = RuleState(parse_rules(body) if isinstance(body, str) else body, {})
        self._settings = Settings(loki_url="http://loki", **settings)

    def of(
        self, *messages: str | LogEvent, group: str = "g", stream: Stream = STREAM
    ) -> Transformed:
        events = [
            LogEvent(event_id(NOW, NOW + 400, 1, index), NOW, each)
            if isinstance(each, str)
            else each
            for index, each in enumerate(messages)
        ]
        data = LogData("DATA_MESSAGE", "123456789012", group, "s", events)
        got = transform(data, stream, SHARED, rule_state=self._book, settings=self._settings)
        shipped = {id(entry.event) for _, entries in got.streams for entry in entries}
        rejected = sum(map(len, got.rejected.values()))
        assert len(events) == len(shipped) + rejected + sum(got.dropped.values())
        return got

    def entries(self, *messages: str | LogEvent, **where: Any) -> Sequence[Entry]:
        [(stream, entries)] = self.of(*messages, **where).streams or [(STREAM, [])]
        assert stream == where.get("stream", STREAM)
        return entries

    def lines(self, *messages: str | LogEvent, **where: Any) -> list[str]:
        return [entry.line for entry in self.entries(*messages, **where)]

    def notes(self, message: str, **where: Any) -> dict[str, str]:
        [entry] = self.entries(message, **where)
        assert entry.metadata == tuple(sorted(entry.metadata))
        return dict(entry.metadata)


def said(**fields: Any) -> str:
    return json.dumps(fields)


def test_drop_leaves_out_what_matches_and_counts_it_by_rule() -> None:
    got = Given("[[rule]]\nname = 'health'\ndrop = 'GET /health'").of(
        "GET /health 200", "GET /orders 200", "POST GET /health"
    )
    [(_, [entry])] = got.streams
    assert (entry.line, got.dropped, got.matched) == (
        "GET /orders 200",
        {"health": 2},
        {"health": 2},
    )


def test_keep_leaves_out_all_else() -> None:
    got = Given("[[rule]]\nkeep = 'ERROR|WARN'").of("INFO a", "WARN b", "c", "")
    [(_, [entry])] = got.streams
    assert (entry.line, got.dropped) == ("WARN b", {"rule-1": 3})


def test_drop_and_keep_may_look_at_a_field() -> None:
    drop = Given("[[rule]]\ndrop = '^(debug|0)$'\nfield = 'level'")
    lines = [said(level="debug"), said(level=0), said(level="info", a="debug"), "level debug"]
    assert drop.lines(*lines) == lines[2:]
    keep = Given("[[rule]]\nkeep = 'info'\nfield = ['lvl', 'level']")
    assert keep.lines(*lines) == [lines[2]]


def test_unwrap_makes_a_field_the_line() -> None:
    unwrap = Given("[[rule]]\nunwrap = ['log', 'message.text']")
    assert unwrap.lines(
        said(log="a\n", message="b"),
        said(message={"text": "c"}),
        said(log={"x": [1]}),
        said(log=7),
        said(other="d"),
        "no JSON",
        '["log"]',
        '{"log": "cut',
    ) == ["a", "c", '{"x":[1]}', "7", said(other="d"), "no JSON", '["log"]', '{"log": "cut']


def test_a_line_that_becomes_empty_is_dropped_and_counted() -> None:
    got = Given("[[rule]]\nunwrap = 'log'").of(said(log=""), said(log="\n"))
    assert (got.streams, got.dropped) == ([], {"empty": 2})


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ({"a.b": 1}, "1"),
        ({"a": {"b": 1}}, "1"),
        ({"a.b": 1, "a": {"b": 2}}, "1"),
        ({"a.b": None, "a": {"b": 2}}, "2"),
        ({"a": {"b": {"c": [True]}}}, '{"c":[true]}'),
        ({"a": {"b": False}}, "false"),
        ({"a": {"b": 0}}, "0"),
        ({"a": {"b": ""}}, None),
        ({"a": "b"}, None),
        ({"a": ["b"]}, None),
        ({"b": 1}, None),
    ],
)
def test_a_field_is_a_key_with_its_dots_or_a_key_in_an_object(line: Any, found: str | None) -> None:
    given = Given("[[rule]]\nmetadata = {it = 'a.b'}")
    assert given.notes(said(**line)).get("it") == found


def test_fields_nest_at_any_dot() -> None:
    given = Given("[[rule]]\nmetadata = {it = 'k.labels.app.io/name'}")
    for line in (
        {"k": {"labels": {"app.io/name": "x"}}},
        {"k.labels": {"app": {"io/name": "x"}}},
        {"k": {"labels.app": {"io/name": "x"}}},
        {"k.labels.app.io/name": "x"},
    ):
        assert given.notes(said(**line))["it"] == "x"


def test_metadata_notes_fields_and_leaves_the_line_whole() -> None:
    line = said(user={"id": 7}, trace="t", level="WARNING")
    given = Given(
        "[[rule]]\nmetadata = {user = 'user.id', trace = ['trace_id', 'trace'], level = 'level'}"
    )
    assert given.lines(line) == [line]
    assert given.notes(line) == {"level": "warn", "log_stream": "s", "trace": "t", "user": "7"}


def test_metadata_notes_the_named_groups_of_a_pattern() -> None:
    given = Given(r"""[[rule]]
metadata = '^(?P<level>[A-Z]+): +\S+ "(?P<method>[A-Z]+) (\S+)(?: (?P<proto>HTTP\S*))?"'""")
    assert given.notes('INFO:     10.0.3.17:51234 - "GET /x HTTP/1.1" 200') == {"log_stream": "s"}
    assert given.notes('INFO:  10.0.3.17:51234 "GET /x"') == {
        "level": "info",
        "log_stream": "s",
        "method": "GET",
    }


@pytest.mark.parametrize(
    ("value", "level"),
    [
        ("INFO", "info"),
        ("Warning", "warn"),
        ("ERR ", "error"),
        ("E", "error"),
        (30, "info"),
        (50, "error"),
        ("CRITICAL", "critical"),
        ("Metadata", None),
        ("", None),
    ],
)
def test_a_level_is_noted_in_the_word_that_loki_has_for_it(value: Any, level: str | None) -> None:
    given = Given("[[rule]]\nmetadata = {level = 'level'}")
    assert given.notes(said(level=value)).get("level") == level


def test_the_first_note_of_a_name_counts_and_a_taken_name_gets_a_prefix() -> None:
    given = Given("""
        [[rule]]
        metadata = {a = "x", log_stream = "y"}
        [[rule]]
        metadata = {a = "y", b = "x"}
    """)
    assert given.notes(said(x="1", y="2")) == {
        "a": "1",
        "b": "1",
        "log_stream": "s",
        "rule_log_stream": "2",
    }
    assert given.notes(said(y="s")) == {"a": "s", "log_stream": "s"}


def test_metadata_stays_within_what_loki_takes() -> None:
    names = ", ".join(f"n{number} = 'n{number}'" for number in range(40))
    given = Given(f"[[rule]]\nmetadata = {{{names}}}", max_line_bytes=1_048_576)
    notes = given.notes(said(**{f"n{number}": "ß" * 1_100 + "\ufffd" for number in range(40)}))
    assert sum(len(name) + len(value.encode()) for name, value in notes.items()) < 40_000
    assert notes["n0"] == "ß" * 1024


def test_no_metadata_where_the_setting_says_so() -> None:
    [entry] = Given("[[rule]]\nmetadata = {a = 'a'}", structured_metadata=False).entries(
        said(a="1")
    )
    assert entry.metadata == ()


def test_entries_that_say_the_same_share_their_metadata() -> None:
    given = Given("[[rule]]\nmetadata = {a = 'a'}\n[[rule]]\nmetadata = {b = 'b'}")
    one, other, two = given.entries(said(a="1", b="2"), said(a="1"), said(b="2", a="1", c="3"))
    assert one.metadata is two.metadata
    assert one.metadata is not other.metadata


def test_a_label_needs_an_allowed_value_and_else_is_noted() -> None:
    given = Given("[[rule]]\nlabel = {env = 'env'}\nvalues = ['prod', 'dev']")
    got = given.of(said(env="prod"), said(env="test"), said(env="dev"), said(env="prod"), "-")
    found = {
        stream.labels: [dict(each.metadata) for each in entries] for stream, entries in got.streams
    }
    base = STREAM.labels
    assert found == {
        base: [{"env": "test", "log_stream": "s"}, {"log_stream": "s"}],
        tuple(sorted((*base, ("env", "prod")))): [{"log_stream": "s"}] * 2,
        tuple(sorted((*base, ("env", "dev")))): [{"log_stream": "s"}],
    }


def test_a_label_takes_no_more_values_than_its_cap_for_as_long_as_the_sandbox_lives() -> None:
    given = Given("[[rule]]\nlabel = {user = 'user'}\nat_most = 3")
    for number in range(100):
        got = given.of(said(user=f"u{number}"))
        [(stream, [entry])] = got.streams
        assert (("user", f"u{number}") in stream.labels) is (number < 3)
        assert (("user", f"u{number}") in entry.metadata) is (number >= 3)
    [(stream, _)] = given.of(said(user="u1")).streams
    assert ("user", "u1") in stream.labels


def test_labels_keep_to_what_a_stream_may_have() -> None:
    body = "".join(f"[[rule]]\nlabel = {{l{n} = 'l{n}'}}\nvalues = ['x']\n" for n in range(4))
    given = Given(body, max_labels=5)
    line = said(l0="x", l1="x", l2="x", l3="x")
    [(stream, [entry])] = given.of(
        line,
    ).streams
    assert stream.labels == (("l0", "x"), ("l1", "x"), *STREAM.labels)
    assert entry.metadata == (("l2", "x"), ("l3", "x"), *SHARED)
    # Which ones find a place is not for the line to say.
    [(stream, [entry])] = given.of(said(l3="x")).streams
    assert (stream, entry.metadata) == (STREAM, (("l3", "x"), *SHARED))


def test_a_label_does_not_change_one_that_the_stream_has() -> None:
    given = Given("[[rule]]\nlabel = {region = 'region'}\nat_most = 9")
    assert given.notes(said(region="elsewhere"))["rule_region"] == "elsewhere"
    assert given.notes(said(region="r")) == {"log_stream": "s"}


def test_the_first_rule_of_a_label_that_finds_a_value_decides() -> None:
    given = Given("""
        [[rule]]
        label = {team = "team"}
        values = ["a", "b"]
        [[rule]]
        label = {team = "owner"}
        at_most = 9
    """)
    [(stream, _)] = given.of(said(team="a", owner="x")).streams
    assert ("team", "a") in stream.labels
    [(stream, _)] = given.of(said(owner="x")).streams
    assert ("team", "x") in stream.labels


def test_a_tenant_comes_from_a_field_that_may_be_one() -> None:
    given = Given("[[rule]]\ntenant = 'team'")
    got = given.of(
        said(team="a"), said(team="b"), said(team=""), said(team=None), "-", said(team="us")
    )
    assert [(stream.tenant, len(entries)) for stream, entries in got.streams] == [
        ("us", 4),
        ("a", 1),
        ("b", 1),
    ]
    assert {stream.labels for stream, _ in got.streams} == {STREAM.labels}


@pytest.mark.parametrize("team", ["a|b", 1, ["a"], {"a": "b"}, "..", "x" * 151])
def test_a_line_of_a_tenant_that_cannot_be_is_shown_to_nobody(team: Any) -> None:
    given = Given("[[rule]]\nreplace = 'secret'\nwith = '-'\n[[rule]]\ntenant = 'team'")
    got = given.of(said(team=team, msg="secret"), said(team="a"))
    assert [(stream.tenant, len(entries)) for stream, entries in got.streams] == [("a", 1)]
    [entry] = got.rejected["tenant_invalid"]
    assert "secret" not in entry.event.message


@pytest.mark.parametrize(
    ("value", "shift"),
    [
        ("2026-11-20T20:22:43.120Z", -3),
        ("2026-11-20T21:22:43.120+01:00", -3),
        ("2026-11-20 20:22:43,120", -3),
        ("2026-11-20T20:22:43.120456789Z", -3),
        (NOW / 1000 - 60, -60_000),
        (NOW // 1000, -123),
        (NOW - 5, -5),
        ((NOW - 5) * 1000 + 7, -5),
        ((NOW - 5) * 1_000_000 + 7, -5),
        (str(NOW - 5), -5),
        (f"{NOW // 1000}.120", -3),
        (NOW - 24 * HOUR, -24 * HOUR),
        (NOW - 24 * HOUR - 1, 0),
        (NOW + HOUR // 6, HOUR // 6),
        (NOW + HOUR // 6 + 1, 0),
        ("yesterday", 0),
        ("", 0),
        (True, 0),
        (None, 0),
        (10**400, 0),
        ("9" * 400, 0),
        (-1, 0),
        ([NOW], 0),
        ("0001-01-01T00:00:00+23:59", 0),
    ],
)
def test_a_time_comes_from_a_field_that_is_near_the_log_events_own(value: Any, shift: int) -> None:
    [own] = Given("").entries(said(time=value))
    [entry] = Given("[[rule]]\ntimestamp = 'time'").entries(said(time=value))
    assert entry.timestamp - own.timestamp == shift * 1_000_000


def test_entries_are_in_order_of_the_times_that_rules_found() -> None:
    given = Given("[[rule]]\ntimestamp = 't'")
    assert given.lines(said(t=NOW), said(t=NOW - 2), said(t=NOW - 1)) == [
        said(t=NOW - 2),
        said(t=NOW - 1),
        said(t=NOW),
    ]


REDACT = "[[rule]]\nname = 'cards'\nreplace = '\\d{12,}'\nwith = '[card]'\n"
CARD = "4111111111111111"


def test_redaction_changes_the_log_event_too() -> None:
    [entry] = Given(REDACT).entries(f"paid with {CARD}\n")
    assert (entry.line, entry.event.message) == ("paid with [card]", "paid with [card]\n")


def test_redaction_takes_away_what_filter_patterns_took_out_of_the_line() -> None:
    fields = {"@aws.account": "1", "card": CARD, "rest": {"x": CARD}}
    event = LogEvent("1", NOW, f"paid with {CARD}", fields)
    [entry] = Given(REDACT).entries(event)
    assert entry.event.extracted_fields == {"@aws.account": "1"}
    clean = LogEvent("1", NOW, "paid in cash", fields)
    [entry] = Given(REDACT).entries(clean)
    assert entry.event is clean


def test_redaction_sees_what_other_rules_take_out_of_a_line() -> None:
    """In JSON, a text may be written in other words than it says."""
    given = Given(
        REDACT
        + """
        [[rule]]
        metadata = {card = "card"}
        [[rule]]
        label = {paid = "card"}
        at_most = 9
        [[rule]]
        unwrap = "log"
    """
    )
    hidden = "".join(f"\\u{ord(digit):04x}" for digit in CARD)
    [(stream, [entry])] = given.of(f'{{"card": "{hidden}", "log": "by {hidden}"}}').streams
    assert stream == Stream("us", tuple(sorted((*STREAM.labels, ("paid", "[card]")))))
    assert (entry.line, dict(entry.metadata)["card"]) == ("by [card]", "[card]")


def test_a_redacted_value_is_no_tenant() -> None:
    given = Given(REDACT + '[[rule]]\ntenant = "card"')
    [entry] = given.of(said(card=CARD)).rejected["tenant_invalid"]
    assert CARD not in entry.event.message


def test_rules_apply_again_without_harm() -> None:
    given = Given(REDACT + "[[rule]]\nunwrap = 'log'\n[[rule]]\nmetadata = {a = 'a'}")
    [once] = given.entries(said(log=f"pay {CARD}", a="1"))
    [twice] = given.entries(once.event)
    assert (once.line, once.metadata, once.event) == (twice.line, twice.metadata, twice.event)


def test_rules_see_a_line_as_those_before_left_it() -> None:
    given = Given("""
        [[rule]]
        unwrap = "log"
        [[rule]]
        metadata = {level = "level"}
        [[rule]]
        drop = "debug"
        field = "level"
    """)
    assert given.notes(said(log=said(level="info"), level="error"))["level"] == "info"
    assert given.lines(said(log=said(level="debug"))) == []


def test_redaction_may_uncover_json() -> None:
    given = Given("[[rule]]\nreplace = '^prefix '\nwith = ''\n[[rule]]\nunwrap = 'a'")
    assert given.lines('prefix {"a": "b"}') == ["b"]


def test_a_long_line_is_split_after_the_rules() -> None:
    given = Given("[[rule]]\nunwrap = 'log'", max_line_bytes=2048)
    entries = given.entries(said(log="x" * 3000))
    assert [len(entry.line) for entry in entries] == [2048, 952]
    assert [dict(entry.metadata)["part"] for entry in entries] == ["1/2", "2/2"]


def test_rules_of_other_log_groups_change_nothing() -> None:
    given = Given("[[rule]]\ngroups = ['h']\ndrop = ''".replace("''", "'.'"))
    assert given.lines("a") == ["a"]
    assert given.lines("a", group="h") == []


RULES = """
    [[rule]]
    replace = 's[a-c]+'
    with = "-"
    [[rule]]
    name = "a"
    drop = 'a'
    [[rule]]
    metadata = '(?P<it>b+)'
    [[rule]]
    label = {x = "x"}
    at_most = 2
    [[rule]]
    tenant = "x"
    [[rule]]
    unwrap = "x"
    [[rule]]
    name = "c"
    keep = '[^c]'
"""

LINES = st.lists(
    st.one_of(
        st.text(),
        st.text(alphabet="abcs{}\n"),
        st.dictionaries(st.sampled_from("xyz"), st.one_of(st.text(), st.integers(), st.none())).map(
            json.dumps
        ),
    )
)


@given(LINES)
def test_no_line_vanishes_uncounted(messages: list[str]) -> None:
    clean = [each.encode("utf-8", "replace").decode() for each in messages]
    got = Given(RULES).of(*clean)
    assert all(entry.line for _, entries in got.streams for entry in entries)
    assert got.dropped.keys() <= {"empty", "a", "c"}


@given(LINES)
def test_the_same_payload_gives_the_same_entries(messages: list[str]) -> None:
    clean = [each.encode("utf-8", "replace").decode() for each in messages]
    given = Given(RULES)
    assert given.of(*clean) == given.of(*clean)
