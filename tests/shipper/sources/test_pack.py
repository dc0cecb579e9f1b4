import base64
import gzip
import json

from hypothesis import given
from hypothesis import strategies as st

from loki_shipper.model import LogData, LogEvent, LogFile
from loki_shipper.shipper.sources.decode import decode, from_base64
from loki_shipper.shipper.sources.pack import pack

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
EVENTS = st.builds(
    LogEvent,
    st.one_of(TEXT, st.integers(-(2**63), 2**63 - 1)),
    st.integers(0, 9_000_000_000_000),
    TEXT,
    st.none() | st.dictionaries(TEXT, st.none() | TEXT | st.integers(0, 9), max_size=2),
)
FILES = st.builds(LogFile, TEXT, TEXT, TEXT, st.none() | TEXT, tagged_as=st.none() | TEXT)
DATA = st.builds(
    LogData,
    st.just("DATA_MESSAGE"),
    TEXT,
    TEXT,
    TEXT,
    st.lists(EVENTS, max_size=5),
    st.lists(TEXT, max_size=2),
    st.none() | TEXT,
    st.none() | FILES,
)


@given(DATA)
def test_what_is_packed_is_unpacked_as_it_was(data: LogData) -> None:
    assert decode(from_base64(pack(data))) == data


@given(DATA)
def test_the_same_data_is_the_same_text(data: LogData) -> None:
    assert pack(data) == pack(data)


def test_the_names_are_those_of_cloudwatch_logs() -> None:
    data = LogData("DATA_MESSAGE", "1", "g", "s", [LogEvent("7", 5, "m", {"a": 1})], ["f"], "P")
    assert json.loads(gzip.decompress(base64.b64decode(pack(data)))) == {
        "messageType": "DATA_MESSAGE",
        "owner": "1",
        "logGroup": "g",
        "logStream": "s",
        "subscriptionFilters": ["f"],
        "logEvents": [
            {"id": "7", "timestamp": 5, "message": "m", "extractedFields": {"a": 1}},
        ],
        "policyLevel": "P",
    }
