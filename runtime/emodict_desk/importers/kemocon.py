"""K-EmoCon: the wrist of one person in a debate, and five emotions rated by that person every 5 s.

Park et al., Scientific Data 7:293 (2020), and loaders of the set. e4_data/N/E4_BVP.csv and
E4_EDA.csv have timestamp (Unix time in ms), value and device_serial. P{N}.self.csv, in
emotion_annotations/self_annotations, has a row every five seconds of the debate: seconds, arousal,
valence, and cheerful, happy, angry, nervous, sad from 1 to 4. metadata/subjects.csv has pid and
startTime (ms), when the debate began. Some copies have these folders twice, one in the other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from emodict.errors import RecordingError
from emodict.recording.recording import Recording, Signal
from emodict_desk.importers.answers import SCORES_OPTION, Asked, answered
from emodict_desk.importers.clock import (
    counter_from_arrivals,
    gap_or_none,
    lost_samples,
    utc_text,
)
from emodict_desk.importers.form import Form
from emodict_desk.importers.kinds import check_there, wrong_kind
from emodict_desk.importers.text import numbers, open_table
from emodict_desk.importers.timed import in_order, times_cannot_be_sorted
from emodict_desk.recordings.account import Account
from emodict_desk.recordings.scores import Scale

Float64Array = NDArray[np.float64]

_EXPECTED = "a folder of K-EmoCon's e4_data, with emotion_annotations and metadata beside e4_data"
_SENSORS = (("E4_BVP.csv", "ppg", 64.0, "a.u."), ("E4_EDA.csv", "gsr", 4.0, "uS"))
EMOTIONS = ("Cheerful", "Happy", "Angry", "Nervous", "Sad")
_SCALE = Scale(1.0, 4.0)
_EVERY_S = 5.0


def read_kemocon(
    source: Path,
    /,
    *,
    subject_id: str | None = None,
    session_id: str | None = None,
    scores: str = "share",
) -> Recording:
    """Read a person of K-EmoCon: Empatica E4 in a debate, five emotions by that person.

    Seconds that were rated alike, one after the other, are one trial.

    Raises:
        RecordingError: a file is missing, or is not what K-EmoCon publishes.
    """
    folder = Path(source)
    check_there(folder, _EXPECTED, folder=True)
    ratings, subjects = _beside(folder)
    account = Account(f"K-EmoCon {folder.name}")
    sensors = {
        modality: (_samples(folder / file, modality, account), rate_hz, unit)
        for file, modality, rate_hz, unit in _SENSORS
        if (folder / file).is_file()
    }
    start_s = min(float(times_s[0]) for (times_s, _), _, _ in sensors.values())
    asked = _asked(ratings, _debate_start_s(subjects, folder.name) - start_s, account)
    signals = {
        modality: _signal(modality, times_s - start_s, values, rate_hz, unit, account)
        for modality, ((times_s, values), rate_hz, unit) in sensors.items()
    }
    trials, attributes = answered(asked, account, function=scores, signals=signals)
    name = f"P{folder.resolve().name}"
    return Recording(
        session_id=session_id or name,
        subject_id=subject_id or name,
        signals=signals,
        trials=trials,
        start_time=utc_text(start_s) or "",
        device="Empatica E4",
        attributes={**account.attributes(), **attributes},
    )


def looks_like_kemocon(path: Path, head: bytes) -> bool:
    """A folder with a file of its E4, and a person's own ratings where they have to be."""
    there = any((path / file).is_file() for file, *_ in _SENSORS)
    return there and next(_found(path, _ratings_name(path)), None) is not None


def _ratings_name(folder: Path) -> str:
    return f"emotion_annotations/self_annotations/P{folder.resolve().name}.self.csv"


def _found(folder: Path, name: str) -> Iterator[Path]:
    """A file of the set, whichever of its folders are there twice."""
    top, _, rest = name.partition("/")
    for root in folder.resolve().parents[1:3]:
        for inside in (root / top, root / top / top):
            if (inside / rest).is_file():
                yield inside / rest


