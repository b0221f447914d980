"""When each row of a plain CSV was taken: by a column of times, however written, or by counting."""

from __future__ import annotations

import datetime
import re
from collections.abc import Collection
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from emodict.errors import RecordingError
from emodict_desk.importers.clock import (
    ClockTime,
    clock_time,
    looks_like_summer_time,
    parse_time,
    utc_text,
)
from emodict_desk.importers.comments import Said, rate_said
from emodict_desk.importers.labels import split_unit
from emodict_desk.importers.text import Block, TextTable, numbers, time_runs_back
from emodict_desk.recordings.account import Account

Float64Array = NDArray[np.float64]

_TIME_NAME = re.compile(
    r"(lsl[ _]?)?(time([ _]?stamps?)?|t|sec(ond)?s?|date[ _]?time|date|unix([ "
    r"_]?time)?|epoch|elapsed|zeit(stempel)?|temps|tiempo)"
    r"[ _]*(s|sec|seconds|ms|msec|milliseconds|us|ns|unix|utc|iso)?",
    re.IGNORECASE,
)
_DATE = re.compile(r"\d{1,4}[/.-]\d{1,2}[/.-]\d{1,4}")
_TICKS = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}
_TICK_WORDS = {
    "sec": "s",
    "secs": "s",
    "second": "s",
    "seconds": "s",
    "msec": "ms",
    "msecs": "ms",
    "milliseconds": "ms",
    "usec": "us",
    "usecs": "us",
    "microseconds": "us",
    "µs": "us",
    "μs": "us",
}
# Unix time of 2000 to 2100 in seconds; in other units it is larger by their ticks.
_UNIX_S = (946_684_800, 4_102_444_800)
# Rows that come more rarely are not taken for Unix time: it may be a device's time since its start.
_LONGEST_STEP_S = 2.0
# A relative time without a unit that steps by this or more could be milliseconds, too.
_AMBIGUOUS_STEP = 0.5
_DAY_S = 86400.0
_SORT = "Count the rows with --rate HZ, if they come at an even rate, else sort them by time"
_SUMMER_TIME = (
    "Write the times in UTC or with their offset (+02:00), cut the file there, "
    "or count the rows with --rate HZ; "
    "sorted, two hours would be mixed"
)


def ticks_in_a_second(unit: str) -> float | None:
    """How many of that unit of time are a second; None for what is not one."""
    word = unit.strip().lower().replace("_", "")
    return _TICKS.get(_TICK_WORDS.get(word, word))


class Ticks:
    """Numbers: seconds or parts of them, from any start, or Unix time."""

    def __init__(self, ticks: float, *, unix: bool) -> None:
        self._ticks, self._unix = ticks, unix
        self._first: float | None = None

    def how(self) -> str:
        name = next(name for name, value in _TICKS.items() if value == self._ticks)
        return f"{'Unix time' if self._unix else 'time'} in {name}"

    def times_s(self, table: TextTable, block: Block, column: int) -> Float64Array:
        """(rows,) s after the first row of all."""
        values = numbers(table, block, [column])[:, 0]
        self._first = float(values[0]) if self._first is None else self._first
        # Subtracted before dividing: Unix nanoseconds leave no room for fractions.
        return np.asarray((values - self._first) / self._ticks)

    def start_time(self, later_s: float) -> str:
        if not self._unix or self._first is None:
            return ""
        return utc_text(self._first / self._ticks + later_s) or ""


class IsoTimes:
    """ISO 8601, all with a time zone or all without."""

    def __init__(self) -> None:
        self._first: datetime.datetime | None = None

    def how(self) -> str:
        return "ISO 8601"

    def times_s(self, table: TextTable, block: Block, column: int) -> Float64Array:
        """(rows,) s after the first row of all."""
        return np.array(
            [self._time_s(table, row[column], i, block, column) for i, row in enumerate(block.rows)]
        )

    def _time_s(self, table: TextTable, cell: str, row: int, block: Block, column: int) -> float:
        moment = parse_time(cell)
        first = self._first or moment
        if moment is None or first is None or (moment.tzinfo is None) != (first.tzinfo is None):
            raise _not_a_time(table, cell, block.lines[row], column, "ISO 8601")
        self._first = first
        return (moment - first).total_seconds()

    def start_time(self, later_s: float) -> str:
        if self._first is None:
            return ""
        return (
            (self._first + datetime.timedelta(seconds=later_s)).isoformat().replace("+00:00", "Z")
        )


