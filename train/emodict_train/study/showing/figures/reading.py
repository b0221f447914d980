"""What several figures read from results: the methods to show and rows to show them on."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from emodict_train.study.compared.ablations import OURS, PAPER, ROBUST
from emodict_train.study.judging.results import Predictions, Results
from emodict_train.study.judging.statistics import BASELINES, cluster_kl, compared_methods

Float64Array = NDArray[np.float64]
Indices = NDArray[np.intp]


def best_rivals(results: Results, protocol: str, count: int) -> tuple[str, ...]:
    """The rivals with the smallest KL under this protocol, best first; a baseline is none."""
    found = cluster_kl(results, protocol, compared_methods(results, protocol))
    rivals = [method for method in found.methods if method not in (*OURS, *BASELINES)]
    return tuple(sorted(rivals, key=lambda method: float(found.of(method).mean()))[:count])


def leading(results: Results, protocol: str) -> Predictions | None:
    """The EmotionDict that a study recommends: the robust one,
    else the paper's; None: neither was run.
    """
    return results.predictions.get((protocol, ROBUST)) or results.predictions.get((protocol, PAPER))


def positions(predictions: Predictions, rows: Indices) -> Indices:
    """Where these rows of the data stand in what was predicted.

    Raises:
        ValueError: one of them was not held out.
    """
    order = np.argsort(predictions.rows, kind="stable")
    # Past the end means larger than every row: any position shows that it is not there.
    found: Indices = order[
        np.minimum(np.searchsorted(predictions.rows, rows, sorter=order), len(order) - 1)
    ]
    if not np.array_equal(predictions.rows[found], rows):
        raise ValueError(f"{predictions.method} did not predict every row of {rows}")
    return found


def first_of_each_trial(results: Results, rows: Indices, count: int) -> Indices:
    """At most `count` of these rows, in their order, no two from one trial."""
    seen: set[tuple[str, int]] = set()
    kept: list[int] = []
    for row in rows.tolist():
        trial = (str(results.data.subject[row]), int(results.data.trial[row]))
        if trial not in seen and len(kept) < count:
            seen.add(trial)
            kept.append(row)
    return np.array(kept, dtype=np.intp)
