"""The text file of the OpenBCI GUI (OpenBCI-RAW-*.txt), of its versions 1 to 6.

Behind lines with % each row is a sample index, the EXG channels in uV, acceleration and other
columns, and at its end one or two times.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from emodict.errors import RecordingError
from emodict.recording.modalities import EEG, modality_name
from emodict.recording.recording import Event, Recording, Signal
from emodict_desk.importers.clock import clock_time, utc_text
from emodict_desk.importers.form import Form, Option, pairs
from emodict_desk.importers.kinds import check_there, read_head, wrong_kind
from emodict_desk.importers.order import Order, by_counter_or_arrivals
from emodict_desk.importers.spool import Growing, Spool
from emodict_desk.importers.text import Block, TextTable, marks, not_utf8, numbers
from emodict_desk.recordings.account import Account

_EXPECTED = "a text file of the OpenBCI GUI: lines that begin with %, then rows of numbers"
_MAGIC = b"%OpenBCI"
# Behind the channels of versions 1 to 4, which do not name their number: acceleration and the time.
_OTHER_COLUMNS = 4
_MOST_COMMENTS, _MOST_LINE = 100, 1 << 16
_MOST_CHANNELS = 64
_RATE = re.compile(r"(\d{1,6}(?:\.\d{1,9})?) *(?:Hz)?", re.IGNORECASE)
# Unix time of 2001 to 2286, in seconds and in milliseconds.
_UNIX_S, _MS = (1e9, 1e10), 1e3
_DAY_S = 86400.0


# What may hang on one of the board's pins, and the unit that its numbers are taken for.
_SENSORS = {"ppg": "a.u.", "gsr": "uS"}
_PINS = ("A5", "A6", "A7")
# Behind the channels: three of acceleration, then seven of which five are digital.
_BEFORE_ANALOGUE = 10


def read_openbci(
    source: Path,
    /,
    *,
    subject_id: str | None = None,
    session_id: str | None = None,
    sensor: Sequence[str] = (),
) -> Recording:
    """Read the text file of the OpenBCI GUI (OpenBCI-RAW-*.txt).

    The EXG channels become eeg in uV, numbered, as the file names no electrodes; markers become
    events. Samples are placed by the sample index, and by their times where it counts otherwise.
    Some versions have no date. `sensor` says what hangs on a pin (A5=BVP, A6=EDA, A6=EDA:0.05 for
    uS a count), or in a column of the header.

    Raises:
        RecordingError: not a text file of the GUI, no rate, no such pin, or a row that cannot be
            read.
    """
    path = Path(source)
    check_there(path, _EXPECTED)
    if not looks_like_openbci(path, read_head(path)):
        raise wrong_kind(path, _EXPECTED)
    layout = _layout(path)
    account = Account(f"OpenBCI GUI file {path.name}")
    account.note("the file names no electrodes: EEG channels are numbered (--channels names them)")
    pins = _pins(layout, sensor, account)
    read = _read_rows(layout, pins, account)
    if not len(read.samples):
        raise RecordingError(f"{path} holds no samples", expected=_EXPECTED, fix="Record it again")
    order = _order(read, layout.rate_hz, account)
    at_s = order.onsets_s(len(read.samples), layout.rate_hz)
    names = tuple(f"ch{i + 1}" for i in range(layout.channels))
    first_s = float(order.of(read.times_s)[0])
    return Recording(
        session_id=session_id or path.stem,
        subject_id=subject_id or path.stem,
        signals={
            EEG: Signal(
                EEG, layout.rate_hz, "uV", names, order.of(read.samples), sequence=order.gaps
            ),
            **{
                pin.modality: Signal(
                    pin.modality,
                    layout.rate_hz,
                    _SENSORS[pin.modality],
                    (pin.modality,),
                    order.of(read.aux[pin.modality]),
                    sequence=order.gaps,
                )
                for pin in pins
            },
        },
        events=tuple(
            Event(float(at_s[row]), code, "marker")
            for row, code in read.marks
            if np.isfinite(at_s[row])
        ),
        start_time=(utc_text(first_s) or "") if first_s > _UNIX_S[0] else "",
        device=layout.device,
        attributes=account.attributes(),
    )


def looks_like_openbci(path: Path, head: bytes) -> bool:
    """Its first words."""
    return head.removeprefix(codecs.BOM_UTF8).startswith(_MAGIC)


@dataclass(frozen=True)
class _Layout:
    """What the % lines say, and where the columns lie; `unix`, `clock`,
    `marker` may not be there.
    """

    table: TextTable
    rate_hz: float
    channels: int
    device: str
    unix: int | None
    ticks: float
    clock: int | None
    marker: int | None


def _layout(path: Path) -> _Layout:
    comments, lines = _head_lines(path)
    parts = (line.lstrip("%").partition("=") for line in comments)
    said = {name.strip(): value.strip() for name, _, value in parts}
    rate = _RATE.fullmatch(said.get("Sample Rate", ""))
    if not rate or not float(rate.group(1)) > 0:
        raise RecordingError(
            f"{path} names no sampling rate",
            expected="a line such as '%Sample Rate = 250 Hz'",
            got=said.get("Sample Rate", "")[:40] or "none",
            fix="Write the line at its top",
        )
    has_header = bool(lines) and not re.match(r"\s*-?\d", lines[0])
    cells = [cell.strip() for cell in (lines[-1] if lines else "").split(",")]
    names = (
        [name.strip() for name in lines[0].split(",")]
        if has_header
        else [str(i) for i in range(len(cells))]
    )
    counted = re.fullmatch(r"\d{1,3}", said.get("Number of channels", ""))
    channels = int(counted.group()) if counted else len(cells) - 1 - _OTHER_COLUMNS
    if not 0 < channels <= min(_MOST_CHANNELS, len(cells) - 2):
        raise RecordingError(
            f"{path}: its rows do not hold its channels",
            expected=f"{channels} channels and an index",
            got=f"{len(cells)} cells",
            fix="Record it again",
        )
    unix = next((i for i in range(len(cells) - 1, channels, -1) if _ticks(cells[i])), None)
    clock = next((i for i in range(len(cells) - 1, channels, -1) if clock_time(cells[i])), None)
    return _Layout(
        table=TextTable(path, ",", tuple(names), tuple(comments), len(comments), has_header),
        rate_hz=float(rate.group(1)),
        channels=channels,
        device=said.get("Board", "").removeprefix("OpenBCI_GUI$") or "OpenBCI",
        unix=unix,
        ticks=1.0 if unix is None else _ticks(cells[unix]),
        clock=clock,
        marker=next((i for i, name in enumerate(names) if name.startswith("Marker")), None),
    )


@dataclass(frozen=True)
class _Pin:
    """A sensor on one of the board's pins: in which column it stands, and what a count of it is."""

    modality: str
    column: int
    factor: float


