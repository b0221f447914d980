"""Splits of windows into training and held-out parts: by trial, the honest way, or at random as the paper does."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from emodict.errors import TableError

Indices = NDArray[np.intp]

SPLITS = ("trials", "windows")
SPLIT_NAMES = {
    "trials": "grouped by trial: no trial stands on both sides",
    "windows": "random windows: neighbours of a held-out second were trained on (recognises trials, not emotions)",
}


def k_folds(groups: Indices, *, split: str, folds: int, rng: np.random.Generator) -> list[Indices]:
    """Held-out rows of each fold; every row is held out once.

    Args:
        groups: (rows,) the trial of each row.
        split: `trials` keeps a trial's rows together, `windows` does not.

    Raises:
        TableError: fewer trials (or windows) than folds.
    """
    units = np.arange(len(groups)) if split == "windows" else groups
    order = rng.permutation(np.unique(units))
    if len(order) < folds:
        raise TableError(
            f"Too few {split} to hold some out",
            expected=f"at least {folds} {split}",
            got=len(order),
            fix="Add data" + (", or use --split windows" if split == "trials" else ""),
        )
    return [np.flatnonzero(np.isin(units, order[i::folds])) for i in range(folds)]


def complement(rows: Indices, count: int) -> Indices:
    """The rows of 0..count-1 that are not in `rows`."""
    kept = np.ones(count, dtype=bool)
    kept[rows] = False
    return np.flatnonzero(kept)
