"""The fault matrix: after every fault of Loki or the network, each line is in Loki or the bucket.

`ExecutionEnvironment.ship` checks the report after every invocation. The rows give the outcomes of
each fault, for a payload of one batch and of many.
"""

import json
import socket
import time
from collections.abc import Callable
from itertools import chain, repeat
from typing import Any

import pytest
from msgspec import Struct

from loki_shipper.environment import SettingsError
from loki_shipper.local.pushes import Push
from loki_shipper.local.receiver import Receiver, ScriptedAnswer
from tests.pipeline.execution_environment import ExecutionEnvironment, has, lines
from tests.pipeline.servers import (
    Certificates,
    closed,
    deaf,
    read_request,
    run_proxy,
    serve,
    tls,
)

PAYLOAD = lines("first", "bad", "last")
OLD = (
    """entry for stream '{app="a"}' has timestamp too old: 2026-11-20T19:59:50Z, """
    "oldest acceptable timestamp is: 2026-11-20T19:59:55Z"
)
NEW = """entry for stream '{app="a"}' has timestamp too new: 2026-11-20T19:59:50Z"""
BLOCKED = "ingestion blocked for user 'fake' until '2030-01-01T00:00:00Z' with status code '{}'"
NO_METADATA = """stream '{}' includes structured metadata, but this feature is disallowed. Please"""
GRPC = "rpc error: code = ResourceExhausted desc = grpc: received message larger than max (5 vs. 4)"


class Outcomes(Struct, frozen=True):
    """The numbers of the three lines by outcome and reason."""

    delivered: int = 0
    late: int = 0
    rejected: dict[str, int] = {}
    errored: dict[str, int] = {}
    deferred: dict[str, int] = {}


class Row(Struct, frozen=True):
    """An answer to each push of the bad line, and the outcomes with one batch and with many."""

    name: str
    answer: ScriptedAnswer
    one: Outcomes
    many: Outcomes


def errored(name: str, answer: ScriptedAnswer, reason: str) -> Row:
    """Describe an answer that concerns the whole push and is not retried."""
    return Row(name, answer, Outcomes(errored={reason: 3}), Outcomes(2, errored={reason: 1}))


def tried(name: str, answer: ScriptedAnswer, reason: str) -> Row:
    """Describe an answer that is retried: halving finds the lines that Loki takes."""
    decision = Outcomes(1, errored={reason: 2})
    return Row(name, answer, decision, Outcomes(2, errored={reason: 1}))


def rejected(name: str, answer: ScriptedAnswer, reason: str, one: int) -> Row:
    """Describe a refusal of `one` lines of the one batch, and of the bad line alone."""
    return Row(
        name, answer, Outcomes(3 - one, rejected={reason: one}), Outcomes(2, rejected={reason: 1})
    )


def deferred(name: str, answer: ScriptedAnswer, reason: str, one: int) -> Row:
    """Describe a deferral of `one` lines of the one batch, and of the bad line alone."""
    return Row(
        name, answer, Outcomes(3 - one, deferred={reason: one}), Outcomes(2, deferred={reason: 1})
    )


