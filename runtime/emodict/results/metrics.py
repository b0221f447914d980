"""The six measures of label distribution learning (Geng, IEEE TKDE 28:7, 2016),
in the order everyone prints them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating[Any]]

METRICS = ("chebyshev", "clark", "canberra", "kl", "cosine", "intersection")
LARGER_IS_BETTER = frozenset({"cosine", "intersection"})
# A predicted share below this counts as this in KL,
# which would be infinite for an impossible outcome.
CLIP = 1e-12


def distribution_metrics(truth: Array, predicted: Array) -> dict[str, NDArray[np.float64]]:
    """Each measure for each row; truth and predicted are (rows, labels), rows summing to 1.

    0 log 0 = 0, and the Clark and Canberra terms of a label that both call 0 are 0.
    """
    d, p = np.asarray(truth, dtype=np.float64), np.asarray(predicted, dtype=np.float64)
    gap, total = np.abs(d - p), d + p
    relative = np.divide(gap, total, out=np.zeros_like(gap), where=total != 0)
    log_ratio = np.log(np.where(d > 0, d, 1.0)) - np.log(np.maximum(p, CLIP))
    return {
        "chebyshev": gap.max(axis=1),
        "clark": np.sqrt(np.square(relative).sum(axis=1)),
        "canberra": relative.sum(axis=1),
        "kl": np.where(d > 0, d * log_ratio, 0.0).sum(axis=1),
        "cosine": (d * p).sum(axis=1) / (np.linalg.norm(d, axis=1) * np.linalg.norm(p, axis=1)),
        "intersection": np.minimum(d, p).sum(axis=1),
    }


def mean_metrics(truth: Array, predicted: Array) -> dict[str, float]:
    """Each measure averaged over rows."""
    return {
        name: float(values.mean())
        for name, values in distribution_metrics(truth, predicted).items()
    }


def percent(share: float) -> str:
    """In whole per cent; neither all nor nothing where it is not."""
    return ">99%" if 0.995 <= share < 1 else "<1%" if 0 < share <= 0.005 else f"{share:.0%}"
