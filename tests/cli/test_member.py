"""The commands on a stack that sends to the hub of another account."""

from collections.abc import Iterator

import pytest

from loki_shipper.shipper.labels.tag_index import decode_index
from tests.local_deployment import REGION, Deployment, deployed

ACCOUNT = "123456789012"
HUB_BUCKET = "hub-bucket"
HUB = f"arn:aws:logs:{REGION}:999999999999:destination:loki-shipper"
MEMBER = {
    "SHIPPER_ARN": "",
    "DESTINATION_ARN": HUB,
    "HUB_BUCKET": HUB_BUCKET,
    "ACCOUNT": ACCOUNT,
}


@pytest.fixture(scope="module")
def here() -> Iterator[Deployment]:
    with deployed() as here:
        here.aws.client("s3").create_bucket(
            Bucket=HUB_BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION}
        )
        here.make_stack(**MEMBER)
        here.group("/aws/lambda/a", team="payments")
        yield here


def test_plan_and_status_show_what_a_member_links(here: Deployment) -> None:
    plan = here.run("plan")
    assert plan.exit_code == 0, plan.output
    assert "/aws/lambda/a" in plan.output
    status = here.run("status")
    assert status.exit_code == 0, status.output
    assert "to be linked" in status.output


def test_the_tags_of_a_member_are_written_to_the_bucket_of_the_hub(here: Deployment) -> None:
    assert here.run("tags", "sync").exit_code == 0
    key = f"tags/{ACCOUNT}/{REGION}.json.gz"
    body = here.aws.client("s3").get_object(Bucket=HUB_BUCKET, Key=key)["Body"].read()
    index = decode_index(body)
    assert index is not None
    assert index.groups["/aws/lambda/a"].tags == {"team": "payments"}


@pytest.mark.parametrize("command", [("doctor",), ("explain", "/aws/lambda/a"), ("tail", "a")])
def test_a_command_about_labels_or_loki_names_the_hub(
    here: Deployment, command: tuple[str, ...]
) -> None:
    result = here.run(*command)
    assert result.exit_code == 2
    assert HUB in result.stderr
    assert "credentials for its account" in result.stderr
