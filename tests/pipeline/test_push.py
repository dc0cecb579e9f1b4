"""One push on real sockets: what is sent, what comes back, and how long it may take."""

import gzip
import os
import socket
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from loki_shipper import VERSION
from loki_shipper.local.receiver import Receiver
from loki_shipper.local.receiver import ScriptedAnswer as Scripted
from loki_shipper.model import Batch, Entry, LogEvent, Stream
from loki_shipper.shipper.delivery.answer import MAX_BODY, Answer, NoAnswer
from loki_shipper.shipper.delivery.encode import encode
from loki_shipper.shipper.delivery.judge import Misconfigured, judge
from loki_shipper.shipper.delivery.push import LokiAccess, connect, push
from tests.pipeline.servers import (
    Certificates,
    closed,
    deaf,
    read_request,
    run_proxy,
    serve,
    tls,
)

PATH = "/loki/api/v1/push"
BODY = encode(Batch(Stream(None, (("app", "a"),)), [Entry(5, "hello", (), LogEvent("", 0, ""))]))
SLACK = 10.0
"""Seconds by which a busy machine may be late; what we guard against takes 12 and more."""


class Pusher:
    """A session with some server."""

    def __init__(self, url: str, **access: object) -> None:
        self.url = url + PATH
        self.session: requests.Session = connect(
            LokiAccess(self.url, **({"headers": {}} | access))  # type: ignore[arg-type] # of any field
        )

    def __call__(
        self, body: bytes = BODY, tenant: str | None = None, *, seconds: float = 10.0
    ) -> Answer | NoAnswer:
        """Push, and see that it took no longer than it may."""
        began = time.monotonic()
        answer = push(body, tenant, session=self.session, url=self.url, seconds=seconds)
        assert time.monotonic() - began < seconds + SLACK
        return answer


@contextmanager
def pushing(url: str, **access: object) -> Iterator[Pusher]:
    pusher = Pusher(url, **access)
    with pusher.session:
        yield pusher


@pytest.fixture
def pusher(receiver: Receiver) -> Iterator[Pusher]:
    with pushing(receiver.url) as pusher:
        yield pusher


def test_a_push_arrives_and_its_answer_comes_back(receiver: Receiver, pusher: Pusher) -> None:
    assert pusher() == Answer(204)
    [stored] = receiver.pushes
    assert (stored.body, stored.tenant) == (BODY, None)
    assert stored.headers["content-type"] == "application/x-protobuf"
    assert stored.headers["user-agent"] == f"loki-shipper/{VERSION}"
    assert "authorization" not in stored.headers


def test_a_push_carries_the_tenant(receiver: Receiver, pusher: Pusher) -> None:
    pusher(tenant="team-a")
    pusher(tenant="team-b")
    pusher()
    assert [stored.tenant for stored in receiver.pushes] == ["team-a", "team-b", None]


def test_a_push_carries_the_headers_of_the_credentials(receiver: Receiver) -> None:
    with pushing(receiver.url, headers={"Authorization": "Bearer t", "X-Key": "k"}) as pusher:
        pusher()
    [stored] = receiver.pushes
    assert (stored.headers["authorization"], stored.headers["x-key"]) == ("Bearer t", "k")


def test_a_netrc_is_not_used(
    receiver: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login user password hunter2\n")
    monkeypatch.setenv("NETRC", str(netrc))
    assert requests.utils.get_netrc_auth(receiver.url) == ("user", "hunter2")
    with pushing(receiver.url) as anonymous:
        anonymous()
    with pushing(receiver.url, headers={"Authorization": "Bearer t"}) as known:
        known()
    sent = [stored.headers.get("authorization") for stored in receiver.pushes]
    assert sent == [None, "Bearer t"]


# Answers


@pytest.mark.parametrize("status", [200, 260, 302, 400, 401, 413, 429, 500, 503])
def test_an_answer_is_its_status_and_its_words(
    receiver: Receiver, pusher: Pusher, status: int
) -> None:
    receiver.script([Scripted(status=status, body=b"gr\xc3\xb6\xc3\x9fe \xff")])
    assert pusher() == Answer(status, "größe \ufffd")


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ("0", 0.0),
        ("7", 7.0),
        ("1.5", 1.5),
        ("-1", None),
        ("nan", None),
        ("inf", None),
        ("soon", None),
        ("Fri, 20 Nov 2026 20:00:00 GMT", None),
    ],
)
def test_retry_after_in_seconds_is_read(
    receiver: Receiver, pusher: Pusher, said: str, seconds: float | None
) -> None:
    receiver.script([Scripted(status=429, headers={"Retry-After": said})])
    assert pusher() == Answer(429, "", seconds)


