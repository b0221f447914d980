"""The part of the report that holds whatever the model says: events,
heart rate and skin conductance.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from html import escape

import numpy as np

from emodict.recording.recording import Event
from emodict.results.metrics import percent
from emodict_desk import svg
from emodict_desk.report.parts import box, plot_head
from emodict_desk.report.wearer import Curve, Wearer

# More lines than this hide what is below them; more rows nobody reads.
MOST_MARKED, MOST_LISTED = 200, 40


def about_wearer(wearer: Wearer, line: svg.Timeline) -> str:
    """Curves with the quality of their signals, and the events; "" where there is none of it."""
    if not line.by_time or not (wearer.curves or wearer.events or wearer.missing):
        return ""
    events = event_marks(wearer, line)
    curves = [
        _curve(curve, line, events, last=curve is wearer.curves[-1]) for curve in wearer.curves
    ]
    missing = "".join(f'<p class="note">{escape(sentence)}</p>' for sentence in wearer.missing)
    parts = ["<figure><h3>The wearer</h3>", *curves, missing]
    if wearer.curves:
        said = " ".join(f"<b>{escape(c.name)}</b>: {escape(c.how)}" for c in wearer.curves)
        quality = "Below each curve the quality of its signal, from 0 to 1."
        parts.append(f'<figcaption class="caption">{said} {quality}</figcaption>')
    return "".join([*parts, _events(wearer, line), "</figure>"])


def event_marks(wearer: Wearer, line: svg.Timeline) -> str:
    """Lines through a plot where something happened."""
    shown = _on_line(wearer.events, line)[:MOST_MARKED]
    span = line.stop - line.start
    texts = [f"{_when(event, line)} {_what(event)}" for event in shown]
    return svg.marks([(event.onset_s - line.start) / span for event in shown], texts)


def _curve(curve: Curve, line: svg.Timeline, events: str, *, last: bool) -> str:
    placed, inside = line.placed(curve.start_s), line.covers(curve.start_s)
    known = inside & np.isfinite(curve.values)
    quality = placed.means(curve.quality[:, None], inside)[:, 0]
    strip = svg.plot(
        svg.area(quality),
        line,
        height=16,
        label=f"Quality of the signal of {curve.name}",
        y_ticks=(),
        time_labels=last,
    )
    if not known.any():
        head = plot_head(curve.name, "not known anywhere: the signal is nowhere clean enough")
        return head + box(strip, line, timed=last)
    values = placed.means(curve.values[:, None], known)[:, 0]
    low, high, step = svg.round_range(values)
    ticks = [
        (1 - (at - low) / (high - low), f"{at:g}")
        for at in np.round(np.arange(low, high + step / 2, step), 9)
    ]
    drawn = svg.plot(
        svg.curve((values - low) / (high - low)),
        line,
        height=96,
        label=f"{curve.name} over time",
        y_ticks=ticks,
        time_labels=False,
        over=events,
    )
    middle = float(np.median(curve.values[known]))
    share = known.sum() / max(1, inside.sum())
    said = f"{curve.unit} · median {middle:.3g} · known in {percent(share)} of the seconds"
    return (
        plot_head(curve.name, said) + box(drawn, line, timed=False) + box(strip, line, timed=last)
    )


def _events(wearer: Wearer, line: svg.Timeline) -> str:
    shown = _on_line(wearer.events, line)
    if not shown:
        return ""
    rows = "".join(
        f"<li><span>{escape(_when(event, line))}</span> {escape(_what(event))}</li>"
        for event in shown[:MOST_LISTED]
    )
    rest = len(shown) - MOST_LISTED
    more = f'<p class="note">and {rest} more</p>' if rest > 0 else ""
    return f'<h4>Events</h4><ul class="events">{rows}</ul>{more}'


def _on_line(events: Sequence[Event], line: svg.Timeline) -> list[Event]:
    at = np.array([event.onset_s for event in events])
    return [event for event, inside in zip(events, line.covers(at), strict=True) if inside]


def _when(event: Event, line: svg.Timeline) -> str:
    whole = int(event.onset_s)
    elapsed = f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"
    if line.zero is None:
        return elapsed
    return f"{line.zero + datetime.timedelta(seconds=whole):%H:%M:%S} ({elapsed})"


def _what(event: Event) -> str:
    return event.description or f"code {event.code}"
