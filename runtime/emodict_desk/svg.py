"""Plots against time as SVG text that stretches with the page while its letters do not."""

from __future__ import annotations

import base64
import datetime
import math
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from html import escape

import numpy as np
from numpy.typing import NDArray

Float64Array = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

# More columns than this no screen shows and no talk needs.
MOST_COLUMNS = 1200
MOST_TIME_TICKS = 7
# Inside a plot, y counts from 0 at the top to this at the bottom: a tenth of a percent.
_Y = 1000

_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_TIME_STEPS = (
    1,
    2,
    5,
    10,
    15,
    30,
    *(n * _MINUTE for n in (1, 2, 5, 10, 15, 30)),
    *(n * _HOUR for n in (1, 2, 3, 6, 12)),
    *(n * _DAY for n in (1, 2, 5, 10)),
)

# Blue below 0, almost white at 0, brown above.
DIVERGING = ((11, 63, 127), (74, 144, 200), (244, 243, 239), (229, 143, 69), (138, 58, 5))


@dataclass(frozen=True)
class Timeline:
    """The columns that a plot has, and which of them each row falls into.

    Attributes:
        start, width: of the first column and of each, in s (or in rows, where the rows' times do
        not grow). column: (rows,) from 0 to count - 1. rows_per_column: how many rows were averaged
        into one. by_time: the axis counts seconds; False if it counts rows. zero: the time of day
        at second 0, with which the axis then is labelled; None: it counts from the start.
    """

    start: float
    width: float
    count: int
    column: NDArray[np.intp]
    rows_per_column: int
    by_time: bool
    zero: datetime.datetime | None = None

    @property
    def day_s(self) -> float:
        """Seconds from midnight to second 0 of the recording."""
        if self.zero is None:
            return 0.0
        return (
            self.zero.hour * _HOUR
            + self.zero.minute * _MINUTE
            + self.zero.second
            + self.zero.microsecond / 1e6
        )

    @property
    def hop(self) -> float:
        """From one row to the next."""
        return self.width / self.rows_per_column

    @property
    def stop(self) -> float:
        return self.start + self.width * self.count

    def means(self, values: Float64Array, use: BoolArray) -> Float64Array:
        """(rows, k) -> (columns, k): the mean of the rows in `use`, NaN where a column has none."""
        sums = np.zeros((self.count, values.shape[1]))
        np.add.at(sums, self.column[use], values[use])
        rows = np.bincount(self.column[use], minlength=self.count)[:, None]
        return np.divide(sums, rows, out=np.full_like(sums, np.nan), where=rows > 0)

    def placed(self, start_s: Float64Array) -> Timeline:
        """The same columns for other rows than those it was made of;
        what lies outside goes into the nearest.
        """
        column = np.floor((start_s - self.start) / self.width).astype(np.intp)
        return replace(self, column=np.clip(column, 0, self.count - 1))

    def covers(self, times_s: Float64Array) -> BoolArray:
        """(times,) Which of them lie on the line."""
        inside: BoolArray = (times_s >= self.start) & (times_s < self.stop)
        return inside

    def any(self, rows: BoolArray) -> BoolArray:
        """(rows,) -> (columns,): is it so in any row of the column?"""
        return np.bincount(self.column[rows], minlength=self.count) > 0


def timeline(start_s: Float64Array, zero: datetime.datetime | None = None) -> Timeline:
    """Lay rows out on at most MOST_COLUMNS columns of equal width,
    holes in time included; `zero` as in Timeline.
    """
    steps = np.diff(start_s)
    by_time = bool((steps > 0).all())
    hop = float(np.median(steps)) if by_time and len(steps) else 1.0
    start = float(start_s[0]) if by_time else 0.0
    slots = (
        np.round((start_s - start) / hop).astype(np.intp) if by_time else np.arange(len(start_s))
    )
    each = math.ceil((int(slots[-1]) + 1) / MOST_COLUMNS)
    column = slots // each
    return Timeline(
        start, hop * each, int(column[-1]) + 1, column, each, by_time, zero if by_time else None
    )


