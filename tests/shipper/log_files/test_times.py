"""Times are read as they are written, and a text without a time has none."""

import pytest

from loki_shipper.shipper.log_files.times import any_time, common_log, epoch, field_of_json, iso

SECOND = 1_795_206_162_000
"""2026-11-20T20:22:42Z, in ms."""


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("2026-11-20T20:22:42Z", 0),
        ("2026-11-20T20:22:42", 0),
        ("2026-11-20 20:22:42", 0),
        ("2026-11-20\t20:22:42", 0),
        ("2026-11-20T20:22:42.186641Z", 186),
        ("2026-11-20T20:22:42.1866413Z", 186),
        ("2026-11-20T20:22:42.5", 500),
        ("2026-11-20T20:22:42,123", 123),
        ("2026-11-20T20:22:42.000999Z", 0),
        ("2026-11-20T21:22:42.007+01:00", 7),
        ("2026-11-20T21:22:42.007+0100", 7),
        ("2026-11-20T14:52:42-05:30", 0),
        ("2026-11-20T20:22:42.007515+0000", 7),
        ("2026-11-20T20:22:42.", 0),
        ("2026-11-20T20:22:42x", None),
        ("2026-11-20T20:22:42.1x", None),
        ("2026-11-20T20:22:42+99:99", None),
        ("2026-13-20T20:22:42Z", None),
        ("2026-11-20T25:22:42Z", None),
        ("2026-11-20", None),
        ("", None),
        ("-", None),
    ],
)
def test_iso_8601(text: str, ms: int | None) -> None:
    assert iso(text) == (None if ms is None else SECOND + ms)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1795206162", SECOND),
        ("1795206162.197", SECOND + 197),
        ("-", None),
        ("", None),
        ("nan", None),
        ("inf", None),
        ("1e400", None),
    ],
)
def test_seconds_since_1970(text: str, expected: int | None) -> None:
    assert epoch(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("20/Nov/2026:20:22:42 +0000", SECOND),
        ("20/Nov/2026:21:22:42 +0100", SECOND),
        ("20/Xyz/2026:20:22:42 +0000", None),
        ("20/Nov/2026:20:22:42", None),
        ("-", None),
    ],
)
def test_time_of_a_web_server(text: str, expected: int | None) -> None:
    assert common_log(text) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1_795_206_162, SECOND),
        (1_795_206_162.25, SECOND + 250),
        ("1795206162", SECOND),
        ("1795206162.25", SECOND + 250),
        (1_795_206_162_007, SECOND + 7),
        (1_795_206_162_007_123, SECOND + 7),
        (1_795_206_162_007_123_456, SECOND + 7),
        ("2026-11-20T20:22:42Z", SECOND),
        (0, None),
        (-5, None),
        (True, None),
        (None, None),
        ("", None),
        ([1], None),
        ({"a": 1}, None),
        (10**30, None),
    ],
)
def test_a_field_of_json_has_any_unit(value: object, expected: int | None) -> None:
    assert any_time(value) == expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('{"time":"2026-11-20T20:22:42Z"}', SECOND),
        ('{"a":{"time":1},"time":1795206162}', SECOND),
        ('{"time":"-","event":{"at":1795206162}}', SECOND),
        ('{"event":{"at":1795206162},"time":5}', 5000),
        ('{"event":[1]}', None),
        ('{"event":{"at":null}}', None),
        ('{"time"', None),
        ("[]", None),
        ("", None),
        ("[" * 100_000, None),
    ],
)
def test_the_first_field_that_holds_a_time_counts(line: str, expected: int | None) -> None:
    assert field_of_json("time", "event.at")(line) == expected
