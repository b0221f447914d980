"""Polar Sensor Logger: PPG of a Polar OH1, Verity Sense or 360, and the intervals between beats."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from emodict.errors import RecordingError
from emodict.recording.recording import Event, Recording
from emodict_desk.importers.clock import parse_time
from emodict_desk.importers.form import Form
from emodict_desk.importers.kinds import check_there, first_text_line, read_head, wrong_kind
from emodict_desk.importers.spool import Growing, Spool
from emodict_desk.importers.text import Block, TextTable, numbers, open_table
from emodict_desk.importers.timed import in_order, signal_by_times
from emodict_desk.recordings.account import Account

_EXPECTED = (
    "the _PPG.txt of Polar Sensor Logger (Phone timestamp;sensor timestamp [ns];channel 0;...), "
    "or the folder of its files"
)
_PHONE, _SENSOR, _LIGHT = "phone timestamp", "sensor timestamp [ns]", "channel 0"
_INTERVAL, _BLOCKER = "pp-interval [ms]", "blocker"
# What Polar's devices offer, by its SDK: OH1 130 or 135 Hz, Verity Sense 28 to 176 Hz.
_RATES_HZ = (28.0, 44.0, 55.0, 130.0, 135.0, 176.0)
_RATE_TOLERANCE = 0.03
_NS = 1e9


def read_polar(
    source: Path, /, *, subject_id: str | None = None, session_id: str | None = None
) -> Recording:
    """Read the PPG that Polar Sensor Logger recorded, with the intervals between beats as events.

    The first of the three green lights becomes ppg, placed by the sensor's own clock. Intervals
    (_PPI.txt of the same recording) become events of as many ms. The phone's time is local,
    without a zone.

    Raises:
        RecordingError: no PPG of the logger, several, or a row that cannot be read.
    """
    path = Path(source)
    file = _ppg_file(path)
    table = open_table(file, _EXPECTED, delimiter=";")
    if not _is_ppg(table.columns):
        raise _other_file(table)
    account = Account(f"Polar Sensor Logger {path.name}")
    samples, times_s, start = _read_rows(table, account)
    ordered = in_order(times_s, samples, "ppg", account)
    if ordered is None:
        raise RecordingError(
            f"{file}: the sensor's times run back, and cannot be put in order",
            expected="times that grow from row to row",
            fix="Cut the file where they do, and import the parts",
        )
    account.note("ppg: channel 0 is taken of three green lights")
    nominal_hz = _nominal_hz(ordered[0])
    signal = signal_by_times(
        "ppg", *ordered, unit="a.u.", names=["ppg"], account=account, nominal_hz=nominal_hz,
        of=str(file),
    )  # fmt: skip
    return Recording(
        session_id=session_id or path.stem,
        subject_id=subject_id or path.stem,
        signals={"ppg": signal},
        events=_intervals(file, start, account),
        start_time=start.isoformat(),
        device="Polar",
        attributes=account.attributes(),
    )


def looks_like_polar(path: Path, head: bytes) -> bool:
    """The header of the logger's PPG or intervals, or a folder with a file of PPG."""
    if path.is_dir():
        return bool(_ppg_files(path))
    names = _names(first_text_line(head).split(";"))
    return names[0].startswith("phone") and (_is_ppg(names) or _INTERVAL in names)


def _names(columns: Sequence[str]) -> tuple[str, ...]:
    return tuple(name.strip().lower() for name in columns)


def _is_ppg(columns: Sequence[str]) -> bool:
    return {_PHONE, _SENSOR, _LIGHT} <= {*_names(columns)}


def _ppg_files(folder: Path) -> list[Path]:
    return sorted(
        file
        for file in folder.glob("*_PPG.txt")
        if _is_ppg(first_text_line(read_head(file)).split(";"))
    )


def _ppg_file(path: Path) -> Path:
    if not path.is_dir():
        check_there(path, _EXPECTED)
        return path
    files = _ppg_files(path)
    if len(files) != 1:
        raise RecordingError(
            f"{path} holds {'several recordings' if files else 'no recording'} of PPG",
            expected=_EXPECTED,
            got=", ".join(file.name for file in files) or None,
            fix="Give one of the files" if files else None,
        )
    return files[0]


