"""DSI-Streamer CSV: the EEG of a Wearable Sensing headset (DSI-24, DSI-7),
as its own program exports it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from emodict.errors import RecordingError
from emodict.recording.recording import Event, Recording, Signal
from emodict.recording.units import plain_unit, unit_factor
from emodict_desk.importers.dsi_header import Header
from emodict_desk.importers.form import Form
from emodict_desk.importers.kinds import first_text_line, wrong_kind
from emodict_desk.importers.labels import is_electrode
from emodict_desk.importers.order import Order, by_counter
from emodict_desk.importers.spool import Growing, Spool
from emodict_desk.importers.text import Block, TextTable, numbers, open_table
from emodict_desk.recordings.account import Account

_EXPECTED = (
    "a CSV of DSI-Streamer: # lines, then "
    "Time,P3,C3,...,Trigger,Time_Offset,ADC_Status,ADC_Sequence,..."
)


def read_dsi(
    source: Path, /, *, subject_id: str | None = None, session_id: str | None = None
) -> Recording:
    """Read the CSV of DSI-Streamer.

    The columns between Time and Trigger become eeg; rate, reference and unit are the header's.
    Samples are placed by the counter ADC_Sequence (by row without one): the time stamps come in
    bursts and are not used. Each change of Trigger to another value than 0, each Event and each
    comment becomes an event.

    Raises:
        RecordingError: no CSV of DSI-Streamer, no rate in the header,
            or a row that cannot be read; it is named.
    """
    path = Path(source)
    table = open_table(path, _EXPECTED, delimiter=",")
    account = Account(f"DSI-Streamer CSV {path.name}")
    channels = _channels(table, account)
    header = Header(table.comments)
    rate_hz = header.rate_hz(path)
    read = _read_rows(table, channels, account)
    if not len(read.samples):
        raise RecordingError(f"{path} holds no samples", expected=_EXPECTED, fix="Export it again")
    order = _order(read, rate_hz, account)
    at_s = order.onsets_s(len(read.samples), rate_hz)
    return Recording(
        session_id=session_id or path.stem,
        subject_id=subject_id or header.subject or path.stem,
        signals={"eeg": _signal(table, channels, read, header, rate_hz, order, account)},
        events=tuple(
            Event(float(at_s[row]), code, text)
            for row, code, text in read.marks
            if np.isfinite(at_s[row])
        ),
        start_time=header.start_time,
        device=header.device,
        attributes=account.attributes(),
    )


def looks_like_dsi(path: Path, head: bytes) -> bool:
    """A header that begins with Time and has Trigger and one of DSI-Streamer's own columns."""
    names = [name.strip() for name in first_text_line(head).split(",")]
    return (
        names[0] == "Time"
        and "Trigger" in names
        and bool({"ADC_Status", "ADC_Sequence", "Time_Offset"} & {*names})
    )


def _channels(table: TextTable, account: Account) -> list[int]:
    """The columns of electrodes; beside them stand the common mode and free inputs (CM, X1)."""
    names = list(table.columns)
    if names[0] != "Time" or "Trigger" not in names or names.index("Trigger") < 2:
        raise wrong_kind(table.path, _EXPECTED)
    there = range(1, names.index("Trigger"))
    electrodes = [column for column in there if is_electrode(names[column])]
    if not electrodes:
        return list(there)
    others = [names[column] for column in sorted({*there} - {*electrodes})]
    if others:
        account.leave_out(" ".join(others), "not an electrode")
    return electrodes


@dataclass
class _Rows:
    """What the rows hold; marks are (row, code, text),
    times_s is None where a cell is not a number.
    """

    samples: Spool
    counter: NDArray[np.float64] | None
    times_s: NDArray[np.float64] | None
    marks: list[tuple[int, int, str]]


def _read_rows(table: TextTable, channels: Sequence[int], account: Account) -> _Rows:
    samples, counter, times_s = Spool(len(channels)), Growing(), Growing()
    marks: list[tuple[int, int, str]] = []
    trigger = 0.0
    names = list(table.columns)
    counted = [names.index("ADC_Sequence")] if "ADC_Sequence" in names else []
    for block in table.blocks(account):
        first = len(samples)
        samples.append(numbers(table, block, channels))
        held = _held(numbers(table, block, [table.column("Trigger")])[:, 0], trigger)
        for row in np.flatnonzero(held[1:] != held[:-1]):
            if held[row + 1]:
                marks.append((first + int(row), int(held[row + 1]), "trigger"))
        trigger = float(held[-1])
        marks += [(first + row, code, text) for row, code, text in _remarks(table, block)]
        if counted:
            counter.append(numbers(table, block, counted)[:, 0])
            times_s.append(_times_s(table, block))
    for name in (n for n in names if n in ("Time", "Time_Offset", "ADC_Status")):
        account.leave_out(name, "not used")
    stamps_s = times_s.all()
    known = stamps_s if np.isfinite(stamps_s).all() else None
    return _Rows(samples, counter.all() if counted else None, known, sorted(marks))


def _times_s(table: TextTable, block: Block) -> NDArray[np.float64]:
    """(rows,) the column Time, which only helps the counter: NaN where it cannot be read."""
    try:
        return numbers(table, block, [0])[:, 0]
    except RecordingError:
        return np.full(len(block), np.nan)


def _held(values: NDArray[np.float64], before: float) -> NDArray[np.float64]:
    """(rows,), NaN where a cell is empty -> (1 + rows,), `before` first:
    an empty cell has the value of the last.
    """
    known = np.concatenate([[before], values])
    last: NDArray[np.intp] = np.maximum.accumulate(
        np.where(np.isnan(known), 0, np.arange(len(known)))
    )
    return known[last]


def _remarks(table: TextTable, block: Block) -> list[tuple[int, int, str]]:
    """Events and comments typed or sent while recording: (row of the block, code, text)."""
    columns = [table.columns.index(name) for name in ("Event", "Comments") if name in table.columns]
    found = []
    for row, cells in enumerate(block.rows):
        texts = [cells[column].strip() for column in columns]
        texts = [text for text in texts if text not in ("", "0", "0.0", "0.0000")]
        if texts:
            code = int(float(texts[0])) if re.fullmatch(r"\d{1,9}(\.0*)?", texts[0]) else 0
            found.append((row, code, " ".join(texts)))
    return found


def _order(read: _Rows, rate_hz: float, account: Account) -> Order:
    if read.counter is None or not np.isfinite(read.counter).all():
        account.note(
            "no whole sample counter (ADC_Sequence): samples are placed by row, "
            "so lost ones cannot be seen"
        )
        return Order()
    order = by_counter(read.counter, read.samples, times_s=read.times_s, rate_hz=rate_hz)
    if order is None:
        account.note(
            "ADC_Sequence does not count samples: they are placed by row, "
            "so lost ones cannot be seen"
        )
        return Order()
    order.say("", "the counter ADC_Sequence", account)
    return order


def _signal(
    table: TextTable,
    channels: Sequence[int],
    read: _Rows,
    header: Header,
    rate_hz: float,
    order: Order,
    account: Account,
) -> Signal:
    unit = plain_unit(header.unit)
    if not unit:
        account.note("the header names no unit: samples taken for uV")
    unit_factor(unit or "uV", "uV", of=f"{table.path}, header")
    return Signal(
        modality="eeg",
        rate_hz=rate_hz,
        unit=unit or "uV",
        channel_names=tuple(table.columns[c] for c in channels),
        samples=order.of(read.samples),
        reference=header.reference,
        sequence=order.gaps,
    )


FORM = Form(read_dsi, looks_like_dsi)
