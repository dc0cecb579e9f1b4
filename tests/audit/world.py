"""A log group whose every line has a known fate, and the four counts that follow from it."""

from collections import Counter
from typing import Literal

from msgspec import Struct

from loki_shipper.audit.model import (
    AuditedGroup,
    BucketCounts,
    CloudWatchCounts,
    GroupCounts,
    LoggedCount,
    LokiCounts,
    OwnLog,
    StoredLines,
    Window,
)

WINDOW = Window(1000, 1024, 1031)
GROUP = AuditedGroup("/ecs/shop", since=0)

type Fate = Literal[
    "delivered",
    "dropped",
    "rejected",
    "saved, then redriven",
    "saved, and waiting",
    "failed, then redriven",
    "failed, and waiting",
    # Losses.
    "not forwarded",
    "never reported",
    "deleted from the bucket",
    "dropped by Loki",
]


class Lines(Struct, frozen=True):
    """Lines of one fate: the hour in which CloudWatch Logs took them in, and hours of delay.

    `age` is the hours between the lines' time and their ingestion.
    """

    fate: Fate
    hour: int
    count: int = 1
    forwarding: int = 0
    queue: int = 0
    age: int = 0


def sources(*lines: Lines) -> GroupCounts:
    """Give what each source counts."""
    incoming, forwarded, loki = Counter[int](), Counter[int](), Counter[int]()
    logged = [LoggedCount(by="shipper", log_group="/other", at=WINDOW.start - 2, hour=0)]
    stored: list[StoredLines] = []
    for each in lines:
        sent = each.hour + each.forwarding
        at, time = sent + each.queue, each.hour - each.age
        incoming[each.hour] += each.count
        if each.fate == "not forwarded":
            continue
        forwarded[sent] += each.count

        def log(
            at: int, time: int, by: Literal["shipper", "redriver"] = "shipper", **counts: int
        ) -> None:
            logged.append(LoggedCount(by=by, log_group=GROUP.name, at=at, hour=time, **counts))

        n = each.count
        match each.fate:
            case "delivered" | "dropped by Loki":
                log(at, time, received=n, delivered=n, entries=n)
            case "dropped":
                log(at, time, received=n, dropped=n)
            case "rejected":
                log(at, time, received=n, rejected=n)
                stored.append(StoredLines("rejected/", "too_old", n))
            case "saved, then redriven" | "deleted from the bucket" | "saved, and waiting":
                log(at, time, received=n, saved=n)
        if each.fate.endswith("redriven"):
            log(at + 1, time, "redriver", delivered=n, entries=n)
        if each.fate == "saved, and waiting" and at >= WINDOW.start:
            stored.append(StoredLines("failed/", "blocked", n))
        if each.fate == "failed, and waiting" and at >= WINDOW.start:
            stored.append(StoredLines("aws/lambda/", "", n))
        if each.fate == "delivered" or each.fate.endswith("redriven"):
            loki[time] += n
    return GroupCounts(
        CloudWatchCounts(incoming, forwarded),
        OwnLog(logged, counts_from=min(each.at for each in logged)),
        BucketCounts(stored),
        LokiCounts(loki),
    )
