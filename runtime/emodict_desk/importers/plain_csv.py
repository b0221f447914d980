"""A plain CSV with a header: one row per moment, one column per channel, and a time column or a rate."""

from __future__ import annotations

import datetime
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from emodict.errors import RecordingError
from emodict.recording.modalities import MODALITIES
from emodict.recording.recording import Event, Recording, Signal
from emodict.recording.units import plain_unit, unit_factor
from emodict_desk.importers.clock import parse_time, start_and_times, usual_rate_hz, utc_text
from emodict_desk.importers.form import Form, Option, pairs
from emodict_desk.importers.kinds import E4_FILES, first_text_line, kind_of, wrong_kind
from emodict_desk.importers.labels import WANTED_UNIT, Label, split_unit
from emodict_desk.importers.spool import Growing, Spool
from emodict_desk.importers.text import Block, TextTable, numbers, open_table, time_runs_back
from emodict_desk.lights import of_one_sensor, pulse_light
from emodict_desk.recordings.account import Account
from emodict_desk.wording import count_of

_EXPECTED = "a table of text with a header line"
_TIME_NAME = re.compile(
    r"(lsl[ _]?)?(time([ _]?stamps?)?|t|sec(ond)?s?|date[ _]?time|date|unix([ _]?time)?|epoch|elapsed)"
    r"[ _]*(s|sec|seconds|ms|msec|milliseconds|us|ns|unix|utc|iso)?",
    re.IGNORECASE,
)
_TICKS = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}
_TICK_WORDS = {
    "sec": "s", "secs": "s", "second": "s", "seconds": "s", "msec": "ms", "milliseconds": "ms", "µs": "us", "μs": "us",
}  # fmt: skip
# Unix time of 1973 to 2603 in seconds; in other units it is larger by their ticks.
_UNIX_S = (1e8, 2e10)
# A relative time without a unit that steps by this or more could be milliseconds as well as seconds.
_AMBIGUOUS_STEP = 0.5


def read_csv(
    source: Path,
    /,
    *,
    subject_id: str | None = None,
    session_id: str | None = None,
    time: str | None = None,
    rate: float | None = None,
    columns: Sequence[str] = (),
    unit: Sequence[str] = (),
) -> Recording:
    """Read a plain CSV with a header.

    Columns become modalities by `columns` (ppg=BVP, eeg=AF7+AF8) or by their names: electrodes, PPG or BVP,
    GSR or EDA; a marker or trigger column becomes events. `time` names the time column (NAME or NAME:ms; s,
    ms, us, ns, Unix time or ISO 8601), else it is looked for and named in the notes; `rate` counts rows
    instead, and a `time` beside it gives the start alone. Where a modality's cells are empty it has no sample,
    so slower sensors may share the table.

    Raises:
        RecordingError: a column is missing or ambiguous, a cell is no number, or time goes backwards.
    """
    path = Path(source)
    table = open_table(path, _EXPECTED)
    account = Account(f"CSV {path.name}")
    _say_kind(path, account)
    chosen = _choose(table, columns, account)
    clock = _clock(table, time, rate, chosen, account)
    units = _units(table, chosen, unit, account)
    marker = _marker_column(table, {column for of in chosen.values() for column in of})
    read = _read_rows(table, chosen, clock, marker, account)
    _leave_out_others(table, {column for of in chosen.values() for column in of} | {clock.column, marker}, account)
    signals = {m: _signal(table, m, of, read.streams[m], clock, units[m], account) for m, of in chosen.items()}
    signals = {m: signal for m, signal in signals.items() if signal.sample_count}
    if not signals:
        raise RecordingError(f"{path} holds no samples", expected="rows with numbers below the header")
    return Recording(
        session_id=session_id or path.stem,
        subject_id=subject_id or path.stem,
        signals=signals,
        events=tuple(Event(at_s, code, text) for at_s, code, text in read.marks),
        start_time=clock.start_time(),
        attributes=account.attributes(),
    )


def _leave_out_others(table: TextTable, used: Collection[int | None], account: Account) -> None:
    for name in (name for i, name in enumerate(table.columns) if i not in used and name):
        account.leave_out(f"column {name}", "not used")


def _say_kind(path: Path, account: Account) -> None:
    kind = kind_of(path)
    if kind not in (None, "csv"):
        account.note(f"it looks like a file for `emodict-session import {kind}`, which knows more of it")


