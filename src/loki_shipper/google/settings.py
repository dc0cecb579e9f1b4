"""Declares the settings that only the service on Google Cloud has; it has those of the shipper too.

`BUILTIN_LABELS` has other values here than on AWS, as an entry has other facts than a log group.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Final

from msgspec import Struct

from loki_shipper.environment import Setting, read
from loki_shipper.formats import SWITCH, TEXT, Format
from loki_shipper.loki_names import chosen_label_name
from loki_shipper.model import Pairs
from loki_shipper.settings import Settings, settings

BUILTIN_LABELS: Final = (
    "service_name",
    "log_name",
    "project",
    "location",
    "resource_type",
    "source",
)
"""The labels that a stream can have without a label of the entry, the most important first."""

FACTS: Final = ("log_name", "project")
"""Labels that always tell the origin of a line."""


def _builtin_labels(text: str) -> Pairs:
    match text.lower():
        case "all":
            return tuple((name, name) for name in BUILTIN_LABELS)
        case "none":
            return ()
    pairs = [each.partition("=") for each in text.replace(" ", "").split(",") if each]
    unknown = [name for name, _, _ in pairs if name not in BUILTIN_LABELS]
    if unknown:
        raise ValueError(f"knows no {', '.join(unknown)}: there are {', '.join(BUILTIN_LABELS)}")
    named = {name: chosen_label_name(new) if new else name for name, _, new in pairs}
    if len(named) < len(pairs) or len({*named.values()}) < len(named):
        raise ValueError("names a label more than once")
    return tuple((name, named[name]) for name in BUILTIN_LABELS if name in named)


class GoogleSettings(Struct, frozen=True, kw_only=True):
    """The settings of the service on Google Cloud, beside those of the shipper."""

    push_audience: Annotated[
        str | None,
        Setting(TEXT, "Audience of the push subscription's token, such as the service's URL."),
    ] = None
    push_service_account: Annotated[
        str | None, Setting(TEXT, "E-mail of the service account that signs the push requests.")
    ] = None
    verify_pushes: Annotated[
        bool,
        Setting(
            SWITCH,
            "`on`: check the token of each request. `off`: take any request, if nobody else can "
            "reach the service, as with the emulator of Pub/Sub.",
        ),
    ] = True
    builtin_labels: Annotated[
        Pairs,
        Setting(
            Format(_builtin_labels),
            "Built-in labels: `all`, `none`, or a list such as `log_name=log,project` of "
            f"{', '.join(f'`{name}`' for name in BUILTIN_LABELS)}.",
            default="all",
        ),
    ] = tuple((name, name) for name in BUILTIN_LABELS)
    k_service: Annotated[
        str | None, Setting(TEXT, "Name of the service. Cloud Run sets it; its log is not shipped.")
    ] = None


def google_settings(environ: Mapping[str, str]) -> tuple[Settings, GoogleSettings]:
    """Return the settings in an environment: the shipper's, and those of Google Cloud.

    Raises SettingsError, which names the variables that are missing or wrong, never a secret.
    """
    shared = {name: value for name, value in environ.items() if name != "BUILTIN_LABELS"}
    return settings(shared), read(GoogleSettings, environ, _contradictions)


def _contradictions(values: Mapping[str, Any]) -> list[str]:
    needed = {"push_audience", "push_service_account"} - values.keys()
    if not values.get("verify_pushes", True):
        return []
    return [f"{name.upper()} is not set, and VERIFY_PUSHES is on" for name in sorted(needed)]
