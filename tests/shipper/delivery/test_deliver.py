from collections.abc import Callable, Iterable, Iterator
from itertools import chain, repeat
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loki_shipper.model import Batch, Entry, LogEvent, Pairs, Stream
from loki_shipper.shipper.delivery.answer import MAX_BODY, Answer, NoAnswer
from loki_shipper.shipper.delivery.deliver import DeliveryEffects, deliver
from loki_shipper.shipper.delivery.outcome import Deferred, Delivered, Errored, Outcome, Rejected

type Reply = Answer | NoAnswer

SECOND = 1_000_000_000
# 2026-11-20T20:00:00Z
NOW = 1_795_204_800
STREAM = Stream("t", (("app", "a"), ("zone", "z")))
LATE = Stream("t", (("app", "a"), ("late", "Fri 20:00"), ("zone", "z")))

DUE = (NOW + 600) * 1000
"""When Loki, which refuses lines of 20:00 though it is 20:01, is asked again."""

STORED = Answer(204)
BUSY = Answer(503)
LIMITED = Answer(429)
TOO_LARGE = Answer(413)
BLOCKED = Answer(260, "ingestion blocked for user")
NO_METADATA = Answer(400, "includes structured metadata, but this feature is disallowed")
OLD = "has timestamp too old: x, oldest acceptable timestamp is: 2026-11-20T20:00:00Z"
NEW = "has timestamp too new: 2026-11-20T20:00:00Z"


def behind(ignored: int, total: int, cutoff: str = "2026-11-20T20:00:00Z") -> Answer:
    return Answer(
        400,
        f"entry too far behind, oldest acceptable timestamp is: {cutoff}',\n"
        f"user 't', total ignored: {ignored} out of {total} for stream: {{}}",
    )


class ScriptedDelivery:
    """A scripted Loki, a clock that only sleeping and sending move, and the calls so far."""

    def __init__(
        self,
        answers: Iterable[Reply] | Callable[[Batch], Reply],
        *,
        seconds: float = 60.0,
        each: float = 0.0,
        renewed: bool = False,
    ) -> None:
        self.sent: list[Batch] = []
        self.slept: list[float] = []
        self.renewals = 0
        self.left = seconds
        self.now = (NOW + 60) * SECOND
        self.tenants_without_metadata: set[str | None] = set()
        self.closed: dict[str | None, str] = {}
        self.answered: list[tuple[str | None, str | None]] = []
        self._each = each
        self._renewed = renewed
        script: Iterator[Reply] = iter(()) if callable(answers) else chain(answers, repeat(STORED))
        self._decide = answers if callable(answers) else lambda _: next(script)

    def send(self, batch: Batch) -> Reply:
        assert self.left > 0
        assert len(self.sent) < 500, "it does not end"
        self.sent.append(batch)
        self.left -= self._each
        return self._decide(batch)

    def sleep(self, seconds: float) -> None:
        assert 0 <= seconds < self.left
        self.slept.append(seconds)
        self.left -= seconds

    def renew(self) -> bool:
        self.renewals += 1
        return self._renewed

    def deliver(self, *batches: Batch) -> list[Outcome]:
        effects = DeliveryEffects(
            send=self.send,
            remaining=lambda: self.left,
            now=lambda: self.now,
            sleep=self.sleep,
            jitter=lambda longest: longest,
            renew=self.renew,
            tenants_without_metadata=self.tenants_without_metadata,
            late_minutes=30,
            closed_reason=self.closed.get,
            on_answer=lambda tenant, reason: self.answered.append((tenant, reason)),
        )
        return [*deliver(batches, effects)]

    @property
    def lines(self) -> list[str]:
        return ["".join(entry.line for entry in batch.entries) for batch in self.sent]


def batch(lines: str, metadata: Pairs = (), start: int = NOW, stream: Stream = STREAM) -> Batch:
    """A batch of lines of one letter, one a second."""
    return Batch(
        stream,
        [
            Entry((start + n) * SECOND, line, metadata, LogEvent("", 0, line))
            for n, line in enumerate(lines)
        ],
    )


def decisions(outcomes: Iterable[Outcome]) -> dict[str, str]:
    """Give the outcome of each line; no line has two."""
    told: dict[str, str] = {}
    for outcome in outcomes:
        match outcome:
            case Delivered(late=late):
                decision = "late" if late else "delivered"
            case Rejected(reason=reason):
                decision = f"rejected {reason}"
            case Deferred(reason=reason, due=due):
                decision = f"deferred {reason} {due}"
            case Errored(reason=reason):
                decision = f"errored {reason}"
        for entry in outcome.entries:
            assert entry.line not in told
            told[entry.line] = decision
    return told