def looks_like_csv(path: Path, head: bytes) -> bool:
    """Text with several columns whose first line is not all numbers."""
    cells = re.split(r"[,;\t]", first_text_line(head))
    return len(cells) > 1 and not all(re.fullmatch(r"\s*-?[\d.eE+-]*\s*", cell) for cell in cells)


def _choose(table: TextTable, columns: Sequence[str], account: Account) -> dict[str, list[int]]:
    """The columns of each modality."""
    if columns:
        chosen = {}
        for modality, names in pairs(columns, "columns", "ppg=BVP,eeg=AF7+AF8"):
            if modality not in MODALITIES:
                raise RecordingError(
                    f"--columns {modality}=... names no modality", expected=f"one of {', '.join(MODALITIES)}"
                )
            chosen[modality] = [table.column(name) for name in names.split("+")]
    else:
        chosen = _by_name(table)
        _take_one_light(table, chosen, account)
    for modality, of in chosen.items():
        if len(of) > 1 and not MODALITIES[modality].placed:
            raise RecordingError(
                f"{table.path}: {modality} has one channel, and {len(of)} columns could be it",
                expected=f"one of {', '.join(table.columns[c] for c in of)}",
                fix=f"Choose it: --columns {modality}={table.columns[of[0]]}; name the other modalities' columns too",
            )
    if not chosen:
        if table.path.name in E4_FILES:
            raise wrong_kind(table.path, "a table with a column for each channel")
        kind = kind_of(table.path)
        known = "" if kind in (None, "csv") else f"; it looks like a file for `emodict-session import {kind}`"
        raise RecordingError(
            f"{table.path} has no column that is known to be EEG, PPG or GSR",
            expected="electrodes (AF7, Cz), PPG or BVP, GSR or EDA",
            got=table.names() + known,
            fix="Say which is which: --columns ppg=NAME,gsr=NAME,eeg=NAME+NAME",
        )
    return chosen


def _by_name(table: TextTable) -> dict[str, list[int]]:
    labels = [Label.read(column).modality for column in table.columns]
    columns = {modality: [i for i, of in enumerate(labels) if of == modality] for modality in MODALITIES}
    return {modality: of for modality, of in columns.items() if of}


def _take_one_light(table: TextTable, chosen: dict[str, list[int]], account: Account) -> None:
    """Of columns that are the lights of one sensor (PPG1 PPG2 PPG3, PPG_IR PPG_Red) the one of the pulse is taken."""
    names = [split_unit(table.columns[column])[0] for column in chosen.get("ppg", [])]
    light = pulse_light(names)
    if len(names) > 1 and light is not None and of_one_sensor(names):
        account.note(f"ppg: column {names[light]} taken of {', '.join(names)}, as the infrared light")
        chosen["ppg"] = [chosen["ppg"][light]]


def _marker_column(table: TextTable, taken: set[int]) -> int | None:
    there = (i for i, name in enumerate(table.columns) if i not in taken and Label.read(name).modality == "marker")
    return next(there, None)


def _units(table: TextTable, chosen: dict[str, list[int]], unit: Sequence[str], account: Account) -> dict[str, str]:
    """The unit of each modality: as asked, else as in the column names, else the usual one, which is said."""
    asked = dict(pairs(unit, "unit", "gsr=uS,eeg=mV"))
    strange = [m for m in asked if m not in chosen]
    if strange:
        raise RecordingError(f"--unit {strange[0]}=...: there is no {strange[0]} in {table.path}", expected=[*chosen])
    units = {}
    for modality, of in chosen.items():
        named = {Label.read(table.columns[c]).unit for c in of} - {""}
        if len(named) > 1:
            raise RecordingError(f"{table.path}: the columns of {modality} have different units", got=sorted(named))
        found = plain_unit(asked.get(modality, "")) or (next(iter(named)) if named else "")
        if WANTED_UNIT[modality] == "a.u.":
            found = "a.u."
        elif not found:
            account.note(f"{modality}: no unit given, taken for {WANTED_UNIT[modality]}")
        units[modality] = found or WANTED_UNIT[modality]
        unit_factor(units[modality], WANTED_UNIT[modality], of=f"{table.path}, {modality}")
    return units


