"""Rules are read when they are due, and without rules that can be trusted nothing is shipped."""

from pathlib import Path

import pytest

from loki_shipper.shipper.rules.cache import FileUnchanged, FileUnreadable, RulesCache, RulesText
from loki_shipper.shipper.rules.file import rules_file
from loki_shipper.shipper.rules.model import Rules, RulesError
from loki_shipper.shipper.rules.parse import default_rules, parse_rules

GOOD = "[[rule]]\nreplace = 'secret'\nwith = '***'"
BETTER = GOOD + "\n[[rule]]\ndrop = 'noise'"
BAD = "[[rule]]\nreplace = '('"


class Store:
    """A place for a rules file, and a clock."""

    def __init__(self, answer: RulesText | FileUnreadable) -> None:
        self.answer = answer
        self.asked: list[str | None] = []
        self.now = 0.0

    def rule_state(self, reference: str | None = "s3://bucket/rules.toml") -> RulesCache:
        return RulesCache(reference, self.read, clock=lambda: self.now, jitter=lambda _: 0.0)

    def read(self, _reference: str, etag: str | None) -> RulesText | FileUnchanged | FileUnreadable:
        self.asked.append(etag)
        match self.answer:
            case RulesText(etag=current) if current is not None and current == etag:
                return FileUnchanged()
            case answer:
                return answer


def test_without_a_setting_the_default_rules_hold_and_nothing_is_read() -> None:
    store = Store(FileUnreadable("never asked"))
    assert store.rule_state(None)() == default_rules()
    assert store.rule_state("none")() == Rules()
    assert store.asked == []


def test_a_file_is_read_once_in_its_time() -> None:
    store = Store(RulesText(GOOD, "1"))
    rule_state = store.rule_state()
    assert [rule_state(), rule_state()] == [parse_rules(GOOD)] * 2
    store.now = 299
    rule_state()
    assert store.asked == [None]


def test_a_file_that_has_not_changed_is_not_sent_again() -> None:
    store = Store(RulesText(GOOD, "1"))
    rule_state = store.rule_state()
    first = rule_state()
    store.now = 301
    assert rule_state() is first
    assert store.asked == [None, "1"]


def test_a_new_file_takes_the_place_of_the_old_one() -> None:
    store = Store(RulesText(GOOD, "1"))
    rule_state = store.rule_state()
    rule_state()
    store.answer, store.now = RulesText(BETTER, "2"), 301
    assert rule_state() == parse_rules(BETTER)


def test_a_file_of_the_package_is_read_once_for_all_time() -> None:
    store = Store(RulesText(GOOD, None))
    rule_state = store.rule_state("rules.toml")
    rule_state()
    store.now = 1e9
    rule_state()
    assert store.asked == [None]


def test_a_file_that_cannot_be_read_at_first_stops_delivery() -> None:
    store = Store(FileUnreadable("NoSuchKey"))
    rule_state = store.rule_state()
    for _ in range(2):
        with pytest.raises(RulesError, match=r"s3://bucket/rules\.toml cannot be read: NoSuchKey"):
            rule_state()
    store.answer = RulesText(GOOD, "1")
    assert rule_state() == parse_rules(GOOD)


def test_the_last_good_rules_hold_while_the_store_is_down() -> None:
    store = Store(RulesText(GOOD, "1"))
    rule_state = store.rule_state()
    rule_state()
    store.answer, store.now = FileUnreadable("ConnectTimeoutError"), 301
    assert [rule_state(), rule_state()] == [parse_rules(GOOD)] * 2
    assert (rule_state.failures, len(store.asked)) == (1, 2)
    store.now = 332
    assert rule_state() == parse_rules(GOOD)
    assert rule_state.failures == 2


def test_a_new_file_that_is_faulty_stops_delivery_until_it_is_mended() -> None:
    store = Store(RulesText(GOOD, "1"))
    rule_state = store.rule_state()
    rule_state()
    store.answer, store.now = RulesText(BAD, "2"), 301
    for _ in range(3):
        with pytest.raises(RulesError, match="line 1, rule 1: replace is not a regular expression"):
            rule_state()
    assert store.asked == [None, "1"]
    store.answer, store.now = RulesText(BETTER, "3"), 332
    assert rule_state() == parse_rules(BETTER)


def test_a_faulty_file_and_a_store_that_is_down_stop_delivery_too() -> None:
    store = Store(RulesText(BAD, "1"))
    rule_state = store.rule_state()
    with pytest.raises(RulesError):
        rule_state()
    store.answer, store.now = FileUnreadable("ConnectTimeoutError"), 31
    with pytest.raises(RulesError, match="ConnectTimeoutError"):
        rule_state()


def test_a_file_is_read_by_its_path(tmp_path: Path) -> None:
    path = tmp_path / "rules.toml"
    path.write_text(GOOD)
    assert rules_file(str(path), None) == RulesText(GOOD, None)
    path.write_bytes(b"\xff")
    assert rules_file(str(path), None) == FileUnreadable("it is not UTF-8")
    assert rules_file(str(tmp_path / "none"), None) == FileUnreadable("No such file or directory")
