"""FeatureTable: windows of features with, where known, their labels,
person and trial; what training eats.
"""

from __future__ import annotations

import copy
import dataclasses
import json
import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emodict.errors import EmodictError, TableError
from emodict.features.extract import extract_features
from emodict.features.plausible import doubts_of
from emodict.features.spec import (
    FeatureSpec,
    load_spec,
    require_known_spec,
    require_same_spec,
    spec_from_dict,
)
from emodict.features.truth import trial_of_rows
from emodict.features.windows import (
    FeatureWindows,
    ModalityRows,
    assemble,
    concatenate,
    numeric_rows,
    ready_made_rows,
)
from emodict.files.atomic import atomic_path
from emodict.files.jsontext import parse_json
from emodict.recording.recording import (
    LABEL_SUM_ATOL,
    Recording,
    distribution_problems,
    raise_first,
)
from emodict_desk.tables.matfile import read_mat
from emodict_desk.tables.npz import DAMAGE, open_npz
from emodict_desk.tables.stimuli import STIMULUS

logger = logging.getLogger(__name__)

# The ten PANAS items of DMER, in the order of its label columns.
DMER_EMOTIONS = (
    "Inspired",
    "Alert",
    "Excited",
    "Enthusiastic",
    "Determined",
    "Afraid",
    "Upset",
    "Nervous",
    "Scared",
    "Distressed",
)
SAMPLE_MODALITIES = ("eeg", "gsr", "ppg", "video")


@dataclass(frozen=True)
class FeatureTable:
    """Rows of features and what is known of each row.

    Attributes:
        labels: (rows, emotions), each row summing to 1, or NaN where its truth is unknown;
            None: none is known.
        subject, trial: (rows,) names; a trial belongs to one subject and must not stand on both
            sides of a split.
        source: where the rows come from, for messages.
        simulated: some rows come from simulated people; every number that stands on them says so.
        stimulus: (rows,) what was shown or done, by one name in all people; "" where it is unknown.
    """

    windows: FeatureWindows
    emotions: tuple[str, ...]
    labels: NDArray[np.float64] | None
    subject: NDArray[np.str_]
    trial: NDArray[np.str_]
    source: str
    simulated: bool = False
    stimulus: NDArray[np.str_] = field(default_factory=lambda: np.empty(0, dtype=np.str_))

    def __post_init__(self) -> None:
        if not len(self.stimulus):
            object.__setattr__(self, "stimulus", np.full(len(self.windows), ""))
        rows = len(self.windows)
        if self.subject.shape != (rows,) or self.trial.shape != (rows,):
            raise TableError(
                f"{self.source}: subject, trial and features differ in length",
                expected=(rows,),
                got=f"{self.subject.shape} and {self.trial.shape}",
            )
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
        windows = self.windows.slice(which)
        names = {name: getattr(self, name)[which] for name in ("subject", "trial", "stimulus")}
        return self._with(windows=windows, labels=labels, **names)

    def with_modalities(self, names: Sequence[str]) -> FeatureTable:
        """The same rows with these modalities only."""
        return self._with(windows=self.windows.with_modalities(names))

    def with_channels(self, names: Sequence[str]) -> FeatureTable:
        """The same rows with these EEG channels only, in this order;
        see `FeatureWindows.with_channels`.
        """
        return self._with(windows=self.windows.with_channels(names))

    def with_emotions(self, emotions: tuple[str, ...], *, asked_by: str) -> FeatureTable:
        """The same rows, their labels in this order of the emotions.

        Raises:
            TableError: it has other emotions than `asked_by`, for whom this is.
        """
        if set(emotions) != set(self.emotions):
            raise TableError(
                f"{asked_by} and {self.source} have different emotions",
                expected=", ".join(emotions),
                got=", ".join(self.emotions),
                fix="Use a model and recordings of the same emotions",
            )
        order = [self.emotions.index(name) for name in emotions]
        return self._with(
            emotions=emotions, labels=None if self.labels is None else self.labels[:, order]
        )

    def _with(self, **parts: Any) -> FeatureTable:
        """A table of this one's parts, whose labels need not be added up again."""
        table = copy.copy(self)
        vars(table).update(parts)
        return table


