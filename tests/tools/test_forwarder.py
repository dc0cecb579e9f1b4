"""A forwarder keeps its port while its server stops and starts on another port."""

from collections.abc import Iterator

import pytest
import requests

from loki_shipper.local.receiver import Receiver, run_receiver
from tools.forwarder import Forwarder, run_forwarder


@pytest.fixture
def forwarder() -> Iterator[Forwarder]:
    with run_forwarder() as forwarder:
        yield forwarder


def port(receiver: Receiver) -> int:
    return int(receiver.url.rpartition(":")[2])


def ask(forwarder: Forwarder, session: requests.Session) -> None:
    session.get(f"{forwarder.url}/ready", timeout=10)


def test_without_a_server_connections_are_closed_and_then_there_is_one(
    forwarder: Forwarder, receiver: Receiver
) -> None:
    with requests.Session() as session:
        with pytest.raises(requests.ConnectionError):
            ask(forwarder, session)
        forwarder.port = port(receiver)
        ask(forwarder, session)


def test_a_server_that_ended_is_replaced_by_one_on_another_port(forwarder: Forwarder) -> None:
    with requests.Session() as session:
        with run_receiver() as one:
            forwarder.port = port(one)
            ask(forwarder, session)
        with pytest.raises(requests.ConnectionError), requests.Session() as another:
            ask(forwarder, another)
        with run_receiver() as other:
            forwarder.port = port(other)
            ask(forwarder, session)


def test_an_action_before_an_answer_happens_before_it(
    forwarder: Forwarder, receiver: Receiver
) -> None:
    happened: list[str] = []
    with requests.Session() as session:
        forwarder.before_answer = lambda: happened.append("closed")
        with pytest.raises(requests.ConnectionError):
            ask(forwarder, session)
        forwarder.port = port(receiver)
        forwarder.before_answer = lambda: happened.append("answered")
        ask(forwarder, session)
    assert happened[0] == "closed"
    assert set(happened[1:]) == {"answered"}
