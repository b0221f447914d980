"""CASE: pulse and skin conductance while films were watched, and the valence that a joystick told.

Sharma et al., Scientific Data 6:196 (2019), and the README files of its data/interpolated folder:
physiological/sub_N.csv has daqtime (ms, 1000 a second), bvp, gsr (uS), video and others,
annotations/sub_N.csv jstime (ms, 20 a second), valence and arousal (0.5 to 9.5), video. Videos 1 to
8 are the films; 10 to 12 are the start, the blue screen between films, and the end.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from emodict.errors import RecordingError
from emodict.recording.recording import Recording, Signal, Trials
from emodict_desk.importers.answers import trials_within
from emodict_desk.importers.form import Form
from emodict_desk.importers.kinds import first_text_line, wrong_kind
from emodict_desk.importers.spool import Growing, Spool
from emodict_desk.importers.text import numbers, open_table
from emodict_desk.recordings.account import Account
from emodict_desk.recordings.scores import Scale
from emodict_desk.tables.stimuli import STIMULUS

Float64Array = NDArray[np.float64]

_EXPECTED = "data/interpolated/physiological/sub_N.csv of CASE, and ../annotations/sub_N.csv"
_ANNOTATIONS = "annotations"
_RATE_HZ, _ANNOTATION_HZ = 1000.0, 20.0
_LAST_FILM = 8
# Of valence there are two ends, and no more is known of what was felt.
EMOTIONS = ("Pleasant", "Unpleasant")
_SCALE = Scale(0.5, 9.5)


def read_case(
    source: Path, /, *, subject_id: str | None = None, session_id: str | None = None
) -> Recording:
    """Read a person of CASE: pulse, skin conductance, and the valence of each film.

    A film is a trial. Its truth is how the mean valence divides the scale: Pleasant and Unpleasant.

    Raises:
        RecordingError: a file is missing, or is not what CASE publishes.
    """
    path = Path(source)
    annotations = path.parent.parent / _ANNOTATIONS / path.name
    if not path.is_file() or not annotations.is_file():
        raise wrong_kind(path, _EXPECTED)
    account = Account(f"CASE {path.name}")
    start_s, pulse, skin = _samples(path, account)
    signals = {
        modality: Signal(modality, _RATE_HZ, unit, (modality,), spool, start_offset_s=start_s)
        for modality, unit, spool in (("ppg", "a.u.", pulse), ("gsr", "uS", skin))
    }
    trials = trials_within(_trials(annotations, account), signals, account, of=annotations.name)
    return Recording(
        session_id=session_id or path.stem,
        subject_id=subject_id or path.stem,
        signals=signals,
        trials=trials,
        attributes={
            **account.attributes(),
            "labels": f"{_ANNOTATIONS}/{path.name}",
            "scores_to_shares": "valence: (mean valence - 0.5) / 9 is the share of Pleasant",
            "scale": str(_SCALE),
            STIMULUS: "film",
        },
    )


def looks_like_case(path: Path, head: bytes) -> bool:
    """The columns of CASE, and the other file where it has to be."""
    columns = first_text_line(head).split(",")[:4] == ["daqtime", "ecg", "bvp", "gsr"]
    return columns and (path.parent.parent / _ANNOTATIONS / path.name).is_file()


def _samples(path: Path, account: Account) -> tuple[float, Spool, Spool]:
    """When the first sample was, and pulse and skin conductance.

    Raises:
        RecordingError: samples that are not a millisecond apart.
    """
    table = open_table(path, _EXPECTED, delimiter=",")
    columns = [table.column(name) for name in ("daqtime", "bvp", "gsr")]
    pulse, skin, times = Spool(1), Spool(1), Growing()
    for block in table.blocks(account):
        values = numbers(table, block, columns)
        times.append(values[:, 0])
        pulse.append(values[:, 1])
        skin.append(values[:, 2])
    times_ms = times.all()
    unused = [name for name in table.columns if name not in ("daqtime", "bvp", "gsr", "video")]
    account.leave_out(" ".join(unused), "not used")
    even = len(times_ms) and np.abs(times_ms - times_ms[0] - np.arange(len(times_ms))).max() < 1
    if not even:
        raise RecordingError(
            f"{path}: its samples are not a millisecond apart",
            expected="the interpolated data of CASE, 1000 samples a second, daqtime in ms",
            fix="Take data/interpolated, not data/raw",
        )
    return float(times_ms[0]) / 1000, pulse, skin


def _trials(path: Path, account: Account) -> Trials:
    """The films, each with the mean of its valence."""
    films = _films(path, account)
    valence = np.array([film[:, 1].mean() for film in films])
    pleasant = (valence - _SCALE.lowest) / (_SCALE.highest - _SCALE.lowest)
    return Trials(
        start_s=np.array([film[0, 0] for film in films]) / 1000,
        stop_s=np.array([film[-1, 0] for film in films]) / 1000 + 1 / _ANNOTATION_HZ,
        trial_id=tuple(f"video{int(film[0, 2])}" for film in films),
        distribution=np.stack([pleasant, 1 - pleasant], axis=1),
        label_names=EMOTIONS,
    )


def _films(path: Path, account: Account) -> list[Float64Array]:
    """(rows, 3) of each film: milliseconds, valence, the video's number.

    Raises:
        RecordingError: there is none, one is there twice, or a valence cannot be.
    """
    table = open_table(path, _EXPECTED, delimiter=",")
    columns = [table.column(name) for name in ("jstime", "valence", "video")]
    blocks = [numbers(table, block, columns) for block in table.blocks(account)]
    rows = np.concatenate([np.empty((0, 3)), *blocks])
    _check(rows, path)
    runs = np.split(rows, np.flatnonzero(np.diff(rows[:, 2])) + 1)
    films = [run for run in runs if len(run) and 1 <= run[0, 2] <= _LAST_FILM]
    shown = [run[0, 2] for run in films]
    if not films or len(set(shown)) < len(shown):
        raise RecordingError(
            f"{path}: its films cannot be told",
            expected="videos 1 to 8, each once",
            got=", ".join(f"{number:g}" for number in shown) or "none",
        )
    return films


def _check(rows: Float64Array, path: Path) -> None:
    """Refuse what is not a number, and what is not on the joystick's scale."""
    valence = rows[:, 1]
    if not np.isfinite(rows).all() or (valence < 0.5).any() or (valence > 9.5).any():
        raise RecordingError(
            f"{path}: valence cannot be used",
            expected=f"{_SCALE}, in every row",
            fix="Take data/interpolated, not data/raw",
        )


FORM = Form(read_case, looks_like_case, for_training=True)
