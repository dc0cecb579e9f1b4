"""Google's own Pub/Sub emulator brings entries, and a real Loki holds each once, at its time."""

import json
import os
import time
from base64 import b64encode
from collections.abc import Callable, Sequence
from itertools import batched
from pathlib import Path
from typing import Any

from loki_shipper.google.timestamp import rfc3339
from loki_shipper.local.progress import Tell
from loki_shipper.local.query_loki import LokiError, get, query_range
from tests.google.emulator import Emulator
from tests.google.logged import EVENTS
from tests.google.processes import ServiceProcess, run_service
from tools.loki_with_outages import LokiWithOutages

ENTRIES = int(os.environ.get("GOOGLE_ENTRIES", "2000"))
"""`scripts/full google` has 20,000."""

TENANT = "shop"
QUERY = '{source="cloud-logging"}'
PUBLISHED = 500
SECONDS = 600


def entry(number: int, begin: int) -> tuple[int, str, dict[str, Any]]:
    """Give an entry with its time, in whole nanoseconds and no microsecond, and its line."""
    when = begin // 1_000 * 1_000 + number * 1_000_000 + 1 + number % 999
    fields: dict[str, Any] = {
        "insertId": f"id{number}",
        "logName": f"projects/shop-prod/logs/app-{number % 7}",
        "resource": {"type": "global", "labels": {"project_id": "shop-prod"}},
        "severity": "INFO",
        "timestamp": rfc3339(when),
    }
    members = {"message": "order", "number": number}
    match number % 3:
        case 0:
            return when, f"order {number}", {**fields, "textPayload": f"order {number}"}
        case 1:
            return when, dumped(members), {**fields, "jsonPayload": members}
        case _:
            audit = {"@type": "type.googleapis.com/google.cloud.audit.AuditLog", **members}
            return when, dumped(audit), {**fields, "protoPayload": audit}


def dumped(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


def data(entry: dict[str, Any]) -> str:
    return b64encode(dumped(entry).encode()).decode()


def count(loki: LokiWithOutages) -> int:
    query = f"sum(count_over_time({QUERY}[3h]))"
    try:
        answer = get(f"{loki.url}/loki/api/v1/query", TENANT, {"query": query})
    except LokiError:
        return 0
    found = answer.json()["data"]["result"] if answer.ok else []
    return int(found[0]["value"][1]) if found else 0


def wait_until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + SECONDS
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.2)


def held(loki: LokiWithOutages, begin: int) -> list[tuple[int, str]]:
    hour = 3600 * 10**9
    found = query_range(
        loki.url, QUERY, start_ns=begin - hour, end_ns=begin + 2 * hour, tenant=TENANT
    )
    return sorted((line.timestamp, line.line) for line in found)


def test_each_line_arrives_once_while_loki_and_the_service_are_killed(
    emulator: Emulator,
    outages: LokiWithOutages,
    tmp_path: Path,
    tell: Tell,
) -> None:
    begin = time.time_ns() - 10 * 60 * 10**9
    entries = [entry(number, begin) for number in range(ENTRIES)]
    environ = {"LOKI_URL": outages.url, "LOKI_TENANT": TENANT}
    with run_service(environ, tmp_path / "service.log") as service:
        emulator.subscribe(service.url, deadline=60)
        began = time.monotonic()
        kills = iter([service.kill, outages.kill, service.kill, outages.kill, service.kill])
        for number, part in enumerate(batched(entries, ENTRIES // 6 + 1)):
            publish(emulator, [fields for _, _, fields in part])
            # Some entries of this part have arrived, so others are on their way.
            before = number * (ENTRIES // 6)
            wait_until(lambda before=before: count(outages) > before // 2)  # type: ignore[misc]
            restart_after(next(kills, None), service, outages)
        wait_until(lambda: count(outages) >= ENTRIES)
        spent = time.monotonic() - began
        assert held(outages, begin) == sorted((when, line) for when, line, _ in entries)
    assert (service.killed, outages.killed) == (3, 2)
    tell(f"{ENTRIES:,} entries in {spent:.0f} s, {ENTRIES / spent:.0f} a second")


def publish(emulator: Emulator, entries: Sequence[dict[str, Any]]) -> None:
    for part in batched(entries, PUBLISHED):
        emulator.publish([data(fields) for fields in part])


def restart_after(
    kill: Callable[[], None] | None, service: ServiceProcess, loki: LokiWithOutages
) -> None:
    if kill is None:
        return
    kill()
    if kill == service.kill:
        service.start()
    else:
        loki.start()


def test_each_sample_is_a_line_in_loki(
    emulator: Emulator, outages: LokiWithOutages, tmp_path: Path
) -> None:
    samples = sorted(EVENTS.glob("google-*.json"))
    environ = {"LOKI_URL": outages.url, "LOKI_TENANT": TENANT}
    with run_service(environ, tmp_path / "service.log") as service:
        emulator.subscribe(service.url)
        emulator.publish([json.loads(path.read_bytes())["message"]["data"] for path in samples])
        begin = 1_794_303_600 * 10**9
        wait_until(lambda: len(held(outages, begin)) == len(samples))
