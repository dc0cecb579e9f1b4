"""Reads the event that a command takes: a file, `-` for stdin, or a sample event."""

import os
from pathlib import Path, PurePath
from typing import IO, Any, override

import click

from loki_shipper.bundle import sample_events


class EventFile(click.File):
    """A file, else a sample event by name: `lambda`, `lambda.json` or `events/lambda.json`."""

    name = "event"

    def __init__(self) -> None:
        super().__init__("rb")

    @override
    def convert(
        self,
        value: str | os.PathLike[str] | IO[Any],
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> IO[Any]:
        if isinstance(value, str) and value != "-" and not Path(value).exists():
            value = self._sample(value, param, ctx)
        return super().convert(value, param, ctx)

    @override
    def resolve_lazy_flag(self, value: str | os.PathLike[str]) -> bool:
        """Open a file only when it is read: click leaves it open if another option is wrong."""
        return value != "-"

    def _sample(self, name: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        samples, path = sample_events(), PurePath(name)
        if path.stem not in samples or path.parent.name not in {"", "events"}:
            known = ", ".join(samples)
            self.fail(f"there is no file {name}; sample events are {known}", param, ctx)
        return os.fspath(samples[path.stem])
