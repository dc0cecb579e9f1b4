"""The receiver takes and refuses what Loki takes and refuses, and answers as it is told."""

import gzip
import time
import zlib

import pytest
import requests
import snappy

from loki_shipper.local.find_loki import Running
from loki_shipper.local.logproto_pb2 import (
    EntryAdapter,
    LabelPairAdapter,
    PushRequest,
    StreamAdapter,
)
from loki_shipper.local.loki import Loki
from loki_shipper.local.pushes import RefusedError, parse_labels
from loki_shipper.local.receiver import Receiver, ScriptedAnswer, run_receiver

PROTOBUF = {"Content-Type": "application/x-protobuf"}
NOW = time.time_ns()


def request(
    *lines: str, labels: str = '{app="a"}', at: int = NOW, nanos: int | None = None
) -> bytes:
    """One push as it is before snappy; the entries descend in time."""
    stream = StreamAdapter(labels=labels)
    for index, line in enumerate(lines):
        metadata = [LabelPairAdapter(name="trace", value="t")]
        entry = EntryAdapter(line=line, structuredMetadata=metadata)
        entry.timestamp.FromNanoseconds(at - index)
        if nanos is not None:
            entry.timestamp.nanos = nanos
        stream.entries.append(entry)
    return PushRequest(streams=[stream]).SerializeToString()


def post(
    url: str, body: bytes, headers: dict[str, str] = PROTOBUF, read_timeout: float = 10
) -> requests.Response:
    timeout = 10, read_timeout
    return requests.post(f"{url}/loki/api/v1/push", data=body, headers=headers, timeout=timeout)


def push(receiver: Receiver, *lines: str, tenant: str | None = None, at: int = NOW) -> int:
    headers = PROTOBUF | ({"X-Scope-OrgID": tenant} if tenant else {})
    return post(receiver.url, snappy.compress(request(*lines, at=at)), headers).status_code


WELL_FORMED = snappy.compress(request("x"))


def encoded(encoding: str, body: bytes = WELL_FORMED) -> tuple[dict[str, str], bytes]:
    return PROTOBUF | {"Content-Encoding": encoding}, body


def framed(raw: bytes) -> bytes:
    compressed: bytes = snappy.StreamCompressor().compress(raw)
    return compressed