def table_from_recording(recording: Recording, spec: FeatureSpec, *, name: str) -> FeatureTable:
    """All rows of a recording; those outside trials, or in trials without truth,
    have no trial and label NaN.

    `name` stands in for ids that the recording lacks. What is doubtful in its signals is logged.
    """
    for doubt in doubts_of(recording, spec.modality_names):
        logger.warning("%s: doubtful: %s", name, doubt)
    windows = extract_features(recording, spec)
    session = recording.session_id or name
    trials, count = recording.trials, len(windows)
    labels: NDArray[np.float64] | None = None
    emotions: tuple[str, ...] = ()
    trial_names: NDArray[Any] = np.full(count, "", dtype=object)
    stimulus = trial_names
    if trials is not None and len(trials):
        trial = trial_of_rows(windows.start_s, spec, trials)
        names = np.array([f"{session}/{trial_id}" for trial_id in trials.trial_id], dtype=object)
        trial_names = np.where(trial >= 0, names[trial], "")
        if STIMULUS in recording.attributes:
            stimulus = np.where(trial >= 0, np.array(trials.trial_id, dtype=object)[trial], "")
        if trials.distribution is not None:
            emotions = trials.label_names
            labels = np.where((trial >= 0)[:, None], trials.truth[trial], np.nan)
    return FeatureTable(
        windows=windows,
        emotions=emotions,
        labels=labels,
        subject=np.full(count, recording.subject_id or name),
        trial=trial_names.astype(np.str_),
        source=name,
        simulated=recording.simulated,
        stimulus=stimulus.astype(np.str_),
    )


def join_tables(tables: Sequence[FeatureTable]) -> FeatureTable:
    """All rows, in order.

    Raises:
        SpecError: the tables use different features.
        TableError: they have different emotions (another order of the same is put right),
            or only some have labels.
    """
    first = tables[0]
    for other in tables[1:]:
        require_same_spec(first.spec, other.spec, ours_is=first.source, theirs_is=other.source)
        if (other.labels is None) != (first.labels is None):
            bare = other if other.labels is None else first
            raise TableError(f"{bare.source} has no labels, the others have", fix="Leave it out")
    if len(tables) == 1:
        return first
    tables = [table.with_emotions(first.emotions, asked_by=first.source) for table in tables]
    labels = [t.labels for t in tables if t.labels is not None]
    return FeatureTable(
        windows=concatenate(first.spec, [t.windows for t in tables]),
        emotions=first.emotions,
        labels=np.concatenate(labels) if labels else None,
        subject=np.concatenate([t.subject for t in tables]),
        trial=np.concatenate([t.trial for t in tables]),
        source=f"{first.source} and {len(tables) - 1} more",
        simulated=any(t.simulated for t in tables),
        stimulus=np.concatenate([t.stimulus for t in tables]),
    )


def with_unknown_labels(tables: Sequence[FeatureTable]) -> list[FeatureTable]:
    """Beside tables with labels, those without get labels of NaN: rows whose truth is unknown."""
    labelled = next((table for table in tables if table.labels is not None), None)
    if labelled is None:
        return list(tables)
    emotions = labelled.emotions
    return [
        dataclasses.replace(
            table, emotions=emotions, labels=np.full((len(table), len(emotions)), np.nan)
        )
        if table.labels is None
        else table
        for table in tables
    ]


def check_labels(labels: NDArray[Any], *, rows: int, emotions: Sequence[str], source: str) -> None:
    """Refuse labels that are not distributions.

    Raises:
        TableError: wrong shape, a negative or missing value, or a row that does not sum to 1; a row
            of NaN alone is one whose truth is unknown.
    """
    if labels.shape != (rows, len(emotions)):
        raise TableError(
            f"{source}: the labels have the wrong shape",
            expected=(rows, len(emotions)),
            got=labels.shape,
        )
    known = ~np.isnan(labels).all(axis=1)
    rows_of_known = np.flatnonzero(known)
    raise_first(
        distribution_problems(
            labels[known], lambda row: f"{source}: label row {rows_of_known[row]}", error=TableError
        )
    )


