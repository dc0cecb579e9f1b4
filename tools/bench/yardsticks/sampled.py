"""Runs the shipper's handler with a profiler that samples each half millisecond."""

import os
import signal
from collections import Counter
from pathlib import Path
from types import FrameType
from typing import Any

from loki_shipper.shipper import handler

_SECONDS = 0.0005

_stacks = Counter[str]()


def handle(event: Any, context: Any) -> dict[str, Any]:
    """Ship an event, and write all stacks so far to `$STACKS` for flame graph tools."""
    signal.signal(signal.SIGALRM, _sample)
    signal.setitimer(signal.ITIMER_REAL, _SECONDS, _SECONDS)
    try:
        return handler.handle(event, context)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        lines = (f"{stack} {count}\n" for stack, count in _stacks.items())
        Path(os.environ["STACKS"]).write_text("".join(lines))


def _sample(_signal: int, frame: FrameType | None) -> None:
    stack: list[str] = []
    while frame is not None and frame.f_code is not handle.__code__:
        stack.append(f"{frame.f_globals.get('__name__')}.{frame.f_code.co_name}:{frame.f_lineno}")
        frame = frame.f_back
    _stacks[";".join(reversed(stack))] += 1
