"""Each rule, as a file has it, does to lines what docs/rules.md says."""

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


class RulesUnderTest:
    """Rules in one execution environment, and what they make of payloads."""

    def __init__(self, body: str | Rules, **settings: Any) -> None:
        self._rule_state = RuleState(parse_rules(body) if isinstance(body, str) else body, {})
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
        got = transform(data, stream, SHARED, rule_state=self._rule_state, settings=self._settings)
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

    def metadata(self, message: str, **where: Any) -> dict[str, str]:
        [entry] = self.entries(message, **where)
        assert entry.metadata == tuple(sorted(entry.metadata))
        return dict(entry.metadata)


def json_line(**fields: Any) -> str:
    return json.dumps(fields)


def test_drop_drops_lines_that_match_and_counts_them_by_rule() -> None:
    got = RulesUnderTest("[[rule]]\nname = 'health'\ndrop = 'GET /health'").of(
        "GET /health 200", "GET /orders 200", "POST GET /health"
    )
    [(_, [entry])] = got.streams
    assert (entry.line, got.dropped, got.matched) == (
        "GET /orders 200",
        {"health": 2},
        {"health": 2},
    )


def test_keep_drops_all_other_lines() -> None:
    got = RulesUnderTest("[[rule]]\nkeep = 'ERROR|WARN'").of("INFO a", "WARN b", "c", "")
    [(_, [entry])] = got.streams
    assert (entry.line, got.dropped) == ("WARN b", {"rule-1": 3})


def test_drop_and_keep_may_look_at_a_field() -> None:
    drop = RulesUnderTest("[[rule]]\ndrop = '^(debug|0)$'\nfield = 'level'")
    lines = [
        json_line(level="debug"),
        json_line(level=0),
        json_line(level="info", a="debug"),
        "level debug",
    ]
    assert drop.lines(*lines) == lines[2:]
    keep = RulesUnderTest("[[rule]]\nkeep = 'info'\nfield = ['lvl', 'level']")
    assert keep.lines(*lines) == [lines[2]]


def test_unwrap_makes_a_field_the_line() -> None:
    unwrap = RulesUnderTest("[[rule]]\nunwrap = ['log', 'message.text']")
    assert unwrap.lines(
        json_line(log="a\n", message="b"),
        json_line(message={"text": "c"}),
        json_line(log={"x": [1]}),
        json_line(log=7),
        json_line(other="d"),
        "no JSON",
        '["log"]',
        '{"log": "cut',
    ) == ["a", "c", '{"x":[1]}', "7", json_line(other="d"), "no JSON", '["log"]', '{"log": "cut']


def test_a_line_that_becomes_empty_is_dropped_and_counted() -> None:
    got = RulesUnderTest("[[rule]]\nunwrap = 'log'").of(json_line(log=""), json_line(log="\n"))
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
    rules = RulesUnderTest("[[rule]]\nmetadata = {it = 'a.b'}")
    assert rules.metadata(json_line(**line)).get("it") == found


def test_fields_nest_at_any_dot() -> None:
    rules = RulesUnderTest("[[rule]]\nmetadata = {it = 'k.labels.app.io/name'}")
    for line in (
        {"k": {"labels": {"app.io/name": "x"}}},
        {"k.labels": {"app": {"io/name": "x"}}},
        {"k": {"labels.app": {"io/name": "x"}}},
        {"k.labels.app.io/name": "x"},
    ):
        assert rules.metadata(json_line(**line))["it"] == "x"


def test_metadata_copies_fields_and_does_not_change_the_line() -> None:
    line = json_line(user={"id": 7}, trace="t", level="WARNING")
    rules = RulesUnderTest(
        "[[rule]]\nmetadata = {user = 'user.id', trace = ['trace_id', 'trace'], level = 'level'}"
    )
    assert rules.lines(line) == [line]
    assert rules.metadata(line) == {
        "detected_level": "warn",
        "log_stream": "s",
        "trace": "t",
        "user": "7",
    }


