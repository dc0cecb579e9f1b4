"""A hub and a member in two accounts: lines of the member are in Loki under the member's tags."""

from functools import partial
from typing import Final

import pytest

from loki_shipper.local.find_loki import Running
from loki_shipper.local.loki import Loki
from tests.cloud.cloud import ACCOUNT, Cloud
from tests.cloud.stack import Stack, awaited
from tests.loki.asking import held
from tools.artifact import SamArtifact

REGION: Final = "eu-north-1"
MEMBER: Final = "222222222222"
SHOP: Final = "/aws/lambda/shop"
STREAM: Final = f"arn:aws:kinesis:{REGION}:{ACCOUNT}:stream/logs"


@pytest.fixture
def hub(cloud: Cloud, built: SamArtifact, loki: Loki | Running, tenant: str) -> Stack:
    hub = Stack(cloud, "hub", REGION)
    # A log group of the same name, with other tags.
    hub.create_log_group(SHOP, team="of the hub", tenant=tenant)
    hub.deploy(
        built.folder,
        Architecture=built.architecture,
        LokiUrl=loki.url,
        TenantTag="tenant",
        KinesisStreamArn=STREAM,
        OrganizationId="o-abc1234567",
        AccountTenants=f"{MEMBER}={tenant}",
        RedriveSchedule="off",
    )
    return hub


@pytest.fixture
def member(cloud: Cloud, built: SamArtifact, hub: Stack, tenant: str) -> Stack:
    member = Stack(cloud, "member", REGION, MEMBER)
    member.create_log_group(SHOP, team="of the member", tenant=tenant)
    member.create_log_group("/aws/lambda/liar", tenant="the-tenant-of-another-account")
    member.log(SHOP, ["from before it was linked"])
    outputs = hub.client("cloudformation").describe_stacks(StackName=hub.name)["Stacks"][0]
    values = {each["OutputKey"]: each["OutputValue"] for each in outputs["Outputs"]}
    member.deploy(
        built.folder,
        Architecture=built.architecture,
        DestinationArn=values["DestinationArn"],
        HubBucket=values["BucketName"],
        TenantTag="tenant",
    )
    return member


def test_the_lines_of_a_member_have_the_tags_of_the_member(
    hub: Stack, member: Stack, loki: Loki | Running, tenant: str
) -> None:
    functions = member.client("lambda").list_functions()["Functions"]
    assert [each["Handler"] for each in functions] == ["loki_shipper.subscriber.handler.handle"]
    destination = f"arn:aws:logs:{REGION}:{ACCOUNT}:destination:hub"
    member.command("link", "--all")
    assert member.filters(SHOP) == {"member": destination}
    assert SHOP in member.command("status")

    # Lines go by the stream, and first lines by the bucket.
    member.log(SHOP, ["as it happens"])
    hub.log(SHOP, ["of the hub itself"])
    awaited(partial(held, loki, tenant, f'{{account_id="{MEMBER}"}} |= "as it happens"'))
    assert [key for key in hub.keys("first-lines/") if f"/{MEMBER}/" in key]
    hub.run_schedule("RedriveRule")
    theirs = held(loki, tenant, f'{{account_id="{MEMBER}", log_group="{SHOP}"}}')
    assert {line.line for line in theirs} == {"from before it was linked", "as it happens"}
    assert {line.labels["team"] for line in theirs} == {"of the member"}
    assert hub.keys("first-lines/") == []
    ours = awaited(partial(held, loki, tenant, f'{{account_id="{ACCOUNT}"}}'))
    assert {line.labels["team"] for line in ours} == {"of the hub"}

    # No member speaks for the tenant of another one.
    member.log("/aws/lambda/liar", ["in another's name"])
    awaited(lambda: '"tenant_invalid":1' in hub.own_log("/aws/lambda/hub-kinesis"))
    assert held(loki, "the-tenant-of-another-account") == []

    # A new tag and an index that another run has written are merged.
    arn = f"arn:aws:logs:{REGION}:{MEMBER}:log-group:{SHOP}"
    member.client("logs").tag_resource(resourceArn=arn, tags={"env": "prod"})
    member.command("tags", "sync")
    assert hub.keys("tags/") == [
        f"tags/{ACCOUNT}/{REGION}.json.gz",
        f"tags/{MEMBER}/{REGION}.json.gz",
    ]

    member.command("unlink", SHOP, "--yes")
    assert member.filters(SHOP) == {}
    member.command("link", SHOP)
    assert member.filters(SHOP) == {"member": destination}

    member.delete()
    assert member.filters(SHOP) == {}
    assert member.filters("/aws/lambda/liar") == {}
    assert member.log_groups() == ["/aws/lambda/liar", SHOP]
    assert member.client("lambda").list_functions()["Functions"] == []
    hub.delete()
    assert hub.filters(SHOP) == {}
