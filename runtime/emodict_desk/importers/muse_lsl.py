"""muse-lsl CSV: EEG or PPG of a Muse headband, as `muselsl record` writes it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from emodict.errors import RecordingError
from emodict.recording.lights import pulse_light
from emodict.recording.recording import Event, Recording
from emodict_desk.importers.clock import utc_text
from emodict_desk.importers.form import Form
from emodict_desk.importers.kinds import first_text_line, wrong_kind
from emodict_desk.importers.spool import Growing, Spool
from emodict_desk.importers.text import TextTable, marks, numbers, open_table
from emodict_desk.importers.timed import in_order, signal_by_times, times_cannot_be_sorted
from emodict_desk.recordings.account import Account

_EXPECTED = "a CSV of muse-lsl: timestamps,TP9,AF7,AF8,TP10,Right AUX, or timestamps,PPG1,PPG2,PPG3"
_TIME = "timestamps"
_ELECTRODES = ("TP9", "AF7", "AF8", "TP10")
_LIGHTS = ("PPG1", "PPG2", "PPG3")
_EEG_HZ, _PPG_HZ = 256.0, 64.0


def read_muse_lsl(
    source: Path, /, *, subject_id: str | None = None, session_id: str | None = None
) -> Recording:
    """Read the CSV that `muselsl record` writes of a Muse headband.

    EEG becomes eeg in uV, the infrared one of three lights ppg, a marker's column events. The
    times are Unix time of rows that came in bursts of 12: samples are placed at the headband's
    rate, and pauses are gaps.

    Raises:
        RecordingError: no CSV of muse-lsl, a row that cannot be read, or times that run back.
    """
    path = Path(source)
    table = open_table(path, _EXPECTED, delimiter=",")
    columns = _columns(table)
    account = Account(f"muse-lsl CSV {path.name}")
    samples, times, marked = _read_rows(table, columns, account)
    if not len(samples):
        raise RecordingError(f"{path} holds no samples", expected=_EXPECTED, fix="Record it again")
    first_s = float(times[0])
    modality = "eeg" if table.columns[columns[0]] in _ELECTRODES else "ppg"
    ordered = in_order(times - first_s, samples, modality, account)
    if ordered is None:
        raise times_cannot_be_sorted(path, times)
    signal = signal_by_times(
        modality,
        *ordered,
        unit="uV" if modality == "eeg" else "a.u.",
        names=[table.columns[c] for c in columns] if modality == "eeg" else ["ppg"],
        account=account,
        nominal_hz=_EEG_HZ if modality == "eeg" else _PPG_HZ,
        reference="Fpz" if modality == "eeg" else "",
    )
    return Recording(
        session_id=session_id or path.stem,
        subject_id=subject_id or path.stem,
        signals={modality: signal},
        events=tuple(Event(at_s - first_s, code, "marker") for at_s, code in marked),
        start_time=utc_text(first_s) or "",
        device="Muse",
        attributes=account.attributes(),
    )


def looks_like_muse_lsl(path: Path, head: bytes) -> bool:
    """A header of timestamps and the headband's electrodes, or its three lights."""
    names = [name.strip() for name in first_text_line(head).split(",")]
    return names[0] == _TIME and bool({*_ELECTRODES, *_LIGHTS} & {*names})


def _columns(table: TextTable) -> list[int]:
    """Those of the electrodes, or of the infrared light."""
    if table.columns[0] != _TIME:
        raise wrong_kind(table.path, _EXPECTED)
    electrodes = [i for i, name in enumerate(table.columns) if name in _ELECTRODES]
    lights = [i for i, name in enumerate(table.columns) if name in _LIGHTS]
    if not electrodes and not lights:
        raise wrong_kind(table.path, _EXPECTED)
    return electrodes or [lights[pulse_light([table.columns[i] for i in lights]) or 0]]


def _read_rows(
    table: TextTable, columns: list[int], account: Account
) -> tuple[Spool, NDArray[np.float64], list[tuple[float, int]]]:
    """Samples, Unix times, and the marks with theirs."""
    samples, times = Spool(len(columns)), Growing()
    marked = next((i for i, n in enumerate(table.columns) if n.startswith("Marker")), None)
    found: list[tuple[float, int]] = []
    for block in table.blocks(account):
        at_s = numbers(table, block, [0])[:, 0]
        empty = np.flatnonzero(np.isnan(at_s))
        if len(empty):
            raise RecordingError(
                f"{table.path}, line {block.lines[empty[0]]}: no time", expected="Unix time in s"
            )
        samples.append(numbers(table, block, columns))
        times.append(at_s)
        if marked is not None:
            found += [(float(at_s[row]), code) for row, code in marks(table, block, marked)]
    for i, name in enumerate(table.columns):
        if i not in (0, marked, *columns):
            account.leave_out(f"column {name}", "not used")
    return samples, times.all(), found


FORM = Form(read_muse_lsl, looks_like_muse_lsl)