def all_(lines: str, decision: str) -> dict[str, str]:
    return dict.fromkeys(lines, decision)


# 204, 200


def test_what_loki_stores_is_delivered() -> None:
    delivery = ScriptedDelivery([])
    assert decisions(delivery.deliver(batch("ab"), batch("c"))) == all_("abc", "delivered")
    assert delivery.lines == ["ab", "c"]
    assert delivery.slept == []


def test_nothing_to_deliver_is_nothing_sent() -> None:
    delivery = ScriptedDelivery([])
    assert delivery.deliver() == []
    assert delivery.sent == []


# 260


def test_blocked_is_errored_without_a_retry_and_the_next_batch_is_tried() -> None:
    delivery = ScriptedDelivery([BLOCKED])
    assert decisions(delivery.deliver(batch("ab"), batch("c"))) == {
        **all_("ab", "errored blocked"),
        "c": "delivered",
    }
    assert delivery.lines == ["ab", "c"]


# 429, 5xx, no answer


@pytest.mark.parametrize("answer", [BUSY, LIMITED, NoAnswer("read_timeout"), Answer(408)])
def test_the_same_bytes_are_sent_again_after_a_wait(answer: Reply) -> None:
    delivery = ScriptedDelivery([answer])
    assert decisions(delivery.deliver(batch("abcd"))) == all_("abcd", "delivered")
    assert delivery.sent[0] == delivery.sent[1]
    assert delivery.slept == [1.0]


def test_a_batch_that_fails_again_is_halved() -> None:
    delivery = ScriptedDelivery([BUSY, BUSY])
    assert decisions(delivery.deliver(batch("abcd"))) == all_("abcd", "delivered")
    assert delivery.lines == ["abcd", "abcd", "ab", "cd"]


def test_a_half_that_fails_is_halved_at_once() -> None:
    delivery = ScriptedDelivery([BUSY, BUSY, STORED, BUSY])
    assert decisions(delivery.deliver(batch("abcd"))) == all_("abcd", "delivered")
    assert delivery.lines == ["abcd", "abcd", "ab", "cd", "c", "d"]


def test_waits_double_up_to_a_bound_and_a_success_begins_anew() -> None:
    delivery = ScriptedDelivery([LIMITED] * 6 + [STORED, LIMITED], seconds=100)
    delivery.deliver(batch("a"), batch("b"))
    assert delivery.slept == [1.0, 2.0, 4.0, 8.0, 8.0, 8.0, 1.0]


def test_an_outage_is_given_up_after_four_failures_in_a_row() -> None:
    delivery = ScriptedDelivery(lambda _: BUSY, seconds=1000)
    assert decisions(delivery.deliver(batch("a"))) == {"a": "errored server_error"}
    assert delivery.slept == [1.0, 2.0, 4.0]


def test_a_rate_limit_has_more_patience() -> None:
    delivery = ScriptedDelivery(lambda _: LIMITED, seconds=1000)
    assert decisions(delivery.deliver(batch("a"))) == {"a": "errored rate_limited"}
    assert len(delivery.sent) == 14


def test_during_an_outage_each_other_batch_is_tried_once() -> None:
    delivery = ScriptedDelivery(lambda _: BUSY, seconds=1000)
    decided = decisions(delivery.deliver(batch("a"), batch("b"), batch("c")))
    assert decided == all_("abc", "errored server_error")
    assert delivery.lines == ["a", "a", "a", "a", "b", "c"]


def test_pieces_of_a_batch_share_its_outcome() -> None:
    delivery = ScriptedDelivery([BUSY, BUSY, STORED, BUSY, BUSY, BUSY, BUSY])
    assert decisions(delivery.deliver(batch("abcdefgh"), batch("i"))) == {
        **all_("abcd", "delivered"),
        **all_("efgh", "errored server_error"),
        "i": "delivered",
    }


def test_retry_after_is_honoured() -> None:
    delivery = ScriptedDelivery([Answer(429, "", 7.5), Answer(503, "", 0.0)])
    assert decisions(delivery.deliver(batch("a"))) == {"a": "delivered"}
    assert delivery.slept == [7.5, 0.0]


