"""What a real Loki stores of odd entries, and that no entry breaks the service."""

import json
import time
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from loki_shipper.google.entry import NotALogEntryError, read_entry
from loki_shipper.google.labels import label_entry
from loki_shipper.google.request import PubSubMessage
from loki_shipper.google.settings import GoogleSettings
from loki_shipper.google.timestamp import rfc3339
from loki_shipper.local.find_loki import Running
from loki_shipper.local.loki import Loki
from loki_shipper.local.query_loki import query_range
from loki_shipper.settings import Settings
from tests.google.logged import log_entry, message
from tests.google.processes import run_service

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=9),
    lambda some: (
        st.lists(some, max_size=3) | st.dictionaries(st.text(max_size=9), some, max_size=3)
    ),
    max_leaves=9,
)
FIELDS = (
    "resource",
    "severity",
    "insertId",
    "labels",
    "trace",
    "spanId",
    "operation",
    "sourceLocation",
    "split",
    "jsonPayload",
    "protoPayload",
    "httpRequest",
)
ODD: list[dict[str, Any]] = [
    {"labels": {"größe": "5 µm", "a b": "c", "__": "d", "1st": "e", "keep": "f", "empty": ""}},
    {"labels": {f"label-{number}": "x" for number in range(64)}},
    {"labels": {f"session_{number}": "y" * 2_000 for number in range(64)}},
    {"textPayload": "tab\t nul\x00 emoji 🐧 line\nbreak"},
    {"textPayload": "x" * 250_000},
    {"resource": {"type": "k8s_pod", "labels": {"pod_name": "ä" * 2_000}}},
    {"trace": "x" * 3_000, "spanId": "�"},
]


@given(st.dictionaries(st.sampled_from(FIELDS), JSON))
def test_an_entry_of_any_shape_is_read_and_labelled(fields: dict[str, Any]) -> None:
    entry = read_entry(message(log_entry(**fields)))
    found = label_entry(entry, Settings(loki_url="http://loki"), GoogleSettings())
    names = [name for name, _ in (*found.stream.labels, *found.metadata)]
    assert all(name.isascii() and name.isidentifier() for name in names)
    assert len(found.stream.labels) < 15
    assert all(value for _, value in found.stream.labels)


@given(st.binary(max_size=99))
def test_a_message_of_any_bytes_is_an_entry_or_none(data: bytes) -> None:
    with pytest.raises(NotALogEntryError):
        read_entry(PubSubMessage(b64encode(data).decode()))


@pytest.mark.parametrize("fields", ODD, ids=range(len(ODD)))
def test_loki_holds_an_odd_entry_once_although_it_comes_twice(
    loki: Loki | Running, tenant: str, tmp_path: Path, fields: dict[str, Any]
) -> None:
    now = time.time_ns() // 1_000 * 1_000
    body = {"message": {"data": message(log_entry(timestamp=rfc3339(now), **fields)).data}}
    environ = {"LOKI_URL": loki.url, "LOKI_TENANT": tenant}
    with run_service(environ, tmp_path / "log") as service:
        for _ in range(2):
            assert requests.post(service.url, json=body, timeout=60).status_code == 204
    second = 10**9
    found = query_range(
        loki.url,
        '{source="cloud-logging"}',
        start_ns=now - second,
        end_ns=now + second,
        tenant=tenant,
    )
    [line] = found
    assert line.line == fields.get("textPayload", "hello")
    assert 0 <= line.timestamp - now < 1_000
    assert json.loads((tmp_path / "log").read_text().splitlines()[-1])["severity"] == "INFO"
