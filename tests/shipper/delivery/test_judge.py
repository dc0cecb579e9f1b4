import pytest

from loki_shipper.shipper.delivery.answer import MAX_BODY, Answer, NoAnswer
from loki_shipper.shipper.delivery.judge import (
    Accepted,
    Busy,
    Complaint,
    Denied,
    MetadataRefused,
    Misconfigured,
    Refused,
    TooFarBehind,
    TooLarge,
    Verdict,
    cause,
    judge,
)

# What Loki 3.7.8 says, from its source (pkg/validation/validate.go, pkg/ingester/stream.go).
OLD = (
    """entry for stream '{app="a"}' has timestamp too old: 2026-11-10T00:00:00Z, """
    "oldest acceptable timestamp is: 2026-11-13T12:00:00Z"
)
OLD_CUTOFF = 1_794_571_200.0
NEW = """entry for stream '{app="a"}' has timestamp too new: 2026-11-20T13:00:05Z"""
NEW_TIME = 1_795_179_605.0
LONG = (
    """max entry size '262144' bytes exceeded for stream '{app="a"}' """
    "while adding an entry with length '300000' bytes"
)
NAMES = """entry for stream '{app="a"}' has 16 label names; limit 15"""
BEHIND = (
    "entry with timestamp 2026-11-20 19:23:12.769656379 +0000 UTC ignored, reason: 'entry too far "
    "behind, entry timestamp is: 2026-11-20T19:23:12Z, oldest acceptable timestamp is: "
    "2026-11-20T20:23:12Z',\n"
)
BEHIND_END = """user 't', total ignored: 18 out of 23 for stream: {app="a", service_name="a"}"""
BEHIND_CUTOFF = 1_795_206_192.0
NO_METADATA = (
    """stream '{app="a"}' includes structured metadata, but this feature is disallowed. Please """
    "see `limits_config.allow_structured_metadata` or contact your Loki administrator to enable it"
)
BLOCKED = "ingestion blocked for user 't' until '2030-01-01T00:00:00Z' with status code '{}'"


def verdict(status: int, body: str = "", retry_after: float | None = None) -> Verdict:
    return judge(Answer(status, body, retry_after))


def complaints(body: str) -> tuple[Complaint, ...]:
    refused = verdict(400, body)
    assert isinstance(refused, Refused)
    return refused.complaints


def reasons(body: str) -> list[str]:
    return [complaint.reason for complaint in complaints(body)]


@pytest.mark.parametrize("status", [200, 204])
def test_204_and_200_are_success(status: int) -> None:
    assert verdict(status) == Accepted()


@pytest.mark.parametrize("body", ["ok", '{"status": "success"}', " \n", "a < b"])
def test_a_200_with_words_of_a_gateway_is_success(body: str) -> None:
    assert verdict(200, body) == Accepted()


@pytest.mark.parametrize(
    "answer",
    [
        Answer(200, "<!DOCTYPE html><title>Sign in</title>"),
        Answer(200, "\ufeff\n <html>"),
        Answer(200, '<?xml version="1.0"?>'),
        Answer(200, "Please sign in.", is_page=True),
    ],
)
def test_a_200_with_a_page_is_no_loki(answer: Answer) -> None:
    assert judge(answer) == Misconfigured("not_loki")


@pytest.mark.parametrize("status", [200, 204])
def test_an_empty_page_is_success(status: int) -> None:
    assert judge(Answer(status, "", is_page=True)) == Accepted()


@pytest.mark.parametrize("status", [201, 202, 203, 205, 206, 207, 226, 299])
def test_no_other_2xx_is_success(status: int) -> None:
    assert verdict(status) == Misconfigured(f"status_{status}")


def test_260_is_not_success() -> None:
    assert verdict(260, BLOCKED.format(260)) == Misconfigured("blocked")
    assert verdict(260) == Misconfigured("blocked")


@pytest.mark.parametrize("status", [400, 403, 429, 456, 503])
def test_blocked_is_blocked_with_every_status_that_an_operator_may_choose(status: int) -> None:
    assert verdict(status, BLOCKED.format(status)) == Misconfigured("blocked")


def test_429_is_worth_more_tries_than_an_outage() -> None:
    assert verdict(429, "ingestion rate limit exceeded for user t") == Busy("rate_limited", 14)
    assert verdict(429, "", 3.0) == Busy("rate_limited", 14, 3.0)


