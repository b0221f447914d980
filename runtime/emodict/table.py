"""FeatureTable: windows of features with, where known, their labels, person and trial; what training eats."""

from __future__ import annotations

import dataclasses
import json
import os
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emodict.atomic import atomic_path
from emodict.errors import EmodictError, TableError
from emodict.features.windows import FeatureWindows, ModalityRows, assemble, ready_made_rows
from emodict.matfile import read_mat
from emodict.spec import FeatureSpec, load_spec, spec_from_dict

# The ten PANAS items of DMER, in the order of its label columns.
DMER_EMOTIONS = (
    "Inspired", "Alert", "Excited", "Enthusiastic", "Determined", "Afraid", "Upset", "Nervous", "Scared", "Distressed"
)  # fmt: skip
LABEL_SUM_ATOL = 1e-3
SAMPLE_MODALITIES = ("eeg", "gsr", "ppg", "video")


@dataclass(frozen=True)
class FeatureTable:
    """Rows of features and what is known of each row.

    Attributes:
        labels: (rows, emotions), each row summing to 1; None where there is no truth.
        subject, trial: (rows,) names; a trial belongs to one subject and must not stand on both sides of a split.
        source: where the rows come from, for messages.
        simulated: some rows come from simulated people; every number that stands on them says so.
    """

    windows: FeatureWindows
    emotions: tuple[str, ...]
    labels: NDArray[np.float64] | None
    subject: NDArray[np.str_]
    trial: NDArray[np.str_]
    source: str
    simulated: bool = False

    def __post_init__(self) -> None:
        rows = len(self.windows)
        if len(self.subject) != rows or len(self.trial) != rows:
            raise TableError(f"{self.source}: subject, trial and features differ in length", expected=rows)
        if self.labels is not None:
            check_labels(self.labels, rows=rows, emotions=self.emotions, source=self.source)

    def __len__(self) -> int:
        return len(self.windows)

    @property
    def spec(self) -> FeatureSpec:
        return self.windows.spec

    @property
    def groups(self) -> NDArray[np.intp]:
        """(rows,) a number for each trial of each subject."""
        names = np.char.add(np.char.add(self.subject, "\x1f"), self.trial)
        return np.unique(names, return_inverse=True)[1].reshape(-1)

    def rows(self, which: NDArray[Any]) -> FeatureTable:
        """Some of the rows, by mask or index."""
        labels = None if self.labels is None else self.labels[which]
        return dataclasses.replace(
            self,
            windows=self.windows.slice(which),
            labels=labels,
            subject=self.subject[which],
            trial=self.trial[which],
        )

    def with_modalities(self, names: Sequence[str]) -> FeatureTable:
        """The same rows with these modalities only."""
        return dataclasses.replace(self, windows=self.windows.with_modalities(names))


def check_labels(labels: NDArray[Any], *, rows: int, emotions: Sequence[str], source: str) -> None:
    """Refuse labels that are not distributions.

    Raises:
        TableError: wrong shape, a negative or missing value, or a row that does not sum to 1.
    """
    if labels.shape != (rows, len(emotions)):
        raise TableError(f"{source}: the labels have the wrong shape", expected=(rows, len(emotions)), got=labels.shape)
    sums = labels.sum(axis=1)
    bad = np.flatnonzero(~((labels >= 0).all(axis=1) & (np.abs(sums - 1) <= LABEL_SUM_ATOL)))
    if len(bad):
        at = int(bad[0])
        raise TableError(
            f"{source}: label row {at} is not a distribution ({len(bad)} such rows)",
            expected="non-negative numbers that sum to 1",
            got=f"sum {sums[at]:.4g}, smallest {labels[at].min():.4g}",
            fix="Divide each row of scores by its sum",
        )


def read_table(path: str | os.PathLike[str], *, part: str | None = None) -> FeatureTable:
    """A feature table from a .npz of emodict's or the released .mat sample.

    Args:
        part: of a .mat that holds several (train_eeg..., test_eeg...): which; None where there is one.

    Raises:
        TableError: not such a file, or one that does not fit together.
    """
    path = Path(path)
    if not path.is_file():
        raise TableError(f"There is no file {path}", expected="a feature table (.npz or .mat)")
    if path.suffix == ".mat":
        return read_sample(path, part=part)
    if path.suffix == ".npz":
        return _read_npz(path)
    raise TableError(f"{path} is not a feature table", expected=".npz or .mat", got=path.suffix or "no file ending")


