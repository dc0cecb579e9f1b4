"""A command that is stopped in the middle loses nothing and can be continued."""

from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from click.testing import Result

from tests.cli.faulty_aws import faulty
from tests.cli.past import GROUP, Shipper, log, rest
from tests.local_deployment import Deployment, Skipping, deployed
from tests.moto_gaps import real_event_ids

NAMES = {f"/aws/lambda/f{number}" for number in range(20)}
SAID = {
    "ctrl-c": (130, "stopped: "),
    "lost": (1, "check your connection"),
    "expired": (1, "log in to AWS"),
}


@pytest.fixture
def shipper() -> Shipper:
    return Shipper()


@pytest.fixture
def here(shipper: Shipper) -> Iterator[Deployment]:
    with real_event_ids(), deployed(shipper) as here:
        here.make_stack()
        yield here


def stopped(here: Deployment, how: str, when: Callable[[], bool], *words: str) -> Result:
    """Run a command that something stops."""

    def ctrl_c() -> None:
        if when():
            raise KeyboardInterrupt

    if how == "ctrl-c":
        result = here.run(*words, clock=Skipping(before_sleep=ctrl_c).clock)
    else:
        with faulty(here.aws.url, when, "lost" if how == "lost" else "expired") as url:
            result = here.run(*words, AWS_ENDPOINT_URL=url)
    code, said = SAID[how]
    assert (result.exit_code, said in result.stderr) == (code, True), result.output
    return result


@pytest.mark.parametrize("how", SAID)
def test_an_interrupted_link_continues(here: Deployment, how: str) -> None:
    for name in NAMES:
        here.group(name)
    stopped(here, how, lambda: len(here.linked) > 5, "link", "--all")
    linked = here.linked
    assert 0 < len(linked) < 20
    result = here.run("link", "--all")
    assert f"{20 - len(linked)} linked" in result.stdout
    assert here.linked == NAMES


@pytest.mark.parametrize("how", SAID)
def test_an_interrupted_backfill_continues(here: Deployment, shipper: Shipper, how: str) -> None:
    here.group(GROUP)
    lines = log(here, "a", *(timedelta(hours=n, minutes=-5) for n in range(1, 20)))
    result = stopped(here, how, lambda: len(shipper.lines) > 8, "backfill", GROUP, "--since", "1d")
    assert 8 < len(shipper.lines) < len(lines)
    assert here.run(*rest(result)).exit_code == 0
    assert sorted(set(shipper.lines)) == sorted(lines)