def test_a_stream_too_many_is_not_worth_that_many() -> None:
    body = "maximum active stream limit exceeded when trying to create stream {}, reduce the number"
    assert verdict(429, body) == Busy("stream_limit", 4)


@pytest.mark.parametrize("status", [500, 502, 503, 504, 507, 599])
def test_5xx_is_worth_another_try(status: int) -> None:
    assert verdict(status, "empty ring") == Busy("server_error", 4)
    assert verdict(status, "", 7.0) == Busy("server_error", 4, 7.0)


def test_408_is_worth_another_try() -> None:
    assert verdict(408) == Busy("timeout", 4)


def test_no_answer_is_worth_another_try() -> None:
    assert judge(NoAnswer("read_timeout")) == Busy("read_timeout", 4)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (413, ""),
        (413, "request body too large: 20001 bytes, limit: 20000 bytes"),
        (413, "<html><title>413 Request Entity Too Large</title></html>"),
        (500, "rpc error: code = ResourceExhausted desc = grpc: received message larger than max"),
        (400, "message size too large than max (5000 vs 4000)"),
        (400, "rpc error: grpc: trying to send message larger than max (5 vs. 4)"),
        (503, "grpc: Received message larger than max (4194305 vs. 4194304)"),
    ],
)
def test_what_is_too_large_is_to_be_halved(status: int, body: str) -> None:
    assert verdict(status, body) == TooLarge()


@pytest.mark.parametrize("status", [401, 403])
def test_401_and_403_are_about_credentials(status: int) -> None:
    assert verdict(status, "no org id") == Denied()


@pytest.mark.parametrize("status", [301, 302, 307, 308, 402, 404, 405, 410, 415, 451])
def test_what_time_will_not_mend_is_misconfigured(status: int) -> None:
    assert verdict(status, "page not found") == Misconfigured(f"status_{status}")


@pytest.mark.parametrize(
    "body",
    [
        "tenant ID contains unsupported character",
        "multiple org IDs present",
        "no org id",
        "tenant ID is too long: max 150 characters",
        "tenant ID is '.' or '..'",
    ],
)
def test_a_refused_tenant_is_misconfigured(body: str) -> None:
    assert verdict(400, body) == Misconfigured("tenant")


def test_no_schema_is_refused_for_good() -> None:
    assert verdict(500, "no schema config found for time 1577836800") == Refused(
        (Complaint("no_schema"),)
    )


def test_entries_too_old_are_those_before_the_second_after_what_loki_prints() -> None:
    assert complaints(OLD) == (Complaint("too_old", before=OLD_CUTOFF + 1),)


def test_entries_too_new_are_those_from_the_earliest_second_that_loki_names() -> None:
    later = NEW.replace("13:00:05", "14:00:00")
    for body in (f"1 errors like: {NEW}; 3 errors like: {later}", f"{later}; {NEW}"):
        assert complaints(body) == (Complaint("too_new", since=NEW_TIME),)


def test_times_may_have_another_zone() -> None:
    body = OLD.replace("2026-11-13T12:00:00Z", "2026-11-13T14:00:00+02:00")
    assert complaints(body) == (Complaint("too_old", before=OLD_CUTOFF + 1),)


def test_lines_too_long_are_those_longer_than_the_limit() -> None:
    assert complaints(LONG) == (Complaint("too_long", longer=262_144),)


def test_capitals_of_earlier_versions_change_nothing() -> None:
    assert complaints(LONG.replace("max entry", "Max entry")) == complaints(LONG)


def test_several_complaints_are_all_heard_in_any_order() -> None:
    clauses = [f"2 errors like: {clause}" for clause in (OLD, NEW, LONG)]
    wanted = (
        Complaint("too_old", before=OLD_CUTOFF + 1),
        Complaint("too_new", since=NEW_TIME),
        Complaint("too_long", longer=262_144),
    )
    assert complaints("; ".join(clauses) + "\n") == wanted
    assert complaints("; ".join(reversed(clauses))) == wanted


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (NAMES, "labels"),
        ("couldn't parse labels: 1:2: parse error", "labels"),
        ("error at least one label pair is required per stream", "labels"),
        ("stream '{a=\"b\"}' has label name too long: 'aaa'", "labels"),
        ("stream '{a=\"b\"}' has label value too long: 'b; c; d'", "labels"),
        ("stream '{a=\"b\"}' has duplicate label name: 'a'", "labels"),
        (
            "missing required labels 'region,app' for user 't' for stream '{}' (policy: '')",
            "labels",
        ),
        (
            "stream '{}' has structured metadata too large: '70000' bytes, limit: '65536' bytes",
            "metadata",
        ),
        ("stream '{}' has too many structured metadata labels: '200', limit: '128'", "metadata"),
    ],
)
def test_what_is_said_of_the_stream_is_said_of_all_its_entries(body: str, reason: str) -> None:
    assert complaints(body)[0] == Complaint(reason)


