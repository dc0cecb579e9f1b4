"""`status` never breaks a name, and says how the bucket and the redrivers are doing."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from loki_shipper.cli.filter_metrics import Delivery, Redrives
from loki_shipper.cli.status_output import Backlog, Status, StatusRow, status_text
from tests.cli.processes import on_terminal
from tests.local_deployment import Deployment, Skipping, deployed
from tests.redriver.memory import failed

LONG = "/aws/lambda/a-name-that-is-longer-than-a-narrow-terminal-of-sixty-columns-is-wide"
MINUTE = 60_000
NOW = 100 * 24 * 60 * MINUTE
LABELS = (("service_name", "checkout"), ("team", "payments"), ("driver", "python3.13"))
LINKED = StatusRow(
    group="/ecs/a",
    linked=True,
    note="",
    since=NOW - 90 * MINUTE,
    labels=LABELS,
    delivery=Delivery(NOW - 5 * MINUTE, 1234, 1, 2),
)
AWAITED = StatusRow(
    group=LONG,
    linked=False,
    note="to be linked",
    since=None,
    labels=LABELS,
    delivery=Delivery(),
)
FINE = Status([LINKED, AWAITED], stopped=False, backlog=Backlog(), redrives=None)


@pytest.fixture
def here() -> Iterator[Deployment]:
    with deployed() as here:
        here.make_stack()
        here.group(LONG, team="payments")
        here.group("/aws/lambda/b", foreign=2)
        yield here


def texts(status: Status, width: int | None) -> list[str]:
    return [line.plain for line in status_text(status, NOW, width)]


def test_in_a_pipe_each_log_group_has_one_line() -> None:
    title, *lines = texts(FINE, None)
    assert title.split() == ["log", "group", "linked", "last", "lines", "errors", "labels"]
    assert lines[0].split() == [
        *("/ecs/a", "1h", "ago", "5m", "ago", "1,234", "3"),
        *("service_name=checkout", "team=payments", "driver=python3.13"),
    ]
    assert lines[1].startswith(f"{LONG}  no ")
    assert "to be linked service_name=checkout" in lines[1]
    assert (
        len(
            {
                line.index("service_name" if "checkout" in line else "labels")
                for line in [title, lines[0]]
            }
        )
        == 1
    )


@pytest.mark.parametrize("width", [60, 80, 120, 150, 300])
def test_on_a_terminal_no_name_and_no_label_is_broken(width: int) -> None:
    lines = texts(FINE, width)
    said = " ".join(lines).split()
    for word in ("/ecs/a", LONG, "service_name=checkout", "driver=python3.13"):
        assert word in said
    assert [line for line in lines if len(line) > width] in ([], [LONG])


def test_waiting_and_redriven_objects_are_shown() -> None:
    backlog = Backlog(objects=2, oldest=NOW - 3 * 60 * MINUTE, rejected=4)
    status = Status([], stopped=False, backlog=backlog, redrives=Redrives(NOW - MINUTE, 12, 3))
    waiting, redriven = texts(status, None)[1:]
    assert waiting == (
        "bucket: 2 objects wait, the oldest written 3h ago; 4 under rejected/ "
        "(loki-shipper redrive --rejected)"
    )
    assert redriven == "last redrive: 1m ago, 12 objects shipped, 3 left"
    assert texts(FINE, None)[-2:] == [
        "bucket: nothing waits",
        "last redrive: none in the last 24 hours",
    ]
    full = Status([], stopped=False, backlog=Backlog(1000, more=True, oldest=NOW), redrives=None)
    assert "1,000 or more objects wait" in texts(full, None)[1]
    denied = Status([], stopped=False, backlog=Backlog(fault="AccessDenied"), redrives=None)
    assert "bucket: it could not be listed (AccessDenied)" in texts(denied, None)


def test_the_bucket_and_the_redrivers_metrics_are_read(here: Deployment) -> None:
    key, body = failed("09.00.00")
    here.aws.client("s3").put_object(Bucket=here.bucket, Key=key, Body=body)
    here.aws.client("cloudwatch").put_metric_data(
        Namespace="LokiShipper",
        MetricData=[
            {
                "MetricName": name,
                "Dimensions": [{"Name": "service", "Value": "loki-shipper"}],
                "Timestamp": datetime.now(UTC) - timedelta(minutes=20),
                "Value": value,
            }
            for name, value in (("ObjectsRedriven", 5), ("ObjectsLeft", 1))
        ],
    )
    lines = here.run("status").stdout.splitlines()
    assert lines[-2] == "bucket: 1 object waits, the oldest written 0m ago"
    assert lines[-1].endswith("m ago, 5 objects shipped, 1 left")


def test_without_a_bucket_no_bucket_is_shown(here: Deployment) -> None:
    here.make_stack_again(BUCKET="")
    assert "bucket:" not in here.run("status").stdout


def test_after_unlink_all_it_says_how_to_link_again(here: Deployment) -> None:
    here.run("link", "--all")
    assert "stopped" not in here.run("status").stdout
    here.run("unlink", "--all")
    first = here.run("status").stdout.splitlines()[0]
    assert first == "stopped: `unlink --all` unlinked everything; run `loki-shipper link --all`"


def test_watching_writes_every_table_into_a_file(here: Deployment) -> None:
    looks = []

    def stop() -> None:
        looks.append(1)
        if len(looks) == 3:
            raise KeyboardInterrupt

    here.run("link", "--all")
    looks.clear()
    result = here.run("status", "--watch", clock=Skipping(before_sleep=stop).clock)
    assert result.exit_code == 130
    lines = result.stdout.splitlines()
    assert sum(line.startswith(f"{LONG} ") for line in lines) == 3
    assert sum(line.endswith(" UTC") for line in lines) == 3
    assert "\x1b" not in result.stdout


def test_a_narrow_terminal_has_names_on_lines_of_their_own(here: Deployment) -> None:
    ended = on_terminal(["status", "--stack", here.name], 60, {**here.aws.environ, "NO_COLOR": "1"})
    plain = ended.stdout.replace("\x1b[0m", "").replace("\x1b[1m", "").splitlines()
    assert LONG in plain
