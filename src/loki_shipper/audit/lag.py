"""Matches two counts by hour of the same lines, where the second one is later."""

from collections.abc import Mapping

from loki_shipper.audit.model import Window


def unmatched(
    inflow: Mapping[int, int], outflow: Mapping[int, int], window: Window, reach: int
) -> dict[int, int]:
    """Give the lines of each hour of the window that went in and never came out.

    Lines may come out up to `reach` hours later. The hour before the window is matched too, but not
    returned: its lines may come out in the window.

    A line that comes out could be any open one. To take the oldest leaves as few open as possible,
    so delay alone never looks like a loss. To take the newest names the hours of a loss better, as
    most lines come out within a minute.
    """
    fewest = _unmatched(inflow, outflow, window, reach, oldest=True)
    better_hours = _unmatched(inflow, outflow, window, reach, oldest=False)
    is_as_few = sum(better_hours.values()) == sum(fewest.values())
    found = better_hours if is_as_few else fewest
    return {hour: lines for hour, lines in found.items() if hour in window.hours}


def _unmatched(
    inflow: Mapping[int, int],
    outflow: Mapping[int, int],
    window: Window,
    reach: int,
    *,
    oldest: bool,
) -> dict[int, int]:
    still_open: dict[int, int] = {}
    for hour in range(window.start - 1, window.now + 1):
        still_open[hour] = inflow.get(hour, 0)
        left = outflow.get(hour, 0)
        for since in sorted(still_open, reverse=not oldest):
            if left and hour - since <= reach:
                matched = min(left, still_open[since])
                still_open[since] -= matched
                left -= matched
        still_open = {since: lines for since, lines in still_open.items() if lines}
    return still_open
