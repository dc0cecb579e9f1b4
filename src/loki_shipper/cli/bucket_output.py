"""Prints what `plan`, `link` and `unlink` do to buckets with log files."""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any, assert_never

from rich.text import Text

from loki_shipper.cli.formatting import count_text
from loki_shipper.subscriber.buckets.link import BucketFailed, BucketOutcome
from loki_shipper.subscriber.buckets.plan import (
    BucketReason,
    DeleteNotification,
    PutNotification,
    SkipBucket,
)
from loki_shipper.subscriber.run.link_log_buckets import bucket_name

_COUNTED_AS = {
    BucketReason.LINKED: "linked already",
    BucketReason.EVENT_BRIDGE: "through EventBridge",
    BucketReason.OWN: "of Loki-Shipper itself",
    BucketReason.NOT_LISTED: "not in LogBuckets",
    BucketReason.BY_HAND: "unlinked by hand",
    BucketReason.STOPPED: "unlinked until `loki-shipper link --all`",
    BucketReason.OVERLAP: "with another destination",
    BucketReason.UNKNOWN_KIND: "with an unknown configuration",
    BucketReason.OTHER_REGION: "in another Region",
    BucketReason.DENIED: "denied",
    BucketReason.GONE: "that do not exist",
}
"""Follows the number of buckets that stay as they are, by reason."""


def action_line(verb: str, name: str, style: str, why: str) -> Text:
    """Format a line: what is done, to which log group or bucket, and why."""
    return Text.assemble((f"{verb:<8}", style), name, (f"  {why.strip()}", "dim"))


def bucket_lines(outcomes: Iterable[BucketOutcome]) -> Iterator[Text]:
    """Format a line for each bucket that changes or cannot."""
    for each in outcomes:
        name = bucket_name(each.bucket)
        match each:
            case PutNotification(prefixes=prefixes, why=why):
                below = ", ".join(filter(None, prefixes))
                text = f"{why}, below {below}" if below else why
                yield action_line("link", name, "green", text)
            case DeleteNotification(reason=reason):
                yield action_line("unlink", name, "yellow", reason.words)
            case SkipBucket(reason=reason, detail=detail) if reason.is_obstacle:
                why = ": ".join(filter(None, (reason.words, detail)))
                yield action_line("cannot", name, "red", why)
            case SkipBucket():
                pass
            case BucketFailed(why=why, detail=detail):
                yield action_line("failed", name, "red", f"{why} {detail}")
            case _:
                assert_never(each)


def bucket_objects(outcomes: Iterable[BucketOutcome]) -> Iterator[dict[str, Any]]:
    """Give the JSON object of each bucket, with the fields of a log group's."""
    for each in outcomes:
        verb, reason, detail, prefixes = _columns(each)
        yield {
            "log_group": bucket_name(each.bucket),
            "action": verb,
            "reason": reason,
            "detail": detail,
            "pattern": None,
            "system_fields": None,
            "prefixes": prefixes,
            "first_lines": None,
            "retention": None,
        }


def _columns(outcome: BucketOutcome) -> tuple[str, str, str, list[str] | None]:
    match outcome:
        case PutNotification(prefixes=prefixes, why=why):
            return "link", why, "", [*prefixes]
        case DeleteNotification(reason=reason):
            return "unlink", reason, "", None
        case SkipBucket(reason=reason, detail=detail):
            return "cannot" if reason.is_obstacle else "none", reason, detail, None
        case BucketFailed(why=why, detail=detail):
            return "failed", why, detail, None
        case _:
            assert_never(outcome)


def bucket_sum(outcomes: list[BucketOutcome], linked: str, unlinked: str) -> str:
    """Count buckets: first those that change, then the others, most frequent first."""
    kinds = Counter(type(each) for each in outcomes)
    done = {
        linked: kinds[PutNotification],
        unlinked: kinds[DeleteNotification],
        "failed": kinds[BucketFailed],
    }
    skips = Counter(_COUNTED_AS[each.reason] for each in outcomes if isinstance(each, SkipBucket))
    rest = sorted(skips.items(), key=lambda each: (-each[1], each[0]))
    parts = [f"{number:,} {words}" for words, number in (*done.items(), *rest) if number]
    return f"{count_text(len(outcomes), 'bucket')}: {', '.join(parts)}"
