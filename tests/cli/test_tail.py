"""`loki-shipper tail` shows lines as they arrive in a real Loki, and which have not."""

import re
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from msgspec.structs import replace

from loki_shipper.local.find_loki import Running
from loki_shipper.local.invoke import invoke, loki_connection
from loki_shipper.local.loki import Loki
from loki_shipper.local.receiver import ScriptedAnswer
from loki_shipper.local.sample import from_lines, invocation_event
from loki_shipper.settings import settings
from tests.cli.processes import in_closed_pipe
from tests.cli.queries import found, queried
from tests.local_deployment import REGION, Deployment, Skipping, deployed
from tests.loki.asking import now
from tests.moto_gaps import real_event_ids

type Run = Callable[..., Result]

GROUP = "/aws/lambda/checkout"
OTHER = "/ecs/shop"


class Shipping:
    """The shipper's function. It keeps payloads while it is `down`, and ships them afterwards."""

    def __init__(self, **environ: str) -> None:
        self.environ = environ
        self.down = False
        self._kept: list[dict[str, Any]] = []

    def __call__(self, event: dict[str, Any]) -> None:
        self._kept.append(event)
        if not self.down:
            self.ship()

    def ship(self) -> None:
        configured = settings(self.environ)
        for event in self._kept:
            tags = {"team": "payments"}
            connection = loki_connection(configured)
            assert invoke(
                event, configured, tags=tags, region=REGION, loki=connection
            ).report.delivered
        self._kept.clear()


@pytest.fixture
def shipping(loki: Loki | Running, tenant: str) -> Shipping:
    return Shipping(LOKI_URL=loki.url, LOKI_TENANT=tenant)


@pytest.fixture
def here(shipping: Shipping) -> Iterator[Deployment]:
    """A stack that ships to a real Loki, and two log groups that are linked."""
    with real_event_ids(), deployed(shipping) as here:
        here.aws.client("lambda").update_function_configuration(
            FunctionName=here.shipper, Environment={"Variables": shipping.environ}
        )
        here.make_stack()
        for name in (GROUP, OTHER):
            here.group(name, team="payments")
            here.aws.subscribe(name, here.shipper)
        yield here


def acting(*actions: Callable[[], object]) -> Skipping:
    """A clock on which something happens at each of the first sleeps."""
    left = [*actions]

    def act() -> None:
        if left:
            left.pop(0)()

    return Skipping(before_sleep=act)


def rows(result: Result) -> list[list[str]]:
    """The columns of the lines that were shown; those of labels have none."""
    found = [re.match(r"(\d\d:\d\d:\d\d\.\d{3})  +(\S*s)? +(.*)", line) for line in shown(result)]
    return [[*match.groups("")][1:] for match in found if match is not None]


def shown(result: Result) -> list[str]:
    assert result.exit_code == 0, result.output
    return result.stdout.splitlines()


def test_shows_lines_as_they_arrive_with_labels_and_delay(here: Deployment) -> None:
    here.aws.put_lines(GROUP, "a", ["was there before"])
    clock = acting(lambda: here.aws.put_lines(GROUP, "a", ["order 1009: paid", "order 1010: open"]))
    result = here.run("tail", GROUP, "--for", "3s", clock=clock.clock)
    assert [(bool(delay), line) for delay, line in rows(result)] == [
        (False, "checkout  was there before"),
        (True, "checkout  order 1009: paid"),
        (True, "checkout  order 1010: open"),
    ]
    labels = shown(result)[0]
    assert "account_id" not in labels
    assert f'log_group="{GROUP}"' in labels
    assert 'service_name="checkout"' in labels
    assert sum("log_group=" in line for line in shown(result)) == 1


def test_shows_all_log_groups_with_a_tag(here: Deployment) -> None:
    def log() -> None:
        here.aws.put_lines(GROUP, "a", ["from a function"])
        here.aws.put_lines(OTHER, "a", ["from a container"])

    words = ("tail", "--tag", "team=payments", "--for", "3s")
    result = here.run(*words, clock=acting(log).clock)
    assert {line for _, line in rows(result)} == {
        "checkout  from a function",
        "shop  from a container",
    }
    other = here.run("tail", "--tag", "team=finance", "--for", "2s")
    assert shown(other) == []


def test_a_line_that_comes_late_shows_how_late(here: Deployment, shipping: Shipping) -> None:
    shipping.down = True
    here.aws.put_lines(GROUP, "a", ["held up"])
    clock = acting(lambda: None, shipping.ship)
    # The clock skips: the line arrives two seconds after it was logged.
    result = here.run("tail", GROUP, "--for", "5s", clock=clock.clock)
    [[delay, line]] = rows(result)
    assert line == "checkout  held up"
    assert 2.0 <= float(delay.removesuffix("s")) < 60