class ClockTimes:
    """Times of day, with dates or without; then a step back by half a day is the next day.

    A step forward by half a day is a row of the day before that came late, just behind midnight.
    """

    def __init__(self) -> None:
        self._first: ClockTime | None = None
        self._first_days: dict[str, datetime.date] = {}
        self._dates: dict[str, int] = {}
        self._before_s, self._days = 0.0, 0

    def how(self) -> str:
        return "time of day"

    def times_s(self, table: TextTable, block: Block, column: int) -> Float64Array:
        """(rows,) s after the first row of all."""
        return np.array(
            [self._time_s(table, row[column], i, block, column) for i, row in enumerate(block.rows)]
        )

    def _time_s(self, table: TextTable, cell: str, row: int, block: Block, column: int) -> float:
        time = clock_time(cell)
        first = self._first or time
        if time is None or first is None or bool(time.date) != bool(first.date):
            raise _not_a_time(table, cell, block.lines[row], column, "a time of day")
        if self._first is None:
            self._first, self._before_s = time, time.second_of_day
            self._first_days = time.days()
        if time.date:
            if time.date not in self._dates:
                self._dates[time.date] = self._days_after(table, time, block.lines[row], column)
            self._days = self._dates[time.date]
        else:
            self._days -= round((time.second_of_day - self._before_s) / _DAY_S)
        self._before_s = time.second_of_day
        return self._days * _DAY_S + time.second_of_day - first.second_of_day

    def _days_after(self, table: TextTable, time: ClockTime, line: int, column: int) -> int:
        """How many days after the first one a date is, in the order that fits all dates so far.

        Of 3/4 and 4/4 the order is that by which they follow one another.

        Raises:
            RecordingError: not a date, or two orders are possible, and neither gives the next day.
        """
        after = {
            order: (day - self._first_days[order]).days
            for order, day in time.days().items()
            if order in self._first_days
        }
        if not after:
            raise _not_a_time(table, time.date, line, column, "a date")
        if len({*after.values()}) > 1:
            after = {order: days for order, days in after.items() if days == self._days + 1}
        if not after:
            raise RecordingError(
                f"{table.path}, line {line}, column {table.columns[column]}: the order of day and "
                "month is not clear",
                expected="dates such as 2024-12-31",
                got=f"{next(iter(self._dates))}, then {time.date}",
                fix="Write them so, or count the rows: --rate HZ",
            )
        self._first_days = {order: self._first_days[order] for order in after}
        return next(iter(after.values()))

    def start_time(self, later_s: float) -> str:
        """Empty where there is no date, or its day and month cannot be distinguished."""
        day = self._first.day() if self._first else None
        if day is None or self._first is None:
            return ""
        midnight = datetime.datetime.combine(day, datetime.time())
        return (
            midnight + datetime.timedelta(seconds=self._first.second_of_day + later_s)
        ).isoformat()


@dataclass
class RowClock:
    """How rows get their time: from a column, or by counting;
    then a column gives the start only.
    """

    column: int | None
    rate_hz: float | None
    written: Ticks | IsoTimes | ClockTimes = field(default_factory=lambda: Ticks(1.0, unix=False))

    def start_time(self, later_s: float) -> str:
        """Of the first row, or so much later, where the column says."""
        return "" if self.column is None else self.written.start_time(later_s)

    def times_s(self, table: TextTable, block: Block, first_row: int) -> Float64Array:
        """(rows,) s after the first row."""
        if self.column is None or self.rate_hz is not None:
            if self.column is not None and not first_row:
                self.written.times_s(table, Block(block.rows[:1], block.lines[:1]), self.column)
            return np.asarray((first_row + np.arange(len(block))) / (self.rate_hz or 1.0))
        times_s = self.written.times_s(table, block, self.column)
        missing = np.flatnonzero(np.isnan(times_s))
        if len(missing):
            at = int(missing[0])
            before = f"{times_s[at - 1]:g} s" if at else "nothing"
            raise time_runs_back(table, block.lines[at], before, "an empty cell", _SORT)
        return times_s


def row_clock(
    table: TextTable,
    time: str | None,
    rate: float | None,
    taken: Collection[int],
    account: Account,
    *,
    said: Said,
) -> RowClock:
    """The clock of a table, as asked or looked for; which it is goes into the notes.

    Args:
        said: by the comments, of which the rate counts where there is no column of times.

    Raises:
        RecordingError: no such column, or none and no rate; a unit that is not clear.
    """
    if rate is not None and not (np.isfinite(rate) and rate > 0):
        raise RecordingError(
            f"--rate {rate} is not a sampling rate", expected="a positive number of Hz"
        )
    name, _, tick = (time or "").partition(":")
    column: int | None = None
    if time is not None:
        column = table.column(name) if time not in table.columns else table.columns.index(time)
        tick = "" if time in table.columns else tick
    elif rate is None:
        named = (i for i, n in enumerate(table.columns) if i not in taken and _is_time(n))
        column = next(named, None)
    if column is None:
        return RowClock(None, rate_said(table, said, account) if rate is None else rate)
    clock = RowClock(column, rate, _written(table, column, tick))
    use = "" if rate is None else ", for the start alone"
    account.note(f"time: column {table.columns[column]}, {clock.written.how()}{use}")
    return clock


