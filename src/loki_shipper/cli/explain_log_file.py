"""Explains a log file: its type, its labels, and what its first lines become."""

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from loki_shipper.cli.formatting import NS_PER_MS
from loki_shipper.model import LogData, Pairs, S3Object
from loki_shipper.settings import Settings
from loki_shipper.shipper.entries.transform import RuleState, transform
from loki_shipper.shipper.labels.decide import label_stream
from loki_shipper.shipper.log_files.content import UnreadableError, inflate
from loki_shipper.shipper.log_files.effects import FileProgress
from loki_shipper.shipper.log_files.parts import parts, with_head
from loki_shipper.shipper.log_files.reader import LogFileReader, RefusedObject, SkippedObject
from loki_shipper.shipper.log_files.run import bucket_of
from loki_shipper.shipper.log_files.types import TYPES, reader_of
from loki_shipper.shipper.rules.model import Rules

_LINES: Final = 5


class ExplainedLine(Struct, frozen=True):
    """A line as Loki gets it: its time in ms since 1970, its text and its structured metadata."""

    time: int
    line: str
    metadata: Pairs


class ExplainedLogFile(Struct, frozen=True):
    """A log file, or the reason why the function does not ship it.

    `type` and `why` are empty if it has no type. `data` has no lines: it explains the labels, with
    these `tags`.
    """

    found: S3Object
    not_shipped: str | None
    type: str = ""
    why: str = ""
    data: LogData | None = None
    tags: Mapping[str, str] = {}
    lines: list[ExplainedLine] = []
    dropped: Mapping[str, int] = {}


class LogFileContext(Struct, frozen=True):
    """What decides how a function ships a log file; `account` and `region` are the function's.

    `environ` has the variables that `settings` are read from. Without a deployment, every bucket
    counts as listed.
    """

    is_deployed: bool
    environ: Mapping[str, str]
    settings: Settings
    rules: Rules
    account: str
    region: str
    tags: Callable[[LogData], Mapping[str, str]]


def explain_log_file(
    found: S3Object, chunks: Iterator[bytes], context: LogFileContext
) -> ExplainedLogFile:
    """Explain an object from its first bytes."""
    listed = bucket_of(found, context.settings.log_buckets)
    head, blocks = with_head(inflate(chunks))
    match reader_of(found, head, None if listed is None else listed.type):
        case RefusedObject(reason=reason) | SkippedObject(reason=reason):
            return ExplainedLogFile(found, reason)
        case LogFileReader() as reader:
            is_named = listed is not None and listed.type is not None
            return _of_reader(reader, found, blocks, context, is_named=is_named)


def _of_reader(
    reader: LogFileReader,
    found: S3Object,
    blocks: Iterator[bytes],
    context: LogFileContext,
    *,
    is_named: bool,
) -> ExplainedLogFile:
    data, fault = _first_lines(reader, blocks, context.account)
    if context.is_deployed and bucket_of(found, context.settings.log_buckets) is None:
        fault = "LogBuckets does not name it"
    data = replace(data, log_events=data.log_events[:_LINES])
    tags = context.tags(data)
    labelled = label_stream(data, tags, region=context.region, settings=context.settings)
    made = transform(
        data,
        labelled.stream,
        labelled.metadata,
        rule_state=RuleState(context.rules, {}),
        settings=context.settings,
    )
    lines = [
        ExplainedLine(entry.timestamp // NS_PER_MS, entry.line, entry.metadata)
        for _, entries in made.streams
        for entry in entries
    ]
    return ExplainedLogFile(
        found,
        fault,
        reader.log_file.type,
        _why(reader.log_file.type, found.key, is_named=is_named),
        replace(data, log_events=[]),
        tags,
        sorted(lines, key=lambda each: each.time),
        made.dropped,
    )


def _first_lines(
    reader: LogFileReader, blocks: Iterator[bytes], account: str
) -> tuple[LogData, str | None]:
    """Give the first payload of a file, or why there is none."""
    try:
        part = next(parts(reader, blocks, FileProgress(), account), None)
    except UnreadableError as error:
        return _nothing(reader, account), str(error)
    return (_nothing(reader, account), "it is empty") if part is None else (part.data, None)


def _nothing(reader: LogFileReader, account: str) -> LogData:
    file = reader.log_file
    name = f"s3://{file.bucket}/{file.type}"
    return LogData("DATA_MESSAGE", account, name, file.key, [], log_file=file)


def _why(name: str, key: str, *, is_named: bool) -> str:
    if is_named:
        return "LogBuckets says so"
    pattern = TYPES[name].key
    by_key = pattern is not None and pattern.search(key) is not None
    return "its key says so" if by_key else "its first line says so"