ROWS = [
    Row("204", ScriptedAnswer(204), Outcomes(3), Outcomes(3)),
    Row("200", ScriptedAnswer(200, b"ok"), Outcomes(3), Outcomes(3)),
    errored(
        "200 with a page", ScriptedAnswer(200, b"<!DOCTYPE html><title>Sign in</title>"), "not_loki"
    ),
    errored(
        "200 that says it is a page",
        ScriptedAnswer(200, b"Sign in.", headers={"Content-Type": "text/html; charset=utf-8"}),
        "not_loki",
    ),
    errored("201", ScriptedAnswer(201), "status_201"),
    errored("260", ScriptedAnswer(260, BLOCKED.format(260).encode()), "blocked"),
    errored("blocked with 429", ScriptedAnswer(429, BLOCKED.format(429).encode()), "blocked"),
    errored("blocked with 503", ScriptedAnswer(503, BLOCKED.format(503).encode()), "blocked"),
    tried("429", ScriptedAnswer(429, b"ingestion rate limit exceeded"), "rate_limited"),
    tried("500", ScriptedAnswer(500, b"empty ring"), "server_error"),
    tried("502", ScriptedAnswer(502), "server_error"),
    tried("503", ScriptedAnswer(503), "server_error"),
    tried("504", ScriptedAnswer(504), "server_error"),
    tried("408", ScriptedAnswer(408), "timeout"),
    tried("reset before", ScriptedAnswer(hangs_up=True, stores=False), "no_connection"),
    tried("reset after", ScriptedAnswer(hangs_up=True, stores=True), "no_connection"),
    rejected("413", ScriptedAnswer(413), "too_large", 1),
    rejected("500 larger than max", ScriptedAnswer(500, GRPC.encode()), "too_large", 1),
    rejected("400 larger than max", ScriptedAnswer(400, GRPC.encode()), "too_large", 1),
    rejected("400 too old", ScriptedAnswer(400, OLD.encode(), stores=True), "too_old", 2),
    deferred("400 too new", ScriptedAnswer(400, NEW.encode(), stores=True), "too_new", 2),
    rejected("400 parse error", ScriptedAnswer(400, b"proto: wrong wireType"), "other", 3),
    rejected("400 labels", ScriptedAnswer(400, b"couldn't parse labels: 1:2"), "labels", 3),
    rejected(
        "500 no schema", ScriptedAnswer(500, b"no schema config found for time 1"), "no_schema", 3
    ),
    errored("400 tenant", ScriptedAnswer(400, b"multiple org IDs present"), "tenant"),
    errored("401", ScriptedAnswer(401, b"no org id"), "denied"),
    errored("403", ScriptedAnswer(403), "denied"),
    errored("404", ScriptedAnswer(404, b"404 page not found"), "status_404"),
    errored("405", ScriptedAnswer(405), "status_405"),
    errored("402", ScriptedAnswer(402), "status_402"),
    errored("301", ScriptedAnswer(301, headers={"Location": "/elsewhere"}), "status_301"),
    errored(
        "302", ScriptedAnswer(302, headers={"Location": "https://login.example"}), "status_302"
    ),
    errored("307", ScriptedAnswer(307, headers={"Location": "/loki/api/v1/push"}), "status_307"),
]


def only_the_bad_line(answer: ScriptedAnswer) -> Callable[[Push], ScriptedAnswer]:
    bad = has("bad")
    return lambda push: answer if bad(push) else ScriptedAnswer()


def decision(report: Any) -> Outcomes:
    return Outcomes(report.delivered, report.late, report.rejected, report.errored, report.deferred)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_an_answer_to_a_payload_of_one_batch(receiver: Receiver, row: Row) -> None:
    receiver.script(only_the_bad_line(row.answer))
    environment = ExecutionEnvironment(receiver.url, receiver=receiver)
    assert decision(environment.ship(PAYLOAD)) == row.one


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_an_answer_to_one_batch_of_many(receiver: Receiver, row: Row) -> None:
    receiver.script(only_the_bad_line(row.answer))
    environment = ExecutionEnvironment(receiver.url, receiver=receiver, one_line_a_batch=True)
    report = environment.ship(PAYLOAD)
    assert decision(report) == row.many
    assert report.failure is None
    assert environment.kept("failed/") == (["bad"] if row.many.errored else [])


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_an_answer_to_every_batch_of_many(receiver: Receiver, row: Row) -> None:
    receiver.script(lambda _: row.answer)
    environment = ExecutionEnvironment(receiver.url, receiver=receiver, one_line_a_batch=True)
    report = environment.ship(PAYLOAD)
    assert report.delivered in {0, 1, 3}
    assert len(report.rejected) + len(report.errored) + len(report.deferred) <= 1
    assert len(receiver.attempts) <= 3 + 14


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_an_answer_where_there_is_no_bucket(receiver: Receiver, row: Row) -> None:
    receiver.script(only_the_bad_line(row.answer))
    environment = ExecutionEnvironment(receiver.url, receiver=receiver, one_line_a_batch=True)
    environment.bucket = None
    report = environment.ship(PAYLOAD)
    assert decision(report) == row.many
    assert bool(report.failure) == bool(row.many.errored or row.many.deferred)