def _pins(layout: _Layout, sensor: Sequence[str], account: Account) -> list[_Pin]:
    """What the user says hangs on the pins.

    Raises:
        RecordingError: no such pin or column, or a sensor that is not one of them.
    """
    found: dict[str, _Pin] = {}
    for pin, kind in pairs(sensor, "sensor", "A5=EDA"):
        name, _, factor = kind.partition(":")
        modality = modality_name(name)
        if modality not in _SENSORS or not _is_positive(factor or "1") or modality in found:
            raise RecordingError(
                f"--sensor {pin}={kind} names no sensor",
                expected=("BVP", "EDA", "EDA:0.05 (uS a count)", "each once"),
            )
        found[modality] = _Pin(modality, _column_of(layout, pin), float(factor or 1))
        if modality == "gsr" and not factor:
            account.note(
                f"gsr: the numbers of {pin} are taken for uS as they are; counts of the board "
                f"are not (--sensor {pin}=EDA:0.05 gives uS a count)"
            )
    return list(found.values())


def _is_positive(text: str) -> bool:
    return bool(re.fullmatch(r"\d*\.?\d+", text)) and float(text) > 0


def _column_of(layout: _Layout, pin: str) -> int:
    """`A5`, or a name of the header -> its column."""
    names = [name.lower() for name in layout.table.columns]
    has_header = layout.table.has_header
    if pin.lower() in names and has_header:
        return names.index(pin.lower())
    analogue = _analogue_by_name(names) if has_header else _analogue_by_place(layout)
    if pin.upper() not in _PINS or not analogue:
        pins = ", ".join(_PINS) if analogue else ""
        known = ", ".join(layout.table.columns) if has_header else ""
        raise RecordingError(
            f"--sensor {pin}=...: {layout.table.path} has no such pin",
            expected=", or ".join(filter(None, (pins, known))) or "no --sensor",
        )
    return analogue[_PINS.index(pin.upper())]


def _analogue_by_name(names: Sequence[str]) -> list[int]:
    """The columns of the pins by the header, which names them; a Ganglion has none."""
    wanted = [f"analog channel {i}" for i in range(len(_PINS))]
    return [names.index(name) for name in wanted] if {*wanted} <= {*names} else []


