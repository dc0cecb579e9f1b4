"""What a run did becomes metrics, every one of them every time."""

from loki_shipper.redriver.metrics import metrics
from loki_shipper.redriver.report import RedriveReport
from tests.redriver.memory import AN_HOUR_AGO, NOW


def test_a_run_is_counted() -> None:
    run = RedriveReport(
        objects=7,
        lines=60,
        late=5,
        rejected=4,
        set_aside=3,
        left=2,
        oldest=AN_HOUR_AGO,
        faults={"AccessDenied": 1, "InternalError": 1},
    )
    assert list(metrics(run, now=NOW)) == [
        ("ObjectsRedriven", "Count", 7),
        ("ObjectsSetAside", "Count", 3),
        ("ObjectsLeft", "Count", 2),
        ("OldestAge", "Seconds", 3600),
        ("BucketFaults", "Count", 2),
        ("LinesRedriven", "Count", 60),
        ("LinesLate", "Count", 5),
        ("LinesRejected", "Count", 4),
    ]


def test_an_alarm_never_waits_for_the_first_failure() -> None:
    assert [value for _, _, value in metrics(RedriveReport(), now=NOW)] == [0] * 8