@dataclass
class _Clock:
    """How rows get their time: from a column, or by counting them at a rate.

    Attributes:
        ticks: of the column in a second; 0 for ISO 8601 text.
        first_tick, first_moment: what the first row says, taken off all rows.
    """

    column: int | None
    rate_hz: float | None
    ticks: float = 1.0
    unix: bool = False
    first_tick: float | None = None
    first_moment: datetime.datetime | None = None
    latest_s: float = -np.inf

    def how(self) -> str:
        """In which form the column gives the time."""
        if not self.ticks:
            return "ISO 8601"
        return f"{'Unix time' if self.unix else 'time'} in {_tick_name(self.ticks)}"

    def start_time(self) -> str:
        """Of the first row, where the column says."""
        if self.first_moment is not None:
            return self.first_moment.isoformat().replace("+00:00", "Z")
        return (utc_text(self.first_tick / self.ticks) or "") if self.unix and self.first_tick is not None else ""

    def times_s(self, table: TextTable, block: Block, first_row: int) -> NDArray[np.float64]:
        """(rows,) s after the first row."""
        if self.column is None or self.rate_hz is not None:
            if self.column is not None and not first_row:
                self._from_column(table, Block(block.rows[:1], block.lines[:1]), self.column)
            return (first_row + np.arange(len(block))) / (self.rate_hz or 1.0)
        times_s = self._from_column(table, block, self.column)
        steps = np.diff(np.concatenate([[self.latest_s], times_s]))
        back = np.flatnonzero(~(steps > 0))
        if len(back):
            at = int(back[0])
            before = times_s[at - 1] if at else self.latest_s
            raise time_runs_back(
                table,
                block.lines[at],
                f"{before:g} s",
                f"{times_s[at]:g} s after the first row",
                "Sort the rows by time, or count them with --rate HZ, if they come at an even rate",
            )
        self.latest_s = float(times_s[-1])
        return times_s

    def _from_column(self, table: TextTable, block: Block, column: int) -> NDArray[np.float64]:
        if self.ticks:
            values = numbers(table, block, [column])[:, 0]
            self.first_tick = float(values[0]) if self.first_tick is None else self.first_tick
            # Subtracted before dividing: Unix nanoseconds leave no room for fractions.
            return (values - self.first_tick) / self.ticks
        times_s = np.empty(len(block))
        for i, row in enumerate(block.rows):
            moment = parse_time(row[column])
            first = self.first_moment or moment
            if moment is None or first is None or (moment.tzinfo is None) != (first.tzinfo is None):
                raise RecordingError(
                    f"{table.path}, line {block.lines[i]}, column {table.columns[column]}: not a time",
                    expected="ISO 8601, as in the first row",
                    got=repr(row[column][:40]),
                )
            self.first_moment = first
            times_s[i] = (moment - first).total_seconds()
        return times_s


def _clock(
    table: TextTable, time: str | None, rate: float | None, chosen: dict[str, list[int]], account: Account
) -> _Clock:
    if rate is not None and not (np.isfinite(rate) and rate > 0):
        raise RecordingError(f"--rate {rate} is no sampling rate", expected="a positive number of Hz")
    taken = {column for of in chosen.values() for column in of}
    name, _, tick = (time or "").partition(":")
    column: int | None = None
    if time is not None:
        column = table.column(name) if time not in table.columns else table.columns.index(time)
        tick = "" if time in table.columns else tick
    elif rate is None:
        named = [i for i, n in enumerate(table.columns) if i not in taken and _TIME_NAME.fullmatch(split_unit(n)[0])]
        column = named[0] if named else None
    if column is None:
        if rate is None:
            raise RecordingError(
                f"{table.path} has no time column",
                expected="a column such as time or timestamp",
                got=table.names(),
                fix="Name it: --time NAME, or give the rate of the rows: --rate HZ",
            )
        return _Clock(None, rate)
    clock = _Clock(column, rate, *_ticks(table, column, tick))
    account.note(
        f"time: column {table.columns[column]}, {clock.how()}{'' if rate is None else ', for the start alone'}"
    )
    return clock


def _tick_name(ticks: float) -> str:
    return next(name for name, value in _TICKS.items() if value == ticks)


