"""What waits while a setting changes is shipped as the settings are then; nothing is lost."""

from itertools import chain

import pytest
from msgspec.structs import replace

from loki_shipper.model import Batch
from loki_shipper.redriver.bucket import EVERYTHING, Share, rejected
from loki_shipper.redriver.cursor import Cursor
from loki_shipper.redriver.redrive import redrive
from tests.redriver.memory import NOW, STORED, RedriverInMemory, Reply, failed, of_lambda


def remember(redriver: RedriverInMemory) -> list[tuple[str | None, str]]:
    """Collect tenant and line of what is pushed from now on."""
    pushed: list[tuple[str | None, str]] = []

    def store(batch: Batch) -> Reply:
        pushed.extend((batch.stream.tenant, entry.line) for entry in batch.entries)
        return STORED

    redriver.decide = store
    return pushed


def use(redriver: RedriverInMemory, **settings: str | None) -> None:
    redriver.settings = replace(redriver.settings, **settings)


def test_when_the_tenant_changes_what_waits_goes_to_the_new_one() -> None:
    redriver = RedriverInMemory(
        failed("09.00.00", "/a/g", "one"), of_lambda("09.00.01", "/a/h", "two")
    )
    use(redriver, tenant_tag=None, loki_tenant="new")
    pushed = remember(redriver)
    assert redriver.run().objects == 2
    assert sorted(pushed) == [("new", "one"), ("new", "two")]


def test_when_the_tag_of_tenants_is_named_what_waits_goes_to_the_tags_tenant() -> None:
    redriver = RedriverInMemory(
        failed("09.00.00", "/a/g", "one"), failed("09.00.01", "/b/g", "two")
    )
    redriver.untagged = {"/b/g"}
    use(redriver, tenant_tag="tenant", loki_tenant="all")
    pushed = remember(redriver)
    assert redriver.run().objects == 2
    assert sorted(pushed, key=str) == [("a", "one"), ("all", "two")]


def test_without_the_tag_and_a_tenant_for_all_what_waits_is_refused_until_there_is_one() -> None:
    redriver = RedriverInMemory(failed("09.00.00", "/b/g", "one"))
    redriver.untagged = {"/b/g"}
    pushed = remember(redriver)
    report = redriver.run()
    assert (report.objects, report.rejected, pushed) == (1, 1, [])
    assert len(redriver.memory.keys("rejected/")) == 1
    use(redriver, loki_tenant="all")
    needed = redriver.effects()
    assert redrive(rejected(needed.bucket), needed).lines == 1
    assert (pushed, redriver.memory.objects) == ([("all", "one")], {})


def test_when_the_tag_of_tenants_is_no_longer_named_what_has_no_known_tenant_comes_too() -> None:
    redriver = RedriverInMemory(failed("09.00.00", "/a/g", "one"))
    redriver.unknown = {"/a/g"}
    pushed = remember(redriver)
    assert (redriver.run().left, pushed) == (1, [])
    use(redriver, tenant_tag=None, loki_tenant="all")
    assert redriver.run().objects == 1
    assert pushed == [("all", "one")]


@pytest.mark.parametrize(("before", "after"), [(4, 2), (1, 5), (3, 4)])
def test_when_the_number_of_workers_changes_every_object_has_its_worker(
    before: int, after: int
) -> None:
    redriver = RedriverInMemory(*(failed(f"09.00.{n:02}", f"/a/{n}", str(n)) for n in range(60)))
    cursors: dict[Share, Cursor] = {}

    def run(share: Share, limit: int | None = None) -> None:
        report = redriver.run(share=share, cursor=cursors.get(share, Cursor()), limit=limit)
        cursors[share] = report.cursor

    pushed = remember(redriver)
    for worker in range(before):
        run(Share(worker, before), limit=5)
    assert redriver.memory.objects
    for worker in range(after):
        run(Share(worker, after))
    assert redriver.memory.objects == {}
    assert sorted(int(line) for _, line in pushed) == [*range(60)]


def test_an_object_that_two_workers_take_at_once_is_shipped_twice_and_lost_never() -> None:
    """While RedriveWorkers changes, or somebody runs `redrive` by hand beside the schedule."""
    redriver = RedriverInMemory(
        failed("09.00.00", "/a/g", "one"), failed("09.00.01", "/a/g", "two")
    )
    pushed = remember(redriver)
    needed = redriver.effects()

    def other(keys: object) -> dict[str, object]:
        # The other one has read them too, and is quicker.
        assert redriver.run(share=EVERYTHING, now=NOW).objects == 2
        return needed.bucket.delete(keys)  # type: ignore[arg-type, return-value] # as it came

    bucket = replace(needed.bucket, delete=other)
    objects = [*chain(needed.bucket.objects("failed/", ""))]
    report = redrive(objects, replace(needed, bucket=bucket))
    assert (report.objects, report.left, report.faults) == (2, 0, {})
    assert sorted(line for _, line in pushed) == ["one", "one", "two", "two"]
    assert redriver.memory.objects == {}
