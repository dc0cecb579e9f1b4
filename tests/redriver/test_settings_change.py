"""What waits while a setting changes is shipped as the settings are then; nothing is lost."""

from itertools import chain

import pytest
from msgspec.structs import replace

from loki_shipper.model import Batch
from loki_shipper.redriver.bucket import EVERYTHING, Share, rejected
from loki_shipper.redriver.cursor import Cursor
from loki_shipper.redriver.redrive import redrive
from tests.redriver.memory import NOW, STORED, Reply, World, failed, of_lambda


def remember(world: World) -> list[tuple[str | None, str]]:
    """Collect tenant and line of what is pushed from now on."""
    pushed: list[tuple[str | None, str]] = []

    def store(batch: Batch) -> Reply:
        pushed.extend((batch.stream.tenant, entry.line) for entry in batch.entries)
        return STORED

    world.decide = store
    return pushed


def use(world: World, **settings: str | None) -> None:
    world.settings = replace(world.settings, **settings)


def test_when_the_tenant_changes_what_waits_goes_to_the_new_one() -> None:
    world = World(failed("09.00.00", "/a/g", "one"), of_lambda("09.00.01", "/a/h", "two"))
    use(world, tenant_tag=None, loki_tenant="new")
    pushed = remember(world)
    assert world.run().objects == 2
    assert sorted(pushed) == [("new", "one"), ("new", "two")]


def test_when_the_tag_of_tenants_is_named_what_waits_goes_to_the_tags_tenant() -> None:
    world = World(failed("09.00.00", "/a/g", "one"), failed("09.00.01", "/b/g", "two"))
    world.untagged = {"/b/g"}
    use(world, tenant_tag="tenant", loki_tenant="all")
    pushed = remember(world)
    assert world.run().objects == 2
    assert sorted(pushed, key=str) == [("a", "one"), ("all", "two")]


def test_without_the_tag_and_a_tenant_for_all_what_waits_is_refused_until_there_is_one() -> None:
    world = World(failed("09.00.00", "/b/g", "one"))
    world.untagged = {"/b/g"}
    pushed = remember(world)
    report = world.run()
    assert (report.objects, report.rejected, pushed) == (1, 1, [])
    assert len(world.memory.keys("rejected/")) == 1
    use(world, loki_tenant="all")
    needed = world.effects()
    assert redrive(rejected(needed.bucket), needed).lines == 1
    assert (pushed, world.memory.objects) == ([("all", "one")], {})


def test_when_the_tag_of_tenants_is_no_longer_named_what_has_no_known_tenant_comes_too() -> None:
    world = World(failed("09.00.00", "/a/g", "one"))
    world.unknown = {"/a/g"}
    pushed = remember(world)
    assert (world.run().left, pushed) == (1, [])
    use(world, tenant_tag=None, loki_tenant="all")
    assert world.run().objects == 1
    assert pushed == [("all", "one")]


@pytest.mark.parametrize(("before", "after"), [(4, 2), (1, 5), (3, 4)])
def test_when_the_number_of_workers_changes_every_object_has_its_worker(
    before: int, after: int
) -> None:
    world = World(*(failed(f"09.00.{n:02}", f"/a/{n}", str(n)) for n in range(60)))
    cursors: dict[Share, Cursor] = {}

    def run(share: Share, limit: int | None = None) -> None:
        report = world.run(share=share, cursor=cursors.get(share, Cursor()), limit=limit)
        cursors[share] = report.cursor

    pushed = remember(world)
    for worker in range(before):
        run(Share(worker, before), limit=5)
    assert world.memory.objects
    for worker in range(after):
        run(Share(worker, after))
    assert world.memory.objects == {}
    assert sorted(int(line) for _, line in pushed) == [*range(60)]


def test_an_object_that_two_workers_take_at_once_is_shipped_twice_and_lost_never() -> None:
    """While RedriveWorkers changes, or somebody runs `redrive` by hand beside the schedule."""
    world = World(failed("09.00.00", "/a/g", "one"), failed("09.00.01", "/a/g", "two"))
    pushed = remember(world)
    needed = world.effects()

    def other(keys: object) -> dict[str, object]:
        # The other one has read them too, and is quicker.
        assert world.run(share=EVERYTHING, now=NOW).objects == 2
        return needed.bucket.delete(keys)  # type: ignore[arg-type, return-value] # as it came

    bucket = replace(needed.bucket, delete=other)
    objects = [*chain(needed.bucket.objects("failed/", ""))]
    report = redrive(objects, replace(needed, bucket=bucket))
    assert (report.objects, report.left, report.faults) == (2, 0, {})
    assert sorted(line for _, line in pushed) == ["one", "one", "two", "two"]
    assert world.memory.objects == {}
