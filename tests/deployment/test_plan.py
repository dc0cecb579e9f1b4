"""What a deployment says that it makes is what the template makes with these parameters."""

import pytest

from loki_shipper.deployment.artifact import Artifact
from loki_shipper.deployment.bucket import ArtifactsBucket
from loki_shipper.deployment.plan import DeploymentPlan
from loki_shipper.deployment.preview import stack_settings
from loki_shipper.deployment.stack import Stack
from loki_shipper.template import LAYERS, read_template

TOPIC = "arn:aws:sns:eu-central-1:123456789012:alarms"
STREAM = "arn:aws:kinesis:eu-central-1:123456789012:stream/logs"
HUB = "arn:aws:logs:eu-central-1:999999999999:destination:hub"


def parts(**chosen: str) -> dict[str, int]:
    artifact = Artifact("none", lambda _: None)
    plan = DeploymentPlan(
        Stack("loki-shipper"),
        read_template(),
        chosen,
        ArtifactsBucket("bucket", "123456789012", "eu-central-1"),
        makes_bucket=False,
        function=artifact,
        layers=dict.fromkeys(LAYERS, artifact),
        has_bytecode=True,
    )
    return dict(plan.parts)


@pytest.mark.parametrize(
    ("chosen", "functions"),
    [
        ({}, 3),
        ({"Canary": "on"}, 4),
        ({"Canary": "on", "KinesisStreamArn": STREAM}, 5),
        ({"Canary": "on", "DestinationArn": HUB}, 1),
    ],
    ids=["defaults", "canary", "stream", "member"],
)
def test_it_counts_the_functions_and_their_log_groups(
    chosen: dict[str, str], functions: int
) -> None:
    found = parts(LokiUrl="https://loki.example", **chosen)
    assert found["functions"] == functions
    # The canary also has a log group for its lines.
    has_lines = "Canary" in chosen and "DestinationArn" not in chosen
    assert found["log groups"] == functions + has_lines


def test_it_counts_alarms_only_if_there_is_a_topic() -> None:
    url = {"LokiUrl": "https://loki.example"}
    assert "alarms" not in parts(**url, Canary="on")
    without, with_canary = (
        parts(**url, AlarmTopicArn=TOPIC, Canary=canary)["alarms"] for canary in ("off", "on")
    )
    assert with_canary == without + 1


def test_it_links_no_log_group_of_the_canary() -> None:
    parameters = {
        name: str(each.get("Default", "")) for name, each in read_template()["Parameters"].items()
    }
    found = stack_settings(parameters, "mine", "eu-central-1", "123456789012")
    own = {"/aws/lambda/mine-canary", "/loki-shipper/mine/canary"}
    assert own <= {*found.own_log_groups}