def test_a_retry_after_beyond_the_deadline_is_not_waited_for() -> None:
    delivery = ScriptedDelivery([Answer(429, "", 60.0)], seconds=60)
    assert decisions(delivery.deliver(batch("a"))) == {"a": "errored rate_limited"}
    assert delivery.slept == []


def test_no_wait_reaches_past_the_deadline() -> None:
    delivery = ScriptedDelivery(lambda _: LIMITED, seconds=7.6)
    assert decisions(delivery.deliver(batch("a"))) == {"a": "errored rate_limited"}
    assert delivery.slept == [1.0, 2.0, 4.0]


def test_without_time_nothing_is_sent() -> None:
    delivery = ScriptedDelivery([], seconds=0.4)
    assert decisions(delivery.deliver(batch("a"), batch("b"))) == all_("ab", "errored out_of_time")
    assert delivery.sent == []


def test_what_is_left_when_time_runs_out_is_errored() -> None:
    delivery = ScriptedDelivery([], seconds=2.0, each=0.8)
    assert decisions(delivery.deliver(batch("a"), batch("b"), batch("c"))) == {
        **all_("ab", "delivered"),
        "c": "errored out_of_time",
    }


# 413, "received message larger than max"


@pytest.mark.parametrize(
    "answer", [TOO_LARGE, Answer(500, "grpc: received message larger than max (5 vs. 4)")]
)
def test_a_batch_that_is_too_large_is_halved_at_once(answer: Reply) -> None:
    delivery = ScriptedDelivery([answer])
    assert decisions(delivery.deliver(batch("abc"))) == all_("abc", "delivered")
    assert delivery.lines == ["abc", "a", "bc"]
    assert delivery.slept == []


def test_an_entry_that_is_too_large_is_rejected_and_its_neighbours_are_not() -> None:
    delivery = ScriptedDelivery(
        lambda sent: TOO_LARGE if "x" in [e.line for e in sent.entries] else STORED
    )
    assert decisions(delivery.deliver(batch("abxcd"))) == {
        **all_("abcd", "delivered"),
        "x": "rejected too_large",
    }


# 400 "too far behind"


def test_the_first_so_many_go_to_the_late_stream() -> None:
    delivery = ScriptedDelivery([behind(2, 5)])
    assert decisions(delivery.deliver(batch("abcde"))) == {
        **all_("ab", "late"),
        **all_("cde", "delivered"),
    }
    assert [(sent.stream, len(sent.entries)) for sent in delivery.sent] == [(STREAM, 5), (LATE, 2)]


def test_all_of_a_batch_may_be_too_far_behind() -> None:
    delivery = ScriptedDelivery([behind(3, 3)])
    assert decisions(delivery.deliver(batch("abc"))) == all_("abc", "late")
    assert [sent.stream for sent in delivery.sent] == [STREAM, LATE]


def test_what_is_too_far_behind_even_there_is_rejected() -> None:
    delivery = ScriptedDelivery([behind(3, 3), behind(1, 3)])
    assert decisions(delivery.deliver(batch("abc"))) == {
        "a": "rejected too_far_behind",
        **all_("bc", "late"),
    }


def test_when_loki_saw_fewer_entries_the_cutoff_decides_and_the_rest_is_sent_again() -> None:
    # Entries are a second apart; Loki prints whole seconds, so the one of the cutoff counts too.
    delivery = ScriptedDelivery([behind(1, 3, "2026-11-20T20:00:01Z")])
    assert decisions(delivery.deliver(batch("abcde"))) == {
        **all_("ab", "late"),
        **all_("cde", "delivered"),
    }
    assert delivery.lines == ["abcde", "ab", "cde"]
    assert [sent.stream for sent in delivery.sent] == [STREAM, LATE, STREAM]


def test_losses_that_the_answer_hid_come_out_when_the_rest_is_sent() -> None:
    delivery = ScriptedDelivery(
        [behind(1, 2, "2026-11-20T20:00:01Z"), STORED, Answer(400, NEW.replace("00Z", "04Z"))]
    )
    assert decisions(delivery.deliver(batch("abcde"))) == {
        **all_("ab", "late"),
        **all_("cd", "delivered"),
        "e": f"deferred too_new {DUE}",
    }


@pytest.mark.parametrize("cutoff", ["2026-11-20T19:00:00Z", "2026-11-20T23:00:00Z"])
def test_a_cutoff_that_divides_nothing_sets_all_aside(cutoff: str) -> None:
    delivery = ScriptedDelivery([behind(1, 2, cutoff)])
    assert decisions(delivery.deliver(batch("abcde"))) == all_("abcde", "late")


