"""Mind Monitor CSV: EEG and, where there is one, PPG of a Muse headband."""

from __future__ import annotations

import dataclasses
import datetime
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from emodict.errors import RecordingError
from emodict.recording.lights import pulse_light
from emodict.recording.recording import Event, Recording, Signal
from emodict_desk.importers.clock import (
    counter_from_arrivals,
    gap_or_none,
    looks_like_summer_time,
    lost_samples,
    parse_time,
)
from emodict_desk.importers.form import Form
from emodict_desk.importers.kinds import first_text_line, wrong_kind
from emodict_desk.importers.labels import Label
from emodict_desk.importers.order import Order, by_time_or_as_they_stand
from emodict_desk.importers.spool import Growing, Spool
from emodict_desk.importers.text import (
    BLOCK_ROWS,
    Block,
    TextTable,
    numbers,
    open_table,
    time_runs_back,
)
from emodict_desk.recordings.account import Account

_EXPECTED = (
    "a CSV of Mind Monitor: TimeStamp, ..., RAW_TP9, RAW_AF7, RAW_AF8, RAW_TP10, ..., Elements"
)
_RAW = ("RAW_TP9", "RAW_AF7", "RAW_AF8", "RAW_TP10")
# The first light is that of the room, which is not the pulse even where it stands alone.
_ROOM_LIGHT = re.compile(r"ppg_?(1|ambient)", re.IGNORECASE)
# Muse 2 and S sample at 256 Hz, the Muse of 2014 at 220 Hz; PPG comes at 64 Hz.
_RATES_HZ = {"eeg": (256.0, 220.0), "ppg": (64.0,)}
_RATE_TOLERANCE = 0.1
# Quality by electrode: 1 good, 2 medium, 4 bad.
_BAD_CONTACT = 4
# Longer than this between two rows, and the row rate says nothing.
_PAUSE_S = 1.0


def read_muse(
    source: Path, /, *, subject_id: str | None = None, session_id: str | None = None
) -> Recording:
    """Read the CSV of Mind Monitor (Muse headband).

    RAW_* become eeg in uV, infrared PPG ppg, Elements (markers, blinks) events. Recording must have
    been constant: time stamps come in bursts, so samples are placed by their number, and pauses
    become gaps. While HeadBandOn is 0, or the contact of an electrode is bad (HSI 4), samples are
    missing. The time stamps are local time without a zone, so start_time has none.

    Raises:
        RecordingError: no CSV of Mind Monitor, EEG recorded once a second only,
            or a row that cannot be read.
    """
    path = Path(source)
    table = open_table(path, _EXPECTED, delimiter=",")
    if "TimeStamp" not in table.columns or not any(name in table.columns for name in _RAW):
        raise wrong_kind(path, _EXPECTED)
    if table.columns[-1] == "Elements":
        # Older versions write the column into the header and into the rows of marks alone.
        table = dataclasses.replace(table, optional=1)
    account = Account(f"Mind Monitor CSV {path.name}")
    read = _Rows(table)
    for block in table.blocks(account):
        read.take(block)
    signals = _signals(read, account)
    unused = [
        n for n in table.columns if n not in (*read.used, "TimeStamp", "Elements", "HeadBandOn")
    ]
    unused = [name for name in unused if name not in read.contacts]
    if unused:
        account.leave_out(" ".join(unused), "not used")
    return Recording(
        session_id=session_id or path.stem,
        subject_id=subject_id or path.stem,
        signals=signals,
        events=tuple(Event(at_s, 0, text) for at_s, text in read.marks),
        start_time=read.start.isoformat() if read.start else "",
        device="Muse",
        attributes=account.attributes(),
    )


def looks_like_muse(path: Path, head: bytes) -> bool:
    """A header that begins with TimeStamp and has one of the headband's columns."""
    names = first_text_line(head).split(",")
    return names[0] == "TimeStamp" and bool({*_RAW, "HeadBandOn"} & set(names))


@dataclass
class _Stream:
    """The rows of one sensor: samples, when they arrived, and which were without contact.

    Those are in `samples`, too: by what was measured, rows that stand twice are told.
    """

    columns: list[int]
    samples: Spool
    arrived_s: Growing = field(default_factory=Growing)
    without_contact: list[NDArray[np.bool_]] = field(default_factory=list)

    def with_contact(self, order: Order) -> Spool:
        """The samples in order, NaN without contact."""
        ordered, missing = order.of(self.samples), order.of(np.concatenate(self.without_contact))
        samples = Spool(len(self.columns))
        for start in range(0, len(ordered), BLOCK_ROWS):
            rows = slice(start, start + BLOCK_ROWS)
            samples.append(np.where(missing[rows], np.nan, ordered[rows]))
        return samples


