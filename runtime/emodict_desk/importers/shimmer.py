"""Shimmer: the CSV that ConsensysPRO exports of a Shimmer3 GSR+, and ShimmerCapture's.

Above the rows stand up to five lines: `sep=` and the sign, and for each column the device, the
name, RAW or CAL, and the unit. ConsensysPRO joins the first three of these:
`Shimmer_8B58_GSR_Skin_Conductance_CAL`, and below it `uS`.
"""

from __future__ import annotations

import datetime
import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from emodict.errors import RecordingError
from emodict.recording.recording import Recording, Signal
from emodict_desk.importers.clock import parse_time, utc_text
from emodict_desk.importers.conductance import in_microsiemens
from emodict_desk.importers.form import Form
from emodict_desk.importers.kinds import check_there, read_head, wrong_kind
from emodict_desk.importers.row_clock import ticks_in_a_second
from emodict_desk.importers.spool import Growing, Spool
from emodict_desk.importers.text import Block, TextTable, numbers
from emodict_desk.importers.timed import in_order, signal_by_times, times_cannot_be_sorted
from emodict_desk.recordings.account import Account
from emodict_desk.recordings.rate import usual_rate_hz

Float64Array = NDArray[np.float64]

_EXPECTED = "a CSV of ConsensysPRO: a line of names such as Shimmer_8B58_GSR_Skin_Conductance_CAL"
_MOST_HEADER_LINES = 8
_SEPARATORS = ("\t", ",", ";")
_FORMS = frozenset(("raw", "cal", "uncal"))
_FORM_ENDING = re.compile(r"_(raw|cal|uncal)$", re.IGNORECASE)
_NUMBER = re.compile(r"[-+]?\d*\.?\d+([eE][-+]?\d+)?|NaN", re.IGNORECASE)
# Of a signal, and no signal: `GSR_Range`, `PPGtoHR`, `IBI_PPG`.
_NO_SIGNAL = re.compile(r"range|quality|hr(_|$)|heart|ibi|rate", re.IGNORECASE)
# Unix time of 1973 and later, in s.
_UNIX_S = 1e8
# A Shimmer samples at whole parts of its crystal's rate.
_CRYSTAL_HZ = 32768.0
# A RAW clock has two bytes of its ticks, or three: it turns there.
_TWO_BYTES, _THREE_BYTES = 1 << 16, 1 << 24


def read_shimmer(
    source: Path, /, *, subject_id: str | None = None, session_id: str | None = None
) -> Recording:
    """Read the CSV of a Shimmer3 GSR+, as ConsensysPRO exports it.

    Skin conductance becomes gsr in uS (from the resistance where that alone is there), PPG ppg.
    Calibrated columns (CAL) alone are taken; for the times RAW ticks of the crystal, too, where
    there is nothing else. Lost packets are gaps, by the device's times.

    Raises:
        RecordingError: no CSV of a Shimmer, no column of use, a clock in an unknown unit, or a row
            that cannot be read.
    """
    path = Path(source)
    check_there(path, _EXPECTED)
    layout = _layout(path, read_head(path))
    if layout is None:
        raise wrong_kind(path, _EXPECTED)
    account = Account(f"Shimmer CSV {path.name}")
    clock, chosen = _choose(layout, account)
    times_s, samples = _read_rows(layout, clock, chosen, account)
    signals = {m: _signal(m, c, times_s, samples[m], path, account) for m, c in chosen.items()}
    return Recording(
        session_id=session_id or path.stem,
        subject_id=subject_id or path.stem,
        signals=signals,
        start_time=clock.start_time,
        device=layout.device,
        attributes=account.attributes(),
    )


def looks_like_shimmer(path: Path, head: bytes) -> bool:
    """A header whose columns are called RAW and CAL, one of them a time stamp."""
    return _layout(path, head) is not None


@dataclass(frozen=True)
class _Column:
    at: int
    name: str
    unit: str

    @property
    def is_ticks(self) -> bool:
        """Is it a clock that counts the crystal?"""
        name = self.name.lower()
        return name.endswith("timestamp_raw") and "system" not in name

    @property
    def is_calibrated(self) -> bool:
        return self.name.lower().endswith("_cal")

    def is_of(self, words: str) -> bool:
        """Is it a signal that is called so?"""
        return bool(re.search(words, self.name, re.IGNORECASE)) and not _NO_SIGNAL.search(self.name)