def test_without_details_all_go_to_the_late_stream() -> None:
    delivery = ScriptedDelivery([Answer(400, "entry too far behind")])
    assert decisions(delivery.deliver(batch("abc"))) == all_("abc", "late")


# Late by the clock


def half_hour(value: str) -> Stream:
    return Stream("t", (("app", "a"), ("late", value), ("zone", "z")))


def test_what_is_old_by_the_clock_goes_to_the_stream_of_its_half_hour_unasked() -> None:
    delivery = ScriptedDelivery([])
    delivery.now = (NOW + 45 * 60 + 2) * SECOND
    assert decisions(delivery.deliver(batch("abcd"))) == {
        **all_("ab", "late"),
        **all_("cd", "delivered"),
    }
    assert [(sent.stream, len(sent.entries)) for sent in delivery.sent] == [(LATE, 2), (STREAM, 2)]


def test_each_half_hour_has_a_stream_of_its_own() -> None:
    delivery = ScriptedDelivery([])
    delivery.now = (NOW + 3 * 3600) * SECOND
    entries = [
        Entry((NOW + at) * SECOND, str(at), (), LogEvent("", 0, "")) for at in (-1, 0, 1799, 1800)
    ]
    delivery.deliver(Batch(STREAM, entries))
    assert [(sent.stream, len(sent.entries)) for sent in delivery.sent] == [
        (half_hour("Fri 19:30"), 1),
        (half_hour("Fri 20:00"), 2),
        (half_hour("Fri 20:30"), 1),
    ]


def test_what_becomes_of_the_late_lines_does_not_concern_the_others() -> None:
    delivery = ScriptedDelivery(
        lambda sent: BLOCKED if "late" in dict(sent.stream.labels) else STORED
    )
    delivery.now = (NOW + 45 * 60 + 2) * SECOND
    assert decisions(delivery.deliver(batch("abcd"))) == {
        **all_("ab", "errored blocked"),
        **all_("cd", "delivered"),
    }


def test_a_batch_that_grows_old_while_it_waits_goes_to_the_late_stream() -> None:
    delivery = ScriptedDelivery([BUSY])
    delivery.now = (NOW + 45 * 60) * SECOND

    def sleep(seconds: float) -> None:
        delivery.now += 10 * SECOND
        delivery.slept.append(seconds)

    delivery.sleep = sleep  # type: ignore[method-assign] # time passes while it sleeps
    assert decisions(delivery.deliver(batch("ab"))) == all_("ab", "late")
    assert [sent.stream for sent in delivery.sent] == [STREAM, LATE]


# Ahead of the clock


def new_from(second: int) -> Answer:
    return Answer(400, NEW.replace("20:00:00", f"20:{second // 60:02}:{second % 60:02}"))


def test_lines_ahead_of_the_clock_are_deferred_to_the_ten_minutes_that_they_are_dated_in() -> None:
    delivery = ScriptedDelivery([new_from(1200)])
    entries = [
        Entry((NOW + at) * SECOND, str(at), (), LogEvent("", 0, "")) for at in (0, 1200, 1799, 1800)
    ]
    assert decisions(delivery.deliver(Batch(STREAM, entries))) == {
        "0": "delivered",
        **dict.fromkeys(["1200", "1799"], f"deferred too_new {(NOW + 1200) * 1000}"),
        "1800": f"deferred too_new {(NOW + 1800) * 1000}",
    }


def test_lines_of_another_day_are_rejected() -> None:
    delivery = ScriptedDelivery([new_from(0)])
    tomorrow = batch("a", start=NOW + 60 + 24 * 3600)
    assert decisions(delivery.deliver(tomorrow)) == {"a": "rejected too_new"}


# Tenants


def test_nothing_is_sent_to_a_tenant_that_is_closed() -> None:
    delivery = ScriptedDelivery([])
    delivery.closed["t"] = "blocked"
    other = batch("c", stream=Stream("u", STREAM.labels))
    assert decisions(delivery.deliver(batch("ab"), other)) == {
        **all_("ab", "errored blocked"),
        "c": "delivered",
    }
    assert delivery.lines == ["c"]


