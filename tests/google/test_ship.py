from collections.abc import Sequence

from loki_shipper.google.entry import LoggedEntry
from loki_shipper.google.settings import GoogleSettings
from loki_shipper.google.ship import ship_entries
from loki_shipper.model import Batch
from loki_shipper.shipper.delivery.answer import Answer
from loki_shipper.shipper.delivery.outcome import Shipped
from tests.google.logged import AT_NS, logged, sample
from tests.google.pushing import LokiInMemory

TOO_OLD = (
    "entry for stream '{}' has timestamp too old: 2026-11-10T09:40:01Z, "
    "oldest acceptable timestamp is: 2026-11-20T00:00:00Z"
)
SKYPILOT = '[[rule]]\npreset = "skypilot"\n'
NAMES = ("audit", "cloud-run", "gke", "request", "skypilot", "text")


def numbered(count: int) -> list[LoggedEntry]:
    return [logged(textPayload=f"line {n}", insertId=str(n)) for n in range(count)]


def delivered(shipped: Sequence[Shipped]) -> list[int]:
    return [each.settled.delivered for each in shipped]


def test_entries_of_a_stream_are_pushed_together() -> None:
    loki = LokiInMemory()
    assert delivered(ship_entries(numbered(5), loki.deps())) == [1] * 5
    [batch] = loki.batches
    assert sorted(entry.line for entry in batch.entries) == [f"line {n}" for n in range(5)]
    assert {entry.timestamp for entry in batch.entries} == {AT_NS}


def test_each_sample_is_delivered_at_its_time() -> None:
    loki = LokiInMemory()
    entries = [sample(name) for name in NAMES]
    assert delivered(ship_entries(entries, loki.deps())) == [1] * len(NAMES)
    times = {entry.timestamp for batch in loki.batches for entry in batch.entries}
    assert AT_NS in times
    assert len(times) == len(NAMES)


def test_each_entry_has_its_own_outcome() -> None:
    def answer(batch: Batch) -> Answer:
        is_bad = ("log_name", "bad") in batch.stream.labels
        return Answer(400, TOO_OLD) if is_bad else Answer(204)

    bad = logged(logName="projects/p/logs/bad")
    good, refused = ship_entries([logged(), bad], LokiInMemory(answer).deps())
    assert good.settled.delivered == 1
    assert [*refused.settled.rejected] == ["too_old"]


def test_a_loki_that_is_down_makes_every_entry_fail() -> None:
    loki = LokiInMemory(lambda _: Answer(503))
    shipped = ship_entries(numbered(2), loki.deps(remaining=lambda: 1.0))
    assert [[*each.settled.errored] for each in shipped] == [["server_error"]] * 2


def test_the_log_of_the_service_itself_is_not_shipped() -> None:
    loki = LokiInMemory()
    google = GoogleSettings(k_service="checkout")
    shipped = ship_entries([sample("cloud-run"), sample("text")], loki.deps(google=google))
    assert [each.dropped for each in shipped] == [{"own_log": 1}, {}]
    assert len(loki.batches) == 1


def test_the_preset_of_skypilot_makes_the_line_and_the_label_of_cloudwatch() -> None:
    loki = LokiInMemory()
    ship_entries([sample("skypilot")], loki.deps(SKYPILOT))
    [batch] = loki.batches
    assert ("cluster", "finetune") in batch.stream.labels
    [entry] = batch.entries
    assert entry.line.startswith("\x1b[36m(finetune, rank=0")
    assert {("cluster_id", "finetune-8f3a2c1d"), ("rank", "0")} <= {*entry.metadata}


def test_rules_choose_lines_by_the_name_of_the_log() -> None:
    rules = '[[rule]]\ngroups = ["app"]\ndrop = "hello"\nname = "no greetings"\n'
    [greeting, other] = ship_entries(
        [logged(), logged(logName="projects/p/logs/other")], LokiInMemory().deps(rules)
    )
    assert greeting.dropped == {"no greetings": 1}
    assert other.settled.delivered == 1


def test_what_a_rule_redacts_is_redacted_in_what_is_kept() -> None:
    rules = '[[rule]]\nreplace = "token=[a-z]+"\nwith = "token=***"\n'
    loki = LokiInMemory(lambda _: Answer(400, TOO_OLD))
    [shipped] = ship_entries([logged(textPayload="token=abc")], loki.deps(rules))
    [[event]] = shipped.settled.rejected.values()
    assert event.message == "token=***"


def test_an_entry_without_its_tenant_is_refused_and_pushed_nowhere() -> None:
    loki = LokiInMemory()
    [shipped] = ship_entries([logged()], loki.deps(tenant_tag="team"))
    assert [*shipped.settled.rejected] == ["no_tenant"]
    assert loki.batches == []


def test_an_entry_fails_if_there_is_no_time_for_its_rules() -> None:
    rules = '[[rule]]\nreplace = "a"\nwith = "b"\n'
    deps = LokiInMemory().deps(rules, remaining=lambda: 0.0)
    [shipped] = ship_entries([logged(textPayload="a" * 70_000)], deps)
    assert [*shipped.settled.errored] == ["out_of_time"]