# What passes


@pytest.mark.parametrize(
    "answer",
    [
        ScriptedAnswer(429),
        ScriptedAnswer(503),
        ScriptedAnswer(408),
        ScriptedAnswer(hangs_up=True),
        ScriptedAnswer(413),
    ],
    ids=["429", "503", "408", "reset", "413"],
)
def test_a_temporary_failure_is_retried(receiver: Receiver, answer: ScriptedAnswer) -> None:
    receiver.script([answer])
    environment = ExecutionEnvironment(receiver.url, receiver=receiver)
    assert decision(environment.ship(PAYLOAD)) == Outcomes(3)


def test_lines_stored_before_a_connection_reset_are_in_loki_once(receiver: Receiver) -> None:
    receiver.script([ScriptedAnswer(hangs_up=True, stores=True)] * 2)
    environment = ExecutionEnvironment(receiver.url, receiver=receiver)
    assert decision(environment.ship(PAYLOAD)) == Outcomes(3)
    assert receiver.attempts[0].body == receiver.attempts[1].body
    assert len(receiver.pushes) > 2
    assert [entry.line for _, entry in receiver.held()] == ["first", "bad", "last"]


def test_the_shipper_waits_as_long_as_retry_after_says(receiver: Receiver) -> None:
    receiver.script([ScriptedAnswer(503, headers={"Retry-After": "7"})])
    environment = ExecutionEnvironment(receiver.url, receiver=receiver)
    assert decision(environment.ship(PAYLOAD)) == Outcomes(3)
    assert environment.slept == [7.0]


def test_the_shipper_does_not_wait_for_a_retry_after_beyond_the_invocation(
    receiver: Receiver,
) -> None:
    receiver.script(lambda _: ScriptedAnswer(429, headers={"Retry-After": "3600"}))
    environment = ExecutionEnvironment(receiver.url, receiver=receiver)
    assert decision(environment.ship(PAYLOAD)) == Outcomes(errored={"rate_limited": 3})
    assert (environment.slept, len(receiver.attempts)) == ([], 1)


def test_a_limit_of_one_line_a_push_lets_all_lines_through_in_the_end(receiver: Receiver) -> None:
    receiver.script(lambda push: ScriptedAnswer(429 if len(push.entries) > 1 else 204))
    environment = ExecutionEnvironment(receiver.url, receiver=receiver, seconds=120.0)
    assert decision(environment.ship(lines(*(f"line {n}" for n in range(40))))) == Outcomes(40)


def test_one_connection_serves_many_pushes_and_invocations(receiver: Receiver) -> None:
    answers = chain(
        [ScriptedAnswer(503, b"words"), ScriptedAnswer(400, b"x" * 100)], repeat(ScriptedAnswer())
    )
    receiver.script(lambda _: next(answers))
    environment = ExecutionEnvironment(receiver.url, receiver=receiver, one_line_a_batch=True)
    for number in range(5):
        environment.ship(lines(*(f"{number} {n}" for n in range(5))))
        environment.bucket = {}
    assert len(receiver.attempts) == 26
    assert receiver.connections == 1


# Too far behind


def behind(ignored: int, total: int, cutoff: str = "2026-11-20T19:59:55Z") -> ScriptedAnswer:
    entry = (
        "entry with timestamp 2026-11-20 19:59:40 +0000 UTC ignored, reason: 'entry too far "
        "behind, entry timestamp is: 2026-11-20T19:59:40Z, "
        f"oldest acceptable timestamp is: {cutoff}',\n"
    )
    end = f"user 'fake', total ignored: {ignored} out of {total} for stream: {{}}"
    return ScriptedAnswer(400, (entry * min(ignored, 10) + end).encode(), stores=False)


def is_late(push: Push) -> bool:
    [stream] = push.streams
    return "late" in stream.labels


