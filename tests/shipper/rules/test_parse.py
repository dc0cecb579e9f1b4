"""Rules are parsed from TOML, and every fault is named."""

import contextlib
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loki_shipper.environment import SettingsError
from loki_shipper.shipper.rules.model import (
    Rules,
    RulesError,
)
from loki_shipper.shipper.rules.parse import ACTIONS, RESERVED, default_rules, parse_rules
from loki_shipper.shipper.rules.presets import DEFAULT_PRESETS, PRESETS


def read(body: str) -> Rules:
    return parse_rules(body)


def faults(body: str) -> tuple[str, ...]:
    with pytest.raises(RulesError) as caught:
        read(body)
    return caught.value.faults


def test_an_empty_file_has_no_rules() -> None:
    assert read("") == Rules()


def test_rules_keep_the_order_and_the_names_of_the_file() -> None:
    found = read("""
        [[rule]]
        name = "health checks"
        drop = 'GET /health'

        [[rule]]
        groups = ["/ecs/*"]
        unwrap = "log"
    """)
    assert [(rule.name, rule.groups) for rule in found.rules] == [
        ("health checks", ("*",)),
        ("rule-2", ("/ecs/*",)),
    ]


@pytest.mark.parametrize(
    ("globs", "log_group", "applies"),
    [
        (["*"], "anything", True),
        (["/aws/lambda/*"], "/aws/lambda/fun", True),
        (["/aws/lambda/*"], "/AWS/lambda/fun", False),
        (["/ecs/*", "orders-?"], "orders-1", True),
        (["orders"], "orders-1", False),
    ],
)
def test_a_rule_applies_to_the_log_groups_of_its_globs(
    globs: list[str], log_group: str, applies: bool
) -> None:
    found = read(f"[[rule]]\ngroups = {globs}\ndrop = 'x'")
    assert bool(found.of(log_group)) is applies


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        (
            "drop = '('",
            "line 1, rule 1: drop is not a regular expression that RE2 takes: missing )",
        ),
        (r"drop = '(?=x)'", "invalid perl operator"),
        (r"drop = '(a)\1'", "invalid escape sequence"),
        ("drop = 1", "drop must be a regular expression"),
        ("drop = ''", "drop must be a regular expression"),
        ("name = 'a'", f"needs exactly one of {', '.join(ACTIONS)}"),
        ("drop = 'x'\nkeep = 'y'", "not drop and keep"),
        ("drop = 'x'\ngruops = ['y']", "drop takes no 'gruops'"),
        ("drop = 'x'\nwith = 'y'", "drop takes no 'with'"),
        ("drop = 'x'\ngroups = 'y'", "groups must be a list of log groups"),
        ("drop = 'x'\ngroups = []", "groups must be a list of log groups"),
        ("drop = 'x'\nfield = 1", "field must be a field of JSON"),
        ("drop = 'x'\nname = ''", "name must be 1 to 64 letters"),
        ("drop = 'x'\nname = 'empty'", "the shipper itself counts lines"),
        ("replace = 'x'", "replace needs a text to put in its place"),
        ("replace = '('\nwith = 1", "replace needs a text to put in its place"),
        (r"replace = 'x'" + "\n" + r"with = '\1'", r"with may have \0 to \0 and \\, not \1"),
        (r"replace = 'x'" + "\n" + r"with = 'a\n'", r"not \n"),
        ("replace = 'x*'\nwith = ''", "replace matches the empty text"),
        (r"replace = '\d+'" + "\nwith = '<1>'", "matches its own with"),
        ("unwrap = 1", "unwrap must be a field of JSON"),
        ("unwrap = []", "unwrap must be a field of JSON"),
        ("unwrap = 'a.b.c.d.e.f.g.h.i'", "up to 8 levels"),
        ("unwrap = 'a\"b'", "unwrap must be a field of JSON"),
        ("metadata = {}", "metadata needs names and fields"),
        ("metadata = 1", "metadata must be a regular expression or names and fields"),
        ("metadata = 'x'", "metadata needs named groups"),
        ("metadata = '(?P<a__b>x)'", "'a__b' is not a name for metadata"),
        ("metadata = {_a = 'a'}", "'_a' is not a name for metadata"),
        ("metadata = {by = 'a'}", "'by' is a word of LogQL"),
        ("metadata = {a = 1}", "a must be a field of JSON"),
        ("label = {a = 'a'}", 'label needs either values = ["a", "b"] or at_most = 20'),
        ("label = {a = 'a'}\nvalues = ['x']\nat_most = 2", "label needs either"),
        ("label = {a = 'a', b = 'b'}\nat_most = 2", "label needs one name and its field"),
        ("label = 'a'\nat_most = 2", "label needs one name and its field"),
        ("label = {__a = 'a'}\nat_most = 2", "'__a' is not a label name"),
        ("label = {late = 'a'}\nat_most = 2", "'late' is kept"),
        ("label = {by = 'a'}\nat_most = 2", "'by' is a word of LogQL"),
        ("label = {a = 'a'}\nvalues = []", "values must be a list of 1 to 1000 texts"),
        ("label = {a = 'a'}\nvalues = [1]", "values must be a list of 1 to 1000 texts"),
        ("label = {a = 'a'}\nat_most = 0", "at_most must be a whole number from 1 to 1000"),
        ("label = {a = 'a'}\nat_most = true", "at_most must be a whole number from 1 to 1000"),
        ("timestamp = {}", "timestamp must be a field of JSON"),
        ("tenant = ''", "tenant must be a field of JSON"),
        ("sample = 1", "sample must be a whole number from 2 to 10,000: 10 keeps one of 10"),
        ("sample = 0.1", "sample must be a whole number"),
        ("sample = true", "sample must be a whole number"),
        ("sample = 10001", "sample must be a whole number"),
        ("sample = 10\nby = 7", "by must be a field of JSON"),
        ("sample = 10\nfield = 'a'", "sample takes no 'field'"),
        ("preset = 'lamda'", "there is no preset 'lamda': there are "),
        ("preset = ['lambda']", "there is no preset"),
        ("preset = 'lambda'\nplatform = 'no'", "platform must be one of keep, metrics, drop"),
        ("preset = 'ecs'\nplatform = 'drop'", "preset takes no 'platform'"),
    ],
)
def test_a_fault_is_named(body: str, fault: str) -> None:
    [found] = [each for each in faults(f"[[rule]]\n{body}") if fault in each]
    assert found.startswith("line 1, rule 1: ")


