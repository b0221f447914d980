"""Clocks of recordings: stamps that come in bursts, even times, and what text says of time."""

from __future__ import annotations

import datetime
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emodict.recording.grid import ON_GRID_PERIODS

Int64Array = NDArray[np.int64]
Float64Array = NDArray[np.float64]

_ISO = re.compile(
    r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d(?::\d\d)?)(?:[.,](\d+))?\s*(Z|[+-]\d\d:?\d\d)?", re.IGNORECASE
)
_CLOCK = re.compile(
    r"(?:(\d{1,4}[/.-]\d{1,2}[/.-]\d{1,4}),?\s+)?(\d{1,2}):([0-5]\d):([0-5]\d|60)(?:[.,:](\d{1,9}))?\s*([AP]M)?",
    re.IGNORECASE,
)
# Samples that come this much later than their number says, and stay so, tell of lost ones.
# Bluetooth delivers a Muse's samples in packets of 12, 47 ms, of which several may come together,
# and stalls for seconds.
LATE_S = 0.1
LOOK_AHEAD_S = 10.0
_HOUR_S, _HOUR_TOLERANCE_S = 3600.0, 2.0


def lost_samples(sequence: Int64Array) -> int:
    """How many samples a counter shows to be missing."""
    return int(sequence[-1] - sequence[0]) + 1 - len(sequence) if len(sequence) else 0


def gap_or_none(sequence: Int64Array | None) -> Int64Array | None:
    """The counter where it shows gaps; without gaps a recording needs none."""
    return sequence if sequence is not None and lost_samples(sequence) else None


def counter_from_arrivals(times_s: Float64Array, rate_hz: float) -> Int64Array:
    """(samples,) times of arrival, late and in bursts -> a counter that jumps
    where samples were lost.

    No sample arrives before it is taken, so the earliest of a stretch tells how late the stretch
    is. Where that has grown by more than LATE_S, and stays so for LOOK_AHEAD_S, samples are
    missing: at the longest pause nearby.
    """
    count = len(times_s)
    counter = np.arange(count, dtype=np.int64)
    stretch, ahead = max(2, round(rate_hz)), max(2, round(rate_hz * LOOK_AHEAD_S))
    late_s = times_s - counter / rate_hz
    floor_s = late_s[:stretch].min(initial=np.inf)
    for start in range(stretch, count, stretch):
        later_s = late_s[start : start + ahead].min() - floor_s
        if later_s > LATE_S:
            first = start - stretch + 1
            at = first + int(np.diff(times_s[first - 1 : start + stretch]).argmax())
            lost = round(later_s * rate_hz)
            counter[at:] += lost
            floor_s += lost / rate_hz
    return counter


def start_and_times(times_s: Float64Array, rate_hz: float) -> tuple[float, Float64Array | None]:
    """(start, None) for times that lie on an even clock of that rate, (0, times) for any others."""
    if not len(times_s):
        return 0.0, None
    periods = (times_s - times_s[0]) * rate_hz
    if np.abs(periods - np.arange(len(times_s))).max() <= ON_GRID_PERIODS:
        return float(times_s[0]), None
    return 0.0, times_s


def growing(times_s: NDArray[Any]) -> NDArray[np.bool_]:
    """(samples,) True for the samples that come after all before them."""
    if not len(times_s):
        return np.ones(0, dtype=bool)
    latest = np.maximum.accumulate(times_s)
    return np.concatenate([[True], times_s[1:] > latest[:-1]])


def looks_like_summer_time(step_s: Any, tolerance_s: float = 0.0) -> Any:
    """Is a step of a local clock (or each of several) the hour by which it is set twice a year?"""
    return np.abs(step_s - _HOUR_S) < _HOUR_TOLERANCE_S + tolerance_s


def utc_text(unix_s: float) -> str | None:
    """Unix time as ISO 8601 in UTC; None where it is not a time."""
    try:
        moment = datetime.datetime.fromtimestamp(unix_s, tz=datetime.timezone.utc)
    except (OverflowError, ValueError, OSError):
        return None
    return moment.isoformat().replace("+00:00", "Z")


@dataclass(frozen=True)
class ClockTime:
    """A time of day; `date` is the text before it, "" where there is none."""

    date: str
    second_of_day: float
    twelve_hours: bool = False

    def day(self) -> datetime.date | None:
        """The day, if it can be told."""
        days = [*self.days().values()]
        return days[0] if len(days) == 1 else None

    def days(self) -> dict[str, datetime.date]:
        """The days that it can be, by the part that stands first: year, month or day.

        Where the year is not first, a number that is not a month, a point, or AM and PM (US) tell.
        """
        parts = [int(part) for part in re.findall(r"\d+", self.date)]
        if len(parts) != 3:
            return {}
        first, second, _ = parts
        orders = [*_PARTS][1:]
        if first > 31:
            orders = ["year"]
        elif second > 12 or (self.twelve_hours and first <= 12):
            orders = ["month"]
        elif first > 12 or "." in self.date:
            orders = ["day"]
        return {order: day for order in orders if (day := _day(parts, order)) is not None}


# Where year, month and day stand in a date that begins with one of them.
_PARTS = {"year": (0, 1, 2), "month": (2, 0, 1), "day": (2, 1, 0)}


def _day(parts: Sequence[int], order: str) -> datetime.date | None:
    try:
        return datetime.date(*(parts[at] for at in _PARTS[order]))
    except ValueError:
        return None


def clock_time(text: str) -> ClockTime | None:
    """`23:30:00.000`, `01/02/2024 01:30:00 PM`, `1.2.2024 13:30:00`; None for anything else."""
    found = _CLOCK.fullmatch(text.strip())
    if not found:
        return None
    date, hour, minute, second, fraction, half = found.groups()
    hours = int(hour) % 12 + 12 * (half.upper() == "PM") if half else int(hour)
    seconds = hours * 3600 + int(minute) * 60 + float(f"{second}.{fraction or 0}")
    return ClockTime(date or "", seconds, bool(half)) if hours < 24 else None


def parse_time(text: str) -> datetime.datetime | None:
    """ISO 8601 text, with or without a time zone; None where it is none."""
    found = _ISO.fullmatch(text.strip())
    if not found:
        return None
    date, clock, fraction, zone = found.groups()
    # Python 3.10 reads fractions of 3 or 6 digits alone, no Z, and no time zone without a colon.
    point = f".{fraction[:6]:0<6}" if fraction else ""
    zone = "+00:00" if zone == "Z" else f"{zone[:3]}:{zone[-2:]}" if zone else ""
    try:
        return datetime.datetime.fromisoformat(f"{date}T{clock}{point}{zone}")
    except ValueError:
        return None