def read_table(path: str | os.PathLike[str], *, part: str | None = None) -> FeatureTable:
    """A feature table from a .npz of emodict's or the released .mat sample.

    Args:
        part: of a .mat that holds several (train_eeg..., test_eeg...): which;
            None where there is one.

    Raises:
        TableError: not such a file, or one that does not fit together.
    """
    path = Path(path)
    if not path.is_file():
        raise TableError(
            f"There is no file {path}",
            expected="a feature table (.npz or .mat)",
            fix="Check the path",
        )
    if path.suffix == ".mat":
        return read_sample(path, part=part)
    if path.suffix == ".npz":
        return _read_npz(path)
    raise TableError(
        f"{path} is not a feature table",
        expected=".npz or .mat",
        got=path.suffix or "no file ending",
        fix="emodict-session features SESSION.h5 -o TABLE.npz writes one",
    )


def no_parts(path: Path) -> TableError:
    """The answer to --part for anything but a .mat sample."""
    return TableError(
        f"{path} has no parts to choose from",
        expected="--part only with a .mat sample",
        fix="Leave --part out",
    )


def read_sample(path: Path, *, part: str | None = None) -> FeatureTable:
    """The released one-subject sample: <part>_eeg (n,18,4), <part>_gsr,
    <part>_ppg (n,1,4), <part>_video (n,32).
    """
    arrays = read_mat(path)
    parts = sorted({k.removesuffix("_eeg") for k in arrays if k.endswith("_eeg")})
    if part is None and len(parts) == 1:
        part = parts[0]
    if part not in parts:
        raise TableError(
            f"{path}: which part of the sample?",
            expected=f"--part with one of {', '.join(parts)}"
            if parts
            else "arrays train_eeg, train_gsr, ...",
            got=part or (", ".join(sorted(arrays)) or "no numeric arrays"),
        )
    spec = load_spec("dmer-sample")
    values = {m: _array(arrays, f"{part}_{m}", path) for m in SAMPLE_MODALITIES}
    count = len(values["eeg"])
    rows = {m: _ready_made(values[m], spec, m, count, path) for m in SAMPLE_MODALITIES}
    labels = arrays.get(f"{part}_label")
    if labels is not None:
        labels = _normalised(labels.astype(np.float64))
        check_labels(labels, rows=count, emotions=DMER_EMOTIONS, source=path.name)
    windows = assemble(spec, np.arange(count, dtype=np.float64), rows)
    return FeatureTable(
        windows=windows,
        emotions=DMER_EMOTIONS,
        labels=labels,
        subject=np.full(count, "sample"),
        trial=_trials_of(labels, count),
        source=path.name,
    )


def write_table(table: FeatureTable, path: str | os.PathLike[str]) -> None:
    """Write a .npz: one array per modality, tokens, valid, quality, start_s,
    names, and the labels if any.
    """
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
        "simulated": np.array(table.simulated),
        "stimulus": table.stimulus,
        "emotions": np.array(table.emotions, dtype=np.str_),
    }
    if table.labels is not None:
        arrays["labels"] = table.labels
    with atomic_path(path) as part, part.open("wb") as handle:
        np.savez_compressed(handle, **arrays)


def _read_npz(path: Path) -> FeatureTable:
    try:
        with open_npz(path) as file:
            return _table_of(file, path)
    except EmodictError:
        raise
    except DAMAGE as error:
        raise TableError(
            f"{path} is not a feature table of emodict's: {error}",
            fix="emodict-session features SESSION.h5 -o TABLE.npz writes one",
        ) from error