def _analogue_by_place(layout: _Layout) -> list[int]:
    """The columns of the pins where no header names them: behind the others, or acceleration's."""
    count = len(layout.table.columns)
    behind = count - layout.channels - 1
    first = layout.channels + 1 + (_BEFORE_ANALOGUE if behind > _BEFORE_ANALOGUE else 0)
    return [*range(first, first + len(_PINS))] if first + len(_PINS) <= count else []


def _head_lines(path: Path) -> tuple[list[str], list[str]]:
    """The % lines, and up to three behind them: a header, a row of zeros, one of samples."""
    comments: list[str] = []
    try:
        with path.open(encoding="utf-8-sig") as file:
            lines = (line.rstrip("\n") for line in iter(lambda: file.readline(_MOST_LINE), ""))
            for line in lines:
                if not line.startswith("%") or len(comments) >= _MOST_COMMENTS:
                    return comments, [
                        line,
                        *(line for line, _ in zip(lines, range(2), strict=False)),
                    ]
                comments.append(line)
    except UnicodeDecodeError as error:
        raise not_utf8(path, error) from None
    return comments, []


def _ticks(cell: str) -> float:
    """Of a Unix time in a second; 0 for what is not one."""
    try:
        value = float(cell)
    except ValueError:
        return 0.0
    return next((ticks for ticks in (1.0, _MS) if _UNIX_S[0] < value / ticks < _UNIX_S[1]), 0.0)


@dataclass(frozen=True)
class _Rows:
    """What the rows hold; times_s is Unix time, or of the day, or NaN where there is neither."""

    samples: Spool
    index: NDArray[np.float64]
    times_s: NDArray[np.float64]
    marks: list[tuple[int, int]]
    aux: dict[str, Spool]


def _read_rows(layout: _Layout, pins: Sequence[_Pin], account: Account) -> _Rows:
    table, columns = layout.table, list(range(1, 1 + layout.channels))
    samples, index, times_s = Spool(layout.channels), Growing(), Growing()
    marked: list[tuple[int, int]] = []
    aux = {pin.modality: Spool(1) for pin in pins}
    for block in table.blocks(account):
        block = _without_zeros(block, layout, account)
        if not len(block):
            continue
        if layout.marker is not None:
            found = marks(table, block, layout.marker)
            marked += [(len(samples) + row, code) for row, code in found]
        samples.append(numbers(table, block, columns))
        for pin in pins:
            aux[pin.modality].append(numbers(table, block, [pin.column]) * pin.factor)
        index.append(numbers(table, block, [0])[:, 0])
        times_s.append(_times_s(layout, block))
    return _Rows(samples, index.all(), times_s.all(), marked, aux)


def _without_zeros(block: Block, layout: _Layout, account: Account) -> Block:
    """Version 5 begins with a row of zeros, before the board has sent anything."""
    if layout.unix is None:
        return block
    empty = [not cells[layout.unix].strip(" 0.") for cells in block.rows]
    for line in (line for line, out in zip(block.lines, empty, strict=True) if out):
        account.leave_out(f"line {line}", "no time")
    kept = [i for i, out in enumerate(empty) if not out]
    return Block([block.rows[i] for i in kept], [block.lines[i] for i in kept])


def _times_s(layout: _Layout, block: Block) -> NDArray[np.float64]:
    if layout.unix is not None:
        times_s: NDArray[np.float64] = (
            numbers(layout.table, block, [layout.unix])[:, 0] / layout.ticks
        )
        return times_s
    if layout.clock is None:
        return np.full(len(block), np.nan)
    found = (clock_time(cells[layout.clock]) for cells in block.rows)
    return np.array([np.nan if time is None else time.second_of_day for time in found])


def _order(read: _Rows, rate_hz: float, account: Account) -> Order:
    """By the sample index; a Daisy's counts by two, an average of two boards being one sample."""
    times_s = read.times_s if np.isfinite(read.times_s).all() else None
    if times_s is not None and times_s.max(initial=0.0) <= _DAY_S:
        # A time of day that steps by more than half a day has passed midnight;
        # forward, its row came late.
        days = -np.cumsum(np.rint(np.diff(times_s, prepend=times_s[:1]) / _DAY_S))
        times_s = times_s + days * _DAY_S
    steps = np.diff(read.index)
    by_two = len(steps) > 0 and float(np.median(steps)) == 2
    index = np.floor(read.index / 2) if by_two else read.index
    return by_counter_or_arrivals(
        index, read.samples, times_s, rate_hz, account, counter_is="the sample index"
    )


FORM = Form(
    read_openbci,
    looks_like_openbci,
    options=(
        Option(
            "sensor",
            "PIN=TYPE",
            "What hangs on a pin: A5=BVP, A6=EDA, A6=EDA:0.05 for uS a count.",
            many=True,
        ),
    ),
    names_no_electrodes=True,
)
