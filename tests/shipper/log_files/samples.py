"""The sample objects in events/s3."""

import json
import tomllib
from pathlib import Path

from msgspec import Struct

from loki_shipper.model import LogEvent, S3Object
from loki_shipper.shipper.log_files.reader import LogFileReader
from loki_shipper.shipper.log_files.types import reader_of

FOLDER = Path(__file__).resolve().parents[3] / "events" / "s3"
WRITTEN = 1_795_206_300_000
"""2026-11-20T20:25:00Z, in ms."""


class Sample(Struct, frozen=True):
    """A sample object, and what is known of it."""

    name: str
    body: bytes
    type: str
    found: S3Object
    account: str | None
    region: str | None
    resource: str | None
    tagged_as: str | None

    def reader(self, key: str | None = None) -> LogFileReader:
        found = self.found if key is None else S3Object(self.found.bucket, key, written=WRITTEN)
        made = reader_of(found, self.body)
        assert isinstance(made, LogFileReader)
        return made

    def lines(self) -> list[bytes]:
        """Give the lines, or the elements of the array, as they are in the object."""
        array = self.reader().array
        if array is None:
            return self.body.removesuffix(b"\n").split(b"\n")
        # A byte that is no UTF-8 stays what it is.
        records = json.loads(self.body.decode("latin-1"))[array]
        return [
            json.dumps(each, ensure_ascii=False, separators=(",", ":")).encode("latin-1")
            for each in records
        ]

    def events(self) -> list[LogEvent]:
        return self.reader().events(0, self.lines())


def _sample(name: str, table: dict[str, str]) -> Sample:
    found = S3Object("my-logs", table["key"], etag="9a1b", written=WRITTEN, region="eu-central-1")
    return Sample(
        name,
        (FOLDER / table["file"]).read_bytes(),
        table.get("type", name),
        found,
        table.get("account"),
        table.get("region"),
        table.get("resource"),
        table.get("tagged_as"),
    )


SAMPLES = {
    name: _sample(name, table)
    for name, table in tomllib.loads((FOLDER / "objects.toml").read_text("utf-8")).items()
}
