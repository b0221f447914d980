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
_MS = 1e3
# Unix time of 1973 and later, in s.
_UNIX_S = 1e8
# A Shimmer samples at whole parts of its crystal's rate.
_CRYSTAL_HZ = 32768.0


def read_shimmer(
    source: Path, /, *, subject_id: str | None = None, session_id: str | None = None
) -> Recording:
    """Read the CSV of a Shimmer3 GSR+, as ConsensysPRO exports it.

    Skin conductance becomes gsr in uS (from the resistance where that alone is there), PPG ppg.
    Calibrated columns (CAL) alone are taken. Lost packets are gaps, by the device's times.

    Raises:
        RecordingError: no CSV of a Shimmer, no column of use, or a row that cannot be read.
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
    """The times of the rows: Unix or other ms, or written out in the computer's local time."""

    def __init__(self, column: _Column, table: TextTable) -> None:
        self._column, self._table = column, table
        self._first: float | datetime.datetime | None = None

    def times_s(self, block: Block) -> Float64Array:
        """(rows,) s after the first row of all."""
        at = self._column.at
        if _moment(block.rows[0][at]) is None:
            values = numbers(self._table, block, [at])[:, 0] / _MS
            self._first = float(values[0]) if self._first is None else self._first
            return np.asarray(values - float(self._first))  # type: ignore[arg-type]
        moments = [_moment(row[at]) for row in block.rows]
        if self._first is None:
            self._first = moments[0]
        assert isinstance(self._first, datetime.datetime)
        return np.array(
            [np.nan if m is None else (m - self._first).total_seconds() for m in moments]
        )

    @property
    def start_time(self) -> str:
        if isinstance(self._first, datetime.datetime):
            return self._first.isoformat()
        return (utc_text(self._first) or "") if self._first and self._first > _UNIX_S else ""


def _choose(layout: _Layout, account: Account) -> tuple[_Clock, dict[str, _Column]]:
    """The column of times, and that of each modality; the others are named."""
    clocks = [column for column in layout.columns if "timestamp" in column.name.lower()]
    # The device's own Unix time first, the computer's last.
    clock = min(clocks, key=lambda c: ["system" in c.name.lower(), "unix" not in c.name.lower()])
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
        raise times_cannot_be_sorted(path)
    measured = usual_rate_hz(ordered[0])
    nominal = _CRYSTAL_HZ / max(1, round(_CRYSTAL_HZ / measured)) if measured else None
    unit = "uS" if modality == "gsr" else "a.u."
    return signal_by_times(
        modality, *ordered, unit=unit, names=[modality], account=account, nominal_hz=nominal,
        of=str(path),
    )  # fmt: skip


FORM = Form(read_shimmer, looks_like_shimmer)
