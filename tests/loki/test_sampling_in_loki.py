"""In a real Loki, the counts of sampled lines scale to all lines, by the query of docs/rules.md."""

import re
from pathlib import Path
from random import Random
from uuid import UUID

from msgspec.structs import replace

from loki_shipper.local.find_loki import Running
from loki_shipper.local.loki import Loki
from loki_shipper.local.query_loki import get
from loki_shipper.shipper.entries.transform import RuleState
from loki_shipper.shipper.rules.parse import parse_rules
from tests.loki.asking import held, now, open_environment
from tests.pipeline.execution_environment import ExecutionEnvironment, lines

TEXT = (Path(__file__).resolve().parents[2] / "docs/rules.md").read_text("utf-8")
[QUERY] = re.findall(r"```logql\n(.*?)\n```", TEXT, re.DOTALL)
[RULE] = re.findall(r"```toml\n(\[\[rule\]\]\nname = \"sampled\"\n.*?)```", TEXT, re.DOTALL)
RANDOM = Random(18)
REQUESTS = [str(UUID(int=RANDOM.getrandbits(128))) for _ in range(600)]
ERRORS = 7


def of_requests() -> list[str]:
    """Give five lines of each request, and an error of some."""
    return [
        line
        for number, request in enumerate(REQUESTS)
        for line in (
            f"START RequestId: {request} Version: $LATEST",
            f"[INFO]\t2026-11-10T09:14:05.703Z\t{request}\tbegins",
            f"[ERROR]\t2026-11-10T09:14:05.703Z\t{request}\tboom"
            if number < ERRORS
            else f"[INFO]\t2026-11-10T09:14:05.703Z\t{request}\tgoes on",
            f"END RequestId: {request}",
            f"REPORT RequestId: {request}\tDuration: 2.00 ms\t",
        )
    ]


def sampling(loki: Loki | Running, tenant: str) -> ExecutionEnvironment:
    made = open_environment(loki, tenant)
    made.rule_state = RuleState(parse_rules(RULE), {})
    return made


def test_the_query_of_the_document_counts_all_lines(loki: Loki | Running, tenant: str) -> None:
    written = of_requests()
    data = replace(lines(*written, newest=now(), step=1), log_group="/aws/lambda/checkout")
    report = sampling(loki, tenant).ship(data)
    stored = held(loki, tenant)
    assert report.dropped == {"sampled": len(written) - len(stored)}
    assert sum("boom" in each.line for each in stored) == ERRORS
    answer = get(f"{loki.url}/loki/api/v1/query", tenant, {"query": QUERY}).json()
    [result] = answer["data"]["result"]
    counted = float(result["value"][1])
    assert counted == sum(int(each.metadata["sample_rate"]) for each in stored)
    # 60 requests are kept, give or take a few.
    assert 0.65 * len(written) < counted < 1.35 * len(written)


def test_a_repeated_payload_adds_no_line(loki: Loki | Running, tenant: str) -> None:
    data = replace(
        lines(*of_requests()[:500], newest=now(), step=1), log_group="/aws/lambda/checkout"
    )
    sampling(loki, tenant).ship(data)
    once = held(loki, tenant)
    assert 0 < len(once) < 200
    sampling(loki, tenant).ship(data)
    assert held(loki, tenant) == once
