"""Decides which lines a rule `sample` keeps: those of one of N requests, and every error.

The decision depends on the line alone, so a repeated payload and a redrive decide alike. Rules of
several log groups with the same N keep the same requests.
"""

from collections.abc import Callable
from hashlib import blake2b

from loki_shipper.loki_names import DETECTED_LEVEL
from loki_shipper.shipper.rules.apply import WorkingLine
from loki_shipper.shipper.rules.extract import fields_extractor, text_extractor
from loki_shipper.shipper.rules.fields import FieldReader, Values, as_text
from loki_shipper.shipper.rules.model import Extract, Metadata, Regex, Sampling
from loki_shipper.shipper.rules.paths import field_of
from loki_shipper.shipper.rules.preset import LEVEL_FIELDS, REQUEST_ID_FIELDS
from loki_shipper.shipper.rules.presets import FUNCTION_TEXT

_TEXT = Extract(Regex(FUNCTION_TEXT, from_preset=True))
_JSON = Metadata(
    (
        ("level", tuple(map(field_of, LEVEL_FIELDS))),
        ("request_id", tuple(map(field_of, REQUEST_ID_FIELDS))),
    )
)
_ERRORS = {"error", "critical", "fatal"}
_WORDS_OF_AN_ERROR = (
    "error",
    "exception",
    "traceback",
    "fatal",
    "critical",
    "severe",
    "panic",
    "timed out",
    "out of memory",
)
"""Words that keep a line without a level. A search for each is quicker than one expression."""

_HASHES = 1 << 64


def rate_finder(
    action: Sampling, reader: FieldReader, values_of: Callable[[WorkingLine], Values]
) -> Callable[[WorkingLine], int | None]:
    """Return a function that gives for how many lines a line stands; None if it is dropped.

    An error stands for itself. `values_of` gives the values of the reader's fields.
    """
    of_text, of_values = text_extractor(_TEXT, tuple), fields_extractor(_JSON, reader, tuple)
    find = reader.finder(action.by)
    names = [field.path for field in action.by] or ["request_id"]
    one_of, highest = action.one_of, _HASHES // action.one_of

    def rate_of(line: WorkingLine) -> int | None:
        is_json = line.text.startswith("{")
        own = of_values(values_of(line)) if is_json else of_text(line.text)
        # The first pair of a name counts, as in an entry.
        known = dict(reversed((*line.metadata, *own)))
        if _is_error(known.get(DETECTED_LEVEL), line.text):
            return 1
        request = next((known[name] for name in names if name in known), None)
        if request is None and is_json and (found := find(values_of(line))) is not None:
            request = as_text(found)
        return one_of if _hash(request or _own_id(line)) < highest else None

    return rate_of


def _own_id(line: WorkingLine) -> str:
    # The ids of some sources are not unique: those of Cloud Logging name only the nanosecond.
    return f"{line.event.id} {line.event.timestamp} {line.text}"


def _is_error(level: str | None, text: str) -> bool:
    if level is None:
        lowered = text.lower()
        return any(word in lowered for word in _WORDS_OF_AN_ERROR)
    return level in _ERRORS


def _hash(text: str) -> int:
    return int.from_bytes(blake2b(text.encode("utf-8", "replace"), digest_size=8).digest())
