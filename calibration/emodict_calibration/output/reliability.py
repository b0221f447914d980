"""Reliability of label distributions: what is predicted, in bins,
against what is true on average in each.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emodict.results.metrics import mean_metrics

Float64Array = NDArray[np.float64]

BINS = 10


@dataclass(frozen=True)
class Reliability:
    """How far predicted shares can be taken at their word.

    Attributes:
        predicted, true: (bins,) mean share in each bin of the predicted share; counts: (bins,)
        shares in it. ece: expected calibration error, sum_b counts_b |predicted_b - true_b| / sum_b
        counts_b. kl, chebyshev: mean over rows.
    """

    predicted: tuple[float, ...]
    true: tuple[float, ...]
    counts: tuple[int, ...]
    ece: float
    kl: float
    chebyshev: float

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {name: list(v) if isinstance(v, tuple) else v for name, v in vars(self).items()}


def reliability(truth: Float64Array, predicted: Float64Array, *, bins: int = BINS) -> Reliability:
    """(rows, labels) both; each share of each row is one point,
    and the bins hold equally many (+-1).
    """
    order = np.argsort(predicted, axis=None, kind="stable")
    parts = [part for part in np.array_split(order, bins) if len(part)]
    p = np.array([predicted.flat[part].mean() for part in parts])
    d = np.array([truth.flat[part].mean() for part in parts])
    counts = np.array([len(part) for part in parts])
    metrics = mean_metrics(truth, predicted)
    return Reliability(
        predicted=tuple(p.tolist()),
        true=tuple(d.tolist()),
        counts=tuple(counts.tolist()),
        ece=float((counts * np.abs(p - d)).sum() / counts.sum()),
        kl=metrics["kl"],
        chebyshev=metrics["chebyshev"],
    )
