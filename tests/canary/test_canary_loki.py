"""What the canary asks Loki, and what it makes of each answer."""

import pytest
import requests

from loki_shipper.canary.loki import QueryTarget, find, selector
from loki_shipper.canary.measure import QueryFault
from loki_shipper.local.receiver import ScriptedAnswer
from loki_shipper.loki_names import BUILTINS
from tests.cli.queries import found, queried

SELECTOR = '{log_group="/canary"}'
ALL = tuple((name, name) for name in BUILTINS)
SENT = '{"canary":"sent","run":"a"}'


def target(url: str, tenant: str | None = "ours") -> QueryTarget:
    return QueryTarget(f"{url}/loki/api/v1/push", tenant, SELECTOR)


def ask(answer: ScriptedAnswer) -> frozenset[str] | QueryFault:
    with queried([answer]) as url, requests.Session() as session:
        return find(session, target(url), 0, 1)


def test_it_gives_the_ids_of_the_lines_that_runs_sent() -> None:
    other = '{"canary":"arrived","run":"b","seconds":1}'
    answer = found({}, (1, SENT), (2, other), (3, "not ours"))
    assert ask(answer) == frozenset("a")


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (ScriptedAnswer(401), "LokiReadSecret"),
        (ScriptedAnswer(403), "LokiReadSecret"),
        (ScriptedAnswer(429), "429"),
        (ScriptedAnswer(302), "302"),
        (ScriptedAnswer(200, b"<html>"), "LokiReadUrl"),
        (ScriptedAnswer(200, b'{"data": []}'), "LokiReadUrl"),
        (ScriptedAnswer(200, b'{"data": {"result": [{"values": [1]}]}}'), "LokiReadUrl"),
    ],
)
def test_an_answer_without_lines_is_a_fault_that_says_what_to_do(
    answer: ScriptedAnswer, reason: str
) -> None:
    fault = ask(answer)
    assert isinstance(fault, QueryFault)
    assert reason in fault.reason


def test_a_loki_that_does_not_answer_is_a_fault() -> None:
    with requests.Session() as session:
        fault = find(session, target("http://127.0.0.1:9"), 0, 1)
    assert fault == QueryFault("Loki does not answer: ConnectionError")


def test_the_tenant_of_the_secret_stays_if_the_settings_name_none() -> None:
    came: list[dict[str, str]] = []
    with queried([found({})], came) as url, requests.Session() as session:  # type: ignore[arg-type]
        session.headers["X-Scope-OrgID"] = "of the secret"
        find(session, target(url, tenant=None), 0, 1)
        find(session, target(url), 0, 1)
    assert [each["X-Scope-OrgID"] for each in came] == ["of the secret", "ours"]


def test_each_query_is_a_new_one_so_that_loki_has_no_answer_in_a_cache() -> None:
    asked: list[str] = []

    class Session:
        def get(self, _url: str, *, params: dict[str, str], **_: object) -> requests.Response:
            asked.append(params["query"])
            answer = requests.Response()
            answer.status_code = 200
            answer._content = b'{"data": {"result": []}}'
            return answer

    for now in (1, 2):
        find(Session(), target("http://loki"), 0, now)  # type: ignore[arg-type]
    assert len({*asked}) == 2


@pytest.mark.parametrize(
    ("labels", "builtin_labels", "written"),
    [
        ((("log_group", "/a"), ("team", "b")), ALL, '{log_group="/a"}'),
        (
            (("account_id", "1"), ("log_group", '"\\')),
            ALL,
            '{account_id="1",log_group="\\"\\\\"}',
        ),
        ((("group", "/a"), ("team", "b")), (("log_group", "group"),), '{group="/a"}'),
        (
            (("account_id", "1"), ("team", "é")),
            (("account_id", "account_id"),),
            '{account_id="1",team="é"}',
        ),
        ((("team", "b"),), (), '{team="b"}'),
    ],
    ids=["tags", "quotes", "another name", "no log group", "only tags"],
)
def test_the_selector_names_the_labels_that_no_tag_changes(
    labels: tuple[tuple[str, str], ...], builtin_labels: tuple[tuple[str, str], ...], written: str
) -> None:
    assert selector(labels, builtin_labels) == written