def test_lines_of_another_account_are_not_mixed_in(
    here: Deployment, loki: Loki | Running, tenant: str
) -> None:
    here.aws.put_lines(GROUP, "a", ["ours"])
    theirs = from_lines(["theirs"], log_group=GROUP, log_stream="a", newest=now())
    event = invocation_event(replace(theirs, owner="210987654321"))
    configured = settings({"LOKI_URL": loki.url, "LOKI_TENANT": tenant})
    connection = loki_connection(configured)
    tags = {"team": "payments"}
    assert (
        invoke(event, configured, tags=tags, region=REGION, loki=connection).report.delivered == 1
    )
    for words in ((GROUP,), ("--tag", "team=payments")):
        result = here.run("tail", *words, "--for", "1s")
        assert [line for _, line in rows(result)] == ["checkout  ours"]


def test_shows_lines_that_arrive_minutes_late(here: Deployment, shipping: Shipping) -> None:
    shipping.down = True
    here.aws.put_lines(GROUP, "a", ["held up for long"])
    clock = Skipping()
    clock.clock.sleep(200)
    later = acting(shipping.ship)
    later.skipped = clock.skipped
    result = here.run("tail", GROUP, "--for", "12s", clock=later.clock)
    [[delay, _]] = rows(result)
    assert delay.startswith("3m")


def test_begins_with_the_lines_of_the_time_that_is_given(here: Deployment) -> None:
    here.aws.put_lines(GROUP, "a", ["two minutes ago"])
    clock = Skipping()
    clock.clock.sleep(120)
    assert shown(here.run("tail", GROUP, "--for", "1s", clock=clock.clock)) == []
    result = here.run("tail", GROUP, "--since", "5m", "--for", "1s", clock=clock.clock)
    assert [line for _, line in rows(result)] == ["checkout  two minutes ago"]


def test_more_lines_than_one_answer_of_loki_holds(here: Deployment) -> None:
    lines = [f"line {number}" for number in range(2_500)]
    here.aws.put_lines(GROUP, "a", lines)
    result = here.run("tail", GROUP, "--for", "2s")
    assert [line.removeprefix("checkout  ") for _, line in rows(result)] == lines


def test_control_characters_are_escaped(here: Deployment) -> None:
    here.aws.put_lines(GROUP, "a", ["\x1b[2J gone\nnext\tcolumn"])
    [[_, line]] = rows(here.run("tail", GROUP, "--for", "1s"))
    assert line == r"checkout  \x1b[2J gone\nnext" + "     column"


def test_labels_have_colours_on_a_terminal(here: Deployment) -> None:
    here.aws.put_lines(GROUP, "a", ["hello"])
    words = ("tail", GROUP, "--for", "1s")
    coloured = here.run(*words, FORCE_COLOR="1", TERM="xterm-256color").stdout
    assert re.search(r'log_group=\x1b\[0m\x1b\[36m"/aws/lambda/checkout"', coloured)
    assert "\x1b" not in here.run(*words).stdout


def test_ctrl_c_says_how_many_lines_there_were(here: Deployment) -> None:
    here.aws.put_lines(GROUP, "a", ["one", "two"])

    def ctrl_c() -> None:
        raise KeyboardInterrupt

    result = here.run("tail", GROUP, clock=acting(ctrl_c).clock)
    assert (result.exit_code, result.stderr) == (130, "stopped: 2 lines\n")


def test_compares_with_cloudwatch_logs(here: Deployment, shipping: Shipping) -> None:
    def hold_up() -> None:
        shipping.down = True
        here.aws.put_lines(GROUP, "a", ["held up"])

    clock = acting(
        lambda: here.aws.put_lines(GROUP, "a", ["at once"]), hold_up, *[lambda: None] * 9
    )
    result = here.run("tail", GROUP, "--compare", "--for", "25s", clock=clock.clock)
    assert result.exit_code == 1
    states = [line.split()[:2] for line in result.stdout.splitlines()[1:]]
    assert states == [["yes", "yes"], ["yes", "not"]]
    assert "1 line in both, 1 not in Loki\n" in result.stderr
    assert "lines of CloudWatch Logs are not in Loki after 15 seconds" in result.stderr
    shipping.ship()
    again = here.run("tail", GROUP, "--compare", "--since", "5m", "--for", "2s")
    assert again.exit_code == 0, again.output
    assert again.stderr == "2 lines in both, 0 not in Loki\n"