class _Rows:
    """All rows, sorted into sensors and marks."""

    def __init__(self, table: TextTable) -> None:
        self.table = table
        self.start: datetime.datetime | None = None
        self.marks: list[tuple[float, str]] = []
        names = table.columns
        eeg = [name for name in _RAW if name in names]
        self.contacts = [f"HSI_{name[4:]}" for name in eeg if f"HSI_{name[4:]}" in names]
        pulse = _pulse(names)
        self.used = [*eeg, *pulse]
        self.streams = {
            modality: _Stream([names.index(n) for n in columns], Spool(len(columns)))
            for modality, columns in (("eeg", eeg), ("ppg", pulse))
            if columns
        }
        self._latest_s = -np.inf
        self._elements = names.index("Elements") if "Elements" in names else None

    def take(self, block: Block) -> None:
        times_s = self._times(block)
        off = self._taken_off(block)
        for modality, stream in self.streams.items():
            values = numbers(self.table, block, stream.columns)
            there = np.isfinite(values).any(axis=1)
            without_contact = np.repeat(off[:, None], values.shape[1], axis=1)
            if modality == "eeg":
                without_contact |= self._bad_contact(block, values.shape[1])
            stream.samples.append(values[there])
            stream.without_contact.append(without_contact[there])
            stream.arrived_s.append(times_s[there])
        if self._elements is not None:
            texts = (row[self._elements].strip() for row in block.rows)
            self.marks += [(float(times_s[i]), text) for i, text in enumerate(texts) if text]

    def _times(self, block: Block) -> NDArray[np.float64]:
        column = self.table.columns.index("TimeStamp")
        out = np.empty(len(block))
        for i, row in enumerate(block.rows):
            moment = parse_time(row[column])
            if moment is None:
                raise RecordingError(
                    f"{self.table.path}, line {block.lines[i]}, column TimeStamp: not a time",
                    expected="YYYY-MM-DD hh:mm:ss.sss",
                    got=repr(row[column][:40]),
                )
            moment = moment.replace(tzinfo=None)
            self.start = self.start or moment
            out[i] = (moment - self.start).total_seconds()
            if out[i] < self._latest_s - _PAUSE_S:
                summer = looks_like_summer_time(self._latest_s - float(out[i]))
                fix = (
                    "It looks like the end of summer time: "
                    if summer
                    else "The phone's clock was set: "
                )
                fix += "cut the file there, and import the parts as recordings of their own"
                raise time_runs_back(
                    self.table,
                    block.lines[i],
                    f"{self._latest_s:.3f} s",
                    f"{out[i]:.3f} s after the start",
                    fix,
                )
            self._latest_s = max(self._latest_s, float(out[i]))
        return out

    def _taken_off(self, block: Block) -> NDArray[np.bool_]:
        if "HeadBandOn" not in self.table.columns:
            return np.zeros(len(block), dtype=bool)
        off: NDArray[np.bool_] = (
            numbers(self.table, block, [self.table.column("HeadBandOn")])[:, 0] == 0
        )
        return off

    def _bad_contact(self, block: Block, channels: int) -> NDArray[np.bool_]:
        if len(self.contacts) != channels:
            return np.zeros((len(block), channels), dtype=bool)
        contacts = numbers(self.table, block, [self.table.column(name) for name in self.contacts])
        bad: NDArray[np.bool_] = contacts >= _BAD_CONTACT
        return bad


def _pulse(names: Sequence[str]) -> list[str]:
    """The column of the infrared light; empty where there is none."""
    lights = [name for name in names if Label(name).modality == "ppg"]
    light = pulse_light(lights)
    candidates = lights if light is None else [lights[light]]
    return [name for name in candidates if not _ROOM_LIGHT.fullmatch(name)][:1]


def _signals(read: _Rows, account: Account) -> dict[str, Signal]:
    signals = {}
    for modality, stream in read.streams.items():
        if not len(stream.samples):
            account.leave_out(modality, "no samples")
            continue
        order = by_time_or_as_they_stand(
            stream.arrived_s.all(), stream.samples, modality, account, in_bursts=True
        )
        arrived_s = order.of(stream.arrived_s.all())
        rate_hz = _rate(modality, arrived_s, read.table.path)
        if rate_hz is None:
            account.leave_out(modality, "not recorded at the sensor's own rate")
            continue
        counter = counter_from_arrivals(arrived_s, rate_hz)
        if lost_samples(counter):
            account.note(f"{modality}: {lost_samples(counter)} samples lost, by the time stamps")
        names = [Label(read.table.columns[c]).place for c in stream.columns]
        signals[modality] = Signal(
            modality=modality,
            rate_hz=rate_hz,
            unit="uV" if modality == "eeg" else "a.u.",
            channel_names=tuple(names) if modality == "eeg" else ("ppg",),
            samples=stream.with_contact(order),
            reference="Fpz" if modality == "eeg" else "",
            start_offset_s=float(arrived_s[0]),
            sequence=gap_or_none(counter),
        )
    if not signals:
        raise RecordingError(
            f"{read.table.path} holds no samples",
            expected="rows with RAW_TP9 and the others filled",
        )
    return signals


def _rate(modality: str, arrived_s: NDArray[np.float64], path: Path) -> float | None:
    """The sensor's rate that the rows come at; None for a PPG column that was only copied along.

    Raises:
        RecordingError: EEG came at another rate: Mind Monitor was set to write a row now and then.
    """
    steps = np.diff(arrived_s)
    near = steps[steps < _PAUSE_S]
    near = near if len(near) > len(steps) / 2 else steps
    measured = len(near) / float(near.sum()) if near.sum() > 0 else 0.0
    nearest = min(_RATES_HZ[modality], key=lambda rate: abs(rate - measured))
    if abs(measured / nearest - 1) <= _RATE_TOLERANCE:
        return nearest
    if modality != "eeg":
        return None
    raise RecordingError(
        f"{path}: the EEG was not recorded at the headband's rate",
        expected=" or ".join(f"{rate:g} rows a second" for rate in _RATES_HZ["eeg"]),
        got=f"{measured:.3g}",
        fix="Set Mind Monitor's Recording Interval to Constant, and record again",
    )


FORM = Form(read_muse, looks_like_muse)
