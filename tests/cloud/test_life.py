"""The whole life of a stack, from the first deployment to its deletion, with a real Loki."""

import io
import json
import shutil
import time
import zipfile
from pathlib import Path
from typing import Any

from loki_shipper.canary.lines import Sent, encode_line
from loki_shipper.local.find_loki import Running
from tests.cloud.cloud import Cloud
from tests.cloud.stack import Stack, awaited
from tests.loki.asking import held
from tools.artifact import SamArtifact
from tools.loki_with_outages import LokiWithOutages

CHECKOUT = "/aws/lambda/checkout"
THEIRS = "/aws/lambda/theirs"
CANARY_LINES = "/loki-shipper/loki-shipper/canary"
CANARY_LOG = "/aws/lambda/loki-shipper-canary"
CANARY_SCHEDULE = "CanaryFunctionSchedule"


def test_the_whole_life_of_a_stack(
    cloud: Cloud, built: SamArtifact, outages: LokiWithOutages, tmp_path: Path, tenant: str
) -> None:
    stack = Stack(cloud, "loki-shipper", "eu-west-1")

    def lines(selector: str) -> list[str]:
        return sorted(line.line for line in held(Running(outages.url), tenant, selector))

    # Somebody else has a filter on a log group of theirs, and one on a log group of ours.
    foreign = stack.create_foreign_function("foreign", _code())
    stack.create_log_group("/aws/lambda/foreign")
    stack.create_log_group(CHECKOUT, team="payments")
    stack.create_log_group(THEIRS)
    for group in (CHECKOUT, THEIRS):
        stack.client("logs").put_subscription_filter(
            logGroupName=group, filterName="theirs", filterPattern="", destinationArn=foreign
        )

    # Deploying links what is there: the custom resource does it.
    stack.deploy(
        built.folder,
        Architecture=built.architecture,
        LokiUrl=outages.url,
        LokiTenant=tenant,
        ExcludeLogGroups=f"{THEIRS},/aws/lambda/foreign",
        RedriveSchedule="off",
        Timeout="30",
        Canary="on",
    )
    stack.client("events").disable_rule(Name=stack.physical(CANARY_SCHEDULE))
    shipper = stack.physical("ShipperAlias")
    assert stack.filters(CHECKOUT) == {"theirs": foreign, "loki-shipper": shipper}
    assert stack.filters(THEIRS) == {"theirs": foreign}

    # Its lines are in Loki under its tag; so are those of a log group that is linked later.
    stack.log(CHECKOUT, ["first", "second"])
    awaited(lambda: lines('{team="payments"}') == ["first", "second"])
    stack.create_log_group("/aws/lambda/search", team="search")
    assert "/aws/lambda/search" in stack.command("link", "--all")
    stack.log("/aws/lambda/search", ["third"])
    awaited(lambda: lines('{team="search"}') == ["third"])

    # The line of the canary goes the same way, and the stack's own filter sends it.
    assert stack.filters(CANARY_LINES) == {"loki-shipper-canary": shipper}
    [seconds] = _measured(stack, missing=0)
    assert _canary_metrics(stack) == [{"EndToEndSeconds": seconds}, {"CanaryLinesMissing": 0}]

    # Loki is away: after three tries the events are in the bucket, and come back from there.
    outages.stop()
    stack.log(CHECKOUT, ["while Loki was away"])
    _send_canary_line(stack)
    keys = awaited(lambda: two if len(two := stack.keys("aws/lambda/async/")) == 2 else [])
    for key in keys:
        assert key.startswith(f"aws/lambda/async/{stack.physical('ShipperFunction')}/")
    outages.start()
    assert len(_measured(stack, missing=1)) == 1
    assert "in an hour, 1 missing" in stack.command("status")
    stack.run_schedule("RedriveRule")
    assert lines('{team="payments"}') == ["first", "second", "while Loki was away"]
    assert stack.keys("aws/lambda/async/") == []
    quick, late = sorted(_measured(stack, missing=0))
    assert quick < 60
    assert late > 600

    # Two parameters change, and then the code; no line is missed. The canary leaves nothing.
    stack.deploy(built.folder, StaticLabels="env=test", Canary="off")
    assert not {CANARY_LINES, CANARY_LOG} & {*stack.log_groups()}
    stack.log(CHECKOUT, ["of a changed stack"])
    awaited(lambda: lines('{env="test", team="payments"}') == ["of a changed stack"])
    stack.deploy(_newer(built, tmp_path / "newer"))
    stack.log(CHECKOUT, ["of new code"])
    awaited(lambda: lines('{env="test", team="payments"}') == ["of a changed stack", "of new code"])
    awaited(lambda: "the new code runs" in stack.own_log("/aws/lambda/loki-shipper-shipper"))
    assert stack.physical("ShipperAlias") == shipper

    # It is deleted: no filter of ours is left, and none of theirs is touched.
    stack.command("unlink", CHECKOUT)
    assert stack.filters(CHECKOUT) == {"theirs": foreign}
    bucket = stack.physical("Bucket")
    stack.delete()
    assert {group: stack.filters(group) for group in stack.log_groups()} == {
        CHECKOUT: {"theirs": foreign},
        THEIRS: {"theirs": foreign},
        "/aws/lambda/foreign": {},
        "/aws/lambda/search": {},
    }
    assert bucket in [each["Name"] for each in stack.client("s3").list_buckets()["Buckets"]]


def _measured(stack: Stack, *, missing: int) -> list[float]:
    """Run the canary, and give the seconds of the lines that have arrived."""
    [report] = stack.run_schedule(CANARY_SCHEDULE)
    assert (report["missing"], report["fault"]) == (missing, None)
    assert _canary_metrics(stack)[-1] == {"CanaryLinesMissing": missing}
    return [each["seconds"] for each in report["arrived"]]


def _canary_metrics(stack: Stack) -> list[dict[str, Any]]:
    """Give the metrics in the canary's log, as CloudWatch reads them: one object for each line."""
    found = []
    for line in map(json.loads, filter(_has_metrics, stack.own_log(CANARY_LOG).splitlines())):
        [directive] = line["_aws"]["CloudWatchMetrics"]
        named = {key: line[key] for key in directive["Dimensions"][0]}
        assert named == {"service": "canary", "stack": "loki-shipper"}
        found.append({each["Name"]: line[each["Name"]] for each in directive["Metrics"]})
    return found


def _has_metrics(line: str) -> bool:
    return '"_aws"' in line


def _send_canary_line(stack: Stack) -> None:
    """Write a line as a run of the canary that ended ten minutes ago."""
    event = {
        "timestamp": time.time_ns() // 1_000_000 - 600_000,
        "message": encode_line(Sent("while Loki was away")),
    }
    stack.client("logs").put_log_events(
        logGroupName=CANARY_LINES, logStreamName="canary", logEvents=[event]
    )


def _code() -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("app.py", "def handle(event, context): ...")
    return content.getvalue()


def _newer(built: SamArtifact, folder: Path) -> Path:
    """Copy a build, with a function that says of itself that it is new."""
    shutil.copytree(built.folder, folder)
    for function in folder.glob("*Function"):
        handler = function / "loki_shipper/shipper/handler.py"
        handler.write_text(handler.read_text() + '\nprint("the new code runs")\n')
        # It would be taken in place of the source.
        for stale in handler.parent.glob("__pycache__/handler.*"):
            stale.unlink()
    return folder
