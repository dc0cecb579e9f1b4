"""Lines go from watchtower through CloudWatch Logs, a filter and the handler to Loki."""

import json
import logging
import os
import uuid
from typing import Any

import pytest
import watchtower
from msgspec import Struct

from loki_shipper.local.aws import LocalAws
from loki_shipper.local.find_loki import Running
from loki_shipper.local.loki import Loki
from loki_shipper.shipper.handler import handle
from tests.loki.asking import held


class Context(Struct):
    """The context that Lambda passes to the handler."""

    invoked_function_arn: str

    def get_remaining_time_in_millis(self) -> int:
        return 60_000


@pytest.fixture
def group(aws: LocalAws, loki: Loki | Running, tenant: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A tagged log group whose lines the handler ships to a tenant of Loki's."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in {**aws.environ, "LOKI_URL": loki.url, "LOKI_TENANT": tenant}.items():
        monkeypatch.setenv(name, value)
    unique = uuid.uuid4().hex
    arn = f"arn:aws:lambda:{aws.region}:123456789012:function:{unique}"

    def deliver(event: dict[str, Any]) -> None:
        handle(event, Context(arn))

    log_group = f"/watchtower/{unique}"
    aws.create_log_group(log_group, {"team": "payments", "driver": "python", "name": "fun-orders"})
    aws.subscribe(log_group, aws.create_function(f"f-{unique}", deliver))
    return log_group


def test_what_an_application_logs_is_found_by_its_log_groups_tags(
    aws: LocalAws, loki: Loki | Running, tenant: str, group: str
) -> None:
    handler = watchtower.CloudWatchLogHandler(
        boto3_client=aws.client("logs"),
        log_group_name=group,
        log_stream_name="app",
        create_log_group=False,
        use_queues=False,
    )
    logger = logging.getLogger(f"test{group}")
    logger.addHandler(handler)
    logger.propagate = False
    try:
        for number in range(20):
            logger.warning({"event": "order placed", "order": number})
        logger.error("größe %s", "\N{PENGUIN}")
    finally:
        logger.removeHandler(handler)
        handler.close()  # type: ignore[no-untyped-call]
    assert aws.errors == []
    found = held(loki, tenant, '{driver="python", region="eu-central-1", name=~"fun.*"}')
    assert [json.loads(line.line) for line in found[:20]] == [
        {"event": "order placed", "order": number} for number in range(20)
    ]
    assert found[20].line == "größe \N{PENGUIN}"
    assert len(found) == 21
    assert {line.labels["team"] for line in found} == {"payments"}
    assert {line.metadata["log_stream"] for line in found} == {"app"}
