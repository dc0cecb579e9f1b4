"""docs/log-files.md names the types, the labels and the words that the code has."""

import inspect
import re
from pathlib import Path

from loki_shipper.formats import LogBucket
from loki_shipper.model import LogData, LogFile
from loki_shipper.settings import settings
from loki_shipper.shipper.labels.decide import label_stream
from loki_shipper.shipper.log_files import run, ship
from loki_shipper.shipper.log_files.types import TYPES

TEXT = (Path(__file__).parents[2] / "docs" / "log-files.md").read_text("utf-8")


def words(table: str) -> list[str]:
    """Give the first column of a table."""
    [part] = re.findall(rf"<!-- {table} -->\n(.*?)<!-- /{table} -->", TEXT, re.DOTALL)
    return re.findall(r"^\| `(\w+)` \| \S", part, re.MULTILINE)


def test_the_table_has_every_type() -> None:
    assert words("types") == [*TYPES]


def test_the_table_has_every_result() -> None:
    given = set(re.findall(r'result = "(\w+)"|return "(\w+)"', inspect.getsource(ship)))
    of_ship = {one or other for one, other in given}
    of_run = set(re.findall(r'"(\w+)"', inspect.getsource(run._word)))
    assert of_ship | of_run == set(words("results"))


def test_the_table_has_every_label() -> None:
    file = LogFile("my-logs", "k", "alb", "123456789012", "eu-central-1", "shop")
    data = LogData("DATA_MESSAGE", "123456789012", "s3://my-logs/alb", "k", [], log_file=file)
    configured = settings({"LOKI_URL": "http://loki"})
    labels = label_stream(data, {}, region="eu-central-1", settings=configured).stream.labels
    [part] = re.findall(r"## Labels\n(.*?)\n\n[A-Z]", TEXT, re.DOTALL)
    told = re.findall(r"`(\w+)`", " ".join(re.findall(r"^\| (`[^|]+) \|", part, re.MULTILINE)))
    assert {name for name, _ in labels} == set(told)


def test_the_example_of_log_buckets_is_read_as_it_says() -> None:
    [example] = re.findall(r"optional: `([^`]+)`", TEXT)
    assert settings({"LOKI_URL": "http://loki", "LOG_BUCKETS": example}).log_buckets == (
        LogBucket("my-logs", "AWSLogs/"),
        LogBucket("my-app-logs", "web/", "json"),
    )
