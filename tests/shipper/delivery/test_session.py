"""How credentials are kept; what is sent with them is tested on real sockets (tests/pipeline)."""

import pytest

from loki_shipper.environment import SettingsError
from loki_shipper.shipper.delivery.push import LokiAccess
from loki_shipper.shipper.delivery.session import LokiSession


class Store:
    """A secret store, and the times at which it was asked: `fresh` or not."""

    def __init__(self, *tokens: str) -> None:
        self.tokens = list(tokens)
        self.asked: list[bool] = []
        self.now = 0.0
        self.url = "https://loki"

    def read(self, *, fresh: bool) -> LokiAccess:
        self.asked.append(fresh)
        token = self.tokens.pop(0) if len(self.tokens) > 1 else self.tokens[0]
        if token == "down":
            raise SettingsError("a secret that the settings refer to cannot be read")
        return LokiAccess(self.url, {"Authorization": token} if token else {})

    def session(self) -> LokiSession:
        return LokiSession(self.read, lambda: self.now)


def test_credentials_are_read_once_and_kept_for_five_minutes() -> None:
    store = Store("a")
    session = store.session()
    for store.now in (0, 100, 299):
        session.refresh()
    assert store.asked == [False]
    store.now = 300
    session.refresh()
    store.now = 599
    session.refresh()
    assert store.asked == [False, False]


def test_a_store_that_is_down_at_first_is_a_fault() -> None:
    with pytest.raises(SettingsError):
        Store("down").session()


def test_a_store_that_is_down_later_changes_nothing_and_is_not_hammered() -> None:
    store = Store("a", "down")
    session = store.session()
    for store.now in (300, 301, 302):
        session.refresh()
    assert store.asked == [False, False]
    assert session.renew() is False


def test_refused_credentials_are_read_past_the_cache() -> None:
    store = Store("a", "b")
    session = store.session()
    assert session.renew() is True
    assert session.renew() is False
    assert store.asked == [False, True, True]


@pytest.mark.parametrize(
    ("url", "token", "private"),
    [
        ("https://loki", "a", True),
        ("https://loki", "", True),
        ("http://loki", "", True),
        ("http://loki", "a", False),
    ],
)
def test_credentials_over_http_are_not_private(url: str, token: str, private: bool) -> None:
    store = Store(token)
    store.url = url
    assert store.session().is_private is private
