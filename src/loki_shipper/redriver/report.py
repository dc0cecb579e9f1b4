"""The report of one run of the redriver."""

from datetime import datetime
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from loki_shipper.redriver.cursor import BEGINNING, Cursor
from loki_shipper.shipper.delivery.hourly import HourlyCount
from loki_shipper.shipper.delivery.outcome import Settled

type Ending = Literal["done", "deadline", "limit", "loki_down", "bucket"]
"""The reason why a run ended: no more objects, no more time, the limit of objects, or a failure of
Loki or of the bucket."""


class RedriveReport(Struct, frozen=True, kw_only=True):
    """The results of a run.

    `objects` were shipped and deleted. `lines` of them were delivered, `late` of these to late
    streams, and `rejected` lines were refused. `set_aside` objects were moved to `rejected/`: they
    are not records, or failed too often. `left` objects wait for another run, the oldest since
    `oldest`. `failures` counts failed objects by reason, `faults` the errors of S3 by code.
    `cursor` is for the next run. `hourly` has the lines of shipped objects by log group.
    """

    objects: int = 0
    lines: int = 0
    late: int = 0
    rejected: int = 0
    set_aside: int = 0
    left: int = 0
    oldest: datetime | None = None
    failures: dict[str, int] = {}
    faults: dict[str, int] = {}
    ended: Ending = "done"
    cursor: Cursor = BEGINNING
    hourly: tuple[HourlyCount, ...] = ()

    def with_lines(self, settled: Settled) -> "RedriveReport":
        """Add the lines of a payload."""
        return replace(
            self,
            lines=self.lines + settled.delivered,
            late=self.late + settled.late,
            rejected=self.rejected + sum(map(len, settled.rejected.values())),
        )
