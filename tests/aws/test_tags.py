"""The name of a log group decides which operation lists its tags."""

from collections.abc import Mapping
from typing import Any

import pytest

from loki_shipper.aws.arn import Origin
from loki_shipper.aws.tags import log_group_tags

HERE = Origin("aws-cn", "cn-north-1", "123456789012")
ARN = "arn:aws-cn:logs:cn-north-1:123456789012:log-group:/a"


@pytest.mark.parametrize(
    ("name", "operation", "arguments"),
    [
        ("/a", "ListTagsForResource", {"resourceArn": ARN}),
        ("/a#1", "ListTagsLogGroup", {"logGroupName": "/a#1"}),
    ],
)
def test_one_call_lists_the_tags(name: str, operation: str, arguments: Mapping[str, str]) -> None:
    calls = []

    def call(*asked: Any) -> Any:
        calls.append(asked)
        return {"tags": {"team": "a"}}

    assert log_group_tags(name, HERE, call) == {"team": "a"}
    assert calls == [(operation, arguments)]


def test_an_answer_without_tags_is_no_tags() -> None:
    assert log_group_tags("/a", HERE, lambda *_: {}) == {}
