"""Distillation: a network is taught what kernel ridge regression makes of the labels,
not the labels themselves.

A trial's windows all bear its one label, so a network soon knows each trial by heart and is lost on
the next. Kernel ridge, its strength chosen on held-out trials, says of each training window only as
much as carries over to others. A network that is taught this cannot learn more by heart, however
long it trains (Hinton, Vinyals & Dean 2015).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emodict.errors import TableError
from emodict.results.metrics import distribution_metrics
from emodict_desk.tables.table import FeatureTable
from emodict_train.data.split import Indices, complement, k_folds
from emodict_train.rivals import GRIDS, RIVALS
from emodict_train.training.ensemble import Member

Float64Array = NDArray[np.float64]

FOLDS = 4
# A fold and the teacher each leave people out, and two must be left to learn from.
LEAST_SUBJECTS = 4
TEACHER = "kernel ridge"


def held_out_by_teacher(split: str, *, subject: NDArray[np.str_], trial: Indices) -> Indices:
    """(rows,) what the teacher's strength is chosen on: trials,
    or people where people are held out and enough.
    """
    names, number = np.unique(subject, return_inverse=True)
    return number.reshape(-1) if split == "subjects" and len(names) >= LEAST_SUBJECTS else trial


def softened_labels(
    inputs: Float64Array, labels: Float64Array, groups: Indices, *, share: float
) -> Float64Array:
    """What a network is taught: the labels,
    mixed with what the teacher predicts for its own training rows.

    Args:
        share: of the teacher in the mixture; 0 is the labels alone, without a teacher.
        inputs: (rows, ...) standardised, 0 where missing.
        labels: (rows, emotions).
        groups: (rows,) what is held out together to choose the teacher's
            strength: trials, or people.

    Raises:
        TableError: the rows are all of one group, so none can be held out.
    """
    if share == 0:
        return labels
    X = inputs.reshape(len(inputs), -1)
    count = len(np.unique(groups))
    if count < 2:
        raise TableError(
            "The robust preset chooses its teacher on trials that are held out",
            expected="at least 2 trials to train on",
            got=count,
            fix="Add data, or use --preset paper",
        )
    # The same rows always have the same teacher.
    rng = np.random.default_rng(0)
    strength = _best(X, labels, k_folds(groups, split="trials", folds=min(FOLDS, count), rng=rng))
    return share * RIVALS[TEACHER](**strength).fit(X, labels).predict(X) + (1 - share) * labels


def taught(
    table: FeatureTable, members: Sequence[Member], groups: Indices, *, share: float
) -> list[Member]:
    """The members with softened labels to learn; those of the same rows share a teacher.

    Args:
        members: standardised.
        groups: (table rows,) as for `softened_labels`.
    """
    assert table.labels is not None
    lessons: dict[int, Float64Array] = {}
    for member in members:
        rows = member.rows
        if id(rows) not in lessons:
            assert member.standardisation is not None
            inputs = member.standardisation.apply(table.windows.tokens[rows])
            lessons[id(rows)] = softened_labels(
                inputs, table.labels[rows], groups[rows], share=share
            )
    return [dataclasses.replace(member, taught=lessons[id(member.rows)]) for member in members]


def _best(X: Float64Array, D: Float64Array, held_out: list[Indices]) -> dict[str, Any]:
    """The candidate of least KL on rows that it was not fitted to."""
    return dict(
        min(GRIDS[TEACHER], key=lambda candidate: _held_out_kl(X, D, held_out, dict(candidate)))
    )


def _held_out_kl(
    X: Float64Array, D: Float64Array, held_out: list[Indices], candidate: dict[str, Any]
) -> float:
    total = 0.0
    for test in held_out:
        train = complement(test, len(X))
        predicted = RIVALS[TEACHER](**candidate).fit(X[train], D[train]).predict(X[test])
        total += float(distribution_metrics(D[test], predicted)["kl"].sum())
    return total