def late_lines(receiver: Receiver) -> list[str]:
    return [entry.line for labels, entry in receiver.held() if "late" in labels]


def test_lines_too_far_behind_go_to_the_late_stream(receiver: Receiver) -> None:
    receiver.script(
        lambda push: (
            ScriptedAnswer()
            if is_late(push)
            else ScriptedAnswer(400, behind(2, 3).body, stores=True)
        )
    )
    environment = ExecutionEnvironment(receiver.url, receiver=receiver)
    assert decision(environment.ship(PAYLOAD)) == Outcomes(3, late=2)
    assert late_lines(receiver) == ["first", "bad"]
    assert len(receiver.attempts) == 2
    labels, late = (push.streams[0].labels for push in receiver.attempts)
    assert late == labels | {"late": "Fri 19:30"}


def test_each_of_many_batches_gets_its_own_outcome(receiver: Receiver) -> None:
    bad = has("bad")
    receiver.script(
        lambda push: behind(1, 1) if bad(push) and not is_late(push) else ScriptedAnswer()
    )
    environment = ExecutionEnvironment(receiver.url, receiver=receiver, one_line_a_batch=True)
    assert decision(environment.ship(PAYLOAD)) == Outcomes(3, late=1)
    assert late_lines(receiver) == ["bad"]


def test_lines_too_far_behind_for_the_late_stream_are_rejected(receiver: Receiver) -> None:
    receiver.script(lambda push: behind(len(push.entries), len(push.entries)))
    environment = ExecutionEnvironment(receiver.url, receiver=receiver)
    assert decision(environment.ship(PAYLOAD)) == Outcomes(rejected={"too_far_behind": 3})


def test_refused_lines_that_the_answer_does_not_name_are_found_too(receiver: Receiver) -> None:
    def decide(push: Push) -> ScriptedAnswer:
        if is_late(push):
            return ScriptedAnswer()
        if has("first")(push):
            return behind(1, 2, "2026-11-20T19:59:45Z")
        return (
            ScriptedAnswer(400, NEW.encode(), stores=True) if has("bad")(push) else ScriptedAnswer()
        )

    receiver.script(decide)
    environment = ExecutionEnvironment(receiver.url, receiver=receiver)
    assert decision(environment.ship(PAYLOAD)) == Outcomes(1, late=1, deferred={"too_new": 2})


def test_a_rate_limited_late_stream_is_retried_and_then_kept_in_the_bucket(
    receiver: Receiver,
) -> None:
    partly = ScriptedAnswer(400, behind(2, 3).body, stores=True)
    receiver.script(lambda push: ScriptedAnswer(429) if is_late(push) else partly)
    environment = ExecutionEnvironment(receiver.url, receiver=receiver)
    assert decision(environment.ship(PAYLOAD)) == Outcomes(1, errored={"rate_limited": 2})
    assert environment.kept("failed/") == ["first", "bad"]


# Metadata that is disallowed


def test_metadata_that_is_disallowed_is_left_out_for_as_long_as_the_environment_lives(
    receiver: Receiver,
) -> None:
    def decide(push: Push) -> ScriptedAnswer:
        refuse = any(entry.metadata for entry in push.entries)
        return ScriptedAnswer(400, NO_METADATA.encode()) if refuse else ScriptedAnswer()

    receiver.script(decide)
    environment = ExecutionEnvironment(receiver.url, receiver=receiver)
    assert decision(environment.ship(PAYLOAD)) == Outcomes(3)
    assert decision(environment.ship(lines("next"))) == Outcomes(1)
    assert len(receiver.attempts) == 3


# Credentials


class Store:
    """A secret store whose secret is changed when it is read the second time."""

    def __init__(self, *tokens: str) -> None:
        self._tokens = list(tokens)
        self.reads = 0

    def __call__(self, _reference: str) -> str:
        self.reads += 1
        token = self._tokens.pop(0) if len(self._tokens) > 1 else self._tokens[0]
        if not token:
            raise SettingsError("a secret that the settings refer to cannot be read")
        return json.dumps({"token": token})


