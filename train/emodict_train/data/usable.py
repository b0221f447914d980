"""usable_rows: the rows of a table that a model can be trained on."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from emodict.errors import TableError
from emodict.predict.scoring import answerable
from emodict_desk.tables.table import FeatureTable


def usable_rows(table: FeatureTable, *, required: tuple[str, ...] = ()) -> FeatureTable:
    """Rows with a label, the modalities that the model will need for an answer,
    and at least one modality.

    Raises:
        TableError: no labels, no such row, or a modality that no such row has.
    """
    if table.labels is None:
        raise TableError(
            f"{table.source} has no labels to train on",
            fix="Recordings need /trials with a distribution; tables need labels",
        )
    valid = table.windows.valid[np.isfinite(table.labels).all(axis=1)]
    never = [
        name for column, name in enumerate(table.spec.modality_names) if not valid[:, column].any()
    ]
    if valid.any() and never:
        rest = ",".join(name for name in table.spec.modality_names if name not in never)
        raise TableError(
            f"{table.source}: no labelled window has valid {', '.join(never)}, "
            f"so nothing can be learned about it",
            fix=f"Train without it: --modalities {rest}",
        )
    ready = answerable(table.windows, required)
    usable: NDArray[np.bool_] = ready & np.isfinite(table.labels).all(axis=1)
    if not usable.any():
        raise TableError(
            f"{table.source}: nothing to train on",
            expected="windows with a label and valid signals",
            got=f"{len(table)} windows, none such",
            fix="emodict-session inspect shows what a session holds",
        )
    return table if usable.all() else table.rows(usable)
