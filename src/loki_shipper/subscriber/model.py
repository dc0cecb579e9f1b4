"""The nouns of linking: log groups and their subscription filters."""

from enum import StrEnum

from msgspec import Struct

from loki_shipper.model import OWN_TAG

EFFECTIVE_MS = 60_000
"""How long a new subscription filter or account policy may take to become effective, in ms.

AWS gives no figure; what is delivered and read back folds, what is in neither is lost.
"""


type Turn = tuple[int, str]
"""Orders log groups: the newest first."""


class LogGroup(Struct, frozen=True):
    """A log group; `created` is in ms since 1970, `tags` are those that count for it."""

    name: str
    created: int
    log_class: str = "STANDARD"
    tags: dict[str, str] = {}

    @property
    def turn(self) -> Turn:
        """Its place among log groups."""
        return -self.created, self.name


class Filter(Struct, frozen=True, array_like=True):
    """A subscription filter of ours; `since` is when it was made, in ms since 1970."""

    pattern: str
    destination: str
    since: int


class Filters(Struct, frozen=True, array_like=True):
    """The filters of one log group: ours, and the names of others'.

    `full`: AWS refused ours for want of a place. How many places there are differs by account, so
    nothing but trying tells.
    """

    ours: Filter | None = None
    foreign: tuple[str, ...] = ()
    full: bool = False


class Gone(Struct, frozen=True):
    """The log group was deleted between listing and looking."""


class UnreadableFilters(Struct, frozen=True):
    """The filters could not be read; `why` is AWS's name for it."""

    why: str


class Seen(Struct, frozen=True):
    """A log group, and what is known of its filters."""

    group: LogGroup
    filters: Filters | Gone | UnreadableFilters


class Reason(StrEnum):
    """Why a log group is left as it is, or is unlinked."""

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
        """Say it to a person."""
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
        "it lacks the tag that TenantTag names, and LokiTenant is empty: nobody would own its lines"
    ),
    Reason.BY_HAND: "unlinked by hand, until `loki-shipper link` names it",
    Reason.ACCOUNT_POLICY: "the account policy sees to it",
    Reason.STOPPED: "everything is unlinked, until `loki-shipper link --all` or a deployment",
    Reason.LOG_CLASS: "its log class takes no subscription filter",
    Reason.FULL: "all its places are taken by other filters",
    Reason.GONE: "deleted meanwhile",
    Reason.UNREADABLE: "its filters could not be read",
}
