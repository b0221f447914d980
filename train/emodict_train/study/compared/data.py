"""StudyData: what a study compares methods on,
from training data of every kind or from a .mat of labelled rows.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emodict.errors import TableError
from emodict_desk.sensors import ALL_SENSORS, Sensors
from emodict_desk.tables.matfile import read_mat
from emodict_desk.tables.table import FeatureTable, check_labels
from emodict_train.data import read_training_data
from emodict_train.data.usable import usable_rows

logger = logging.getLogger(__name__)
Float64Array = NDArray[np.float64]
Indices = NDArray[np.intp]
OnFile = Callable[[Path, int, int], None]

# The arrays of label distribution learning's benchmark files (Geng, IEEE TKDE 28:7,
# 2016), under either name.
FEATURES, LABELS = "features", ("labels", "distributions")
# What readers write where no trial is known.
UNKNOWN_TRIALS = ("", "?")


@dataclass(frozen=True)
class StudyData:
    """Labelled rows, and what belongs together among them.

    Attributes:
        X: (rows, features) as they are, NaN where missing;
            the padding of a table's tokens is left out.
        D: (rows, emotions), each row summing to 1.
        modalities: columns of X of each modality.
        trial: (rows,) number of the trial, of one subject each; what grouped folds keep together.
        subject: (rows,) names.
        source: where the rows come from, for tables and messages.
        simulated: some rows come from simulated people.
        stimulus: (rows,) what was shown or done, by one name in all people; "" where it is unknown.
        table: the rows as tokens, which EmotionDict is trained on; None: they have none, and
            nothing is known of trials and subjects.
    """

    X: Float64Array
    D: Float64Array
    modalities: Mapping[str, slice]
    trial: Indices
    subject: NDArray[np.str_]
    emotions: tuple[str, ...]
    source: str
    simulated: bool
    table: FeatureTable | None
    stimulus: NDArray[np.str_]

    def __len__(self) -> int:
        return len(self.X)

    @property
    def subjects(self) -> tuple[str, ...]:
        """Whose rows these are, by name."""
        return tuple(np.unique(self.subject).tolist())

    @cached_property
    def digest(self) -> str:
        """16 hex digits that change with any number or name that a method could see."""
        spec = "" if self.table is None else self.table.spec.fingerprint
        names = [
            spec,
            *self.emotions,
            *(f"{name} {part}" for name, part in self.modalities.items()),
        ]
        digest = hashlib.sha256("\x1f".join(names).encode())
        for array in (self.X, self.D, self.trial.astype(np.int64)):
            digest.update(f"{array.shape}".encode())
            digest.update(np.ascontiguousarray(array).tobytes())
        digest.update("\x1f".join(self.subject.tolist()).encode())
        if self.stimulus.any():
            digest.update("\x1f".join(self.stimulus.tolist()).encode())
        return digest.hexdigest()[:16]


def read_study_data(
    paths: Sequence[Path],
    *,
    spec_id: str | None = None,
    part: str | None = None,
    sensors: Sensors = ALL_SENSORS,
    allow_copies: bool = False,
    on_file: OnFile = lambda path, done, total: None,
) -> StudyData:
    """Read what `fit` reads, with the same options,
    or one .mat with the arrays `features` and `labels`.

    Raises:
        InputError: nothing to read, data that do not go together,
            or options that do not go with them.
    """
    if len(paths) == 1 and paths[0].suffix == ".mat" and paths[0].is_file():
        arrays = read_mat(paths[0])
        if FEATURES in arrays:
            _refuse_choices(
                paths[0],
                {"--spec": spec_id, "--part": part, "--modalities": sensors != ALL_SENSORS},
            )
            return _from_arrays(arrays, paths[0])
    return from_table(
        read_training_data(
            paths,
            spec_id=spec_id,
            part=part,
            sensors=sensors,
            allow_copies=allow_copies,
            on_file=on_file,
        )
    )


def from_table(table: FeatureTable) -> StudyData:
    """The labelled rows of a table that have at least one modality.

    Raises:
        TableError: no labels, no such row, or a modality that no such row has.
    """
    table = usable_rows(table)
    assert table.labels is not None
    blocks = {
        m.name: table.windows.features(m.name).reshape(len(table), m.dims)
        for m in table.spec.modalities
    }
    edges = np.cumsum([0, *(block.shape[1] for block in blocks.values())]).tolist()
    return StudyData(
        X=np.concatenate(list(blocks.values()), axis=1),
        D=table.labels / table.labels.sum(axis=1, keepdims=True),
        modalities={name: slice(edges[i], edges[i + 1]) for i, name in enumerate(blocks)},
        trial=_trials(table),
        subject=table.subject,
        emotions=table.emotions,
        source=table.source,
        simulated=table.simulated,
        table=table,
        stimulus=table.stimulus,
    )


def _trials(table: FeatureTable) -> Indices:
    """(rows,) the trial of each row; where it is unknown,
    a subject's rows of one label vector are taken for one.

    Two trials that share their labels become one so: grouped folds stay honest,
    they only get fewer groups.
    """
    unknown = np.isin(table.trial, UNKNOWN_TRIALS)
    if not unknown.any():
        return table.groups
    logger.warning(
        "%s: %d windows do not say which trial they are of; "
        "those of one label vector are taken for one trial",
        table.source,
        unknown.sum(),
    )
    assert table.labels is not None
    vector = np.unique(np.round(table.labels, 9), axis=0, return_inverse=True)[1].reshape(-1)
    subject = np.unique(table.subject, return_inverse=True)[1]
    names = np.stack(
        [subject, np.where(unknown, -1, table.groups), np.where(unknown, vector, -1)], axis=1
    )
    trial: Indices = np.unique(names, axis=0, return_inverse=True)[1].reshape(-1)
    return trial


def _refuse_choices(path: Path, given: Mapping[str, object]) -> None:
    """Rows without a feature spec have no modalities, channels or parts to choose from."""
    chosen = [option for option, value in given.items() if value]
    if chosen:
        raise TableError(
            f"{path} has features without a spec, so there is nothing to choose from",
            expected="neither --spec, --part, --modalities nor --channels",
            got=" and ".join(chosen) + (" (or --channels)" if "--modalities" in chosen else ""),
            fix="Leave them out",
        )


def _from_arrays(arrays: Mapping[str, NDArray[Any]], path: Path) -> StudyData:
    found = next((name for name in LABELS if name in arrays), None)
    if found is None:
        raise TableError(
            f"{path} has features and no labels",
            expected=" or ".join(f"an array '{name}'" for name in LABELS),
            got=", ".join(sorted(arrays)),
        )
    X, D = (arrays[name].astype(np.float64) for name in (FEATURES, found))
    finite = bool(np.isfinite(X).all())
    if X.ndim != 2 or D.ndim != 2 or len(X) != len(D) or not finite:
        raise TableError(
            f"{path}: features and labels do not fit together",
            expected="finite features (rows, features) and labels (rows, emotions)",
            got=f"{X.shape} and {D.shape}"
            + ("" if finite else ", some of the features no numbers"),
        )
    emotions = tuple(f"label {i + 1}" for i in range(D.shape[1]))
    check_labels(D, rows=len(D), emotions=emotions, source=path.name)
    known = ~np.isnan(D).any(axis=1)
    X, D = X[known], D[known]
    return StudyData(
        X=X,
        D=D / D.sum(axis=1, keepdims=True),
        modalities={FEATURES: slice(0, X.shape[1])},
        trial=np.arange(len(X)),
        subject=np.full(len(X), path.stem),
        emotions=emotions,
        source=path.name,
        simulated=False,
        table=None,
        stimulus=np.full(len(X), ""),
    )