def deflated(body: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(body) + packer.flush()


REQUESTS: dict[str, tuple[int, str, dict[str, str], bytes]] = {
    "plain": (204, "", PROTOBUF, WELL_FORMED),
    "snappy": (204, "", *encoded("snappy")),
    "gzip around snappy": (204, "", *encoded("gzip", gzip.compress(WELL_FORMED))),
    "deflate around snappy": (204, "", *encoded("deflate", deflated(WELL_FORMED))),
    "descending": (204, "", PROTOBUF, snappy.compress(request("a", "b", "c"))),
    "no content type": (400, "mime: no media type", {}, WELL_FORMED),
    "framed": (400, "snappy: corrupt input", PROTOBUF, framed(request("x"))),
    "gzip only": (400, "snappy: corrupt input", PROTOBUF, gzip.compress(request("x"))),
    "no snappy": (400, "snappy: corrupt input", PROTOBUF, request("x")),
    "empty": (400, "snappy: corrupt input", PROTOBUF, b""),
    "zstd": (400, "not supported", *encoded("zstd")),
    "identity": (400, "not supported", *encoded("identity")),
    "no protobuf": (400, "proto: ", PROTOBUF, snappy.compress(b"\x0f")),
    "bad labels": (
        400,
        "couldn't parse labels",
        PROTOBUF,
        snappy.compress(request("x", labels="{a=b}")),
    ),
    "bad escape": (
        400,
        "couldn't parse labels",
        PROTOBUF,
        snappy.compress(request("x", labels=r'{a="\q"}')),
    ),
    "U+FFFD": (
        400,
        "couldn't parse labels",
        PROTOBUF,
        snappy.compress(request("x", labels='{a="\ufffd"}')),
    ),
    "bad nanos": (400, "timestamp: ", PROTOBUF, snappy.compress(request("x", nanos=-1))),
    "no entries": (204, "", PROTOBUF, snappy.compress(request())),
    "no streams": (422, "at least one valid stream", PROTOBUF, snappy.compress(b"")),
}
TABLE = pytest.mark.parametrize(
    ("status", "words", "headers", "body"), REQUESTS.values(), ids=REQUESTS.keys()
)


@TABLE
def test_the_receiver_answers(
    receiver: Receiver, status: int, words: str, headers: dict[str, str], body: bytes
) -> None:
    answer = post(receiver.url, body, headers)
    assert (answer.status_code, words in answer.text) == (status, True)
    assert len(receiver.pushes) == (status == 204)


@TABLE
def test_a_real_loki_answers_the_same(  # noqa: PLR0913 -- the table's columns
    loki: Loki | Running,
    tenant: str,
    *,
    status: int,
    words: str,
    headers: dict[str, str],
    body: bytes,
) -> None:
    answer = post(loki.url, body, headers | {"X-Scope-OrgID": tenant})
    assert (answer.status_code, words in answer.text) == (status, True)


LABELS = {
    "none": ("{}", {}),
    "two": ('{a="b", c="d"}', {"a": "b", "c": "d"}),
    "escapes": (r'{a="\"\\\n"}', {"a": '"\\\n'}),
    "code points": (r'{a="\u00fc\U00000041"}', {"a": "üA"}),
    "an empty value is no label": ('{a="",b="c"}', {"b": "c"}),
    "braces and commas inside": ('{a="},{b=\'"}', {"a": "},{b='"}),
}


@pytest.mark.parametrize(("text", "labels"), LABELS.values(), ids=LABELS.keys())
def test_labels_are_read(text: str, labels: dict[str, str]) -> None:
    assert parse_labels(text) == labels


@pytest.mark.parametrize(
    "text",
    ["", "a", '{a="b"', '{1a="b"}', '{a="b" c="d"}', '{a="\n"}', '{a="b",a="c"}', r'{a="\ud800"}'],
)
def test_broken_labels_are_refused(text: str) -> None:
    with pytest.raises(RefusedError):
        parse_labels(text)


def test_pushes_are_kept_in_their_order(receiver: Receiver) -> None:
    assert push(receiver, "two", "one", tenant="t") == 204
    [kept] = receiver.pushes
    assert (kept.tenant, kept.streams[0].labels) == ("t", {"app": "a"})
    assert [(e.timestamp, e.line, e.metadata) for e in kept.entries] == [
        (NOW, "two", {"trace": "t"}),
        (NOW - 1, "one", {"trace": "t"}),
    ]
    assert kept.headers["content-type"] == "application/x-protobuf"


def test_duplicates_are_stored_once_and_tenants_are_separate(receiver: Receiver) -> None:
    push(receiver, "line", tenant="t")
    push(receiver, "line", tenant="t")
    push(receiver, "line", tenant="t", at=NOW + 1)
    push(receiver, "line", tenant="u")
    assert [entry.timestamp for _, entry in receiver.held("t")] == [NOW, NOW + 1]
    assert len(receiver.held("u")) == 1


def test_with_auth_a_tenant_is_required() -> None:
    with run_receiver(auth_enabled=True) as receiver:
        assert push(receiver, "x") == 401
        assert push(receiver, "x", tenant="bad/tenant") == 400
        assert push(receiver, "x", tenant="good") == 204


def test_a_script_answers_one_push_each_then_204(receiver: Receiver) -> None:
    receiver.script(
        [
            ScriptedAnswer(status=500, body=b"no"),
            ScriptedAnswer(status=429, headers={"Retry-After": "1"}),
        ]
    )
    first, second, third = (post(receiver.url, WELL_FORMED) for _ in range(3))
    assert (first.status_code, first.text) == (500, "no")
    assert (second.status_code, second.headers["Retry-After"]) == (429, "1")
    assert third.status_code == 204
    assert (len(receiver.attempts), len(receiver.pushes)) == (3, 1)


def test_a_function_decides_by_the_push(receiver: Receiver) -> None:
    receiver.script(lambda push: ScriptedAnswer(status=413 if len(push.entries) > 1 else 204))
    assert [push(receiver, "a", "b"), push(receiver, "a")] == [413, 204]


def test_a_260_is_not_stored(receiver: Receiver) -> None:
    receiver.script([ScriptedAnswer(status=260)])
    assert (push(receiver, "x"), receiver.pushes) == (260, [])


@pytest.mark.parametrize(("stores", "count"), [(False, 0), (True, 1)], ids=["before", "after"])
def test_a_connection_is_reset(receiver: Receiver, stores: bool, count: int) -> None:
    receiver.script([ScriptedAnswer(hangs_up=True, stores=stores)])
    with pytest.raises(requests.ConnectionError, match="reset by peer"):
        push(receiver, "x")
    assert len(receiver.pushes) == count


def test_a_late_answer_may_have_stored(receiver: Receiver) -> None:
    receiver.script([ScriptedAnswer(delay=60)])
    with pytest.raises(requests.ReadTimeout):
        post(receiver.url, WELL_FORMED, read_timeout=0.2)
    receiver.wait_for_attempts(1)
    assert len(receiver.pushes) == 1


def test_a_body_can_be_sent_very_slowly(receiver: Receiver) -> None:
    receiver.script([ScriptedAnswer(status=500, body=b"slow words", trickle=0.01)])
    with requests.post(
        f"{receiver.url}/loki/api/v1/push",
        data=WELL_FORMED,
        headers=PROTOBUF,
        timeout=10,
        stream=True,
    ) as answer:
        pieces = list(answer.raw.stream(1))
    assert b"".join(pieces) == b"slow words"


def test_one_session_is_one_connection(receiver: Receiver) -> None:
    with requests.Session() as session:
        for _ in range(5):
            session.post(f"{receiver.url}/loki/api/v1/push", data=WELL_FORMED, headers=PROTOBUF)
    assert receiver.connections == 1


def test_reset_forgets(receiver: Receiver) -> None:
    receiver.script(lambda _: ScriptedAnswer(status=500))
    push(receiver, "x")
    receiver.reset()
    assert receiver.attempts == []
    assert push(receiver, "x") == 204


def test_it_ends_while_a_client_keeps_its_connection() -> None:
    with requests.Session() as session:
        with run_receiver() as receiver:
            session.post(f"{receiver.url}/loki/api/v1/push", data=WELL_FORMED, headers=PROTOBUF)
        with pytest.raises(requests.ConnectionError):
            session.post(f"{receiver.url}/loki/api/v1/push", data=WELL_FORMED, headers=PROTOBUF)


def test_other_paths_are_not_found(receiver: Receiver) -> None:
    assert requests.get(f"{receiver.url}/ready", timeout=5).text == "ready\n"
    assert requests.get(f"{receiver.url}/x", timeout=5).status_code == 404
    assert requests.post(f"{receiver.url}/x", data=b"", timeout=5).status_code == 404