def test_metadata_copies_the_named_groups_of_a_pattern() -> None:
    rules = RulesUnderTest(r"""[[rule]]
metadata = '^(?P<level>[A-Z]+): +\S+ "(?P<method>[A-Z]+) (\S+)(?: (?P<proto>HTTP\S*))?"'""")
    assert rules.metadata('INFO:     10.0.3.17:51234 - "GET /x HTTP/1.1" 200') == {
        "log_stream": "s"
    }
    assert rules.metadata('INFO:  10.0.3.17:51234 "GET /x"') == {
        "detected_level": "info",
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
def test_a_level_becomes_the_word_that_loki_has_for_it(value: Any, level: str | None) -> None:
    rules = RulesUnderTest("[[rule]]\nmetadata = {level = 'level'}")
    assert rules.metadata(json_line(level=value)).get("detected_level") == level


def test_a_rule_can_name_the_level_as_loki_does() -> None:
    rules = RulesUnderTest("[[rule]]\nmetadata = {detected_level = 'level', level = 'other'}")
    assert rules.metadata(json_line(level="WARNING", other="error")) == {
        "detected_level": "warn",
        "log_stream": "s",
    }
    assert rules.metadata(json_line(level="gold")) == {"log_stream": "s"}


def test_the_first_value_of_a_name_counts_and_a_taken_name_gets_a_prefix() -> None:
    rules = RulesUnderTest("""
        [[rule]]
        metadata = {a = "x", log_stream = "y"}
        [[rule]]
        metadata = {a = "y", b = "x"}
    """)
    assert rules.metadata(json_line(x="1", y="2")) == {
        "a": "1",
        "b": "1",
        "log_stream": "s",
        "rule_log_stream": "2",
    }
    assert rules.metadata(json_line(y="s")) == {"a": "s", "log_stream": "s"}


def test_metadata_stays_within_what_loki_takes() -> None:
    names = ", ".join(f"n{number} = 'n{number}'" for number in range(40))
    rules = RulesUnderTest(f"[[rule]]\nmetadata = {{{names}}}", max_line_bytes=1_048_576)
    metadata = rules.metadata(
        json_line(**{f"n{number}": "ß" * 1_100 + "\ufffd" for number in range(40)})
    )
    assert sum(len(name) + len(value.encode()) for name, value in metadata.items()) < 40_000
    assert metadata["n0"] == "ß" * 1024


def test_no_metadata_where_the_setting_says_so() -> None:
    [entry] = RulesUnderTest("[[rule]]\nmetadata = {a = 'a'}", structured_metadata=False).entries(
        json_line(a="1")
    )
    assert entry.metadata == ()


def test_entries_with_equal_metadata_share_it() -> None:
    rules = RulesUnderTest("[[rule]]\nmetadata = {a = 'a'}\n[[rule]]\nmetadata = {b = 'b'}")
    one, other, two = rules.entries(
        json_line(a="1", b="2"), json_line(a="1"), json_line(b="2", a="1", c="3")
    )
    assert one.metadata is two.metadata
    assert one.metadata is not other.metadata


def test_a_label_needs_an_allowed_value_and_other_values_become_metadata() -> None:
    rules = RulesUnderTest("[[rule]]\nlabel = {env = 'env'}\nvalues = ['prod', 'dev']")
    got = rules.of(
        json_line(env="prod"),
        json_line(env="test"),
        json_line(env="dev"),
        json_line(env="prod"),
        "-",
    )
    found = {
        stream.labels: [dict(each.metadata) for each in entries] for stream, entries in got.streams
    }
    base = STREAM.labels
    assert found == {
        base: [{"env": "test", "log_stream": "s"}, {"log_stream": "s"}],
        tuple(sorted((*base, ("env", "prod")))): [{"log_stream": "s"}] * 2,
        tuple(sorted((*base, ("env", "dev")))): [{"log_stream": "s"}],
    }


def test_a_label_has_at_most_so_many_values_while_the_execution_environment_lives() -> None:
    rules = RulesUnderTest("[[rule]]\nlabel = {user = 'user'}\nat_most = 3")
    for number in range(100):
        got = rules.of(json_line(user=f"u{number}"))
        [(stream, [entry])] = got.streams
        assert (("user", f"u{number}") in stream.labels) is (number < 3)
        assert (("user", f"u{number}") in entry.metadata) is (number >= 3)
    [(stream, _)] = rules.of(json_line(user="u1")).streams
    assert ("user", "u1") in stream.labels


def test_labels_of_rules_keep_to_max_labels() -> None:
    body = "".join(f"[[rule]]\nlabel = {{l{n} = 'l{n}'}}\nvalues = ['x']\n" for n in range(4))
    rules = RulesUnderTest(body, max_labels=5)
    line = json_line(l0="x", l1="x", l2="x", l3="x")
    [(stream, [entry])] = rules.of(
        line,
    ).streams
    assert stream.labels == (("l0", "x"), ("l1", "x"), *STREAM.labels)
    assert entry.metadata == (("l2", "x"), ("l3", "x"), *SHARED)
    # The rules decide which labels fit, not the line.
    [(stream, [entry])] = rules.of(json_line(l3="x")).streams
    assert (stream, entry.metadata) == (STREAM, (("l3", "x"), *SHARED))


def test_a_label_does_not_change_one_that_the_stream_has() -> None:
    rules = RulesUnderTest("[[rule]]\nlabel = {region = 'region'}\nat_most = 9")
    assert rules.metadata(json_line(region="elsewhere"))["rule_region"] == "elsewhere"
    assert rules.metadata(json_line(region="r")) == {"log_stream": "s"}


def test_the_first_rule_of_a_label_that_finds_a_value_decides() -> None:
    rules = RulesUnderTest("""
        [[rule]]
        label = {team = "team"}
        values = ["a", "b"]
        [[rule]]
        label = {team = "owner"}
        at_most = 9
    """)
    [(stream, _)] = rules.of(json_line(team="a", owner="x")).streams
    assert ("team", "a") in stream.labels
    [(stream, _)] = rules.of(json_line(owner="x")).streams
    assert ("team", "x") in stream.labels


def test_a_tenant_comes_from_a_field() -> None:
    rules = RulesUnderTest("[[rule]]\ntenant = 'team'")
    got = rules.of(
        json_line(team="a"),
        json_line(team="b"),
        json_line(team=""),
        json_line(team=None),
        "-",
        json_line(team="us"),
    )
    assert [(stream.tenant, len(entries)) for stream, entries in got.streams] == [
        ("us", 4),
        ("a", 1),
        ("b", 1),
    ]
    assert {stream.labels for stream, _ in got.streams} == {STREAM.labels}


@pytest.mark.parametrize("team", ["a|b", 1, ["a"], {"a": "b"}, "..", "x" * 151])
def test_a_line_with_an_invalid_tenant_is_rejected(team: Any) -> None:
    rules = RulesUnderTest("[[rule]]\nreplace = 'secret'\nwith = '-'\n[[rule]]\ntenant = 'team'")
    got = rules.of(json_line(team=team, msg="secret"), json_line(team="a"))
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
    [own] = RulesUnderTest("").entries(json_line(time=value))
    [entry] = RulesUnderTest("[[rule]]\ntimestamp = 'time'").entries(json_line(time=value))
    assert entry.timestamp - own.timestamp == shift * 1_000_000


def test_entries_are_in_order_of_the_times_that_rules_found() -> None:
    rules = RulesUnderTest("[[rule]]\ntimestamp = 't'")
    assert rules.lines(json_line(t=NOW), json_line(t=NOW - 2), json_line(t=NOW - 1)) == [
        json_line(t=NOW - 2),
        json_line(t=NOW - 1),
        json_line(t=NOW),
    ]


REDACT = "[[rule]]\nname = 'cards'\nreplace = '\\d{12,}'\nwith = '[card]'\n"
CARD = "4111111111111111"


def test_redaction_changes_the_log_event_too() -> None:
    [entry] = RulesUnderTest(REDACT).entries(f"paid with {CARD}\n")
    assert (entry.line, entry.event.message) == ("paid with [card]", "paid with [card]\n")


def test_redaction_removes_the_fields_that_filter_patterns_extracted() -> None:
    fields = {"@aws.account": "1", "card": CARD, "rest": {"x": CARD}}
    event = LogEvent("1", NOW, f"paid with {CARD}", fields)
    [entry] = RulesUnderTest(REDACT).entries(event)
    assert entry.event.extracted_fields == {"@aws.account": "1"}
    clean = LogEvent("1", NOW, "paid in cash", fields)
    [entry] = RulesUnderTest(REDACT).entries(clean)
    assert entry.event is clean


def test_redaction_applies_to_the_fields_that_other_rules_read() -> None:
    """JSON can write a text in escapes."""
    rules = RulesUnderTest(
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
    [(stream, [entry])] = rules.of(f'{{"card": "{hidden}", "log": "by {hidden}"}}').streams
    assert stream == Stream("us", tuple(sorted((*STREAM.labels, ("paid", "[card]")))))
    assert (entry.line, dict(entry.metadata)["card"]) == ("by [card]", "[card]")


def test_a_redacted_value_is_no_tenant() -> None:
    rules = RulesUnderTest(REDACT + '[[rule]]\ntenant = "card"')
    [entry] = rules.of(json_line(card=CARD)).rejected["tenant_invalid"]
    assert CARD not in entry.event.message


def test_rules_apply_again_without_harm() -> None:
    rules = RulesUnderTest(REDACT + "[[rule]]\nunwrap = 'log'\n[[rule]]\nmetadata = {a = 'a'}")
    [once] = rules.entries(json_line(log=f"pay {CARD}", a="1"))
    [twice] = rules.entries(once.event)
    assert (once.line, once.metadata, once.event) == (twice.line, twice.metadata, twice.event)


def test_a_rule_sees_the_line_that_the_rules_before_it_left() -> None:
    rules = RulesUnderTest("""
        [[rule]]
        unwrap = "log"
        [[rule]]
        metadata = {level = "level"}
        [[rule]]
        drop = "debug"
        field = "level"
    """)
    assert (
        rules.metadata(json_line(log=json_line(level="info"), level="error"))["detected_level"]
        == "info"
    )
    assert rules.lines(json_line(log=json_line(level="debug"))) == []


def test_redaction_may_leave_json() -> None:
    rules = RulesUnderTest("[[rule]]\nreplace = '^prefix '\nwith = ''\n[[rule]]\nunwrap = 'a'")
    assert rules.lines('prefix {"a": "b"}') == ["b"]


def test_a_long_line_is_split_after_the_rules() -> None:
    rules = RulesUnderTest("[[rule]]\nunwrap = 'log'", max_line_bytes=2048)
    entries = rules.entries(json_line(log="x" * 3000))
    assert [len(entry.line) for entry in entries] == [2048, 952]
    assert [dict(entry.metadata)["part"] for entry in entries] == ["1/2", "2/2"]


def test_rules_of_other_log_groups_change_nothing() -> None:
    rules = RulesUnderTest("[[rule]]\ngroups = ['h']\ndrop = ''".replace("''", "'.'"))
    assert rules.lines("a") == ["a"]
    assert rules.lines("a", group="h") == []


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
def test_each_line_is_shipped_or_counted(messages: list[str]) -> None:
    clean = [each.encode("utf-8", "replace").decode() for each in messages]
    got = RulesUnderTest(RULES).of(*clean)
    assert all(entry.line for _, entries in got.streams for entry in entries)
    assert got.dropped.keys() <= {"empty", "a", "c"}


@given(LINES)
def test_the_same_payload_gives_the_same_entries(messages: list[str]) -> None:
    clean = [each.encode("utf-8", "replace").decode() for each in messages]
    rules = RulesUnderTest(RULES)
    assert rules.of(*clean) == rules.of(*clean)
