"""DMER: the preprocessed signals of one subject of the data set, datas.mat,
with its trials and their truth.

Yang et al., Scientific Data 11:847 (2024). eeg_datas has 18 channels at 300 Hz and a last row that
names the video of each sample; gsr_datas (4 Hz) and ppg_datas (100 Hz) have the signal and that
row; dis_label is (videos, 10).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emodict.errors import RecordingError, TableError
from emodict.recording.recording import Recording, Signal, Trials
from emodict_desk.importers.form import Form
from emodict_desk.importers.kinds import check_there, read_head, wrong_kind
from emodict_desk.importers.spool import Spool
from emodict_desk.recordings.account import Account
from emodict_desk.tables.matfile import read_mat
from emodict_desk.tables.stimuli import STIMULUS

_FILE = "datas.mat"
_MAGIC = b"MATLAB"
_EXPECTED = (
    "datas.mat of a DMER subject (eeg_datas, gsr_datas, ppg_datas, dis_label), or its folder"
)
_EEG_CHANNELS = (
    "P3",
    "C3",
    "F3",
    "Fz",
    "F4",
    "C4",
    "P4",
    "Cz",
    "Fp1",
    "Fp2",
    "T3",
    "T5",
    "O1",
    "O2",
    "F7",
    "F8",
    "T6",
    "T4",
)
# Array, modality, unit, rate, channels.
_ARRAYS = (
    ("eeg_datas", "eeg", "uV", 300.0, _EEG_CHANNELS),
    ("ppg_datas", "ppg", "a.u.", 100.0, ("ppg",)),
    ("gsr_datas", "gsr", "uS", 4.0, ("gsr",)),
)
# Between two videos nothing was kept; a gap,
# so that no window and no filter reaches from one into the next.
_GAP_S = 1.0
_COPY_AGAIN = "Copy the file again from the release"


def read_dmer(
    source: Path, /, *, subject_id: str | None = None, session_id: str | None = None
) -> Recording:
    """Read the signals of one DMER subject (datas.mat), with trials and truth.

    Each video becomes a trial; the modalities of a trial are aligned at its end, as the
    released features are. The release holds the videos' stretches alone: they are laid one
    after the other, a second apart.

    Raises:
        RecordingError: an array is missing, or the arrays do not fit together.
    """
    path = Path(source) / _FILE if Path(source).is_dir() else Path(source)
    if path.name == _FILE and not path.exists() and Path(source).is_dir():
        raise wrong_kind(Path(source), _EXPECTED)
    arrays = _arrays(path)
    labels = _labels(arrays, path)
    parts = {
        name: _videos(arrays, name, len(channels), len(labels), path)
        for name, _, _, _, channels in _ARRAYS
    }
    account = Account(f"DMER {path.parent.name}/{path.name}")
    account.note(
        "the videos' stretches are laid one after the other, 1 s apart: "
        "times are not those of the sitting"
    )
    for name in sorted(set(arrays) - {"dis_label", *(name for name, *_ in _ARRAYS)}):
        account.leave_out(name, "not used")
    order = list(dict.fromkeys(parts["eeg_datas"]))
    _say_partial(order, parts, account)
    name = path.resolve().parent.name
    return Recording(
        session_id=session_id or name,
        subject_id=subject_id or name,
        signals=_signals(order, parts),
        trials=_trials(order, parts, labels),
        device="DSI-24 and wristband",
        # All people of DMER saw the same videos.
        attributes={**account.attributes(), STIMULUS: "video"},
    )


def _arrays(path: Path) -> dict[str, NDArray[Any]]:
    check_there(path, _EXPECTED)
    if not read_head(path).startswith(_MAGIC):
        raise wrong_kind(path, _EXPECTED)
    try:
        arrays = read_mat(path)
    except TableError as error:
        raise RecordingError(f"{path}: {error}", expected=_EXPECTED) from error
    if arrays and all(name.startswith(("train_", "test_")) for name in arrays):
        raise RecordingError(
            f"{path} holds features, not signals: it is the released sample",
            expected=_EXPECTED,
            fix=f"Train on it, or score it, as it is: emodict-train fit '{path}'",
        )
    return arrays


def looks_like_dmer(path: Path, head: bytes) -> bool:
    """A MATLAB file of that name, or the folder that holds it."""
    if path.is_dir():
        return (path / _FILE).is_file()
    return path.name == _FILE and head.startswith(_MAGIC)


_Videos = dict[int, NDArray[np.float64]]


def _videos(
    arrays: dict[str, NDArray[np.float64]], name: str, channels: int, labels: int, path: Path
) -> _Videos:
    """(channels + 1, samples) with the videos in its last row -> samples of each
    video, (samples, channels).
    """
    array = arrays.get(name)
    if array is None or array.ndim != 2 or len(array) != channels + 1:
        raise RecordingError(
            f"{path}: the array '{name}' cannot be used",
            expected=f"({channels + 1}, samples), the last row naming the video",
            got="no such array" if array is None else array.shape,
            fix=_COPY_AGAIN,
        )
    which = np.asarray(array[-1])
    if not np.isfinite(which).all() or (which != np.floor(which)).any():
        raise RecordingError(
            f"{path}: the last row of '{name}' names no videos", expected="whole numbers"
        )
    if len(which) and (which.min() < 0 or which.max() >= labels):
        raise RecordingError(
            f"{path}: '{name}' names a video without a label",
            expected=f"0..{labels - 1}",
            got=f"{which.min():g}..{which.max():g}",
            fix=_COPY_AGAIN,
        )
    changes = np.flatnonzero(np.diff(which)) + 1
    starts = [0, *changes.tolist()] if len(which) else []
    stops = [*starts[1:], len(which)]
    found: _Videos = {}
    for start, stop in zip(starts, stops, strict=True):
        video = int(which[start])
        if video in found:
            raise RecordingError(
                f"{path}: '{name}' shows video {video} twice", expected="each once", fix=_COPY_AGAIN
            )
        found[video] = array[:-1, start:stop].T
    return found


def _emotions() -> tuple[str, ...]:
    # The module of the feature tables is not needed to start the command.
    from emodict_desk.tables.table import DMER_EMOTIONS

    return tuple(DMER_EMOTIONS)


def _labels(arrays: dict[str, NDArray[np.float64]], path: Path) -> NDArray[np.float64]:
    scores = arrays.get("dis_label")
    shares = None if scores is None else score_shares(scores)
    if shares is None:
        raise RecordingError(
            f"{path}: the array 'dis_label' cannot be used",
            expected=f"(videos, {len(_emotions())}) positive scores",
            got="no such array" if scores is None else scores.shape,
            fix=_COPY_AGAIN,
        )
    return shares


def score_shares(scores: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """(videos, 10) PANAS scores, or shares of them, as distributions;
    None where they are neither.
    """
    if scores.ndim != 2 or scores.shape[1] != len(_emotions()):
        return None
    sums = scores.sum(axis=1, keepdims=True)
    shares: NDArray[np.float64] | None = (
        scores / sums if (scores >= 0).all() and (sums > 0).all() else None
    )
    return shares


def _say_partial(order: list[int], parts: dict[str, _Videos], account: Account) -> None:
    for name, videos in parts.items():
        lacking = [str(video) for video in order if video not in videos]
        if lacking:
            account.note(f"{name} lacks video {', '.join(lacking)}")
        for video in sorted(set(videos) - set(order)):
            account.leave_out(f"video {video} of {name}", "no EEG")


def _length_s(video: int, parts: dict[str, _Videos]) -> float:
    """The longest modality of a video, in whole quarters of a second,
    a tick of the slowest clock.
    """
    longest = max(
        len(parts[name][video]) / rate for name, _, _, rate, _ in _ARRAYS if video in parts[name]
    )
    return float(np.ceil(longest * 4) / 4)


def _signals(order: list[int], parts: dict[str, _Videos]) -> dict[str, Signal]:
    signals = {}
    for name, modality, unit, rate_hz, channels in _ARRAYS:
        samples = Spool(len(channels))
        for video in order:
            there = parts[name].get(video, np.empty((0, len(channels))))
            missing = round((_length_s(video, parts) + _GAP_S) * rate_hz) - len(there)
            samples.append(np.full((missing, len(channels)), np.nan))
            samples.append(there)
        reference = "Pz" if modality == "eeg" else ""
        signals[modality] = Signal(modality, rate_hz, unit, channels, samples, reference)
    return signals


def _trials(order: list[int], parts: dict[str, _Videos], labels: NDArray[np.float64]) -> Trials:
    lengths_s = np.array([_length_s(video, parts) for video in order])
    stop_s = np.cumsum(lengths_s + _GAP_S)
    names = tuple(f"video{video:02}" for video in order)
    return Trials(stop_s - lengths_s, stop_s, names, labels[order], _emotions())


FORM = Form(read_dmer, looks_like_dmer)
