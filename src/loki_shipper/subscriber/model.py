"""Log groups and their subscription filters."""

from enum import StrEnum

from msgspec import Struct

from loki_shipper.model import OWN_TAG

EFFECTIVE_MS = 60_000
"""Time that a new subscription filter or account policy may take to become effective, in ms.

AWS gives no figure. Loki folds lines that the filter delivers and that are read back too; lines
that neither brings are lost.
"""

type Turn = tuple[int, str]
"""Orders log groups: the newest first."""


class LogGroup(Struct, frozen=True):
    """A log group; `created` is in ms since 1970.

    `tags` may be those of its function, where the log group has none. CloudWatch Logs keeps its
    lines for `retention_days`; None: for ever.
    """

    name: str
    created: int
    log_class: str = "STANDARD"
    tags: dict[str, str] = {}
    stored_bytes: int = 0
    retention_days: int | None = None

    @property
    def turn(self) -> Turn:
        """Give its place in the order of log groups."""
        return -self.created, self.name


class Filter(Struct, frozen=True, array_like=True):
    """A subscription filter of ours; `since` is when it was created, in ms since 1970.

    `system_fields` are its `emitSystemFields`. A memory of an older version has none.
    """

    pattern: str
    destination: str
    since: int
    system_fields: tuple[str, ...] = ()


class Filters(Struct, frozen=True, array_like=True):
    """The filters of one log group: ours, and the names of all others.

    `full`: AWS refused our filter because the log group has no place left. The number of places
    differs by account, so only a try tells.
    """

    ours: Filter | None = None
    foreign: tuple[str, ...] = ()
    full: bool = False


class Gone(Struct, frozen=True):
    """The log group was deleted after it was listed."""


class UnreadableFilters(Struct, frozen=True):
    """The filters could not be read; `why` is AWS's error code."""

    why: str


class ObservedGroup(Struct, frozen=True):
    """A log group, and its filters as far as they are known."""

    group: LogGroup
    filters: Filters | Gone | UnreadableFilters


class Reason(StrEnum):
    """Why a run leaves a log group as it is, or unlinks it."""

    LINKED = "linked"
    OWN = "own"
    NOT_INCLUDED = "not_included"
    EXCLUDED = "excluded"
    TAGS = "tags"
    NO_TENANT = "no_tenant"
    BY_HAND = "by_hand"
    ACCOUNT_POLICY = "account_policy"
    STOPPED = "stopped"
    LOG_CLASS = "log_class"
    FULL = "full"
    GONE = "gone"
    UNREADABLE = "unreadable"

    @property
    def words(self) -> str:
        """Give the reason in words for a person."""
        return _WORDS[self]


_WORDS = {
    Reason.LINKED: "linked already",
    Reason.OWN: (
        f"a log group of a Loki-Shipper, by its name or its tag {OWN_TAG}: shipping it would never "
        "end"
    ),
    Reason.NOT_INCLUDED: "no include pattern matches its name",
    Reason.EXCLUDED: "an exclude pattern matches its name",
    Reason.TAGS: "its tags do not meet the conditions",
    Reason.NO_TENANT: (
        "it lacks the tag that TenantTag names, and LokiTenant is empty: its lines would have no "
        "tenant"
    ),
    Reason.BY_HAND: "unlinked by hand, until `loki-shipper link` names it",
    Reason.ACCOUNT_POLICY: "the account policy links it",
    Reason.STOPPED: "everything is unlinked, until `loki-shipper link --all` or a deployment",
    Reason.LOG_CLASS: "its log class takes no subscription filter",
    Reason.FULL: "all its places are taken by other filters",
    Reason.GONE: "deleted meanwhile",
    Reason.UNREADABLE: "its filters could not be read",
}
