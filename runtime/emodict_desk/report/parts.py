"""What every plot of the report has around it."""

from __future__ import annotations

import datetime
from html import escape

from emodict_desk import svg


def plot_head(name: str, what: str) -> str:
    """The name of a plot, and at its other end what it shows."""
    return f'<div class="plothead"><b>{escape(name)}</b><span>{escape(what)}</span></div>'


def box(plot: str, line: svg.Timeline, *, timed: bool) -> str:
    """The plot with room for the letters around it;
    what the axis counts stands below it where it is `timed`.
    """
    if not timed:
        return f'<div class="plotbox">{plot}</div>'
    return f'<div class="plotbox timed" data-axis="{escape(_axis(line))}">{plot}</div>'


def _axis(line: svg.Timeline) -> str:
    if not line.by_time:
        return "row"
    if line.zero is None:
        return f"time from the start of the recording ({svg.axis_unit(line)})"
    return f"time of day ({zone_of(line.zero)})"


def zone_of(start: datetime.datetime) -> str:
    """The zone of a recording's start, as people name it."""
    return start.tzname() or "of an unnamed zone"