def guarded(push: Push) -> ScriptedAnswer:
    return ScriptedAnswer(204 if push.headers.get("authorization") == "Bearer right" else 401)


def test_a_secret_that_was_changed_is_read_again(receiver: Receiver) -> None:
    receiver.script(guarded)
    store = Store("wrong", "right")
    environment = ExecutionEnvironment(
        receiver.url, receiver=receiver, environ={"LOKI_SECRET": "s"}, fetch=store
    )
    assert decision(environment.ship(PAYLOAD)) == Outcomes(3)
    assert (store.reads, len(receiver.attempts)) == (2, 2)


@pytest.mark.parametrize("second", ["wrong", "also wrong", ""])
def test_a_secret_is_read_again_at_most_once_an_invocation(receiver: Receiver, second: str) -> None:
    receiver.script(guarded)
    store = Store("wrong", second)
    environment = ExecutionEnvironment(
        receiver.url,
        receiver=receiver,
        environ={"LOKI_SECRET": "s"},
        fetch=store,
        one_line_a_batch=True,
    )
    assert decision(environment.ship(PAYLOAD)) == Outcomes(errored={"denied": 3})
    assert store.reads == 2
    assert len(receiver.attempts) == 3 + (second == "also wrong")


# No answer


def test_a_port_without_a_server() -> None:
    environment = ExecutionEnvironment(closed(), receiver=None)
    assert decision(environment.ship(PAYLOAD)) == Outcomes(errored={"no_connection": 3})
    assert environment.slept == [1.0, 2.0, 4.0]


def test_an_unknown_host_name() -> None:
    environment = ExecutionEnvironment("http://loki.invalid", receiver=None)
    assert decision(environment.ship(PAYLOAD)) == Outcomes(errored={"no_connection": 3})


def test_a_connection_that_is_never_accepted() -> None:
    with deaf() as url:
        environment = ExecutionEnvironment(url, receiver=None, seconds=1.5)
        assert decision(environment.ship(PAYLOAD)) == Outcomes(errored={"connect_timeout": 3})


def test_a_server_that_hangs(receiver: Receiver) -> None:
    receiver.script(lambda _: ScriptedAnswer(delay=60.0, stores=False))
    environment = ExecutionEnvironment(receiver.url, receiver=receiver, seconds=1.0)
    assert decision(environment.ship(PAYLOAD)) == Outcomes(errored={"read_timeout": 3})


def test_a_server_that_hangs_after_other_batches_were_delivered(receiver: Receiver) -> None:
    receiver.script(only_the_bad_line(ScriptedAnswer(delay=60.0, stores=False)))
    environment = ExecutionEnvironment(
        receiver.url, receiver=receiver, one_line_a_batch=True, seconds=3.0
    )
    report = environment.ship(PAYLOAD)
    assert (report.delivered, report.failure) == (1, None)
    assert report.errored == {"read_timeout": 1, "out_of_time": 1}
    assert environment.kept("failed/") == ["bad", "last"]


