"""Expressions of a rules file take time linear in the line, and redaction replaces each match."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loki_shipper.shipper.rules.model import Drop, Replace
from loki_shipper.shipper.rules.parse import parse_rules
from loki_shipper.shipper.rules.regex import compiled, substitute


def test_patterns_of_a_file_run_on_a_linear_engine() -> None:
    """On Python's engine this pattern takes time exponential in the line."""
    [rule] = parse_rules("[[rule]]\ndrop = '^(a+)+$'").rules
    assert isinstance(rule.action, Drop)
    pattern = compiled(rule.action.regex)
    assert type(pattern).__module__ == "re2"
    assert pattern.search("a" * 100_000 + "!") is None


def replacing(pattern: str, template: str) -> Replace:
    [rule] = parse_rules(f"[[rule]]\nreplace = '{pattern}'\nwith = '{template}'").rules
    assert isinstance(rule.action, Replace)
    return rule.action


@pytest.mark.parametrize(
    ("pattern", "template", "text", "redacted"),
    [
        ("secret", "***", "a secret, a Secret", "a ***, a Secret"),
        ("(?i)secret", "***", "a secret, a Secret", "a ***, a ***"),
        (r"\b\d{12}(\d{4})\b", r"****\1", "card 4111111111111111.", "card ****1111."),
        (r"(a)|(b)", r"<\1\2>", "ab", "<a><b>"),
        ("größe=.", "größe=…", "die größe=5 🐧", "die größe=… 🐧"),
        ("x", r"a\\b", "x", r"a\b"),
        ("x", "", "axbx", "ab"),
        ("x$", "", "x\nx", "x\n"),
    ],
)
def test_each_match_is_replaced(pattern: str, template: str, text: str, redacted: str) -> None:
    assert substitute(replacing(pattern, template), text, [10**9]) == redacted


def test_text_that_takes_too_long_to_search_is_removed() -> None:
    """Each search may go to the end of the line, and the line needs one for each character."""
    hostile = "a" * 100_000
    budget = [10 * len(hostile)]
    redacted = substitute(replacing("a.*b|a", "-"), hostile, budget)
    assert len(redacted) < 20
    assert set(redacted) == {"-"}
    assert substitute(replacing("x", "-"), "harmless", budget) == "harmless"


@given(st.text(), st.text(alphabet="abx-", max_size=5))
def test_redacting_again_changes_nothing(text: str, template: str) -> None:
    replace = replacing("x+", template.replace("x", ""))
    once = substitute(replace, text, [10**9])
    assert substitute(replace, once, [10**9]) == once
    assert "x" not in once
