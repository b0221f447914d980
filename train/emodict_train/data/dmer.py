"""One subject of the DMER data set as released: datas.mat, eegfea.mat, perifea.mat,
videoFea.mat in a folder.

Yang et al., Scientific Data 11:847 (2024). `vids` names the video (the trial) of each row. EEG and
video have a row for every second, PPG and GSR for every five-second window, so the modalities are
aligned at the end of each trial.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from emodict.errors import TableError
from emodict.features.spec import ModalitySpec, load_spec
from emodict.features.windows import assemble, ready_made_rows
from emodict_desk.importers.dmer import score_shares
from emodict_desk.tables.matfile import read_complex_mat
from emodict_desk.tables.table import DMER_EMOTIONS, FeatureTable

FILES = ("datas.mat", "eegfea.mat", "perifea.mat", "videoFea.mat")
LBPTOP_DIMS = 768
COPY_AGAIN = "Copy the subject's folder again from the release, or leave it out"
_NONE = np.empty(0, dtype=np.intp)


def is_dmer_folder(path: Path) -> bool:
    """Does this folder hold one subject's feature files?"""
    return path.is_dir() and (path / "eegfea.mat").is_file()


def read_dmer_folder(folder: Path) -> FeatureTable:
    """All trials of one subject; features as released (spec dmer-2024, or -lbptop for 768-d video).

    Raises:
        TableError: a file or an array is missing, or the arrays do not fit together.
    """
    labels = _labels(folder)
    arrays = _arrays(folder)
    lbptop = arrays["video"].values.shape[1:] == (LBPTOP_DIMS,)
    spec = load_spec("dmer-2024-lbptop" if lbptop else "dmer-2024")
    for modality in spec.modalities:
        _check_shape(modality, arrays[modality.name], folder)
    aligned, which = _align(arrays)
    if len(which) and (which.min() < 0 or which.max() >= len(labels)):
        raise TableError(
            f"{folder}: vids name a video without a label",
            expected=f"0..{len(labels) - 1}",
            got=f"{which.min()}..{which.max()}",
            fix=COPY_AGAIN,
        )
    rows = {name: ready_made_rows(values) for name, values in aligned.items()}
    videos = np.char.add("video", np.char.zfill(which.astype(str), 2))
    return FeatureTable(
        windows=assemble(spec, np.arange(len(which), dtype=np.float64), rows),
        emotions=DMER_EMOTIONS,
        labels=labels[which],
        subject=np.full(len(which), folder.name),
        trial=videos,
        source=folder.name,
        # All people of DMER saw the same videos.
        stimulus=videos,
    )


class _Released(NamedTuple):
    """One modality as released: values (rows, ...) and the video of each row."""

    values: NDArray[np.float64]
    vids: NDArray[np.intp]


def _arrays(folder: Path) -> dict[str, _Released]:
    eeg_file, peri_file, video_file = (_load(folder, name) for name in FILES[1:])
    return {
        "eeg": _Released(_real(eeg_file, "feas", folder), _vids(eeg_file, folder)),
        "gsr": _Released(_real(peri_file, "feas_gsr", folder), _vids(peri_file, folder)),
        "ppg": _Released(_real(peri_file, "feas_ppg", folder), _vids(peri_file, folder)),
        "video": _Released(_real(video_file, "lbps_all", folder), _vids(video_file, folder)),
    }


def _check_shape(modality: ModalitySpec, released: _Released, folder: Path) -> None:
    values, vids = released
    if values.shape[1:] != modality.shape or len(vids) != len(values):
        raise TableError(
            f"{folder}: the {modality.name} features do not fit",
            expected=f"(rows, {', '.join(map(str, modality.shape))}) and as many vids",
            got=f"{values.shape} and {len(vids)} vids",
            fix=COPY_AGAIN,
        )


def _align(
    arrays: Mapping[str, _Released],
) -> tuple[dict[str, NDArray[np.float64]], NDArray[np.intp]]:
    """As many rows of each video as its shortest modality has, the last ones;
    and the video of each row.
    """
    picked: dict[str, list[NDArray[np.intp]]] = {name: [] for name in arrays}
    videos: list[int] = []
    for video in np.unique(arrays["gsr"].vids):
        rows = {name: np.flatnonzero(vids == video) for name, (_, vids) in arrays.items()}
        count = min(map(len, rows.values()))
        for name, of_video in rows.items():
            picked[name].append(of_video[len(of_video) - count :])
        videos += [int(video)] * count
    aligned = {
        name: arrays[name].values[np.concatenate([_NONE, *parts])] for name, parts in picked.items()
    }
    return aligned, np.array(videos, dtype=np.intp)


def _labels(folder: Path) -> NDArray[np.float64]:
    scores = _real(_load(folder, "datas.mat"), "dis_label", folder)
    shares = score_shares(scores)
    if shares is None:
        raise TableError(
            f"{folder}/datas.mat: dis_label cannot be used",
            expected="(videos, 10) positive scores",
            got=f"shape {scores.shape}, smallest {scores.min(initial=np.inf):.4g}",
            fix=COPY_AGAIN,
        )
    return shares


def _load(folder: Path, name: str) -> dict[str, NDArray[Any]]:
    path = folder / name
    if not path.is_file():
        raise TableError(
            f"{folder} is not a complete DMER subject: {name} is missing",
            expected=", ".join(FILES),
            fix=COPY_AGAIN,
        )
    return read_complex_mat(path)


def _real(content: dict[str, NDArray[Any]], name: str, folder: Path) -> NDArray[np.float64]:
    """Some releases store the spectrum's statistics as complex numbers;
    their real part is the feature.
    """
    if name not in content:
        held = ", ".join(sorted(content)) or "no numeric arrays"
        raise TableError(f"{folder}: the array '{name}' is missing", got=held, fix=COPY_AGAIN)
    return np.asarray(np.real(content[name]), dtype=np.float64)


def _vids(content: dict[str, NDArray[Any]], folder: Path) -> NDArray[np.intp]:
    return _real(content, "vids", folder).reshape(-1).astype(np.intp)
