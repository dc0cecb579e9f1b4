"""Rules are read when they are due, and without rules that can be trusted nothing is shipped."""

from pathlib import Path

import pytest

from loki_shipper.shipper.rulebook import Copy, Rulebook, Unchanged, Unreadable
from loki_shipper.shipper.rules import Rules, RulesError, default_rules, rules
from loki_shipper.shipper.rules_file import rules_file

GOOD = "[[rule]]\nreplace = 'secret'\nwith = '***'"
BETTER = GOOD + "\n[[rule]]\ndrop = 'noise'"
BAD = "[[rule]]\nreplace = '('"


class Store:
    """A place for a rules file, and a clock."""

    def __init__(self, answer: Copy | Unreadable) -> None:
        self.answer = answer
        self.asked: list[str | None] = []
        self.now = 0.0

    def book(self, reference: str | None = "s3://bucket/rules.toml") -> Rulebook:
        return Rulebook(reference, self.read, clock=lambda: self.now, jitter=lambda _: 0.0)

    def read(self, _reference: str, etag: str | None) -> Copy | Unchanged | Unreadable:
        self.asked.append(etag)
        match self.answer:
            case Copy(etag=current) if current is not None and current == etag:
                return Unchanged()
            case answer:
                return answer


def test_without_a_setting_the_default_rules_hold_and_nothing_is_read() -> None:
    store = Store(Unreadable("never asked"))
    assert store.book(None)() == default_rules()
    assert store.book("none")() == Rules()
    assert store.asked == []


def test_a_file_is_read_once_in_its_time() -> None:
    store = Store(Copy(GOOD, "1"))
    book = store.book()
    assert [book(), book()] == [rules(GOOD)] * 2
    store.now = 299
    book()
    assert store.asked == [None]


def test_a_file_that_has_not_changed_is_not_sent_again() -> None:
    store = Store(Copy(GOOD, "1"))
    book = store.book()
    first = book()
    store.now = 301
    assert book() is first
    assert store.asked == [None, "1"]


def test_a_new_file_takes_the_place_of_the_old_one() -> None:
    store = Store(Copy(GOOD, "1"))
    book = store.book()
    book()
    store.answer, store.now = Copy(BETTER, "2"), 301
    assert book() == rules(BETTER)


def test_a_file_of_the_package_is_read_once_for_all_time() -> None:
    store = Store(Copy(GOOD, None))
    book = store.book("rules.toml")
    book()
    store.now = 1e9
    book()
    assert store.asked == [None]


def test_a_file_that_cannot_be_read_at_first_stops_delivery() -> None:
    store = Store(Unreadable("NoSuchKey"))
    book = store.book()
    for _ in range(2):
        with pytest.raises(RulesError, match=r"s3://bucket/rules\.toml cannot be read: NoSuchKey"):
            book()
    store.answer = Copy(GOOD, "1")
    assert book() == rules(GOOD)


def test_the_last_good_rules_hold_while_the_store_is_down() -> None:
    store = Store(Copy(GOOD, "1"))
    book = store.book()
    book()
    store.answer, store.now = Unreadable("ConnectTimeoutError"), 301
    assert [book(), book()] == [rules(GOOD)] * 2
    assert (book.failures, len(store.asked)) == (1, 2)
    store.now = 332
    assert book() == rules(GOOD)
    assert book.failures == 2


def test_a_new_file_that_is_faulty_stops_delivery_until_it_is_mended() -> None:
    store = Store(Copy(GOOD, "1"))
    book = store.book()
    book()
    store.answer, store.now = Copy(BAD, "2"), 301
    for _ in range(3):
        with pytest.raises(RulesError, match="line 1, rule 1: replace is not a regular expression"):
            book()
    assert store.asked == [None, "1"]
    store.answer, store.now = Copy(BETTER, "3"), 332
    assert book() == rules(BETTER)


def test_a_faulty_file_and_a_store_that_is_down_stop_delivery_too() -> None:
    store = Store(Copy(BAD, "1"))
    book = store.book()
    with pytest.raises(RulesError):
        book()
    store.answer, store.now = Unreadable("ConnectTimeoutError"), 31
    with pytest.raises(RulesError, match="ConnectTimeoutError"):
        book()


def test_a_file_is_read_by_its_path(tmp_path: Path) -> None:
    path = tmp_path / "rules.toml"
    path.write_text(GOOD)
    assert rules_file(str(path), None) == Copy(GOOD, None)
    path.write_bytes(b"\xff")
    assert rules_file(str(path), None) == Unreadable("it is not UTF-8")
    assert rules_file(str(tmp_path / "none"), None) == Unreadable("No such file or directory")