def test_says_when_a_missing_line_arrives(here: Deployment, shipping: Shipping) -> None:
    shipping.down = True
    here.aws.put_lines(GROUP, "a", ["held up"])
    clock = acting(*[lambda: None] * 9, shipping.ship)
    result = here.run("tail", GROUP, "--compare", "--for", "30s", clock=clock.clock)
    states = [line.split()[:2] for line in shown(result)[1:]]
    assert states == [["yes", "not"], ["yes", "yes"]]
    assert result.stderr == "1 line in both, 0 not in Loki\n"


def test_lines_that_rules_change_are_compared_as_they_are_shipped(
    here: Deployment, shipping: Shipping, tmp_path: Path
) -> None:
    rules = tmp_path / "rules.toml"
    rules.write_text("[[rule]]\nreplace = '\\d+'\nwith = '[n]'\n[[rule]]\ndrop = 'health'\n")
    shipping.environ["RULES"] = str(rules)
    here.aws.client("lambda").update_function_configuration(
        FunctionName=here.shipper, Environment={"Variables": shipping.environ}
    )
    here.aws.put_lines(GROUP, "a", ["order 1009", "health check", "x" * 300_000])
    result = here.run("tail", GROUP, "--compare", "--for", "2s")
    assert result.exit_code == 0, result.output
    assert "order [n]" in result.stdout
    assert result.stderr == "3 lines in both, 0 not in Loki, 1 dropped by rules\n"


def test_a_loki_url_in_the_environment_needs_no_aws(
    run: Run, here: Deployment, tenant: str
) -> None:
    here.aws.put_lines(GROUP, "a", ["hello"])
    url = str(
        here.aws.client("lambda").get_function_configuration(FunctionName=here.shipper)[
            "Environment"
        ]["Variables"]["LOKI_URL"]
    )
    words = ("tail", GROUP, "--loki", url, "--for", "1s")
    nowhere = {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_REGION": REGION}
    assert "checkout  hello" in run(*words, LOKI_TENANT=tenant, **nowhere).stdout
    assert "checkout  hello" in run(*words, "--tenant", tenant, **nowhere).stdout


def test_the_tenant_is_that_of_the_log_groups_tag(here: Deployment, tenant: str) -> None:
    environ = {"LOKI_URL": "http://unused", "TENANT_TAG": "owner"}
    here.aws.put_lines(GROUP, "a", ["hello"])
    current = here.aws.client("lambda").get_function_configuration(FunctionName=here.shipper)
    environ["LOKI_URL"] = current["Environment"]["Variables"]["LOKI_URL"]
    here.aws.client("lambda").update_function_configuration(
        FunctionName=here.shipper, Environment={"Variables": environ}
    )
    refused = here.run("tail", "--tag", "team=payments", "--for", "1s")
    assert refused.exit_code == 2
    assert "the tag owner names the tenant: give --tenant" in refused.stderr
    here.aws.client("logs").tag_log_group(logGroupName=GROUP, tags={"owner": tenant})
    assert "checkout  hello" in here.run("tail", GROUP, "--for", "1s").stdout


def test_ends_when_the_pipe_is_closed() -> None:
    line = found({"log_group": GROUP}, (time.time_ns(), "a line"))
    with queried([line]) as url:
        ended = in_closed_pipe(["tail", GROUP, "--loki", url], {})
    assert (ended.exit_code, ended.stderr) == (0, "")


def test_queries_with_the_credentials_of_the_function(here: Deployment) -> None:
    secret = here.aws.client("secretsmanager").create_secret(
        Name=here.name, SecretString='{"token": "glc_of-the-function"}'
    )
    came: list[Mapping[str, str]] = []
    with queried([found({})], came) as url:
        environ = {"LOKI_URL": url, "LOKI_SECRET": secret["ARN"], "LOKI_TENANT": "shop"}
        here.aws.client("lambda").update_function_configuration(
            FunctionName=here.shipper, Environment={"Variables": environ}
        )
        result = here.run("tail", GROUP, "--for", "1s")
        here.run("tail", GROUP, "--for", "1s", "--tenant", "other")
    assert (result.exit_code, result.output) == (0, "")
    assert came[0]["Authorization"] == "Bearer glc_of-the-function"
    assert (came[0]["X-Scope-OrgID"], came[-1]["X-Scope-OrgID"]) == ("shop", "other")


# What goes wrong


def test_a_secret_that_cannot_be_read_is_reported(here: Deployment) -> None:
    environ = {"LOKI_URL": "http://127.0.0.1:9", "LOKI_SECRET": "arn:aws:secretsmanager:a:b:c:d"}
    here.aws.client("lambda").update_function_configuration(
        FunctionName=here.shipper, Environment={"Variables": environ}
    )
    result = here.run("tail", GROUP)
    assert result.exit_code == 2
    assert "your AWS credentials cannot read the credentials for Loki (" in result.stderr
    assert "give --loki URL, and set LOKI_TOKEN" in result.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "name a log group, or give --tag KEY=VALUE"),
        (("--tag", "team"), "'team' is not a tag"),
        (("--tag", "team=x", "--compare"), "--compare needs a log group"),
        ((GROUP, "--since", "soon"), "'soon' is not a time: write it like 30s, 5m or 1h"),
        ((GROUP, "--loki", "http://127.0.0.1:9", "--compare"), "--compare reads CloudWatch Logs"),
        ((GROUP, "--loki", "ftp://x"), "correct --loki or the settings"),
    ],
)
def test_a_wrong_call_is_reported(run: Run, words: tuple[str, ...], said: str) -> None:
    result = run("tail", *words)
    assert result.exit_code == 2
    assert said in result.stderr


