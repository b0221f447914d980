"""Splits of windows into training and held-out parts: by subject or trial,
or at random as the paper does.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from emodict.errors import TableError
from emodict_desk.tables.table import FeatureTable

Indices = NDArray[np.intp]

SPLITS = ("subjects", "trials", "windows")
SPLIT_NAMES = {
    "subjects": "grouped by subject: nobody stands on both sides",
    "trials": "grouped by trial: no trial stands on both sides",
    "windows": "random windows: neighbours of a held-out second were trained on (recognises "
    "trials, not emotions)",
}


_FIXES = {
    "subjects": "Add data, or use --split trials",
    "trials": "Add data, or use --split windows",
    "windows": "Add data",
}
# Of fewer people too few would be left to learn from.
LEAST_SUBJECTS = 3


def default_split(table: FeatureTable) -> str:
    """Whole people where there are enough: a model is worn by somebody that it has not seen."""
    return "subjects" if len(np.unique(table.subject)) >= LEAST_SUBJECTS else "trials"


def groups_of(table: FeatureTable, split: str) -> Indices:
    """(rows,) the number of what a split keeps together: a subject, or a trial."""
    if split == "subjects":
        return np.unique(table.subject, return_inverse=True)[1].reshape(-1)
    return table.groups


def k_folds(groups: Indices, *, split: str, folds: int, rng: np.random.Generator) -> list[Indices]:
    """Held-out rows of each fold; every row is held out once.

    Args:
        groups: (rows,) what is kept together, such as the trial of each row.
        split: `windows` keeps nothing together; the others differ in their words alone.

    Raises:
        TableError: fewer subjects, trials or windows than folds.
    """
    units = np.arange(len(groups)) if split == "windows" else groups
    order = rng.permutation(np.unique(units))
    if len(order) < folds:
        raise TableError(
            f"Too few {split} to hold some out",
            expected=f"at least {folds} {split}",
            got=len(order),
            fix=_FIXES[split],
        )
    return [np.flatnonzero(np.isin(units, order[i::folds])) for i in range(folds)]


def complement(rows: Indices, count: int) -> Indices:
    """The rows of 0..count-1 that are not in `rows`."""
    kept = np.ones(count, dtype=bool)
    kept[rows] = False
    return np.flatnonzero(kept)