def test_all_faults_are_named_together_with_rule_and_line() -> None:
    assert faults("""# redaction
[[rule]]
replace = '('
with = "x"

[[rule]]
name = "two"
drop = "x"
keep = "y"

[[rule]]
name = "two"
tenant = 7
""") == (
        "line 2, rule 1: replace is not a regular expression that RE2 takes: missing ): (",
        f"line 6, rule 2: needs exactly one of {', '.join(ACTIONS)}, not drop and keep",
        "line 11, rule 3: another rule has the name 'two'",
        (
            "line 11, rule 3: tenant must be a field of JSON, such as 'user.id', or a list of "
            "them, of up to 8 levels and 256 characters"
        ),
    )


def test_the_message_is_one_of_the_settings() -> None:
    with pytest.raises(SettingsError, match=r"RULES cannot be used: line 1, rule 1: drop is not"):
        read("[[rule]]\ndrop = '('")


def test_a_fault_has_no_line_if_the_headers_cannot_be_found() -> None:
    body = "rule = [{drop = '('}]"
    assert faults(body) == (
        "rule 1: drop is not a regular expression that RE2 takes: missing ): (",
    )


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        ("[[rule]", "it is not TOML: "),
        ("x = " + "[" * 100_000, "it is not TOML: it is nested too deeply"),
        ("rules = 1", "takes no 'rules': a rule begins with [[rule]]"),
        ("[rule]\ndrop = 'x'", "'rule' is not a list of tables"),
        ("rule = [1]", "'rule' is not a list of tables"),
        ("[[rule]]\n" * 201, "it has more than 200 rules"),
    ],
)
def test_a_file_of_another_shape_is_refused(body: str, fault: str) -> None:
    assert any(fault in each for each in faults(body))


def test_redaction_must_stand_above_all_other_rules() -> None:
    later = "[[rule]]\ndrop = 'x'\n[[rule]]\nreplace = 'secret'\nwith = ''"
    assert faults(later) == (
        "line 3, rule 2: replace must stand above all other rules: redaction comes first",
    )
    read("[[rule]]\nreplace = 'a'\nwith = ''\n[[rule]]\nreplace = 'b'\nwith = ''\n" + later[:19])


def test_a_preset_may_have_another_name_and_other_log_groups() -> None:
    found = read("[[rule]]\nname = 'fun'\ngroups = ['/fun/*']\npreset = 'lambda'").rules
    assert {(rule.name, rule.groups) for rule in found} == {("fun", ("/fun/*",))}


@pytest.mark.parametrize(
    ("group", "preset"),
    [
        ("/aws/lambda/f", "level"),
        ("/aws/lambda/vpc-flow-log-reader", "level"),
        ("/aws/vendedlogs/states/checkout", "stepfunctions"),
        ("/aws/vendedlogs/shop", "vendedlogs"),
        ("123456789012_CloudTrail_eu-central-1", "cloudtrail"),
        ("/aws/rds/instance/orders-db/error", "rds"),
    ],
)
def test_without_a_file_a_log_group_has_the_first_preset_that_names_it(
    group: str, preset: str
) -> None:
    assert default_rules().of(group) == read(f"[[rule]]\npreset = '{preset}'").rules


@pytest.mark.parametrize(
    "group",
    ["/ecs/shop", "/aws/containerinsights/prod/application", "skypilot-logs", "orders-worker"],
)
def test_without_a_file_other_log_groups_have_no_rules(group: str) -> None:
    assert default_rules().of(group) == ()


def test_no_two_neighbours_among_the_default_presets_share_their_log_groups() -> None:
    groups = [PRESETS[name].groups for name in DEFAULT_PRESETS]
    assert all(one != other for one, other in pairwise(groups))


def test_a_format_is_a_text_of_fields() -> None:
    [fault] = faults("[[rule]]\npreset = 'vpcflow'\nformat = 7")
    assert "format must be" in fault
    [fault] = faults("[[rule]]\npreset = 'waf'\nformat = 'version'")
    assert "takes no 'format'" in fault


@given(
    st.dictionaries(
        st.sampled_from([*ACTIONS, "name", "groups", "with", "values", "field"]),
        st.one_of(st.text(), st.integers(), st.lists(st.text()), st.booleans()),
    )
)
def test_any_table_is_parsed_or_refused(table: dict[str, Any]) -> None:
    def written(value: Any) -> str:
        match value:
            case bool():
                return str(value).lower()
            case str():
                return '"' + "".join(f"\\U{ord(c):08x}" for c in value) + '"'
            case list():
                return "[" + ", ".join(map(written, value)) + "]"
            case _:
                return str(value)

    body = "\n".join(f"{key} = {written(value)}" for key, value in table.items())
    # Any other exception is a bug.
    with contextlib.suppress(RulesError):
        assert read(f"[[rule]]\n{body}").rules


def test_reserved_names_are_the_other_reasons_for_dropping_a_line() -> None:
    assert RESERVED == ("empty", "own_log_group", "shipper_log_group")
