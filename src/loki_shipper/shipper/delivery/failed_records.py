"""Decides which records of a batch Lambda must send again, and saves the other failed ones.

Lambda sends a batch again from the lowest record that failed. So a failed record delays its shard,
and lines that Loki took after it come again. A failed record is saved in the bucket instead if:

1. Loki took lines of a later record: those must not come again.
2. Loki took lines of the batch, and refuses only this record's tenant: it must not delay others.

Otherwise Loki is down, or there was no time, and the record comes again. Nothing is saved after the
first such record, as everything from there comes again.
"""

from collections.abc import Sequence
from itertools import takewhile
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from loki_shipper.shipper.delivery.answer import OUT_OF_TIME
from loki_shipper.shipper.delivery.dead_letters import DeadLetterError, PutObject, write_records
from loki_shipper.shipper.delivery.judge import cause
from loki_shipper.shipper.delivery.outcome import Report, total


class ReportedRecord(Struct, frozen=True):
    """The report on one record, without `retry`.

    `event` is an event that holds only this record. `item_identifier` is the record's name in an
    answer with `batchItemFailures`; None where Lambda takes no such answer.
    """

    event: Any
    item_identifier: str | None
    report: Report


def report_records(records: Sequence[ReportedRecord], put: PutObject | None) -> Report:
    """Save failed records, name those that Lambda must send again, and add the reports up.

    `put` is None if there is no bucket; then each failed record comes again.
    """
    saved = _save(records, put)
    return total(
        [
            replace(each.report, failure=None) if place in saved else _with_retry(each)
            for place, each in enumerate(records)
        ]
    )


def _save(records: Sequence[ReportedRecord], put: PutObject | None) -> set[int]:
    """Save failed records in one object, and return their places in the batch."""
    delivered = [place for place, each in enumerate(records) if each.report.delivered]
    if put is None or not delivered:
        return set()
    failed = (place for place, each in enumerate(records) if _is_failed(each))
    places = [
        *takewhile(lambda place: _may_be_saved(records[place], later=place < delivered[-1]), failed)
    ]
    if not places:
        return set()
    # The records that a Kinesis producer has put together share one event.
    events = {id(records[place].event): records[place].event for place in places}
    try:
        write_records(
            [*events.values()],
            newest=max(records[place].report.newest for place in places),
            reason="; ".join(dict.fromkeys(str(records[place].report.failure) for place in places)),
            put=put,
        )
    except DeadLetterError:
        return set()
    return {*places}


def _is_failed(record: ReportedRecord) -> bool:
    return record.report.failure is not None and record.item_identifier is not None


def _may_be_saved(record: ReportedRecord, *, later: bool) -> bool:
    """Tell whether a record may be saved; `later`: Loki took lines of a later one."""
    reasons = record.report.errored
    if not reasons or OUT_OF_TIME in reasons:
        return False
    return later or all(cause(reason) != "failure" for reason in reasons)


def _with_retry(record: ReportedRecord) -> Report:
    if record.report.failure is None:
        return record.report
    # The lines come again, and are counted then.
    report = replace(record.report, hourly=())
    if record.item_identifier is None:
        return report
    return replace(report, retry=(record.item_identifier,))