def _ticks(table: TextTable, column: int, asked: str) -> tuple[float, bool]:
    """Ticks of the column in a second (0 for ISO 8601), and whether it is Unix time.

    Raises:
        RecordingError: it could be seconds as well as milliseconds.
    """
    block = next(table.blocks(Account("")), None)
    if block is None:
        raise RecordingError(f"{table.path} holds no rows", expected="rows below the header")
    name, in_label = split_unit(table.columns[column])
    if parse_time(block.rows[0][column]) is not None and not asked:
        return 0.0, False
    values = numbers(table, block, [column])[:, 0]
    suffix = re.search(r"[_ ](ms|us|ns|msec|sec|seconds|milliseconds|s)$|(seconds|secs?)$", name, re.IGNORECASE)
    word = (asked or in_label or (suffix.group().strip("_ ") if suffix else "")).lower()
    word = _TICK_WORDS.get(word, word)
    if asked and word not in _TICKS:
        raise RecordingError(f"--time {name}:{asked} names no unit of time", expected=tuple(_TICKS))
    guesses = [word] if word in _TICKS else list(_TICKS)
    for guess in guesses:
        if _UNIX_S[0] < values[0] / _TICKS[guess] < _UNIX_S[1]:
            return _TICKS[guess], True
    if word in _TICKS:
        return _TICKS[word], False
    if len(values) > 1 and float(np.median(np.diff(values))) >= _AMBIGUOUS_STEP:
        raise RecordingError(
            f"{table.path}: the unit of the time column {name} is not clear",
            expected="seconds or milliseconds",
            got=f"{values[0]:g}, {values[1]:g}, ...",
            fix=f"Say it: --time '{name}:ms' or --time '{name}:s'",
        )
    return 1.0, False


@dataclass
class _Stream:
    samples: Spool
    times: Growing = field(default_factory=Growing)


@dataclass
class _Read:
    streams: dict[str, _Stream]
    marks: list[tuple[float, int, str]]


def _read_rows(
    table: TextTable, chosen: dict[str, list[int]], clock: _Clock, marker: int | None, account: Account
) -> _Read:
    read = _Read({m: _Stream(Spool(len(of))) for m, of in chosen.items()}, [])
    rows, last = 0, ""
    for block in table.blocks(account):
        times_s = clock.times_s(table, block, rows)
        for modality, of in chosen.items():
            values = numbers(table, block, of)
            there = np.isfinite(values).any(axis=1) | (clock.rate_hz is not None)
            read.streams[modality].samples.append(values[there])
            read.streams[modality].times.append(times_s[there])
        if marker is not None:
            for i, row in enumerate(block.rows):
                text = row[marker].strip()
                if text != last and text not in ("", "0", "0.0"):
                    code = int(float(text)) if re.fullmatch(r"-?\d{1,9}(\.0*)?", text) else 0
                    read.marks.append((float(times_s[i]), code, text))
                last = text
        rows += len(block)
    return read


def _signal(
    table: TextTable, modality: str, of: Sequence[int], stream: _Stream, clock: _Clock, unit: str, account: Account
) -> Signal:
    times_s = stream.times.all()
    rate_hz = clock.rate_hz or usual_rate_hz(times_s)
    if not len(times_s):
        account.leave_out(modality, "no samples")
    elif not rate_hz:
        raise RecordingError(
            f"{table.path}: {modality} has {count_of(len(times_s), 'sample')}, too few for a rate",
            expected="many samples",
            fix="Check the file",
        )
    start_s, timestamps_s = start_and_times(times_s, rate_hz or 1.0)
    names = [Label.read(table.columns[c]).place for c in of] if MODALITIES[modality].placed else [modality]
    return Signal(modality, rate_hz or 1.0, unit, tuple(names), stream.samples, "", start_s, timestamps_s)


FORM = Form(
    read_csv,
    looks_like_csv,
    options=(
        Option("time", "NAME", "The time column, NAME or NAME:s, :ms, :us, :ns; default: looked for, and said."),
        Option("rate", "HZ", "Rows a second, where there is no time column or it is not to be used.", number=True),
        Option("columns", "M=NAME", "Which columns are what: ppg=BVP,gsr=EDA,eeg=AF7+AF8.", many=True),
        Option("unit", "M=UNIT", "Units that the column names do not tell: gsr=uS,eeg=mV.", many=True),
    ),
)