@dataclass(frozen=True)
class _Layout:
    table: TextTable
    columns: tuple[_Column, ...]
    device: str


def _layout(path: Path, head: bytes) -> _Layout | None:
    """What the lines above the rows say; None where they are not a Shimmer's."""
    if b"\0" in head:
        return None
    lines = head.decode("utf-8-sig", "replace").splitlines()[: _MOST_HEADER_LINES + 2]
    declared = re.fullmatch(r'"?sep=(.+?)"?', lines[0].strip(" ")) if lines else None
    body = lines[1:] if declared else lines
    sign = max(_SEPARATORS, key=(body[0] if body else "").count)
    rows = [[cell.strip(' "') for cell in line.split(sign)] for line in body]
    above = [*itertools.takewhile(lambda row: not _is_of_numbers(row), rows)]
    if not 2 <= len(above) < len(rows) or len({len(row) for row in above}) > 1:
        return None
    names = _joined(above[:-1])
    # A sign at the end of each row makes one cell more, or one less.
    wide = max(len(names), len(rows[len(above)]))
    columns = tuple(_Column(i, n, above[-1][i]) for i, n in enumerate(names) if n)
    clocked = any("timestamp" in column.name.lower() for column in columns)
    if not clocked or not all(_FORM_ENDING.search(column.name) for column in columns):
        return None
    padded = (*names, *[""] * (wide - len(names)))
    skipped = len(above) - (0 if declared else 1)
    table = TextTable(path, sign, padded, (), skipped, optional=1)
    device = re.search(r"Shimmer[ _]?[0-9A-Fa-f]{4}", " ".join(names))
    return _Layout(table, columns, device.group().replace("_", " ") if device else "Shimmer")


def _joined(rows: Sequence[Sequence[str]]) -> list[str]:
    """The name of each column with its RAW or CAL at the end, whichever line stands first."""
    ordered = sorted(rows, key=lambda row: {cell.lower() for cell in row if cell} <= _FORMS)
    return ["_".join(filter(None, cells)).replace(" ", "_") for cells in zip(*ordered, strict=True)]


def _is_of_numbers(row: Sequence[str]) -> bool:
    """A row of the table, and not a line above it."""
    cells = [cell for cell in row if cell]
    return bool(cells) and all(_NUMBER.fullmatch(cell) or _moment(cell) for cell in cells)


def _moment(cell: str) -> datetime.datetime | None:
    """`2019/05/15 16:00:53.250`."""
    return parse_time(cell.replace("/", "-"))


class _Clock:
    """The times of the rows: Unix or others, ticks, or written out in the computer's local time."""

    def __init__(self, column: _Column, table: TextTable) -> None:
        self._column, self._table = column, table
        self._first: float | datetime.datetime | None = None
        self._ticks = _Ticks()

    def times_s(self, block: Block) -> Float64Array:
        """(rows,) s after the first row of all."""
        at = self._column.at
        if _moment(block.rows[0][at]) is None:
            values = self._seconds(numbers(self._table, block, [at])[:, 0])
            self._first = float(values[0]) if self._first is None else self._first
            return np.asarray(values - float(self._first))  # type: ignore[arg-type]
        moments = [_moment(row[at]) for row in block.rows]
        if self._first is None:
            self._first = moments[0]
        assert isinstance(self._first, datetime.datetime)
        return np.array(
            [np.nan if m is None else (m - self._first).total_seconds() for m in moments]
        )

    def _seconds(self, values: Float64Array) -> Float64Array:
        """(rows,) in the unit of the column -> in s.

        Raises:
            RecordingError: it has another unit than those of time.
        """
        if self._column.is_ticks:
            return self._ticks.unwrapped(values) / _CRYSTAL_HZ
        per_second = ticks_in_a_second(self._column.unit)
        if per_second is None:
            raise RecordingError(
                f"{self._table.path}: the clock {self._column.name} has an unknown unit",
                expected="s, ms or us in the line of units",
                got=repr(self._column.unit),
                fix="Export it again with Timestamp_Unix_CAL",
            )
        return values / per_second

    @property
    def start_time(self) -> str:
        if isinstance(self._first, datetime.datetime):
            return self._first.isoformat()
        return (utc_text(self._first) or "") if self._first and self._first > _UNIX_S else ""