def test_of_each_tenant_it_is_said_whether_loki_dealt_with_it() -> None:
    delivery = ScriptedDelivery([BLOCKED, STORED, Answer(403), Answer(400, OLD)])
    streams = [Stream(tenant, STREAM.labels) for tenant in "abcd"]
    delivery.deliver(*(batch("x", stream=stream) for stream in streams))
    assert delivery.answered == [("a", "blocked"), ("b", None), ("c", "denied"), ("d", None)]


def test_a_tenant_is_given_up_once_however_often_its_batch_was_tried() -> None:
    delivery = ScriptedDelivery(lambda _: BUSY)
    delivery.deliver(batch("abc"))
    assert delivery.answered == [("t", "server_error")]


# 400 "structured metadata … disallowed"


def test_metadata_that_is_disallowed_is_left_out_and_that_is_remembered() -> None:
    delivery = ScriptedDelivery([NO_METADATA])
    one, two = batch("ab", (("log_stream", "s"),)), batch("c", (("log_stream", "s"),))
    assert decisions(delivery.deliver(one, two)) == all_("abc", "delivered")
    assert [[entry.metadata for entry in sent.entries] for sent in delivery.sent] == [
        [(("log_stream", "s"),)] * 2,
        [(), ()],
        [()],
    ]
    assert delivery.tenants_without_metadata == {"t"}


def test_it_is_remembered_for_the_tenant_only() -> None:
    delivery = ScriptedDelivery([NO_METADATA])
    other = batch("b", (("log_stream", "s"),), stream=Stream("u", ()))
    delivery.deliver(batch("a", (("log_stream", "s"),)), other)
    assert delivery.sent[-1] == other


def test_metadata_that_is_refused_twice_is_rejected() -> None:
    delivery = ScriptedDelivery(lambda _: NO_METADATA)
    assert decisions(delivery.deliver(batch("a", (("x", "y"),)))) == {"a": "rejected metadata"}
    assert len(delivery.sent) == 2


# 400 other


def test_of_a_refused_batch_the_rest_is_delivered_and_nothing_is_sent_again() -> None:
    delivery = ScriptedDelivery([Answer(400, OLD)])
    assert decisions(delivery.deliver(batch("abc", start=NOW - 1))) == {
        **all_("ab", "rejected too_old"),
        "c": "delivered",
    }
    assert len(delivery.sent) == 1


def test_lines_too_new_are_those_from_the_second_that_loki_names() -> None:
    delivery = ScriptedDelivery([Answer(400, NEW)])
    assert decisions(delivery.deliver(batch("abc", start=NOW - 1))) == {
        "a": "delivered",
        **all_("bc", f"deferred too_new {DUE}"),
    }


def test_lines_too_long_are_those_over_the_limit_in_bytes() -> None:
    lines = ["xxx", "€", "xxxx", "€€"]
    entries = [
        Entry(NOW * SECOND + n, line, (), LogEvent("", 0, "")) for n, line in enumerate(lines)
    ]
    delivery = ScriptedDelivery([Answer(400, "max entry size '3' bytes exceeded for stream")])
    assert decisions(delivery.deliver(Batch(STREAM, entries))) == {
        **dict.fromkeys(lines[:2], "delivered"),
        **dict.fromkeys(lines[2:], "rejected too_long"),
    }


def test_each_is_rejected_for_its_own_reason() -> None:
    body = f"1 errors like: {NEW.replace('00Z', '02Z')}; 1 errors like: {OLD}"
    delivery = ScriptedDelivery([Answer(400, body)])
    assert decisions(delivery.deliver(batch("abcd", start=NOW - 1))) == {
        **all_("ab", "rejected too_old"),
        "c": "delivered",
        "d": f"deferred too_new {DUE}",
    }


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (Answer(400, "proto: wrong wireType"), "other"),
        (Answer(400, "couldn't parse labels"), "labels"),
        (Answer(500, "no schema config found for time 1"), "no_schema"),
    ],
)
def test_what_concerns_all_is_rejected_as_a_whole(answer: Reply, reason: str) -> None:
    delivery = ScriptedDelivery([answer])
    assert decisions(delivery.deliver(batch("ab"), batch("c"))) == {
        **all_("ab", f"rejected {reason}"),
        "c": "delivered",
    }


def test_when_loki_names_nobody_that_we_sent_all_are_kept() -> None:
    delivery = ScriptedDelivery([Answer(400, "max entry size '262144' bytes exceeded for stream")])
    assert decisions(delivery.deliver(batch("abc"))) == all_("abc", "rejected too_long")