def _is_time(column: str) -> bool:
    return _TIME_NAME.fullmatch(split_unit(column)[0]) is not None


def back_in_file(table: TextTable, clock: RowClock) -> RecordingError:
    """The error for times that run back and cannot be sorted; `clock` has not read any row yet."""
    latest_s, step_s = -np.inf, 0.0
    for block in table.blocks(Account("")):
        for line, at_s in zip(block.lines, clock.times_s(table, block, 0).tolist(), strict=True):
            if at_s <= latest_s:
                summer = looks_like_summer_time(latest_s + step_s - at_s, step_s)
                return time_runs_back(
                    table, line, f"{latest_s:g} s", f"{at_s:g} s after the first row",
                    f"It looks like the end of summer time. {_SUMMER_TIME}" if summer else _SORT,
                )  # fmt: skip
            latest_s, step_s = at_s, at_s - latest_s if np.isfinite(latest_s) else 0.0
    return time_runs_back(table, 0, "a time", "an earlier one", _SORT)


def say_summer_time(times_s: Float64Array, account: Account) -> None:
    """Tell of a gap of just an hour."""
    steps_s = np.diff(times_s)
    if len(steps_s):
        missing_s = steps_s - np.median(steps_s)
        for at in np.flatnonzero(looks_like_summer_time(missing_s)):
            account.note(
                f"an hour is missing after {times_s[at]:.1f} s, "
                f"as where summer time begins; it stays a gap"
            )


def _written(table: TextTable, column: int, asked: str) -> Ticks | IsoTimes | ClockTimes:
    """How the column's first rows are written.

    Raises:
        RecordingError: it could be seconds as well as milliseconds.
    """
    block = next(table.blocks(Account("")), None)
    if block is None:
        raise RecordingError(f"{table.path} holds no rows", expected="rows below the header")
    first = block.rows[0][column]
    if _DATE.fullmatch(first.strip()):
        raise _date_alone(table, first, column)
    if not asked and parse_time(first) is not None:
        return IsoTimes()
    if not asked and clock_time(first) is not None:
        return ClockTimes()
    values = numbers(table, block, [column])[:, 0]
    name, in_label = split_unit(table.columns[column])
    suffix = re.search(
        r"[_ ](ms|us|ns|msec|sec|seconds|milliseconds|s)$|(seconds|secs?)$", name, re.IGNORECASE
    )
    word = (asked or in_label or (suffix.group().strip("_ ") if suffix else "")).lower()
    word = _TICK_WORDS.get(word, word)
    if asked and word not in _TICKS:
        raise RecordingError(f"--time {name}:{asked} names no unit of time", expected=tuple(_TICKS))
    step = float(np.nanmedian(np.diff(values))) if len(values) > 1 else 0.0
    unix = _unix_ticks(float(values[0]), step, word)
    if unix is None and word not in _TICKS and step >= _AMBIGUOUS_STEP:
        raise RecordingError(
            f"{table.path}: the unit of the time column {name} is not clear",
            expected="seconds or milliseconds",
            got=f"{values[0]:.15g}, {values[1]:.15g} and so on",
            fix=f"Say it: --time '{name}:ms', '{name}:us' or '{name}:s'",
        )
    return Ticks(unix or _TICKS.get(word, 1.0), unix=unix is not None)


def _unix_ticks(first: float, step: float, word: str) -> float | None:
    """How many ticks a second has, if the column is Unix time; of a unit that it names, or any."""
    guesses = [word] if word in _TICKS else [*_TICKS]
    fits = (_TICKS[g] for g in guesses if _UNIX_S[0] <= first / _TICKS[g] < _UNIX_S[1])
    ticks = next(fits, None)
    possible = ticks is not None and (word in _TICKS or step / ticks <= _LONGEST_STEP_S)
    return ticks if possible else None


def _date_alone(table: TextTable, cell: str, column: int) -> RecordingError:
    """The error for a column of dates; the time of day may stand in another one."""
    times = [name for i, name in enumerate(table.columns) if i != column and _is_time(name)]
    return RecordingError(
        f"{table.path}: the column {table.columns[column]} holds dates without a time of day",
        expected="a column of times",
        got=repr(cell[:40]),
        fix=f"Name another: --time '{times[0]}'" if times else "Write date and time in one column",
    )


def _not_a_time(table: TextTable, cell: str, line: int, column: int, form: str) -> RecordingError:
    return RecordingError(
        f"{table.path}, line {line}, column {table.columns[column]}: not a time",
        expected=f"{form}, as in the first row",
        got=repr(cell[:40]),
        fix="Correct the cell, or count the rows: --rate HZ",
    )
