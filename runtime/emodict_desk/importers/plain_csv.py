"""A plain CSV with a header: one row per moment, one column per channel,
and a time column or a rate.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from emodict.errors import RecordingError
from emodict.recording.modalities import MODALITIES
from emodict.recording.recording import Event, Recording, Signal
from emodict_desk.importers.clock import start_and_times
from emodict_desk.importers.comments import check_counts, names_columns, open_csv, say_other_rate
from emodict_desk.importers.conductance import CONDUCTANCE, in_microsiemens, is_resistance
from emodict_desk.importers.csv_columns import choose, marker_column, units_of
from emodict_desk.importers.form import Form, Option
from emodict_desk.importers.kinds import kind_of
from emodict_desk.importers.labels import Label
from emodict_desk.importers.row_clock import RowClock, back_in_file, row_clock, say_summer_time
from emodict_desk.importers.spool import Growing, Spool
from emodict_desk.importers.text import TextTable, numbers
from emodict_desk.importers.timed import in_order, signal_by_times
from emodict_desk.recordings.account import Account
from emodict_desk.wording import count_of

_EXPECTED = "a table of text with a header line"
# Of the lines at its beginning, and what is a number there, whatever stands before the decimals.
_LOOKED_AT = 20
# Samples are kept as float32.
_MOST = float(np.finfo(np.float32).max)
_NUMBER = re.compile(r"\s*-?\d*\.?\d*([eE][-+]?\d+)?\s*")


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
    decimal: str | None = None,
) -> Recording:
    """Read a plain CSV with a header.

    Columns become modalities by `columns` (ppg=BVP, eeg=AF7+AF8) or by their names; a marker column
    becomes events. `time` names the time column (NAME or NAME:ms), else it is looked for and named
    in the notes; `rate` counts rows instead, and a `time` beside it gives the start only. Where the
    cells of a modality are empty it has no sample. `decimal` is a point or a comma. Comments above
    the table may name its columns and its rate.

    Raises:
        RecordingError: a column is missing or ambiguous, a cell is not a number, or time goes back.
    """
    path = Path(source)
    account = Account(f"CSV {path.name}")
    table, said = open_csv(path, _EXPECTED, decimal=_decimal(decimal), account=account)
    _say_kind(path, account)
    chosen = choose(table, columns, account)
    taken = {column for of in chosen.values() for column in of}
    clock = row_clock(table, time, rate, taken, account, said=said)
    units = units_of(table, chosen, unit, account)
    check_counts(table, chosen, unit, said)
    marker = marker_column(table, taken)
    read = _read_rows(table, chosen, clock, marker, units, account)
    _say_too_large(read, account)
    _leave_out_others(table, taken | {clock.column, marker}, account)
    if not read.put_in_order(account):
        raise back_in_file(table, row_clock(table, time, rate, taken, Account(""), said=said))
    signals = {
        m: _signal(table, m, of, read.streams[m], clock.rate_hz, _unit(units[m]), account)
        for m, of in chosen.items()
    }
    if clock.rate_hz is None:
        # Slower sensors share the table.
        say_other_rate(said, max(signal.rate_hz for signal in signals.values()), account)
    return Recording(
        session_id=session_id or path.stem,
        subject_id=subject_id or path.stem,
        signals=_with_samples(signals, path),
        events=tuple(
            Event(at_s - read.first_s, code, text) for at_s, code, text in sorted(read.marks)
        ),
        start_time=clock.start_time(read.first_s),
        attributes=account.attributes(),
    )


def _with_samples(signals: dict[str, Signal], path: Path) -> dict[str, Signal]:
    found = {modality: signal for modality, signal in signals.items() if signal.sample_count}
    if not found:
        raise RecordingError(
            f"{path} holds no samples", expected="rows with numbers below the header"
        )
    return found


def _leave_out_others(table: TextTable, used: Collection[int | None], account: Account) -> None:
    for name in (name for i, name in enumerate(table.columns) if i not in used and name):
        account.leave_out(f"column {name}", "not used")


def _decimal(asked: str | None) -> str | None:
    if asked not in (None, ".", ","):
        raise RecordingError(
            f"--decimal {asked} is not a sign for decimals", expected="a point or a comma"
        )
    return asked


def _say_kind(path: Path, account: Account) -> None:
    kind = kind_of(path)
    if kind not in (None, "csv"):
        account.note(
            f"it looks like a file for `emodict-session import {kind}`, which knows more of it"
        )


def looks_like_csv(path: Path, head: bytes) -> bool:
    """Several columns, a line of their names and rows with numbers; or comments with the names.

    Logs are none: each of their lines begins with words and goes on with numbers (OSC), or has
    none at all (packets of a radio).
    """
    if b"\0" in head:
        return False
    text = head.decode("utf-8-sig", "replace")
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    if not lines or lines[0].lstrip()[0] in "{[<":
        return False
    names, *rows = (re.split(r"[,;\t]", line) for line in lines[:_LOOKED_AT])
    numbered = sum(bool(_NUMBER.fullmatch(name)) for name in names)
    if numbered == len(names):
        return names_columns(text)
    has_numbers = any(_NUMBER.fullmatch(cell) for row in rows for cell in row if cell.strip())
    return len(names) > 1 and 2 * numbered <= len(names) and (has_numbers or not rows)


@dataclass
class _Stream:
    """One modality's samples; times_s is (samples,), in order, from the first sample of all.

    Attributes:
        too_large: how many numbers no sample can hold.
    """

    samples: Spool
    times: Growing = field(default_factory=Growing)
    times_s: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    too_large: int = 0


@dataclass
class _Read:
    """All rows; first_s is the earliest time in them, 0 being that of the first row."""

    streams: dict[str, _Stream]
    marks: list[tuple[float, int, str]]
    first_s: float = 0.0

    def put_in_order(self, account: Account) -> bool:
        """Put late rows in their place, drop those there twice, and say so;
        False: it cannot be done.
        """
        for modality, stream in self.streams.items():
            stream.times_s = stream.times.all()
            ordered = in_order(stream.times_s, stream.samples, modality, account)
            if ordered is None:
                return False
            stream.times_s, stream.samples = ordered
            say_summer_time(stream.times_s, account)
        starts_s = (
            float(stream.times_s[0]) for stream in self.streams.values() if len(stream.times_s)
        )
        self.first_s = min(starts_s, default=0.0)
        self.first_s = min(self.first_s, 0.0)
        for stream in self.streams.values():
            stream.times_s = stream.times_s - self.first_s
        return True


def _say_too_large(read: _Read, account: Account) -> None:
    for modality, stream in read.streams.items():
        if stream.too_large:
            too_large = count_of(stream.too_large, "number")
            account.note(f"{modality}: {too_large} beyond {_MOST:.1e} taken for missing")


def _unit(given: str) -> str:
    """The unit of the samples: a resistance was turned into uS."""
    return CONDUCTANCE if is_resistance(given) else given


def _read_rows(
    table: TextTable,
    chosen: dict[str, list[int]],
    clock: RowClock,
    marker: int | None,
    units: Mapping[str, str],
    account: Account,
) -> _Read:
    read = _Read({m: _Stream(Spool(len(of))) for m, of in chosen.items()}, [])
    rows, last = 0, ""
    for block in table.blocks(account):
        times_s = clock.times_s(table, block, rows)
        for modality, of in chosen.items():
            values = numbers(table, block, of)
            if is_resistance(units[modality]):
                path = str(table.path)
                values = in_microsiemens(values, units[modality], of=path, account=account)
            too_large = np.abs(values) > _MOST
            read.streams[modality].too_large += int(too_large.sum())
            values[too_large] = np.nan
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
    table: TextTable,
    modality: str,
    of: Sequence[int],
    stream: _Stream,
    rate: float | None,
    unit: str,
    account: Account,
) -> Signal:
    names = [Label.read(table.columns[c]).place for c in of]
    names = names if MODALITIES[modality].placed else [modality]
    if rate is None and len(stream.times_s):
        return signal_by_times(
            modality,
            stream.times_s,
            stream.samples,
            unit=unit,
            names=names,
            account=account,
            of=str(table.path),
        )
    if not len(stream.times_s):
        account.leave_out(modality, "no samples")
    start_s, timestamps_s = start_and_times(stream.times_s, rate or 1.0)
    return Signal(
        modality, rate or 1.0, unit, tuple(names), stream.samples, "", start_s, timestamps_s
    )


FORM = Form(
    read_csv,
    looks_like_csv,
    takes_any=True,
    options=(
        Option(
            "time",
            "NAME",
            "The time column, NAME or NAME:s, :ms, :us, :ns; default: looked for, and said.",
        ),
        Option(
            "rate",
            "HZ",
            "Rows a second, where there is no time column or it is not to be used.",
            number=True,
        ),
        Option(
            "columns", "M=NAME", "Which columns are what: ppg=BVP,gsr=EDA,eeg=AF7+AF8.", many=True
        ),
        Option(
            "unit", "M=UNIT", "Units that the column names do not tell: gsr=uS,eeg=mV.", many=True
        ),
        Option(
            "decimal",
            "SIGN",
            "What stands before the decimals in its numbers: a point (the default), or a comma.",
        ),
    ),
)
