"""The template without the SAM transform makes a stack whose functions run."""

import json
import time
import uuid
from pathlib import Path

from loki_shipper.deployment.artifact import write_zip
from loki_shipper.local.find_loki import Running
from loki_shipper.local.loki import Loki
from loki_shipper.local.query_loki import query_range
from loki_shipper.template import LAYERS, read_template
from tests.cloud.cloud import Cloud
from tests.cloud.stack import Stack, awaited
from tools.artifact import SamArtifact
from tools.standalone import standalone

REGION = "ap-south-1"
PREFIX = "releases/1/"


def upload(stack: Stack, built: SamArtifact, folder: Path) -> str:
    """Upload what was built and the template, as the files of a release; return its URL."""
    s3, bucket = stack.client("s3"), f"acme-{REGION}"
    s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
    for name, source in (("function.zip", built.function), ("layer.zip", built.layer)):
        write_zip(source, folder / name)
        s3.upload_file(str(folder / name), bucket, PREFIX + name)
    template = standalone(
        read_template(), "function.zip", dict.fromkeys(LAYERS, "layer.zip"), PREFIX
    )
    s3.put_object(Bucket=bucket, Key="template.json", Body=json.dumps(template))
    return f"{s3.meta.endpoint_url}/{bucket}/template.json"


def test_a_stack_of_the_standalone_template_links_and_ships(
    cloud: Cloud, built: SamArtifact, loki: Loki | Running, tenant: str, tmp_path: Path
) -> None:
    stack = Stack(cloud, "standalone", REGION)
    stack.create_log_group("/aws/lambda/checkout")
    values = {
        "LokiUrl": loki.url,
        "LokiTenant": tenant,
        "Architecture": built.architecture,
        "CodeBucket": "acme",
    }
    cloudformation = stack.client("cloudformation")
    cloudformation.create_stack(
        StackName=stack.name,
        TemplateURL=upload(stack, built, tmp_path),
        Capabilities=["CAPABILITY_IAM"],
        Parameters=[{"ParameterKey": k, "ParameterValue": v} for k, v in values.items()],
    )
    cloudformation.get_waiter("stack_create_complete").wait(
        StackName=stack.name, WaiterConfig={"Delay": 1, "MaxAttempts": 240}
    )
    assert stack.filters("/aws/lambda/checkout")
    line = f"shipped {uuid.uuid4().hex}"
    stack.log("/aws/lambda/checkout", [line])
    query = '{log_group="/aws/lambda/checkout"}'
    held = awaited(lambda: loki_lines(loki, tenant, query))
    assert held == [line]


def loki_lines(loki: Loki | Running, tenant: str, query: str) -> list[str]:
    now = time.time_ns()
    found = query_range(
        loki.url, query, start_ns=now - 3600 * 10**9, end_ns=now + 10**9, tenant=tenant, limit=10
    )
    return [each.line for each in found]