def test_only_the_beginning_of_a_long_answer_is_read(receiver: Receiver, pusher: Pusher) -> None:
    receiver.script([Scripted(status=400, body=b"x" * 10_000_000)])
    assert pusher() == Answer(400, "x" * MAX_BODY)
    assert pusher() == Answer(204)


@pytest.mark.parametrize("location", ["/elsewhere", "http://127.0.0.1:1/", "http://[", ""])
def test_a_redirect_is_an_answer(receiver: Receiver, pusher: Pusher, location: str) -> None:
    receiver.script([Scripted(status=302, headers={"Location": location}, body=b"x" * 10_000_000)])
    assert pusher() == Answer(302, "x" * MAX_BODY)
    assert len(receiver.attempts) == 1


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_a_compressed_answer_is_read_although_the_push_does_not_request_it(
    receiver: Receiver, pusher: Pusher, encoding: str
) -> None:
    pack = gzip.compress if encoding == "gzip" else zlib.compress
    receiver.script(
        [Scripted(400, pack(b"entry too far behind"), {"Content-Encoding": encoding})] * 2
    )
    assert [pusher(), pusher()] == [Answer(400, "entry too far behind")] * 2
    assert receiver.connections == 1


def test_only_the_beginning_of_a_compressed_answer_of_a_gigabyte_is_read(
    receiver: Receiver, pusher: Pusher
) -> None:
    bomb = gzip.compress(b"x" * 1_000_000_000, compresslevel=1)
    receiver.script([Scripted(400, bomb, {"Content-Encoding": "gzip"})])
    assert pusher() == Answer(400, "x" * MAX_BODY)


def test_an_answer_whose_compression_is_broken_keeps_its_status(
    receiver: Receiver, pusher: Pusher
) -> None:
    receiver.script([Scripted(400, b"not gzip", {"Content-Encoding": "gzip"})])
    assert pusher() == Answer(400, "\ufffd", is_page=True)
    assert pusher() == Answer(204)


def test_a_200_that_cannot_be_unpacked_is_no_success(receiver: Receiver, pusher: Pusher) -> None:
    """It may be a page, and only an empty body or one that is no page means success."""
    receiver.script([Scripted(200, b"not gzip", {"Content-Encoding": "gzip"})])
    assert judge(pusher()) == Misconfigured("not_loki")


@pytest.mark.parametrize("kind", ["text/html", "text/html; charset=utf-8", "application/xhtml+xml"])
def test_an_html_page_is_read_as_an_answer(receiver: Receiver, pusher: Pusher, kind: str) -> None:
    receiver.script([Scripted(200, b"Sign in", {"Content-Type": kind})])
    assert pusher() == Answer(200, "Sign in", is_page=True)


INTERIM = [
    b"HTTP/1.1 100 Continue\r\n\r\n",
    b"HTTP/1.1 102 Processing\r\n\r\n",
    b"HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n",
]


@pytest.mark.parametrize("interim", [*INTERIM, b"".join(INTERIM)])
def test_interim_answers_are_skipped(interim: bytes) -> None:
    """Else the next push would take this one's answer for its own."""
    answers = [b"HTTP/1.1 429 Too Many Requests\r\nContent-Length: 4\r\n\r\nslow"]
    answers += [b"HTTP/1.1 204 No Content\r\n\r\n"]

    def talk(connection: socket.socket) -> None:
        for answer in answers:
            read_request(connection)
            connection.sendall(interim + answer)

    with serve(talk) as url, pushing(url) as pusher:
        assert [pusher(), pusher()] == [Answer(429, "slow"), Answer(204)]


def test_interim_answers_without_end_take_no_longer_than_a_push_may() -> None:
    def talk(connection: socket.socket) -> None:
        read_request(connection)
        while True:
            connection.sendall(INTERIM[2])

    with serve(talk) as url, pushing(url) as pusher:
        assert pusher(seconds=1.0) == NoAnswer("read_timeout")


# The connection is kept