class _Ticks:
    """A counter of the crystal that turns; its rows are never late, so a step back is a turn."""

    def __init__(self) -> None:
        self._last, self._added, self._turn = 0.0, 0.0, _TWO_BYTES

    def unwrapped(self, ticks: Float64Array) -> Float64Array:
        """(rows,) as if it had no end; rows come block by block."""
        if ticks.max() >= _TWO_BYTES:
            self._turn = _THREE_BYTES
        turns = np.cumsum(np.diff(ticks, prepend=self._last) < -self._turn / 2)
        whole = ticks + self._added + turns * self._turn
        self._last, self._added = float(ticks[-1]), self._added + float(turns[-1]) * self._turn
        return np.asarray(whole)


def _clock(layout: _Layout) -> _Column:
    """The device's own Unix time first, the computer's last; ticks where there is nothing else.

    Raises:
        RecordingError: only a clock that was not calibrated, and does not count ticks.
    """
    clocks = [c for c in layout.columns if "timestamp" in c.name.lower()]
    usable = [c for c in clocks if c.is_calibrated] or [c for c in clocks if c.is_ticks]
    if not usable:
        raise RecordingError(
            f"{layout.table.path} holds no calibrated clock",
            expected="a column such as Timestamp_Unix_CAL",
            got=", ".join(column.name for column in clocks),
            fix="Export it again with calibrated data",
        )
    return min(usable, key=lambda c: ["system" in c.name.lower(), "unix" not in c.name.lower()])


def _choose(layout: _Layout, account: Account) -> tuple[_Clock, dict[str, _Column]]:
    """The column of times, and that of each modality; the others are named."""
    clock = _clock(layout)
    usable = [column for column in layout.columns if column.is_calibrated]
    skin = [column for column in usable if column.is_of("gsr|skin_(cond|res)")]
    skin.sort(key=lambda column: "ohm" in column.unit.lower())
    pulse = [column for column in usable if column.is_of("ppg")]
    chosen = {m: of[0] for m, of in (("ppg", pulse), ("gsr", skin)) if of}
    if not chosen:
        raise RecordingError(
            f"{layout.table.path} holds no calibrated GSR or PPG",
            expected="columns such as GSR_Skin_Conductance_CAL and PPG_A13_CAL",
            got=", ".join(column.name for column in layout.columns),
            fix="Export it again with calibrated data",
        )
    used = {clock.at, *(column.at for column in chosen.values())}
    for column in (column for column in layout.columns if column.at not in used):
        account.leave_out(column.name, "not used")
    return _Clock(clock, layout.table), chosen


def _read_rows(
    layout: _Layout, clock: _Clock, chosen: dict[str, _Column], account: Account
) -> tuple[Float64Array, dict[str, Spool]]:
    times, samples = Growing(), {modality: Spool(1) for modality in chosen}
    for block in layout.table.blocks(account):
        at_s = clock.times_s(block)
        empty = np.flatnonzero(np.isnan(at_s))
        if len(empty):
            raise RecordingError(
                f"{layout.table.path}, line {block.lines[empty[0]]}: no time",
                expected="a time in each row",
                fix="Correct the line, or export the file again",
            )
        times.append(at_s)
        for modality, column in chosen.items():
            values = numbers(layout.table, block, [column.at])[:, 0]
            if modality == "gsr":
                of = f"{layout.table.path}, column {column.name}"
                values = in_microsiemens(values, column.unit, of=of, account=account)
            samples[modality].append(values)
    return times.all(), samples


def _signal(
    modality: str,
    column: _Column,
    times_s: Float64Array,
    samples: Spool,
    path: Path,
    account: Account,
) -> Signal:
    ordered = in_order(times_s, samples, modality, account)
    if ordered is None:
        raise times_cannot_be_sorted(path, times_s)
    measured = usual_rate_hz(ordered[0])
    nominal = _CRYSTAL_HZ / max(1, round(_CRYSTAL_HZ / measured)) if measured else None
    unit = "uS" if modality == "gsr" else "a.u."
    return signal_by_times(
        modality, *ordered, unit=unit, names=[modality], account=account, nominal_hz=nominal,
        of=str(path),
    )  # fmt: skip


FORM = Form(read_shimmer, looks_like_shimmer)
