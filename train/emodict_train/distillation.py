"""Distillation: a network is taught what kernel ridge regression makes of the labels, not the labels themselves.

A trial's windows all bear its one label, so a network soon knows each trial by heart and is lost on the next. Kernel
ridge, its strength chosen on held-out trials, says of each training window only as much as carries over to others.
A network that is taught this cannot learn more by heart, however long it trains (Hinton, Vinyals & Dean 2015).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from emodict.metrics import distribution_metrics
from emodict_train.rivals import GRIDS, RIVALS
from emodict_train.split import Indices, complement, k_folds

Float64Array = NDArray[np.float64]

FOLDS = 4
# The teacher solves a system as large as its rows: of more, as many at random say enough.
MOST_ROWS = 2000
TEACHER = "kernel ridge"


def softened_labels(inputs: Float64Array, labels: Float64Array, groups: Indices, *, seed: int = 0) -> Float64Array:
    """What the teacher predicts for its own training rows.

    Args:
        inputs: (rows, ...) standardised, 0 where missing.
        labels: (rows, emotions).
        groups: (rows,) what is held out together to choose the teacher's strength: trials, or people.

    Raises:
        TableError: the rows are all of one group, so none can be held out.
    """
    X = inputs.reshape(len(inputs), -1)
    rng = np.random.default_rng(seed)
    basis = np.arange(len(X)) if len(X) <= MOST_ROWS else np.sort(rng.choice(len(X), MOST_ROWS, replace=False))
    folds = max(2, min(FOLDS, len(np.unique(groups[basis]))))
    held_out = k_folds(groups[basis], split="trials", folds=folds, rng=rng)
    strength = _best(X[basis], labels[basis], held_out)
    return RIVALS[TEACHER](**strength).fit(X[basis], labels[basis]).predict(X)


def _best(X: Float64Array, D: Float64Array, held_out: list[Indices]) -> dict[str, Any]:
    """The candidate of least KL on rows that it was not fitted to."""
    return dict(min(GRIDS[TEACHER], key=lambda candidate: _held_out_kl(X, D, held_out, dict(candidate))))


def _held_out_kl(X: Float64Array, D: Float64Array, held_out: list[Indices], candidate: dict[str, Any]) -> float:
    total = 0.0
    for test in held_out:
        train = complement(test, len(X))
        predicted = RIVALS[TEACHER](**candidate).fit(X[train], D[train]).predict(X[test])
        total += float(distribution_metrics(D[test], predicted)["kl"].sum())
    return total