def test_many_pushes_are_one_connection(receiver: Receiver, pusher: Pusher) -> None:
    for status in (204, 204, 200, 400, 429, 500, 302, 260, 413, 204):
        words = b"" if status == 204 else b"words"
        receiver.script([Scripted(status=status, body=words, headers={"Location": "/"})])
        assert isinstance(pusher(), Answer)
    assert receiver.connections == 1


def test_a_connection_that_the_server_ends_is_replaced(receiver: Receiver, pusher: Pusher) -> None:
    receiver.script([Scripted(headers={"Connection": "close"})] * 2)
    assert [pusher(), pusher(), pusher()] == [Answer(204)] * 3
    assert receiver.connections == 3


def test_a_connection_that_died_while_it_was_idle_is_replaced() -> None:
    def once(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")

    with serve(once) as url, pushing(url) as pusher:
        assert pusher() == Answer(204)
        # It ends right after its answer; until that is here, nobody can know.
        pools = pusher.session.get_adapter(url).poolmanager.pools  # type: ignore[attr-defined]
        [idle] = [pools[key].pool.queue[-1] for key in pools.keys()]  # noqa: SIM118 - no mapping
        idle.sock.settimeout(10)
        assert idle.sock.recv(1, socket.MSG_PEEK) == b""
        assert pusher() == Answer(204)


def test_a_connection_without_an_answer_is_not_used_again(
    receiver: Receiver, pusher: Pusher
) -> None:
    receiver.script([Scripted(delay=60.0)])
    assert pusher(seconds=0.5) == NoAnswer("read_timeout")
    assert pusher() == Answer(204)
    assert receiver.connections == 2


# No answer


def test_a_port_without_a_server() -> None:
    with pushing(closed()) as pusher:
        assert pusher() == NoAnswer("no_connection")


def test_a_connection_that_is_never_accepted() -> None:
    with deaf() as url, pushing(url) as pusher:
        assert pusher(seconds=1.0) == NoAnswer("connect_timeout")


def test_an_unknown_host_name() -> None:
    with pushing("http://loki.invalid") as pusher:
        assert pusher() == NoAnswer("no_connection")


@pytest.mark.parametrize("stores", [False, True])
def test_a_connection_that_is_reset(receiver: Receiver, pusher: Pusher, *, stores: bool) -> None:
    receiver.script([Scripted(hangs_up=True, stores=stores)])
    assert pusher() == NoAnswer("no_connection")
    assert len(receiver.pushes) == stores


def test_a_server_that_hangs(receiver: Receiver, pusher: Pusher) -> None:
    receiver.script([Scripted(delay=60.0)])
    assert pusher(seconds=0.5) == NoAnswer("read_timeout")


def test_a_very_slow_body(receiver: Receiver, pusher: Pusher) -> None:
    receiver.script([Scripted(status=400, body=b"x" * 10_000, trickle=0.05)])
    assert pusher(seconds=0.5) == NoAnswer("read_timeout")


@pytest.mark.parametrize(
    "begin",
    [b"", b"HTTP/1.1 204 No Content\r\n", b"HTTP/1.1 204 No Content\r\nX: y\r\nX: "],
    ids=["status", "headers", "header"],
)
def test_a_very_slow_head(begin: bytes) -> None:
    def trickle(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(begin)
        while True:
            connection.sendall(b"H")
            time.sleep(0.05)

    with serve(trickle) as url, pushing(url) as pusher:
        assert pusher(seconds=0.5) == NoAnswer("read_timeout")


@pytest.mark.parametrize("used", [False, True])
def test_a_server_that_does_not_read(*, used: bool) -> None:
    def stop_reading(connection: socket.socket) -> None:
        if used:
            read_request(connection)
            connection.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")
        time.sleep(60)

    with serve(stop_reading) as url, pushing(url) as pusher:
        if used:
            assert pusher() == Answer(204)
        assert isinstance(pusher(os.urandom(20_000_000), seconds=1.0), NoAnswer)


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"garbage\r\n\r\n",
        b"HTTP/1.1 204\r\n" + b"X: y\r\n" * 200 + b"\r\n",
        b"HTTP/1.1 204\r\nX: " + b"y" * 100_000 + b"\r\n\r\n",
        b"HTTP/1.1 400 \r\nContent-Length: 10\r\n\r\nhalf",
        b"HTTP/1.1 400 \r\nContent-Length: many\r\n\r\n",
        b"HTTP/1.1 400 \r\nContent-Length: 1, 2\r\n\r\n",
        b"HTTP/1.1 400 \r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 400 \r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nabcd",
        b"HTTP/1.1 302 \r\nLocation: http://\xff\xfe:x/\r\nContent-Length: 0\r\n\r\n",
    ],
    ids=range(10),
)
def test_an_answer_that_is_not_http_raises_no_error(said: bytes) -> None:
    def talk(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(said)

    with serve(talk) as url, pushing(url) as pusher:
        assert isinstance(pusher(), Answer | NoAnswer)


@pytest.mark.parametrize("seconds", [0.0, -1.0])
def test_without_time_nothing_is_sent(receiver: Receiver, pusher: Pusher, seconds: float) -> None:
    assert pusher(seconds=seconds) == NoAnswer("out_of_time")
    assert receiver.attempts == []


# TLS


def test_a_certificate_of_an_unknown_authority_is_refused(
    receiver: Receiver, certificates: Certificates
) -> None:
    with tls(receiver, certificates.context()) as url, pushing(url) as pusher:
        assert pusher() == NoAnswer("tls")
    assert receiver.attempts == []


def test_a_private_authority_is_trusted_if_a_setting_names_it(
    receiver: Receiver, certificates: Certificates
) -> None:
    with (
        tls(receiver, certificates.context()) as url,
        pushing(url, ca=str(certificates.ca)) as pusher,
    ):
        assert [pusher(), pusher()] == [Answer(204)] * 2
    assert receiver.connections == 1


def test_a_certificate_of_another_host_is_refused(
    receiver: Receiver, certificates: Certificates
) -> None:
    with tls(receiver, certificates.context()) as url:
        other = url.replace("127.0.0.1", "localhost")
        with pushing(other, ca=str(certificates.ca)) as pusher:
            assert pusher() == NoAnswer("tls")


def test_a_client_certificate_is_presented(receiver: Receiver, certificates: Certificates) -> None:
    cert, key = (str(path) for path in certificates.client)
    with tls(receiver, certificates.context(ask_client=True)) as url:
        with pushing(url, ca=str(certificates.ca)) as nobody:
            assert isinstance(nobody(), NoAnswer)
        with pushing(url, ca=str(certificates.ca), client=(cert, key)) as known:
            assert known() == Answer(204)


def test_an_environment_cannot_switch_verification_off(
    receiver: Receiver, certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.setenv(name, str(certificates.ca))
    with tls(receiver, certificates.context()) as url, pushing(url) as pusher:
        assert pusher() == NoAnswer("tls")


def test_a_tls_handshake_that_hangs_or_fails(receiver: Receiver) -> None:
    with serve(lambda _: time.sleep(60)) as url:
        secure = url.replace("http:", "https:")
        with pushing(secure) as pusher:
            assert isinstance(pusher(seconds=1.0), NoAnswer)
    with pushing(receiver.url.replace("http:", "https:")) as pusher:
        assert pusher() == NoAnswer("tls")


# A proxy


def test_a_proxy_of_the_environment_is_used(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    with run_proxy(receiver) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        with pushing("http://loki.invalid") as pusher:
            assert [pusher(), pusher()] == [Answer(204)] * 2
        assert proxy.asked == ["http://loki.invalid" + PATH] * 2


def test_tls_goes_through_a_tunnel(
    receiver: Receiver, certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    with run_proxy(receiver) as proxy, tls(receiver, certificates.context()) as url:
        monkeypatch.setenv("https_proxy", proxy.url)
        with pushing(url, ca=str(certificates.ca)) as pusher:
            assert [pusher(), pusher()] == [Answer(204)] * 2
        assert proxy.asked == [url.removeprefix("https://")]


def test_no_proxy_of_the_environment_is_respected(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", closed())
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with pushing(receiver.url) as pusher:
        assert pusher() == Answer(204)


def test_a_proxy_that_does_not_exist(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", closed())
    with pushing(receiver.url) as pusher:
        assert pusher() == NoAnswer("proxy")


def test_through_a_proxy_an_answer_has_a_deadline_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def trickle(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(b"HTTP/1.1 204 No Content\r\nX: ")
        while True:
            connection.sendall(b"y")
            time.sleep(0.05)

    with serve(trickle) as url:
        monkeypatch.setenv("http_proxy", url)
        with pushing("http://loki.invalid") as pusher:
            assert pusher(seconds=0.5) == NoAnswer("read_timeout")