def _table_of(file: Mapping[str, NDArray[Any]], path: Path) -> FeatureTable:
    spec = spec_from_dict(parse_json(str(file["spec"])))
    require_known_spec(spec, source=str(path), again="extract the features")
    start_s, tokens, quality = (
        np.asarray(file[name], dtype=np.float64) for name in ("start_s", "tokens", "quality")
    )
    windows = FeatureWindows(spec, start_s, tokens, np.asarray(file["valid"], dtype=bool), quality)
    _check_windows(windows, path)
    windows = _agreeing(windows)
    labels = np.asarray(file["labels"], dtype=np.float64) if "labels" in file else None
    subject, trial, emotions = (
        np.atleast_1d(file[name]).astype(np.str_) for name in ("subject", "trial", "emotions")
    )
    simulated = "simulated" in file and bool(np.any(file["simulated"]))
    # Tables of older versions have none.
    stimulus = np.atleast_1d(file.get("stimulus", np.empty(0))).astype(np.str_)
    return FeatureTable(
        windows, tuple(emotions.tolist()), labels, subject, trial, path.name, simulated,
        stimulus if len(stimulus) == len(windows) else np.empty(0, dtype=np.str_),
    )  # fmt: skip


def _agreeing(windows: FeatureWindows) -> FeatureWindows:
    """Valid only where every feature is usable, and numbers only where valid,
    whatever an edited file says.
    """
    valid, tokens = windows.valid.copy(), windows.tokens.copy()
    for column, name in enumerate(windows.spec.modality_names):
        part = tokens[:, windows.spec.token_slices[name]]
        valid[:, column] &= numeric_rows(part)
        part[~valid[:, column]] = np.nan
    return FeatureWindows(
        windows.spec, windows.start_s, tokens, valid, np.where(valid, windows.quality, 0.0)
    )


def _check_windows(windows: FeatureWindows, path: Path) -> None:
    rows, spec = windows.tokens.shape[:1], windows.spec
    columns = (*rows, len(spec.modalities))
    for name, got, expected in (
        ("tokens", windows.tokens.shape, (*rows, spec.tokens, spec.token_width)),
        ("start_s", windows.start_s.shape, rows),
        ("valid", windows.valid.shape, columns),
        ("quality", windows.quality.shape, columns),
    ):
        if got != expected:
            raise TableError(
                f"{path}: '{name}' does not fit the feature spec {spec}", expected=expected, got=got
            )


def _array(arrays: dict[str, NDArray[Any]], name: str, path: Path) -> NDArray[np.float64]:
    if name not in arrays:
        raise TableError(
            f"{path} has no array '{name}'",
            expected="<part>_eeg, _gsr, _ppg, _video",
            got=", ".join(sorted(arrays)),
            fix="Use the sample as released, or another --part",
        )
    return arrays[name].astype(np.float64)


def _ready_made(
    values: NDArray[np.float64], spec: FeatureSpec, modality: str, count: int, path: Path
) -> ModalityRows:
    """Features that arrive computed: a row with a NaN in it is not valid."""
    wanted = spec.modality(modality)
    if values.shape not in ((count, *wanted.shape), (count, wanted.dims)):
        raise TableError(
            f"{path}: '{modality}' has the wrong shape",
            expected=(count, *wanted.shape),
            got=values.shape,
        )
    return ready_made_rows(values.reshape(count, *wanted.shape))


def _normalised(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rows as stored, rounding taken out;
    what is not a distribution is left for check_labels to refuse.
    """
    sums = scores.sum(axis=1, keepdims=True)
    close = np.abs(sums - 1) <= LABEL_SUM_ATOL
    return np.where(close, scores / np.where(close, sums, 1.0), scores)


def _trials_of(labels: NDArray[Any] | None, count: int) -> NDArray[np.str_]:
    """The windows of a trial share their label vector;
    equal vectors are taken for one (merged) trial.
    """
    if labels is None:
        return np.full(count, "?")
    which = np.unique(np.round(labels, 9), axis=0, return_inverse=True)[1].reshape(-1)
    return np.char.add("label", np.char.zfill(which.astype(str), 2))