@pytest.mark.parametrize("body", ["", "proto: wrong wireType", "snappy: corrupt input", "Bad!"])
def test_another_400_refuses_all(body: str) -> None:
    assert complaints(body) == (Complaint("other"),)


def test_a_complaint_that_we_do_not_know_may_be_about_anyone() -> None:
    assert reasons(f"{OLD}; entry is of an unlucky number") == ["too_old", "other"]


def long_answer(clause: str) -> str:
    return "; ".join([clause] * 1000)[:MAX_BODY]


def test_an_answer_that_was_cut_short_is_not_the_whole_story() -> None:
    assert verdict(400, OLD) == Refused((Complaint("too_old", before=OLD_CUTOFF + 1),))
    assert verdict(400, long_answer(OLD)) == Refused(
        (Complaint("too_old", before=OLD_CUTOFF + 1),), complete=False
    )


def test_its_length_is_counted_in_bytes() -> None:
    clause = OLD.replace("{", '{name="größe größe größe größe größe größe größe", ')
    body = long_answer(clause).encode()[:MAX_BODY].decode("utf-8", "replace")
    assert len(body) < MAX_BODY
    refused = verdict(400, body)
    assert isinstance(refused, Refused)
    assert not refused.complete


def test_too_far_behind_says_how_many_of_how_many_and_the_cutoff() -> None:
    assert verdict(400, BEHIND * 10 + BEHIND_END) == TooFarBehind(18, 23, BEHIND_CUTOFF)


def test_of_several_cutoffs_the_latest_holds() -> None:
    later = BEHIND.replace("20:23:12Z", "20:24:12Z")
    assert verdict(400, BEHIND + later + BEHIND + BEHIND_END) == TooFarBehind(
        18, 23, BEHIND_CUTOFF + 60
    )


def test_several_counts_are_no_count() -> None:
    assert verdict(400, BEHIND + BEHIND_END + BEHIND + BEHIND_END) == TooFarBehind(
        None, None, BEHIND_CUTOFF
    )


@pytest.mark.parametrize("body", ["entry too far behind", "Entry out of order"])
def test_loki_2_6_gives_no_details(body: str) -> None:
    assert verdict(400, body) == TooFarBehind(None, None, None)


def test_disallowed_metadata_is_a_verdict_of_its_own() -> None:
    assert verdict(400, NO_METADATA) == MetadataRefused()
    assert verdict(400, f"2 errors like: {OLD}; 3 errors like: {NO_METADATA}") == MetadataRefused()


@pytest.mark.parametrize(
    "words",
    [
        "tenant id",
        "ingestion blocked for user",
        "larger than max",
        "entry too far behind",
        "couldn't parse labels",
        "a; b",
        'quote \\" tenant id',
        "structured metadata, but this feature is disallowed",
        "request entity too large",
    ],
)
def test_what_a_label_says_is_not_what_loki_says(words: str) -> None:
    body = OLD.replace('app="a"', f'app="{words}", b="c"')
    assert complaints(body) == complaints(OLD)


@pytest.mark.parametrize(
    "body", ["", "<html>", BLOCKED, "no org id", "maximum active stream limit"], ids=lambda b: b[:7]
)
def test_each_reason_has_the_cause_of_its_verdict(body: str) -> None:
    """The redriver closes a tenant by the cause, so a new reason must have one."""
    for status in range(200, 600):
        match verdict(status, body):
            case Misconfigured(reason=reason):
                assert cause(reason) == "settings"
            case Denied():
                assert cause("denied") == "settings"
            case Busy(reason=reason):
                assert cause(reason) == ("limit" if status == 429 else "failure")