def plot(
    inner: str,
    line: Timeline,
    *,
    height: int,
    label: str,
    y_ticks: Sequence[tuple[float, str]],
    time_labels: bool,
    under: str = "",
    over: str = "",
    kind: str = "",
) -> str:
    """A frame around `inner`, whose x runs over the columns.

    Args:
        y_ticks: (share of the height from the top, text).
        under, over: what stands below and above it, in percent of the frame, as `spans` makes it.
        kind: a class for the style sheet.
    """
    ticks = time_ticks(line)
    parts = [f'<svg class="plot {kind}" height="{height}" role="img" aria-label="{escape(label)}">']
    parts.append(f'<rect class="frame" width="100%" height="100%"/>{under}')
    parts.append(
        f'<svg width="100%" height="100%" viewBox="0 0 {2 * line.count} {_Y}" '
        f'preserveAspectRatio="none">'
    )
    parts.append(f"{inner}</svg>{over}")
    for at, text in y_ticks:
        y = f"{100 * at:.4g}%"
        parts.append(
            f'<line class="grid" x2="100%" y1="{y}" y2="{y}"/><text class="y" x="-6" '
            f'y="{y}">{text}</text>'
        )
    for at, text in ticks:
        x = f"{100 * at:.4g}%"
        parts.append(f'<line class="grid" y2="100%" x1="{x}" x2="{x}"/>')
        if time_labels:
            parts.append(f'<text class="x" x="{x}" y="{height + 15}">{text}</text>')
    return "".join(parts) + '<line class="cursor" y2="100%"/></svg>'


def time_ticks(line: Timeline) -> list[tuple[float, str]]:
    """(place from 0 to 1, text) of at most MOST_TIME_TICKS round times."""
    span = line.stop - line.start
    coarse = 10 ** math.ceil(math.log10(span))
    steps = (
        _TIME_STEPS
        if line.by_time
        else tuple(sorted(n * 10**k for n in (1, 2, 5) for k in range(8)))
    )
    step = next((s for s in steps if span / s <= MOST_TIME_TICKS - 1), coarse)
    # Round times of day, where the axis shows these.
    start, stop = line.start + line.day_s, line.stop + line.day_s
    times = [
        n * step - line.day_s for n in range(math.ceil(start / step), math.floor(stop / step) + 1)
    ]
    return [((t - line.start) / span, axis_time(t, line)) for t in times]


def axis_time(at: float, line: Timeline) -> str:
    """A time as the axis of `line` writes it."""
    if line.zero is not None:
        # By adding, not by the clock of a zone: the recording goes on evenly when summer time ends.
        time = line.zero + datetime.timedelta(seconds=at + 0.5)
        return f"{time:%H:%M:%S}" if time.second else f"{time:%H:%M}"
    unit = axis_unit(line)
    if unit == "min:s":
        return f"{int(at) // _MINUTE}:{int(at) % _MINUTE:02d}"
    if unit == "h:min":
        return f"{int(at) // _HOUR}:{int(at) % _HOUR // _MINUTE:02d}"
    return f"{at:g}"


def axis_unit(line: Timeline) -> str:
    """What the axis of `line` counts in."""
    if not line.by_time:
        return "row"
    if line.stop <= 2 * _MINUTE:
        return "s"
    return "min:s" if line.stop <= 2 * _HOUR else "h:min"


def stacked_area(shares: Float64Array, fills: Sequence[str]) -> str:
    """(columns, emotions) -> polygons from 0 to each running sum,
    the highest first, so that no seam shows.
    """
    sums = np.cumsum(shares, axis=1)
    runs = list(_runs(np.isfinite(sums[:, -1])))
    return "".join(
        f'<polygon class="share" fill="{fills[i]}" points="{_outline(sums[:, i], first, stop)}"/>'
        for i in reversed(range(shares.shape[1]))
        for first, stop in runs
    )


def area(values: Float64Array) -> str:
    """(columns,) from 0 to 1 -> the area below, broken where there is no number."""
    runs = _runs(np.isfinite(values))
    return "".join(
        f'<polygon class="level" points="{_outline(values, first, stop)}"/>' for first, stop in runs
    )


def curve(values: Float64Array) -> str:
    """(columns,) from 0 to 1 -> a line through them, broken where there is no number."""
    parts = []
    for first, stop in _runs(np.isfinite(values)):
        x = [2 * first, *(2 * np.arange(first, stop) + 1).tolist(), 2 * stop]
        y = np.round(_Y * (1 - np.clip(values[first:stop], 0, 1))).astype(int).tolist()
        points = " ".join(f"{a},{b}" for a, b in zip(x, [y[0], *y, y[-1]], strict=True))
        parts.append(f'<polyline class="curve" points="{points}"/>')
    return "".join(parts)


