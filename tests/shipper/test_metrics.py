from loki_shipper.shipper.delivery.outcome import Report
from loki_shipper.shipper.metrics import metrics

REPORT = Report(
    received=28,
    delivered=6,
    late=2,
    dropped={"empty": 1, "own_log_group": 2, "shipper_log_group": 4},
    rejected={"too_old": 3, "too_long": 1},
    deferred={"too_new": 2, "tenant_unknown": 1},
    errored={"tls": 4, "denied": 4},
    newest=1_795_206_163_000,
)


def test_each_count_is_a_metric_whatever_the_reason() -> None:
    assert {name: value for name, _, value in metrics(REPORT, now=1_795_206_170.5)} == {
        "LinesReceived": 28,
        "LinesDelivered": 6,
        "LinesLate": 2,
        "LinesDropped": 7,
        "LinesOfShippers": 6,
        "LinesRejected": 4,
        "LinesDeferred": 3,
        "LinesErrored": 8,
        "RecordsUndecodable": 0,
        "Lag": 7.5,
    }


def test_counters_are_there_before_their_first_fault() -> None:
    told = {name: value for name, _, value in metrics(Report(), now=5.0)}
    assert told == dict.fromkeys(told, 0)
    assert {"LinesRejected", "LinesDeferred", "LinesErrored", "RecordsUndecodable"} <= told.keys()
    assert "Lag" not in told


def test_a_record_that_cannot_be_decoded_counts() -> None:
    told = {name: value for name, _, value in metrics(Report(undecodable={"why": 1}), now=5.0)}
    assert told["RecordsUndecodable"] == 1


def test_a_clock_ahead_of_ours_is_no_lag() -> None:
    told = {name: value for name, _, value in metrics(REPORT, now=1_795_206_000.0)}
    assert told["Lag"] == 0


def test_units_are_cloudwatchs_own() -> None:
    assert {unit for _, unit, _ in metrics(REPORT, now=0.0)} == {"Count", "Seconds"}
