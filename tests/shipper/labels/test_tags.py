"""Tags: index, then memory, then AWS; stale before none; never an exception, never a flap."""

import random
from collections.abc import Callable, Mapping

import pytest

from loki_shipper.model import LogSource
from loki_shipper.shipper.labels.tag_index import Tagged, TagIndex
from loki_shipper.shipper.labels.tags import (
    IndexUnchanged,
    LogGroupTags,
    Tags,
    TagSources,
    TagsUnavailable,
)

ACCOUNT = "123456789012"
OTHER = "999999999999"
REGION = "eu-central-1"
TTL = 600.0

type Answer = Mapping[str, str] | TagsUnavailable
type IndexAnswer = TagIndex | IndexUnchanged | None


class FakeTagSources:
    """A clock to turn, an API and a bucket that answer what the test says, and count."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.asked: list[str] = []
        self.read: list[str] = []
        self.answer: Answer = {"team": "a"}
        self.indexes: dict[str, IndexAnswer] = {}
        self.regional: dict[tuple[str, str], IndexAnswer] = {}

    def fetch_tags(self, log_group: str) -> Answer:
        self.asked.append(log_group)
        return self.answer

    def read_index(self, account: str, region: str) -> IndexAnswer:
        self.read.append(account)
        if region == REGION:
            return self.indexes.get(account)
        return self.regional.get((account, region))

    def tags(self) -> Tags:
        sources = TagSources(fetch_tags=self.fetch_tags, read_index=self.read_index)
        return Tags(ACCOUNT, REGION, sources, clock=lambda: self.now, jitter=lambda _: 0.0)


def of(log_group: str, account: str = ACCOUNT, region: str = REGION) -> LogSource:
    return LogSource(account, region, log_group)


def known(**tags: str) -> LogGroupTags:
    return LogGroupTags(tags)


UNKNOWN = LogGroupTags({}, known=False)


@pytest.fixture
def sources() -> FakeTagSources:
    return FakeTagSources()


def index_of(**tags: str) -> TagIndex:
    return TagIndex({"g": Tagged(1, tags)})


def test_a_log_group_that_the_index_knows_costs_no_call(sources: FakeTagSources) -> None:
    sources.indexes[ACCOUNT] = index_of(team="index")
    tags = sources.tags()
    assert [tags(of("g")) for _ in range(3)] == [known(team="index")] * 3
    assert (sources.asked, sources.read) == ([], [ACCOUNT])


def test_a_log_group_without_tags_in_the_index_is_not_asked_for(sources: FakeTagSources) -> None:
    sources.indexes[ACCOUNT] = index_of()
    assert sources.tags()(of("g")) == known()
    assert sources.asked == []


def test_a_log_group_that_the_index_does_not_know_is_asked_for_once(
    sources: FakeTagSources,
) -> None:
    sources.indexes[ACCOUNT] = index_of(team="index")
    tags = sources.tags()
    assert [tags(of("new")), tags(of("new"))] == [known(team="a")] * 2
    assert sources.asked == ["new"]


def test_no_tags_is_an_answer_and_remembered(sources: FakeTagSources) -> None:
    sources.answer = {}
    tags = sources.tags()
    assert [tags(of("g")), tags(of("g"))] == [known(), known()]
    assert (sources.asked, tags.missing) == (["g"], 0)


def test_tags_are_asked_for_again_after_their_time(sources: FakeTagSources) -> None:
    tags = sources.tags()
    tags(of("g"))
    sources.now += TTL - 1
    tags(of("g"))
    sources.answer = {"team": "b"}
    sources.now += 1
    assert tags(of("g")) == known(team="b")
    assert sources.asked == ["g", "g"]


def test_known_tags_are_served_stale_for_as_long_as_the_call_fails(sources: FakeTagSources) -> None:
    tags = sources.tags()
    tags(of("g"))
    sources.answer = TagsUnavailable()
    for _ in range(20):
        sources.now += TTL
        assert tags(of("g")) == known(team="a")
    assert (tags.missing, tags.failures) == (0, 20)


def test_a_failure_is_not_remembered_as_no_tags(sources: FakeTagSources) -> None:
    sources.answer = TagsUnavailable()
    tags = sources.tags()
    assert tags(of("g")) == UNKNOWN
    assert tags.missing == 1
    sources.answer = {"team": "a"}
    sources.now += 30
    assert tags(of("g")) == known(team="a")


@pytest.mark.parametrize(
    ("denied", "silence"),
    [pytest.param(False, 30, id="failed"), pytest.param(True, 300, id="denied")],
)
def test_a_failure_keeps_the_environment_from_asking_for_any_log_group(
    sources: FakeTagSources, denied: bool, silence: float
) -> None:
    sources.answer = TagsUnavailable(denied=denied)
    tags = sources.tags()
    tags(of("g"))
    sources.now += silence - 1
    tags(of("h"))
    assert sources.asked == ["g"]
    sources.now += 1
    tags(of("h"))
    assert sources.asked == ["g", "h"]


def test_a_deleted_log_group_keeps_nobody_else_from_asking(sources: FakeTagSources) -> None:
    tags = sources.tags()
    tags(of("g"))
    sources.now += TTL
    sources.answer = TagsUnavailable(gone=True)
    assert tags(of("g")) == known(team="a")
    sources.answer = {"team": "h"}
    assert tags(of("h")) == known(team="h")


def test_a_deleted_log_group_whose_tags_nobody_read_may_have_had_others(
    sources: FakeTagSources,
) -> None:
    """Its lines may still wait in the bucket, and are not for whoever has no tags."""
    sources.answer = TagsUnavailable(gone=True)
    tags = sources.tags()
    assert [tags(of("g")) for _ in range(2)] == [UNKNOWN] * 2
    assert (sources.asked, tags.missing, tags.failures) == (["g"], 2, 0)


def test_the_index_is_read_again_after_its_time_and_kept_when_unchanged(
    sources: FakeTagSources,
) -> None:
    sources.indexes[ACCOUNT] = index_of(team="one")
    tags = sources.tags()
    tags(of("g"))
    sources.now += 120
    sources.indexes[ACCOUNT] = IndexUnchanged()
    assert tags(of("g")) == known(team="one")
    sources.now += 120
    sources.indexes[ACCOUNT] = index_of(team="two")
    assert tags(of("g")) == known(team="two")
    assert sources.read == [ACCOUNT] * 3


def test_an_index_that_disappears_stays_in_use(sources: FakeTagSources) -> None:
    sources.indexes[ACCOUNT] = index_of(team="one")
    tags = sources.tags()
    tags(of("g"))
    sources.now += 120
    sources.indexes[ACCOUNT] = None
    assert tags(of("g")) == known(team="one")


def test_another_accounts_log_group_is_looked_up_in_its_index_and_never_asked_for(
    sources: FakeTagSources,
) -> None:
    sources.indexes[OTHER] = index_of(team="theirs")
    tags = sources.tags()
    assert tags(of("g", OTHER)) == known(team="theirs")
    assert tags(of("unknown", OTHER)) == UNKNOWN
    assert (sources.asked, sources.read, tags.missing) == ([], [OTHER], 1)


def test_log_groups_of_one_name_never_share_tags(sources: FakeTagSources) -> None:
    """Their indexes are those of their own account and Region."""
    sources.indexes = {ACCOUNT: index_of(team="ours"), OTHER: index_of(team="theirs")}
    sources.regional = {
        (ACCOUNT, "us-east-1"): index_of(team="ours overseas"),
        (OTHER, "us-east-1"): index_of(team="theirs overseas"),
    }
    tags = sources.tags()
    places = [(a, r) for a in (ACCOUNT, OTHER) for r in (REGION, "us-east-1")]
    for _ in range(2):
        assert [tags(of("g", *place)).tags["team"] for place in places] == [
            "ours",
            "ours overseas",
            "theirs",
            "theirs overseas",
        ]
        sources.now += TTL
    assert sources.asked == []


def test_another_regions_log_group_never_has_the_tags_of_ours(sources: FakeTagSources) -> None:
    """AWS answers for the function's own Region, where a log group of the name may exist."""
    tags = sources.tags()
    assert tags(of("g")) == known(team="a")
    assert tags(of("g", region="us-east-1")) == UNKNOWN
    assert sources.asked == ["g"]


