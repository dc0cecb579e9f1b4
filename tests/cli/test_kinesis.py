"""Commands take an event of a Kinesis stream as they take one of a subscription filter."""

import json
import time
from collections.abc import Callable

import pytest
from click.testing import Result

from loki_shipper.local.receiver import Receiver

type Run = Callable[..., Result]


def test_each_log_group_of_a_batch_is_explained_once(run: Run) -> None:
    found = json.loads(run("explain", "--event", "kinesis", "--json").stdout)
    groups = [each["log_group"] for each in found]
    assert len(groups) == len(set(groups)) == 4
    accounts = {each["labels"]["account_id"] for each in found}
    assert accounts == {"123456789012", "210987654321"}
    shown = run("explain", "--event", "kinesis").stdout.splitlines()
    assert [line for line in shown if line in groups] == groups


def test_rules_are_tried_on_each_record_of_a_batch(run: Run) -> None:
    found = json.loads(run("check", "--event", "kinesis", "--json").stdout)
    tried = [each["log_group"] for each in found if each["kind"] == "event"]
    assert len(tried) == 5
    assert len(set(tried)) == 4


@pytest.mark.parametrize("now", [(), ("--now",)], ids=["as it is", "moved to now"])
def test_a_batch_is_pushed_stream_by_stream(
    run: Run, receiver: Receiver, now: tuple[str, ...]
) -> None:
    before = time.time_ns()
    result = run("invoke", *now, "--loki", receiver.url, "--json", "kinesis")
    [shown] = json.loads(result.stdout)
    assert shown["received"] == shown["delivered"] + sum(shown["dropped"].values())
    assert len({json.dumps(each["labels"]) for each in shown["pushes"]}) == 4
    newest = max(int(value[0]) for each in shown["pushes"] for value in each["values"])
    assert (newest >= before // 1_000_000 * 1_000_000) == bool(now)
