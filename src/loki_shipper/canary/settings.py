"""Declares the settings of the canary, beside those of the shipper."""

from collections.abc import Mapping
from typing import Annotated

from msgspec import Struct

from loki_shipper.environment import Setting, declared, read
from loki_shipper.formats import TEXT
from loki_shipper.settings import LOKI_READ_SECRET, LOKI_READ_URL


class CanarySettings(Struct, frozen=True, kw_only=True):
    """The settings that only the canary has. It also reads those of the shipper."""

    canary_log_group: Annotated[
        str,
        Setting(TEXT, "Log group that the canary writes its lines to, in the log stream `canary`."),
    ]
    loki_read_url: Annotated[str | None, LOKI_READ_URL] = None
    loki_read_secret: Annotated[str | None, LOKI_READ_SECRET] = None


def variables() -> dict[str, Setting]:
    """Return the settings that only the canary has, by the names of their variables."""
    return declared(CanarySettings)


def settings(environ: Mapping[str, str]) -> CanarySettings:
    """Return the settings in an environment. Raises SettingsError, which names every fault."""
    return read(CanarySettings, environ)