@pytest.mark.parametrize("status", [204, 400, 503])
def test_a_very_slow_answer(receiver: Receiver, status: int) -> None:
    def trickle(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(b"HTTP/1.1 %d \r\nContent-Length: 9999\r\nX: " % status)
        while True:
            connection.sendall(b"y")
            time.sleep(0.05)

    with serve(trickle) as url:
        environment = ExecutionEnvironment(url, receiver=receiver, seconds=1.0)
        assert decision(environment.ship(PAYLOAD)) == Outcomes(errored={"read_timeout": 3})


@pytest.mark.parametrize("status", [400, 429, 500])
def test_a_very_slow_body(receiver: Receiver, status: int) -> None:
    receiver.script(lambda _: ScriptedAnswer(status, b"x" * 9999, trickle=0.05, stores=False))
    environment = ExecutionEnvironment(receiver.url, receiver=receiver, seconds=1.0)
    assert decision(environment.ship(PAYLOAD)) == Outcomes(errored={"read_timeout": 3})


def test_tls_that_fails(receiver: Receiver, certificates: Certificates) -> None:
    with tls(receiver, certificates.context()) as url:
        environment = ExecutionEnvironment(url, receiver=receiver)
        assert decision(environment.ship(PAYLOAD)) == Outcomes(errored={"tls": 3})
    assert receiver.attempts == []


def test_a_private_authority_and_a_client_certificate(
    receiver: Receiver, certificates: Certificates
) -> None:
    cert, key = certificates.client
    environ = {
        "LOKI_CA_CERT": certificates.ca.read_text(),
        "LOKI_CLIENT_CERT": str(cert),
        "LOKI_CLIENT_KEY": key.read_text(),
    }
    with tls(receiver, certificates.context(ask_client=True)) as url:
        environment = ExecutionEnvironment(url, receiver=receiver, environ=environ)
        assert decision(environment.ship(PAYLOAD)) == Outcomes(3)
        stranger = ExecutionEnvironment(
            url, receiver=receiver, environ={"LOKI_CA_CERT": environ["LOKI_CA_CERT"]}
        )
        assert stranger.ship(lines("x")).delivered == 0


def test_a_proxy_of_the_environment(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    with run_proxy(receiver) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        environment = ExecutionEnvironment("http://loki.invalid", receiver=receiver)
        assert decision(environment.ship(PAYLOAD)) == Outcomes(3)
        assert len(proxy.asked) == 1


# What is delivered is not delivered again


def test_only_the_rest_of_a_payload_is_kept_and_redriven(receiver: Receiver) -> None:
    receiver.script(only_the_bad_line(ScriptedAnswer(404)))
    environment = ExecutionEnvironment(receiver.url, receiver=receiver, one_line_a_batch=True)
    assert decision(environment.ship(PAYLOAD)) == Outcomes(2, errored={"status_404": 1})
    assert environment.kept("failed/") == ["bad"]
    receiver.script(())
    environment.bucket = {}
    assert decision(
        environment.ship(lines("bad", newest=PAYLOAD.log_events[1].timestamp))
    ) == Outcomes(1)
    sent = [entry.line for push in receiver.pushes for entry in push.entries]
    assert sorted(sent) == ["bad", "first", "last"]


def test_when_the_bucket_is_down_the_invocation_fails_and_lambda_keeps_the_event(
    receiver: Receiver,
) -> None:
    receiver.script(only_the_bad_line(ScriptedAnswer(404)))
    environment = ExecutionEnvironment(receiver.url, receiver=receiver, one_line_a_batch=True)
    environment.bucket_is_down = True
    assert environment.ship(PAYLOAD).failure == "the bucket cannot be written: ClientError"


def test_a_long_line_with_one_failed_part_counts_as_one_line(receiver: Receiver) -> None:
    long = "x" * 2000 + "y" * 2000
    parts = [long[start : start + 1024] for start in range(0, 4000, 1024)]
    receiver.script(lambda push: ScriptedAnswer(404) if has(parts[2])(push) else ScriptedAnswer())
    environment = ExecutionEnvironment(
        receiver.url, receiver=None, environ={"MAX_LINE_BYTES": "1024"}, one_line_a_batch=True
    )
    assert decision(environment.ship(lines("first", long, "last"))) == Outcomes(
        2, errored={"status_404": 1}
    )
    assert environment.kept("failed/") == [long]
    assert len(receiver.pushes) == 5


def test_the_number_of_identical_lines_stays(receiver: Receiver) -> None:
    environment = ExecutionEnvironment(receiver.url, receiver=receiver)
    assert decision(environment.ship(lines(*["same"] * 50, step=0))) == Outcomes(50)
    assert len(receiver.held()) == 50


def test_a_repeated_payload_is_pushed_as_the_same_bytes(receiver: Receiver) -> None:
    for _ in range(3):
        ExecutionEnvironment(receiver.url, receiver=receiver).ship(PAYLOAD)
    assert len({push.body for push in receiver.pushes}) == 1
    assert len(receiver.held()) == 3