def _beside(folder: Path) -> tuple[Path, Path]:
    """The person's ratings, and the table of all people.

    Raises:
        RecordingError: one of them, or the wrist, is not there.
    """
    ratings = next(_found(folder, _ratings_name(folder)), None)
    subjects = next(_found(folder, "metadata/subjects.csv"), None)
    there = any((folder / file).is_file() for file, *_ in _SENSORS)
    if ratings is None or subjects is None or not there:
        raise wrong_kind(folder, _EXPECTED)
    return ratings, subjects


def _samples(path: Path, modality: str, account: Account) -> tuple[Float64Array, Float64Array]:
    """(samples,) Unix seconds and values, each once; of two wristbands the one that has more.

    Raises:
        RecordingError: no sample, or times that run back.
    """
    table = open_table(path, _EXPECTED, delimiter=",")
    columns = [table.column(name) for name in ("timestamp", "value")]
    serial = table.columns.index("device_serial") if "device_serial" in table.columns else None
    rows: list[Float64Array] = [np.empty((0, 2))]
    worn: list[str] = []
    for block in table.blocks(account):
        rows.append(numbers(table, block, columns))
        worn += ["" if serial is None else row[serial] for row in block.rows]
    both = np.concatenate(rows)
    if not len(both) or not np.isfinite(both[:, 0]).all():
        raise RecordingError(f"{path}: its samples cannot be used", expected="a timestamp for each")
    (most, _), *others = Counter(worn).most_common()
    if others:
        count = 1 + len(others)
        account.note(f"{path.name} is of {count} wristbands; that with most samples is taken")
    kept = both[np.array(worn) == most]
    ordered = in_order(kept[:, 0] / 1000, kept[:, 1:], modality, account)
    if ordered is None:
        raise times_cannot_be_sorted(path, kept[:, 0] / 1000)
    times_s, values = ordered
    return times_s, values[:, 0]


def _signal(
    modality: str,
    times_s: Float64Array,
    values: Float64Array,
    rate_hz: float,
    unit: str,
    account: Account,
) -> Signal:
    counter = counter_from_arrivals(times_s, rate_hz)
    if lost_samples(counter):
        account.note(f"{modality}: {lost_samples(counter)} samples are not there, by the times")
    return Signal(
        modality,
        rate_hz,
        unit,
        (modality,),
        values[:, None],
        start_offset_s=float(times_s[0]),
        sequence=gap_or_none(counter),
    )


def _debate_start_s(subjects: Path, pid: str) -> float:
    """When the debate of a person began, in Unix time.

    Raises:
        RecordingError: the table does not have the person.
    """
    table = open_table(subjects, _EXPECTED, delimiter=",")
    columns = [table.column(name) for name in ("pid", "startTime")]
    for block in table.blocks(Account(subjects.name)):
        for number, start_ms in numbers(table, block, columns):
            if f"{number:g}" == pid and np.isfinite(start_ms):
                return float(start_ms) / 1000
    raise RecordingError(f"{subjects} has no startTime of the person {pid}", expected=_EXPECTED)


def _asked(path: Path, debate_s: float, account: Account) -> Asked:
    """The ratings, what was rated alike one after the other being one."""
    table = open_table(path, _EXPECTED, delimiter=",")
    columns = [table.column(name) for name in ("seconds", *(name.lower() for name in EMOTIONS))]
    blocks = [numbers(table, block, columns) for block in table.blocks(account)]
    rows = np.concatenate([np.empty((0, 1 + len(EMOTIONS))), *blocks])
    rows = rows[np.isfinite(rows[:, 0])]
    after = (np.diff(rows[:, 0]) == _EVERY_S) & (np.diff(rows[:, 1:], axis=0) == 0).all(axis=1)
    runs = [run for run in np.split(rows, np.flatnonzero(~after) + 1) if len(run)]
    return Asked(
        source=path.name,
        stimulus="",
        emotions=EMOTIONS,
        scale=_SCALE,
        trial=[f"{run[0, 0] - _EVERY_S:g}-{run[-1, 0]:g} s" for run in runs],
        start_s=[debate_s + run[0, 0] - _EVERY_S for run in runs],
        stop_s=[debate_s + run[-1, 0] for run in runs],
        scores=[run[0, 1:].tolist() for run in runs],
    )


FORM = Form(read_kemocon, looks_like_kemocon, options=(SCORES_OPTION,), for_training=True)
