"""Rules are reloaded in time, and without good rules nothing is shipped."""

from pathlib import Path

import pytest

from loki_shipper.shipper.rules.cache import FileUnchanged, FileUnreadable, RulesCache, RulesText
from loki_shipper.shipper.rules.file import rules_file
from loki_shipper.shipper.rules.model import Rules, RulesError
from loki_shipper.shipper.rules.parse import default_rules, parse_rules

GOOD = "[[rule]]\nreplace = 'secret'\nwith = '***'"
BETTER = GOOD + "\n[[rule]]\ndrop = 'noise'"
BAD = "[[rule]]\nreplace = '('"


class FakeRulesFile:
    """A rules file, and a clock."""

    def __init__(self, answer: RulesText | FileUnreadable) -> None:
        self.answer = answer
        self.asked: list[str | None] = []
        self.now = 0.0

    def cache(self, reference: str | None = "s3://bucket/rules.toml") -> RulesCache:
        return RulesCache(reference, self.read, clock=lambda: self.now, jitter=lambda _: 0.0)

    def read(self, _reference: str, etag: str | None) -> RulesText | FileUnchanged | FileUnreadable:
        self.asked.append(etag)
        match self.answer:
            case RulesText(etag=current) if current is not None and current == etag:
                return FileUnchanged()
            case answer:
                return answer


def test_without_a_setting_the_default_rules_hold_and_nothing_is_read() -> None:
    file = FakeRulesFile(FileUnreadable("never asked"))
    assert file.cache(None)() == default_rules()
    assert file.cache("none")() == Rules()
    assert file.asked == []


def test_a_file_is_read_once_in_five_minutes() -> None:
    file = FakeRulesFile(RulesText(GOOD, "1"))
    cache = file.cache()
    assert [cache(), cache()] == [parse_rules(GOOD)] * 2
    file.now = 299
    cache()
    assert file.asked == [None]


def test_a_file_that_has_not_changed_is_not_sent_again() -> None:
    file = FakeRulesFile(RulesText(GOOD, "1"))
    cache = file.cache()
    first = cache()
    file.now = 301
    assert cache() is first
    assert file.asked == [None, "1"]


def test_a_changed_file_replaces_the_old_rules() -> None:
    file = FakeRulesFile(RulesText(GOOD, "1"))
    cache = file.cache()
    cache()
    file.answer, file.now = RulesText(BETTER, "2"), 301
    assert cache() == parse_rules(BETTER)


def test_a_file_of_the_package_is_read_only_once() -> None:
    file = FakeRulesFile(RulesText(GOOD, None))
    cache = file.cache("rules.toml")
    cache()
    file.now = 1e9
    cache()
    assert file.asked == [None]


def test_a_file_that_cannot_be_read_at_first_stops_delivery() -> None:
    file = FakeRulesFile(FileUnreadable("NoSuchKey"))
    cache = file.cache()
    for _ in range(2):
        with pytest.raises(RulesError, match=r"s3://bucket/rules\.toml cannot be read: NoSuchKey"):
            cache()
    file.answer = RulesText(GOOD, "1")
    assert cache() == parse_rules(GOOD)


def test_the_last_good_rules_hold_while_the_file_cannot_be_read() -> None:
    file = FakeRulesFile(RulesText(GOOD, "1"))
    cache = file.cache()
    cache()
    file.answer, file.now = FileUnreadable("ConnectTimeoutError"), 301
    assert [cache(), cache()] == [parse_rules(GOOD)] * 2
    assert (cache.failures, len(file.asked)) == (1, 2)
    file.now = 332
    assert cache() == parse_rules(GOOD)
    assert cache.failures == 2


def test_a_changed_file_with_a_fault_stops_delivery_until_it_is_corrected() -> None:
    file = FakeRulesFile(RulesText(GOOD, "1"))
    cache = file.cache()
    cache()
    file.answer, file.now = RulesText(BAD, "2"), 301
    for _ in range(3):
        with pytest.raises(RulesError, match="line 1, rule 1: replace is not a regular expression"):
            cache()
    assert file.asked == [None, "1"]
    file.answer, file.now = RulesText(BETTER, "3"), 332
    assert cache() == parse_rules(BETTER)


def test_a_file_with_a_fault_that_cannot_be_read_again_stops_delivery() -> None:
    file = FakeRulesFile(RulesText(BAD, "1"))
    cache = file.cache()
    with pytest.raises(RulesError):
        cache()
    file.answer, file.now = FileUnreadable("ConnectTimeoutError"), 31
    with pytest.raises(RulesError, match="ConnectTimeoutError"):
        cache()


def test_a_file_is_read_by_its_path(tmp_path: Path) -> None:
    path = tmp_path / "rules.toml"
    path.write_text(GOOD)
    assert rules_file(str(path), None) == RulesText(GOOD, None)
    path.write_bytes(b"\xff")
    assert rules_file(str(path), None) == FileUnreadable("it is not UTF-8")
    assert rules_file(str(tmp_path / "none"), None) == FileUnreadable("No such file or directory")
