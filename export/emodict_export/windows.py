"""Windows of real data as a device would hand them to the engine, to calibrate a precision on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from emodict.errors import TableError
from emodict.features.spec import FeatureSpec
from emodict.predict.scoring import answerable, table_for_model, with_missing_filled
from emodict.recording.session import open_session
from emodict_desk.tables.table import (
    FeatureTable,
    join_tables,
    table_from_recording,
    with_unknown_labels,
)
from emodict_export.export import missing_value
from emodict_train.data import OnFile, expand_paths, read_training_data
from emodict_train.model.checkpoint import Checkpoint


def calibration_table(
    checkpoint: Checkpoint,
    paths: Sequence[Path],
    *,
    on_file: OnFile = lambda path, done, total: None,
) -> FeatureTable:
    """All answerable rows of sessions (labelled or not),
    feature tables and every other kind of training data.

    Raises:
        InputError: a file that cannot be read,
            other features than the model's, or not one usable row.
    """
    files = [file for path in paths for file in expand_paths(path)]
    tables = []
    for i, file in enumerate(files):
        on_file(file, i, len(files))
        tables.append(
            table_for_model(_read(file, checkpoint.features), checkpoint.features, checkpoint.model)
        )
    table = join_tables(with_unknown_labels(tables))
    usable = answerable(table.windows, checkpoint.model.required_modalities)
    if not usable.any():
        raise TableError(
            f"{table.source} has no window that the model could answer",
            expected=f"windows with valid "
            f"{', '.join(checkpoint.model.required_modalities) or 'signals'}",
            got=f"0 of {len(table)}",
            fix="emodict-session validate says what is wrong with the signals",
        )
    return table.rows(usable)


def engine_tokens(checkpoint: Checkpoint, table: FeatureTable) -> NDArray[np.float32]:
    """(rows, tokens, width): what emodict-run would give the engine for these rows."""
    return with_missing_filled(table.windows, missing_value(checkpoint))


def _read(path: Path, features: FeatureSpec) -> FeatureTable:
    if path.suffix != ".h5":
        return read_training_data([path])
    with open_session(path) as recording:
        return table_from_recording(recording, features, name=path.stem)