def read_sample(path: Path, *, part: str | None = None) -> FeatureTable:
    """The released one-subject sample: <part>_eeg (n,18,4), <part>_gsr, <part>_ppg (n,1,4), <part>_video (n,32)."""
    arrays = read_mat(path)
    parts = sorted({k.removesuffix("_eeg") for k in arrays if k.endswith("_eeg")})
    if part is None and len(parts) == 1:
        part = parts[0]
    if part not in parts:
        raise TableError(
            f"{path}: which part of the sample?",
            expected=f"--part with one of {', '.join(parts)}" if parts else "arrays train_eeg, train_gsr, ...",
            got=part or (", ".join(sorted(arrays)) or "no numeric arrays"),
        )
    spec = load_spec("dmer-sample")
    values = {m: _array(arrays, f"{part}_{m}", path) for m in SAMPLE_MODALITIES}
    count = len(values["eeg"])
    rows = {m: _ready_made(values[m], spec, m, count, path) for m in SAMPLE_MODALITIES}
    labels = arrays.get(f"{part}_label")
    windows = assemble(spec, np.arange(count, dtype=np.float64), rows)
    return FeatureTable(
        windows=windows,
        emotions=DMER_EMOTIONS,
        labels=None if labels is None else _normalised(labels.astype(np.float64)),
        subject=np.full(count, "sample"),
        trial=_trials_of(labels, count),
        source=path.name,
    )


def write_table(table: FeatureTable, path: str | os.PathLike[str]) -> None:
    """Write a .npz: one array per modality, tokens, valid, quality, start_s, names, and the labels if any."""
    windows = table.windows
    arrays: dict[str, Any] = {m.name: windows.features(m.name) for m in table.spec.modalities}
    names = [f"{m.name}/{f}" for m in table.spec.modalities for f in m.feature_names]
    arrays |= {
        "tokens": windows.tokens,
        "valid": windows.valid,
        "quality": windows.quality,
        "start_s": windows.start_s,
        "names": np.array(names),
        "modalities": np.array(table.spec.modality_names),
        "spec": np.array(json.dumps(table.spec.to_dict())),
        "spec_id": np.array(table.spec.id),
        "subject": table.subject,
        "trial": table.trial,
        "emotions": np.array(table.emotions, dtype=np.str_),
    }
    if table.labels is not None:
        arrays["labels"] = table.labels
    with atomic_path(path) as part, part.open("wb") as handle:
        np.savez_compressed(handle, **arrays)


def _read_npz(path: Path) -> FeatureTable:
    try:
        # Python objects in an .npz are pickles, and no pickle is ever loaded.
        with np.load(path, allow_pickle=False) as file:
            spec = spec_from_dict(json.loads(str(file["spec"])))
            windows = FeatureWindows(spec, file["start_s"], file["tokens"], file["valid"].astype(bool), file["quality"])
            _check_windows(windows, path)
            labels = file["labels"] if "labels" in file else None
            emotions = tuple(map(str, file["emotions"]))
            return FeatureTable(windows, emotions, labels, file["subject"], file["trial"], path.name)
    except (KeyError, ValueError, OSError, zipfile.BadZipFile) as error:
        if isinstance(error, EmodictError):
            raise
        raise TableError(
            f"{path} is not a feature table of emodict's: {error}",
            fix="emodict-session features SESSION.h5 -o TABLE.npz writes one",
        ) from error


def _check_windows(windows: FeatureWindows, path: Path) -> None:
    rows, spec = len(windows.start_s), windows.spec
    expected = (rows, spec.tokens, spec.token_width)
    columns = (rows, len(spec.modalities))
    if windows.tokens.shape != expected or windows.valid.shape != columns or windows.quality.shape != columns:
        raise TableError(f"{path}: the arrays do not fit the feature spec", expected=f"tokens {expected}",
                         got=windows.tokens.shape)  # fmt: skip


def _array(arrays: dict[str, NDArray[Any]], name: str, path: Path) -> NDArray[np.float64]:
    if name not in arrays:
        raise TableError(f"{path} has no array '{name}'", got=", ".join(sorted(arrays)))
    return arrays[name].astype(np.float64)


def _ready_made(values: NDArray[np.float64], spec: FeatureSpec, modality: str, count: int, path: Path) -> ModalityRows:
    """Features that arrive computed: a row with a NaN in it is not valid."""
    wanted = spec.modality(modality)
    if values.shape[:1] != (count,) or values[0:1].size not in (0, wanted.dims):
        raise TableError(f"{path}: '{modality}' has the wrong shape", expected=(count, *wanted.shape), got=values.shape)
    return ready_made_rows(values.reshape(count, *wanted.shape))


def _normalised(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rows as stored, rounding taken out; what is not a distribution is left for check_labels to refuse."""
    sums = scores.sum(axis=1, keepdims=True)
    close = np.abs(sums - 1) <= LABEL_SUM_ATOL
    return np.where(close, scores / np.where(close, sums, 1.0), scores)


def _trials_of(labels: NDArray[Any] | None, count: int) -> NDArray[np.str_]:
    """The windows of a trial share their label vector; equal vectors are taken for one (merged) trial."""
    if labels is None:
        return np.full(count, "?")
    which = np.unique(np.round(labels, 9), axis=0, return_inverse=True)[1].reshape(-1)
    return np.char.add("label", np.char.zfill(which.astype(str), 2))