def _other_file(table: TextTable) -> RecordingError:
    if _INTERVAL not in _names(table.columns):
        return wrong_kind(table.path, _EXPECTED)
    return RecordingError(
        f"{table.path} holds the intervals between heart beats, and no pulse",
        expected=_EXPECTED,
        fix="Record PPG with it: the features are of the pulse's wave",
    )


def _read_rows(
    table: TextTable, account: Account
) -> tuple[Spool, NDArray[np.float64], datetime.datetime]:
    """Samples, the sensor's times from the first row on, and the phone's time of that row."""
    samples, times = Spool(1), Growing()
    first_ns, start = 0.0, None
    light, sensor = table.column(_LIGHT), table.column(_SENSOR)
    for block in table.blocks(account):
        at_ns = _sensor_ns(table, block, sensor)
        if start is None:
            start, first_ns = _phone_time(table, block, 0), float(at_ns[0])
        samples.append(numbers(table, block, [light]))
        # As floats, nanoseconds since 2000 are right to some 100 ns.
        times.append((at_ns - first_ns) / _NS)
    if start is None:
        raise RecordingError(f"{table.path} holds no samples", expected="rows below the header")
    for name in (name for name in table.columns if name and _names([name])[0] not in _USED):
        account.leave_out(f"column {name}", "not used")
    return samples, times.all(), start


_USED = (_PHONE, _SENSOR, _LIGHT)


def _sensor_ns(table: TextTable, block: Block, column: int) -> NDArray[np.float64]:
    """(rows,) the sensor's times; an empty cell is refused by its line."""
    at_ns: NDArray[np.float64] = numbers(table, block, [column])[:, 0]
    empty = np.flatnonzero(np.isnan(at_ns))
    if len(empty):
        raise RecordingError(
            f"{table.path}, line {block.lines[empty[0]]}, column {table.columns[column]}: no time",
            expected="whole nanoseconds",
        )
    return at_ns


def _phone_time(table: TextTable, block: Block, row: int) -> datetime.datetime:
    cell = block.rows[row][0]
    moment = parse_time(cell)
    if moment is None:
        raise RecordingError(
            f"{table.path}, line {block.lines[row]}, column {table.columns[0]}: not a time",
            expected="YYYY-MM-DDThh:mm:ss.sss",
            got=repr(cell[:40]),
        )
    return moment.replace(tzinfo=None)


def _nominal_hz(times_s: NDArray[np.float64]) -> float | None:
    """The rate that the device was set to; None for one that is not known."""
    if len(times_s) < 2 or times_s[-1] <= times_s[0]:
        return None
    step_s = float(np.median(np.diff(times_s)))
    nearest = min(_RATES_HZ, key=lambda rate: abs(rate * step_s - 1))
    return nearest if abs(nearest * step_s - 1) < _RATE_TOLERANCE else None


def _intervals(ppg: Path, start: datetime.datetime, account: Account) -> tuple[Event, ...]:
    """The intervals of the _PPI.txt beside, at the phone's times; those measured while moving
    are left out.
    """
    file = ppg.with_name(ppg.name.replace("_PPG", "_PPI"))
    if file == ppg or not file.is_file():
        return ()
    table = open_table(file, _EXPECTED, delimiter=";")
    interval, blocker = table.column(_INTERVAL), table.column(_BLOCKER)
    events, blocked = [], 0
    for block in table.blocks(account):
        values = numbers(table, block, [interval, blocker])
        for row, (interval_ms, is_blocked) in enumerate(values.tolist()):
            if not interval_ms > 0 or is_blocked:
                blocked += 1
                continue
            at_s = (_phone_time(table, block, row) - start).total_seconds()
            events.append(Event(at_s, round(interval_ms), f"pulse interval {interval_ms:g} ms"))
    if blocked:
        account.leave_out(f"{blocked} of the intervals between beats", "blocked by movement")
    return tuple(sorted(events, key=lambda event: event.onset_s))


FORM = Form(read_polar, looks_like_polar)
