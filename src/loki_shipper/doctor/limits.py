"""Checks for limits of Loki with which it loses lines silently."""

import re
from collections.abc import Mapping
from typing import Any

import yaml
from msgspec import Struct

from loki_shipper.doctor.finding import Finding, ok, warning
from loki_shipper.doctor.probe import LokiProbe
from loki_shipper.settings import Settings
from loki_shipper.shipper.delivery.answer import NoAnswer

_FOUND = 200
_UNITS = {"": 1, "B": 1, "KB": 2**10, "MB": 2**20, "GB": 2**30, "TB": 2**40}
_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800, "y": 31_536_000}
_GRACE = 600.0
"""Seconds: Loki's default `creation_grace_period`."""


class Limits(Struct, frozen=True):
    """Loki's limits, in bytes a second and in seconds; None: unknown."""

    is_sharded: bool = False
    desired_rate: int | None = None
    per_stream_rate_limit: int | None = None
    creation_grace_period: float | None = None
    max_chunk_age: float | None = None


def check_limits(settings: Settings, probe: LokiProbe) -> Finding:
    """Read Loki's limits if it shows them, and warn about those that may lose lines."""
    config, of_tenant = _read(probe, "/config"), _read(probe, "/config/tenant/v1/limits")
    shown = {**config.get("limits_config", {}), **of_tenant}
    if "shard_streams" not in shown:
        return ok("limits", "Loki does not show its limits here")
    limits = _limits(shown, config.get("ingester", {}))
    if (warning := _warning(limits, settings)) is not None:
        return warning
    return ok("limits", "no limit makes Loki lose lines silently")


def _read(probe: LokiProbe, path: str) -> dict[str, Any]:
    reply = probe.get(path, {})
    if isinstance(reply, NoAnswer) or reply.status != _FOUND:
        return {}
    try:
        value = yaml.safe_load(reply.body)
    except yaml.YAMLError:
        return {}
    return value if isinstance(value, dict) else {}


def _limits(shown: Mapping[str, Any], ingester: Mapping[str, Any]) -> Limits:
    sharding = shown["shard_streams"] or {}
    return Limits(
        bool(sharding.get("enabled")),
        _bytes(sharding.get("desired_rate")),
        _bytes(shown.get("per_stream_rate_limit")),
        _duration(shown.get("creation_grace_period")),
        _duration(ingester.get("max_chunk_age")),
    )


def _warning(limits: Limits, settings: Settings) -> Finding | None:
    match limits:
        case Limits(max_chunk_age=float(age)) if age < settings.late_stream_minutes * 60 * 4:
            most = max((each for each in (5, 10, 15, 20) if each * 240 <= age), default=5)
            return warning(
                "limits",
                f"max_chunk_age is {age / 60:.0f} minutes: Loki may reject late lines",
                f"set LATE_STREAM_MINUTES={most}, or raise max_chunk_age to 2h",
            )
        case Limits(
            is_sharded=True, desired_rate=int(desired), per_stream_rate_limit=int(most)
        ) if most < 2 * desired:
            return warning(
                "limits",
                "Loki may lose lines of a busy stream and answer 204: per_stream_rate_limit "
                f"({_text(most)}) is less than twice shard_streams.desired_rate ({_text(desired)})",
                f"raise per_stream_rate_limit to {_text(2 * desired)} or more",
            )
        case Limits(is_sharded=True, creation_grace_period=float(grace)) if grace > _GRACE:
            return warning(
                "limits",
                f"creation_grace_period is {grace / 60:.0f} minutes: after a line from so far "
                "ahead, Loki may reject present lines of its stream",
                "set creation_grace_period to 10m",
            )
        case _:
            return None


def _bytes(text: object) -> int | None:
    match = re.fullmatch(r"([\d.]+) ?([KMGT]?B?)", str(text).upper())
    return int(float(match[1]) * _UNITS[match[2]]) if match and match[2] in _UNITS else None


def _duration(text: object) -> float | None:
    parts = re.findall(r"([\d.]+)(ms|[smhdwy])", str(text))
    return sum(float(number) * _SECONDS[unit] for number, unit in parts) if parts else None


def _text(size: int) -> str:
    return f"{size / 2**20:g}MB" if size >= 2**20 else f"{size / 2**10:g}KB"
