"""`loki-shipper deploy`, with a pretended SAM, as moto has no serverless stacks."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.subscriber.deployment import Deployment, deployed


class Sam:
    """A SAM that writes down how it is called, and does `does` when it deploys or deletes."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "sam"
        self._log = folder / "calls"
        self.fails("nothing")

    def fails(self, command: str) -> None:
        self.path.write_text(
            f"#!{sys.executable}\n"
            "import sys\n"
            f"open({str(self._log)!r}, 'a').write(' '.join(sys.argv[1:]) + chr(10))\n"
            f"sys.exit(sys.argv[1] == {command!r})\n"
        )
        self.path.chmod(0o755)

    @property
    def calls(self) -> list[str]:
        return self._log.read_text().splitlines() if self._log.exists() else []


@pytest.fixture
def here() -> Iterator[Deployment]:
    with deployed() as here:
        here.group("/aws/lambda/a", foreign=1)
        yield here


@pytest.fixture
def sam(tmp_path: Path) -> Sam:
    return Sam(tmp_path)


def test_builds_deploys_links_and_shows_and_says_when_nothing_has_changed(
    here: Deployment, sam: Sam
) -> None:
    here.make_stack()
    first = here.run("deploy", "--sam", str(sam.path))
    assert first.exit_code == 0, first.output
    assert here.linked == {"/aws/lambda/a"}
    assert "/aws/lambda/a" in first.stdout.rpartition("log group")[2]
    assert "nothing has changed" not in first.stdout
    second = here.run("deploy", "--sam", str(sam.path))
    assert "nothing has changed" in second.stdout
    assert sam.calls == 2 * [
        "build",
        f"deploy --stack-name {here.name} --no-fail-on-empty-changeset --no-confirm-changeset",
    ]


def test_deletes_the_stack_when_no_filter_is_left(here: Deployment, sam: Sam) -> None:
    here.make_stack()
    here.run("link", "--all")
    result = here.run("deploy", "--delete", "--sam", str(sam.path))
    assert result.exit_code == 0, result.output
    assert not here.linked
    assert here.filters == {"/aws/lambda/a": ["foreign-0"]}
    assert sam.calls == [f"delete --no-prompts --stack-name {here.name}"]


def test_only_says_what_would_change(here: Deployment, sam: Sam) -> None:
    here.make_stack()
    result = here.run("deploy", "--dry-run", "--sam", str(sam.path))
    assert "1 to link" in result.stdout
    here.run("link", "--all")
    here.run("deploy", "--delete", "--dry-run", "--sam", str(sam.path))
    assert here.linked
    assert sam.calls[1].endswith("--no-execute-changeset --no-fail-on-empty-changeset")
    assert len(sam.calls) == 2


def test_stops_where_sam_does(here: Deployment, sam: Sam) -> None:
    sam.fails("deploy")
    result = here.run("deploy", "--sam", str(sam.path))
    assert result.exit_code == 1
    assert "sam deploy failed" in result.stderr


def test_has_nothing_to_delete_where_there_is_no_stack(here: Deployment, sam: Sam) -> None:
    result = here.run("deploy", "--delete", "--sam", str(sam.path))
    assert result.exit_code == 0
    assert "nothing to delete" in result.stdout
    assert not sam.calls