def test_a_log_group_that_is_new_to_the_index_is_looked_up_in_it_again_first(
    sources: FakeTagSources,
) -> None:
    """The subscriber indexes a log group before it links it, so a new copy of the index has it."""
    sources.indexes[ACCOUNT] = index_of(team="one")
    tags = sources.tags()
    tags(of("g"))
    new = TagIndex({"/aws/lambda/new": Tagged(2, {"team": "its function's"})})
    sources.indexes[ACCOUNT] = new
    sources.answer = {}
    sources.now += 5
    assert tags(of("/aws/lambda/new")) == known(team="its function's")
    assert (sources.asked, tags.missing) == ([], 0)


def test_an_index_is_read_again_for_unknown_log_groups_once_in_five_seconds(
    sources: FakeTagSources,
) -> None:
    sources.indexes[ACCOUNT] = index_of()
    tags = sources.tags()
    for _ in range(10):
        tags(of("unknown"))
        sources.now += 1
    assert len(sources.read) == 2


def test_where_there_is_no_index_a_miss_does_not_look_for_one(sources: FakeTagSources) -> None:
    tags = sources.tags()
    for _ in range(10):
        tags(of("g"))
        sources.now += 5
    assert len(sources.read) == 1


def test_no_tags_of_its_own_is_not_the_truth_while_a_functions_tags_may_be_meant(
    sources: FakeTagSources,
) -> None:
    sources.indexes[ACCOUNT] = index_of(team="one")
    sources.answer = {}
    tags = sources.tags()
    assert [tags(of("/aws/lambda/new")) for _ in range(2)] == [UNKNOWN] * 2
    assert tags.missing == 2
    assert tags(of("/ecs/new")) == known()
    assert (sources.asked, tags.missing) == (["/aws/lambda/new", "/ecs/new"], 2)


