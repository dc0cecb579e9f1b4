"""A new log group comes by EventBridge and the queue to the subscriber; then all is deleted."""

import json
from typing import Any

from tests.cloud.cloud import Cloud
from tests.cloud.stack import Stack, awaited
from tools.artifact import SamArtifact

REGION = "ca-central-1"


def created(group: str) -> dict[str, Any]:
    """What CloudTrail has EventBridge tell of a log group that was made."""
    detail = {
        "eventSource": "logs.amazonaws.com",
        "eventName": "CreateLogGroup",
        "requestParameters": {"logGroupName": group},
    }
    return {
        "Source": "aws.logs",
        "DetailType": "AWS API Call via CloudTrail",
        "Detail": json.dumps(detail),
    }


def test_changes_come_through_the_queue_and_the_deletion_leaves_no_filter(
    cloud: Cloud, built: SamArtifact
) -> None:
    stack = Stack(cloud, "loki-shipper", REGION)
    stack.create_log_group("/aws/lambda/before")
    stack.deploy(
        built.folder, Architecture=built.architecture, LokiUrl="http://127.0.0.1:9/loki/api/v1/push"
    )
    assert stack.filters("/aws/lambda/before")
    groups = [f"/aws/lambda/new-{number}" for number in range(3)]
    for group in groups:
        stack.create_log_group(group)
    answer = stack.client("events").put_events(Entries=[created(group) for group in groups])
    assert answer["FailedEntryCount"] == 0, answer
    awaited(lambda: all(stack.filters(group) for group in groups))
    queue = stack.physical("ChangesQueue")
    stack.delete()
    for group in ("/aws/lambda/before", *groups):
        assert stack.filters(group) == {}
    sqs = stack.client("sqs")
    assert queue not in sqs.list_queues().get("QueueUrls", [])