def test_a_tag_that_is_no_label_is_reported(here: Deployment, shipping: Shipping) -> None:
    shipping.environ["TAG_LABELS"] = "env"
    here.aws.client("lambda").update_function_configuration(
        FunctionName=here.shipper, Environment={"Variables": shipping.environ}
    )
    result = here.run("tail", "--tag", "team=payments")
    assert result.exit_code == 2
    assert "the tag team becomes no label (TAG_LABELS does not list it)" in result.stderr


def test_a_log_group_that_is_not_linked_cannot_be_compared(here: Deployment) -> None:
    here.group("/ecs/unlinked")
    result = here.run("tail", "/ecs/unlinked", "--compare")
    assert result.exit_code == 2
    assert "is not linked, so its lines do not go to Loki: loki-shipper link /ecs" in result.stderr
    missing = here.run("tail", "/ecs/none", "--compare")
    assert "there is no log group /ecs/none" in missing.stderr


@pytest.mark.parametrize(
    ("answer", "exit_code", "said"),
    [
        (ScriptedAnswer(401), 2, "Loki refuses queries with these credentials (401)"),
        (ScriptedAnswer(404, b"page not found"), 2, "Loki answers 404: page not found"),
        (ScriptedAnswer(200, b"<html>log in</html>"), 2, "something other than Loki answers"),
        (ScriptedAnswer(200, b"[]"), 2, "something other than Loki answers"),
        (ScriptedAnswer(503, b"too many outstanding requests"), 1, "Loki answers 503: too many"),
    ],
    ids=["401", "404", "login page", "other JSON", "503"],
)
def test_an_error_of_loki_is_reported_in_one_sentence(
    run: Run, answer: ScriptedAnswer, exit_code: int, said: str
) -> None:
    with queried([answer]) as url:
        result = run("tail", GROUP, "--loki", url, LOKI_TOKEN="glc_secret")
    assert (result.exit_code, result.stdout) == (exit_code, "")
    assert said in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert "glc_secret" not in result.output


def test_a_missing_loki_is_reported(run: Run) -> None:
    result = run("tail", GROUP, "--loki", "http://127.0.0.1:9")
    assert result.exit_code == 1
    assert "Loki does not answer (ConnectionError): check that 127.0.0.1:9 is" in result.stderr


def test_a_loki_that_fails_later_is_retried(here: Deployment) -> None:
    down = ScriptedAnswer(503, b"restarting")
    with queried([found({}), down, down, found({})]) as url:
        words = ("tail", GROUP, "--loki", url, "--stack", here.name, "--for", "3s")
        result = here.run(*words)
    assert result.exit_code == 0, result.output
    assert result.stderr == "Loki answers 503: restarting: trying again\n"


def test_more_lines_than_one_read_returns_are_reported(here: Deployment) -> None:
    began = time.time_ns()
    page = found({"log_group": GROUP}, *((began + n, f"line {n}") for n in range(1_000)))
    with queried([page]) as url:
        words = ("tail", GROUP, "--loki", url, "--stack", here.name, "--for", "1s")
        result = here.run(*words)
    said = "Loki has too many lines for one query: use --tag or --since to get fewer\n"
    assert result.stderr == said
