import json

from loki_shipper.subscriber.buckets.plan import WantedBucket
from loki_shipper.subscriber.buckets.rule import event_pattern


def test_one_bucket_is_matched_by_name_and_prefix() -> None:
    assert json.loads(event_pattern([WantedBucket("my-logs", ("a=1/",))])) == {
        "source": ["aws.s3"],
        "detail-type": ["Object Created"],
        "detail": {
            "bucket": {"name": ["my-logs"]},
            "object": {"key": [{"prefix": "a=1/"}]},
        },
    }


def test_several_are_alternatives_each_with_its_own_prefix() -> None:
    buckets = [WantedBucket("other", ("",)), WantedBucket("my-logs", ("a/", "b/"))]
    assert json.loads(event_pattern(buckets))["detail"] == {
        "$or": [
            {"bucket": {"name": ["my-logs"]}, "object": {"key": [{"prefix": "a/"}]}},
            {"bucket": {"name": ["my-logs"]}, "object": {"key": [{"prefix": "b/"}]}},
            {"bucket": {"name": ["other"]}},
        ]
    }
    assert event_pattern(buckets) == event_pattern(buckets[::-1])
