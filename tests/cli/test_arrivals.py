"""Which lines are new in Loki, and where a line is that CloudWatch Logs has too."""

from loki_shipper.cli.arrivals import Arrival, Arrivals, Comparison, ExpectedLine
from loki_shipper.local.query_loki import LokiLine

NOW = 1_795_000_000_000
MS = 1_000_000


def line(text: str, ago: int = 0, **labels: str) -> LokiLine:
    return LokiLine({"team": "a", **labels}, (NOW - ago) * MS, text, {})


def new(arrivals: Arrivals, *lines: LokiLine, now: int = NOW) -> list[tuple[str, int | None]]:
    found = arrivals.new(lines, now, NOW - 60_000)
    return [(arrival.line.line, arrival.delay) for arrival in found]


def test_a_line_is_new_once_and_has_no_delay_if_it_was_there_before() -> None:
    arrivals = Arrivals()
    assert new(arrivals, line("old", 500)) == [("old", None)]
    assert new(arrivals, line("old", 500), line("fresh", 1_500)) == [("fresh", 1_500)]
    assert new(arrivals, line("old", 500), line("fresh", 1_500)) == []


def test_equal_lines_of_two_streams_or_times_are_two() -> None:
    arrivals = Arrivals()
    lines = [line("same"), line("same", team="b"), line("same", 1)]
    assert len(new(arrivals, *lines)) == 3
    assert new(arrivals, *lines) == []


def test_a_line_older_than_every_query_is_forgotten() -> None:
    arrivals = Arrivals()
    new(arrivals, line("old", 61_000))
    assert new(arrivals, line("old", 61_000)) == [("old", 61_000)]


def test_a_clock_that_is_behind_makes_no_negative_delay() -> None:
    arrivals = Arrivals()
    new(arrivals)
    assert new(arrivals, line("ahead", -5_000)) == [("ahead", 0)]


def reported(comparison: Comparison, now: int) -> list[tuple[str, str]]:
    return [(each.expected.line, each.presence) for each in comparison.report(now)]


def both(comparison: Comparison, text: str, now: int) -> None:
    comparison.add_cloudwatch([ExpectedLine(NOW, text)], now)
    comparison.add_loki([Arrival(line(text), 5)], now)


def test_a_line_in_both_is_reported_at_once() -> None:
    comparison = Comparison(grace=1_000)
    both(comparison, "a", NOW)
    assert reported(comparison, NOW) == [("a", "both")]
    assert reported(comparison, NOW + 9_000) == []
    assert (comparison.in_both, comparison.missing(NOW + 9_000)) == (1, [])


def test_a_line_in_one_is_reported_once_after_the_grace_and_again_when_it_is_in_both() -> None:
    comparison = Comparison(grace=1_000)
    comparison.add_cloudwatch([ExpectedLine(NOW, "a")], NOW)
    comparison.add_loki([Arrival(line("b"), 5)], NOW)
    assert reported(comparison, NOW + 999) == []
    assert sorted(reported(comparison, NOW + 1_000)) == [("a", "cloudwatch"), ("b", "loki")]
    assert reported(comparison, NOW + 2_000) == []
    assert comparison.missing(NOW + 2_000) == [ExpectedLine(NOW, "a")]
    comparison.add_loki([Arrival(line("a"), 2_000)], NOW + 2_000)
    assert reported(comparison, NOW + 2_000) == [("a", "both")]
    assert comparison.missing(NOW + 2_000) == []


def test_two_equal_lines_of_a_millisecond_are_two() -> None:
    comparison = Comparison(grace=1_000)
    comparison.add_cloudwatch([ExpectedLine(NOW, "a"), ExpectedLine(NOW, "a")], NOW)
    comparison.add_loki([Arrival(line("a"), 5)], NOW)
    assert reported(comparison, NOW + 1_000) == [("a", "both"), ("a", "cloudwatch")]
    assert len(comparison.missing(NOW + 1_000)) == 1