def test_own_tags_of_a_functions_log_group_are_the_truth(sources: FakeTagSources) -> None:
    sources.indexes[ACCOUNT] = index_of(team="one")
    assert sources.tags()(of("/aws/lambda/new")) == known(team="a")


def test_where_nobody_keeps_an_index_no_tags_of_its_own_is_the_truth(
    sources: FakeTagSources,
) -> None:
    sources.answer = {}
    tags = sources.tags()
    assert (tags(of("/aws/lambda/new")), tags.missing) == (known(), 0)


@pytest.mark.parametrize("group", ["/aws/lambda/new", "/aws/lambda/old"])
def test_without_an_index_no_tags_of_its_own_is_not_the_truth_where_one_is_kept(
    sources: FakeTagSources, group: str
) -> None:
    """The index may be denied, deleted or broken: the tags of functions are only there."""
    sources.indexes[ACCOUNT] = IndexUnchanged()
    sources.answer = {}
    tags = sources.tags()
    assert tags(of(group)) == UNKNOWN
    assert tags(of("/ecs/new")) == known()
    sources.now += 5
    sources.indexes[ACCOUNT] = TagIndex({group: Tagged(2, {"team": "its function's"})})
    assert tags(of(group)) == known(team="its function's")


class ThrottledApi:
    """AWS at five calls a second, the rest throttled; one clock for all environments."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._second = -1
        self._in_second = 0
        self.calls = 0

    def fetch_tags(self, log_group: str) -> Answer:
        self.calls += 1
        second = int(self._clock())
        if second != self._second:
            self._second, self._in_second = second, 0
        self._in_second += 1
        return {"team": log_group} if self._in_second <= 5 else TagsUnavailable()


def test_in_a_storm_of_new_environments_no_known_stream_flaps_and_no_environment_asks_twice() -> (
    None
):
    """1,000 new execution environments, 13,000 log groups, 100 of them younger than the index."""
    now = 0.0
    api = ThrottledApi(lambda: now)
    old = [f"/aws/lambda/{n}" for n in range(12_900)]
    young = [f"/aws/lambda/young-{n}" for n in range(100)]
    index = TagIndex({name: Tagged(1, {"team": name}) for name in old})
    sources = TagSources(fetch_tags=api.fetch_tags, read_index=lambda *_: index)
    dice = random.Random(1)
    environments = [
        Tags(ACCOUNT, REGION, sources, clock=lambda: now, jitter=lambda most: dice.uniform(0, most))
        for _ in range(1000)
    ]
    wrong = 0
    untagged = 0
    for _ in range(20_000):
        now += 0.001
        name = dice.choice(old) if dice.random() < 0.99 else dice.choice(young)
        got = dice.choice(environments)(of(name))
        if name in index.groups:
            wrong += got != known(team=name)
        else:
            untagged += not got.known
    assert wrong == 0
    assert untagged > 0
    # Each environment asks at most once before it backs off for longer than the storm lasts.
    assert api.calls <= 1000


def test_a_bucket_that_the_index_does_not_know_is_asked_for_once(sources: FakeTagSources) -> None:
    tags = sources.tags()
    assert [tags(of("s3://my-logs")) for _ in range(2)] == [known(team="a")] * 2
    assert sources.asked == ["s3://my-logs"]


def test_the_tags_of_a_load_balancer_come_from_the_index_only(sources: FakeTagSources) -> None:
    sources.indexes[ACCOUNT] = TagIndex({"loadbalancer/app/shop/1": Tagged(1, {"team": "index"})})
    tags = sources.tags()
    there = LogSource(ACCOUNT, REGION, "loadbalancer/app/shop/1", resource=True)
    elsewhere = LogSource(ACCOUNT, REGION, "loadbalancer/app/shop/2", resource=True)
    assert tags(there) == known(team="index")
    assert tags(elsewhere) == UNKNOWN
    assert (sources.asked, tags.missing) == ([], 1)
