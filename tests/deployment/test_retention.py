"""A retention is set on log groups that never expire, remembered first, and taken back."""

import json

import pytest

from loki_shipper.aws.errors import AwsError
from loki_shipper.aws.objects import (
    ObjectFound,
    ObjectMissing,
    ObjectRead,
    ObjectWrite,
    ObjectWritten,
)
from loki_shipper.deployment.retention import (
    RetentionChange,
    RetentionEffects,
    restore_retention,
    retention_savings,
    set_retention,
)
from loki_shipper.subscriber.model import LogGroup

DAY = 86_400_000
NOW = 1_795_204_800_000


class Account:
    """Log groups with their retention, and a bucket; it logs what is done, in order."""

    def __init__(self, **retention: int | None) -> None:
        self.groups = {
            name: LogGroup(name, 1, retention_days=days) for name, days in retention.items()
        }
        self.body: bytes | None = None
        self.done: list[str] = []
        self.denied: set[str] = set()

    @property
    def retention(self) -> dict[str, int | None]:
        return {name: group.retention_days for name, group in self.groups.items()}

    @property
    def record(self) -> dict[str, dict[str, int]]:
        return dict(json.loads(self.body or b"{}"))

    @property
    def effects(self) -> RetentionEffects:
        return RetentionEffects(self, "links/1/r.retention.json", self.groups.get, self.put)

    def put(self, name: str, days: int | None) -> None:
        self.refuse(name)
        self.done.append(f"{name}: {days}")
        self.groups[name] = LogGroup(name, self.groups[name].created, retention_days=days)

    def refuse(self, what: str) -> None:
        if what in self.denied:
            raise AwsError("denied", "AccessDeniedException")

    def read_object(self, key: str) -> ObjectRead:
        assert key == self.effects.key
        return ObjectMissing() if self.body is None else ObjectFound(self.body, "e")

    def write_object(self, key: str, body: bytes, etag: str | None) -> ObjectWrite:
        assert (key, etag) == (self.effects.key, None if self.body is None else "e")
        self.refuse("bucket")
        self.done.append("record")
        self.body = body
        return ObjectWritten()

    def wait(self, _: int) -> None:
        raise AssertionError

    def set(self, days: int) -> list[RetentionChange]:
        return [*set_retention([*self.groups.values()], days, self.effects)]

    def restore(self, *names: str) -> list[RetentionChange]:
        return [*restore_retention(names or self.groups, self.effects)]


def test_only_log_groups_that_never_expire_get_a_retention() -> None:
    account = Account(a=None, b=90, c=3)
    assert account.set(7) == [RetentionChange("a", 7)]
    assert account.retention == {"a": 7, "b": 90, "c": 3}


def test_it_is_remembered_before_the_first_one_is_changed() -> None:
    account = Account(a=None, b=None)
    account.set(7)
    assert account.done == ["record", "a: 7", "b: 7"]
    assert account.record == {name: {"created": 1, "days": 7} for name in ("a", "b")}


def test_without_such_log_groups_nothing_is_written() -> None:
    account = Account(a=30)
    assert account.set(7) == []
    assert account.done == []


def test_nothing_is_changed_if_it_cannot_be_remembered() -> None:
    account = Account(a=None)
    account.denied = {"bucket"}
    assert account.set(7) == [RetentionChange("a", 7, "AccessDeniedException")]
    assert account.retention == {"a": None}


def test_a_log_group_that_fails_does_not_stop_the_others() -> None:
    account = Account(a=None, b=None)
    account.denied = {"a"}
    assert account.set(7) == [
        RetentionChange("a", 7, "AccessDeniedException"),
        RetentionChange("b", 7),
    ]


def test_a_retention_that_somebody_set_meanwhile_stays() -> None:
    account = Account(a=None)
    listed = [*account.groups.values()]
    account.put("a", 365)
    assert [*set_retention(listed, 7, account.effects)] == []
    assert account.retention == {"a": 365}


def test_it_is_taken_back_and_forgotten() -> None:
    account = Account(a=None, b=None, c=5)
    account.set(7)
    assert account.restore("a", "c") == [RetentionChange("a", None)]
    assert account.retention == {"a": None, "b": 7, "c": 5}
    assert {*account.record} == {"b"}
    assert account.restore("a") == []


def test_a_retention_that_somebody_changed_is_not_taken_back() -> None:
    account = Account(a=None)
    account.set(7)
    account.put("a", 30)
    assert account.restore() == []
    assert account.retention == {"a": 30}
    assert account.record == {}


@pytest.mark.parametrize("created", [None, 2], ids=["deleted", "made again"])
def test_another_log_group_of_the_name_is_not_changed(created: int | None) -> None:
    account = Account(a=None)
    account.set(7)
    if created is None:
        del account.groups["a"]
        assert account.restore("a") == []
    else:
        account.groups["a"] = LogGroup("a", created, retention_days=7)
        assert account.restore() == []
        assert account.retention == {"a": 7}
    assert account.record == {}


def test_what_cannot_be_taken_back_stays_remembered() -> None:
    account = Account(a=None, b=None)
    account.set(7)
    account.denied = {"a"}
    assert account.restore() == [
        RetentionChange("a", None, "AccessDeniedException"),
        RetentionChange("b", None),
    ]
    assert {*account.record} == {"a"}


def test_the_bytes_of_a_log_group_are_taken_to_be_of_equal_days() -> None:
    def group(name: str, days: float, stored: int, retention: int | None = None) -> LogGroup:
        created = NOW - int(days * DAY)
        return LogGroup(name, created, stored_bytes=stored, retention_days=retention)

    groups = [
        group("young", 3, 100),
        group("old", 70, 100 * 10**9),
        group("month", 300, 300, 30),
        group("week", 300, 300, 5),
        group("new", 0, 10),
    ]
    found = {each.group.name: each for each in retention_savings(groups, 7, NOW)}
    assert [*found] == ["old", "month", "new", "week", "young"]
    assert {name: each.saved_bytes for name, each in found.items()} == {
        "old": 90 * 10**9,
        "month": 230,
        "new": 0,
        "week": 0,
        "young": 0,
    }
    assert found["old"].dollars == pytest.approx(2.7)