def test_after_an_answer_that_was_cut_short_the_rest_is_sent_again() -> None:
    cut = "; ".join([f"9 errors like: {OLD}"] * 500)[:MAX_BODY]
    delivery = ScriptedDelivery([Answer(400, cut), Answer(400, NEW.replace("00Z", "02Z"))])
    assert decisions(delivery.deliver(batch("abcd", start=NOW - 1))) == {
        **all_("ab", "rejected too_old"),
        "c": "delivered",
        "d": f"deferred too_new {DUE}",
    }
    assert delivery.lines == ["abcd", "cd"]


def test_a_refusal_in_the_late_stream_is_a_refusal() -> None:
    delivery = ScriptedDelivery([behind(2, 2), Answer(400, OLD)])
    assert decisions(delivery.deliver(batch("ab", start=NOW))) == {
        "a": "rejected too_old",
        "b": "late",
    }


# 401, 403


@pytest.mark.parametrize("status", [401, 403])
def test_refused_credentials_are_read_again_and_tried_once_more(status: int) -> None:
    delivery = ScriptedDelivery([Answer(status)], renewed=True)
    assert decisions(delivery.deliver(batch("a"))) == {"a": "delivered"}
    assert (delivery.renewals, delivery.lines) == (1, ["a", "a"])


def test_credentials_that_are_refused_again_are_not_read_again() -> None:
    delivery = ScriptedDelivery(lambda _: Answer(401), renewed=True)
    assert decisions(delivery.deliver(batch("a"), batch("b"))) == all_("ab", "errored denied")
    assert (delivery.renewals, delivery.lines) == (1, ["a", "a", "b"])


def test_credentials_that_have_not_changed_are_not_tried_again() -> None:
    delivery = ScriptedDelivery(lambda _: Answer(403))
    assert decisions(delivery.deliver(batch("a"), batch("b"))) == all_("ab", "errored denied")
    assert (delivery.renewals, delivery.lines) == (1, ["a", "b"])


# 404, 405, 3xx, other 4xx


@pytest.mark.parametrize("status", [301, 302, 308, 402, 404, 405, 410, 451])
def test_what_somebody_has_to_mend_is_errored_without_a_retry(status: int) -> None:
    delivery = ScriptedDelivery(lambda _: Answer(status))
    assert decisions(delivery.deliver(batch("a"), batch("b"))) == all_(
        "ab", f"errored status_{status}"
    )
    assert (delivery.lines, delivery.slept) == (["a", "b"], [])


# Whatever comes


ANSWERS = st.one_of(
    st.sampled_from(
        [STORED, BUSY, LIMITED, TOO_LARGE, BLOCKED, NO_METADATA, Answer(401), Answer(404),
         NoAnswer("no_connection"), Answer(400, OLD), Answer(400, NEW), Answer(400, "?"),
         Answer(400, "entry too far behind"), Answer(400, f"{OLD}; {NEW}"),
         Answer(400, "; ".join([OLD] * 500)[:MAX_BODY]), Answer(429, "", 2.0)]
    ),
    st.builds(
        lambda n, m, s: behind(n, m, f"2026-11-20T20:00:{s:02}Z"),
        st.integers(0, 12), st.integers(0, 12), st.integers(0, 12),
    ),
    st.builds(Answer, st.integers(200, 599)),
)  # fmt: skip


@given(
    st.lists(ANSWERS, max_size=40),
    ANSWERS,
    st.lists(st.integers(1, 9), min_size=1, max_size=4),
    st.floats(0, 30),
    st.floats(0, 2),
    st.booleans(),
)
def test_every_entry_ends_in_exactly_one_outcome_in_time(  # noqa: PLR0913, PLR0917 - it is drawn
    script: list[Reply],
    last: Reply,
    sizes: list[int],
    seconds: float,
    each: float,
    renewed: Any,
) -> None:
    answers = chain(script, repeat(last))
    delivery = ScriptedDelivery(
        lambda _: next(answers), seconds=seconds, each=each, renewed=renewed
    )
    names = iter("abcdefghijklmnopqrstuvwxyzABCDEFGHIJ")
    batches = [batch("".join(next(names) for _ in range(size)), (("x", "y"),)) for size in sizes]
    told = decisions(delivery.deliver(*batches))
    assert set(told) == {entry.line for one in batches for entry in one.entries}
    stored = {line for sent in delivery.lines for line in sent}
    assert {line for line, decision in told.items() if decision in {"delivered", "late"}} <= stored