def marks(places: Sequence[float], texts: Sequence[str]) -> str:
    """A vertical line at each place (from 0 to 1),
    with a text that is seen when it is pointed at.
    """
    return "".join(
        f'<line class="event" y2="100%" x1="{100 * x:.3f}%" '
        f'x2="{100 * x:.3f}%"><title>{escape(text)}</title></line>'
        for x, text in zip(places, texts, strict=True)
    )


def round_range(values: Float64Array) -> tuple[float, float, float]:
    """(low, high, step) of an axis around values that are not all NaN:
    multiples of a round step, at most 4 of them.
    """
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    least = max((high - low) / 3, 1e-3 * max(abs(high), 1.0))
    power = 10 ** math.floor(math.log10(least))
    step = next(n * power for n in (1, 2, 5, 10) if n * power >= least * (1 - 1e-9))
    bottom = math.floor(low / step) * step
    return bottom, max(math.ceil(high / step) * step, bottom + step), step


def spans(where: BoolArray, name: str) -> str:
    """(columns,) -> a rectangle of class `name` over each stretch, in percent of the plot."""
    scale = 100 / max(1, len(where))
    return "".join(
        f'<rect class="{name}" x="{first * scale:.3f}%" width="{(stop - first) * scale:.3f}%" '
        f'height="100%"/>'
        for first, stop in _runs(where)
    )


def _runs(where: BoolArray) -> Iterator[tuple[int, int]]:
    """First and stop of each stretch of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], where, [False]]).astype(np.int8)))
    yield from zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)


def _outline(tops: Float64Array, first: int, stop: int) -> str:
    """Through the middle of each column, flat to the outer edges,
    closed along the bottom; two units a column.
    """
    y = np.round(_Y * (1 - np.clip(tops[first:stop], 0, 1))).astype(int)
    x = 2 * np.arange(first, stop) + 1
    # A point on a level line says nothing.
    turns = np.ones(len(y), dtype=bool)
    turns[1:-1] = (y[1:-1] != y[:-2]) | (y[1:-1] != y[2:])
    middle = " ".join(f"{a},{b}" for a, b in zip(x[turns].tolist(), y[turns].tolist(), strict=True))
    left, right = 2 * first, 2 * stop
    return f"{left},{_Y} {left},{y[0]} {middle} {right},{y[-1]} {right},{_Y}"


def heat_map(values: Float64Array, *, limit: float) -> str:
    """(columns, elements) -> a picture with an element a line,
    -limit to limit in DIVERGING, clear where NaN.
    """
    known = np.isfinite(values)
    # 1 to 255 with 0 at 128; 0 stands for "no number".
    index = np.where(
        known, 128 + np.round(127 * np.clip(np.where(known, values, 0) / limit, -1, 1)), 0
    )
    picture = _png(index.T.astype(np.uint8), _palette())
    return (
        f'<image width="{2 * len(values)}" height="{_Y}" preserveAspectRatio="none" '
        f'href="data:image/png;base64,{base64.b64encode(picture).decode()}"/>'
    )


def _palette() -> NDArray[np.uint8]:
    stops = np.linspace(1, 255, len(DIVERGING))
    channels = [np.interp(np.arange(256), stops, channel) for channel in np.transpose(DIVERGING)]
    return np.round(np.stack(channels, axis=1)).astype(np.uint8)


def _png(index: NDArray[np.uint8], palette: NDArray[np.uint8]) -> bytes:
    """(height, width) of palette entries -> a PNG whose entry 0 is transparent."""
    height, width = index.shape
    lines = np.concatenate([np.zeros((height, 1), dtype=np.uint8), index], axis=1)
    chunks = (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)),
        (b"PLTE", palette.tobytes()),
        (b"tRNS", b"\0"),
        (b"IDAT", zlib.compress(lines.tobytes(), 9)),
        (b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(name, content) for name, content in chunks)


def _chunk(name: bytes, content: bytes) -> bytes:
    return (
        struct.pack(">I", len(content))
        + name
        + content
        + struct.pack(">I", zlib.crc32(name + content))
    )
