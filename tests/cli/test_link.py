"""`link` and `unlink` take names, patterns and ARNs, and say what they mean."""

from collections.abc import Iterator

import pytest

from loki_shipper.local.aws import ACCOUNT
from tests.cli.processes import Ended, on_terminal
from tests.local_deployment import REGION, Deployment, deployed

PREFIX = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:"


@pytest.fixture
def here() -> Iterator[Deployment]:
    with deployed() as here:
        here.make_stack()
        for name in ("/ecs/shop-a", "/ecs/shop-b", "/ecs/other", "/aws/lambda/f"):
            here.group(name)
        yield here


def test_a_pattern_links_the_log_groups_that_are_there(here: Deployment) -> None:
    result = here.run("link", "/ecs/shop-*")
    assert (result.exit_code, here.linked) == (0, {"/ecs/shop-a", "/ecs/shop-b"})
    assert "2 log groups: 2 linked\n" in result.stdout
    assert "new log groups that match are not linked by themselves" in result.stderr
    result = here.run("unlink", "*shop-[ab]")
    assert (result.exit_code, here.linked) == (0, set())


def test_a_pattern_and_a_name_may_mean_the_same(here: Deployment) -> None:
    result = here.run("link", "/ecs/shop-a", "/ecs/shop-?", "--dry-run")
    assert "2 log groups: 2 to link\n" in result.stdout
    assert not here.linked


@pytest.mark.parametrize("end", ["", ":*"])
def test_an_arn_leads_to_its_log_group(here: Deployment, end: str) -> None:
    assert here.run("link", f"{PREFIX}/ecs/shop-a{end}").exit_code == 0
    assert here.linked == {"/ecs/shop-a"}
    explained = here.run("explain", f"{PREFIX}/ecs/shop-a{end}")
    assert explained.stdout.startswith("/ecs/shop-a\nlinked since")
    assert here.run("unlink", f"{PREFIX}/ecs/shop-a{end}").exit_code == 0
    assert not here.linked


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("/nothing/*", "no log group matches /nothing/*"),
        ("/ecs/none", "there is no log group /ecs/none"),
        ("two words", "'two words' is not the name of a log group"),
        ("arn:aws:s3:::bucket", "arn:aws:s3:::bucket is not the ARN of a log group"),
        (
            f"arn:aws:logs:us-east-1:{ACCOUNT}:log-group:/ecs/shop-a",
            f"/ecs/shop-a is in us-east-1 of account {ACCOUNT}",
        ),
    ],
)
def test_a_name_without_a_log_group_says_why(here: Deployment, word: str, said: str) -> None:
    result = here.run("link", word)
    assert result.exit_code == 2
    assert said in result.stderr
    assert not here.linked


@pytest.mark.parametrize("words", [["explain"], ["backfill", "--since", "1d"]])
def test_commands_for_one_log_group_take_no_pattern(here: Deployment, words: list[str]) -> None:
    result = here.run(*words, "/ecs/shop-*")
    assert result.exit_code == 2
    assert "/ecs/shop-* is a pattern: name one log group" in result.stderr


def test_totals_are_in_words(here: Deployment) -> None:
    for name in ("shipper", "subscriber", "redriver"):
        here.group(f"/aws/lambda/loki-shipper-{name}")
    here.group("/aws/lambda/g")
    here.run("link", "/ecs/other")
    here.run("unlink", "/aws/lambda/g")
    assert here.run("plan").stdout.splitlines()[-1] == (
        "8 log groups: 1 to link, 3 of Loki-Shipper itself, 2 not included, 1 linked by hand, "
        "1 unlinked by hand"
    )


# On a terminal


def asked(here: Deployment, answer: str, *words: str) -> Ended:
    """Run `unlink` on a terminal at which a person answers."""
    words = ("unlink", "--all", *words, "--stack", here.name)
    return on_terminal(words, 80, here.aws.environ, answer)


@pytest.mark.parametrize(
    ("answer", "exit_code", "is_linked"),
    [("n\n", 1, True), ("\n", 1, True), ("y\n", 0, False), ("\x04", 130, True)],
    ids=["no", "nothing", "yes", "end of input"],
)
def test_unlinking_a_selection_asks_first(
    here: Deployment, answer: str, exit_code: int, *, is_linked: bool
) -> None:
    here.run("link", "/ecs/other")
    ended = asked(here, answer, "--include", "/ecs/*")
    assert f"Unlink these 3 log groups of the stack {here.name}? [y/N]" in ended.stdout
    assert (ended.exit_code, bool(here.linked)) == (exit_code, is_linked), ended


def test_unlinking_everything_asks_first(here: Deployment) -> None:
    here.run("link", "/ecs/other")
    ended = asked(here, "n\n")
    assert f"Unlink every log group of the stack {here.name} ({REGION})?" in ended.stdout
    assert "nothing was changed" in ended.stdout
    assert (ended.exit_code, here.linked) == (1, {"/ecs/other"})


@pytest.mark.parametrize("flag", ["--yes", "--dry-run"])
def test_yes_and_a_dry_run_are_not_asked(here: Deployment, flag: str) -> None:
    here.run("link", "/ecs/other")
    ended = asked(here, "", "--include", "/ecs/*", flag)
    assert "[y/N]" not in ended.stdout
    assert (ended.exit_code, bool(here.linked)) == (0, flag == "--dry-run")


@pytest.mark.parametrize(
    ("words", "answer", "exit_code", "asks"),
    [
        ((), "n\n", 1, True),
        ((), "y\n", 0, True),
        (("--yes",), "", 0, False),
        (("--dry-run",), "", 0, False),
    ],
    ids=["no", "yes", "--yes", "--dry-run"],
)
def test_a_retention_deletes_lines_so_link_asks_first(
    here: Deployment, words: tuple[str, ...], answer: str, exit_code: int, *, asks: bool
) -> None:
    here.run("link", "/ecs/other")
    command = ("link", "/ecs/other", "--retention", "7d", *words, "--stack", here.name)
    ended = on_terminal(command, 80, here.aws.environ, answer)
    question = "CloudWatch Logs will delete lines older than 7 days for good"
    assert (question in ended.stdout, ended.exit_code) == (asks, exit_code), ended
    groups = here.aws.client("logs").describe_log_groups(logGroupNamePrefix="/ecs/other")
    is_set = "retentionInDays" in groups["logGroups"][0]
    assert is_set == (exit_code == 0 and "--dry-run" not in words)


def test_a_script_is_not_asked(here: Deployment) -> None:
    here.run("link", "/ecs/other")
    assert here.run("unlink", "--all").exit_code == 0
    assert not here.linked
