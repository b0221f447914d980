"""EDL-LRL: emotion distribution learning with local low-rank label correlations
(Jia et al., CVPR 2019).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from emodict_train.data.split import Indices
from emodict_train.rivals.maximum_entropy import (
    MaximumEntropy,
    descend,
    l2_penalties,
    regularised_kl,
)

Float64Array = NDArray[np.float64]

# Quasi-Newton iterations in a round of ADMM: the next round goes on from there.
_ITERATIONS_OF_A_ROUND = 20


@dataclass
class EDLLRL(MaximumEntropy):
    """The maximum entropy model, whose predictions for similar rows shall be a matrix of low rank.

    Minimises sum KL(d || p) + l2 ||W||_F^2 + low_rank sum_g ||P_g||_*, P_g being the predictions
    for the training rows of cluster g (k-means on the features), by the alternating direction
    method of multipliers: a copy Z_g of P_g takes the trace norm.

    Attributes:
        l2: as in SABFGS.
        low_rank: weight of the trace norms (sums of singular values).
        clusters: number of groups of training rows with label correlations of their own.
        coupling: weight of ||P - Z||_F^2 / 2.
        max_iterations: quasi-Newton iterations in all.
        seed: of the clusters.
    """

    GRID: ClassVar[tuple[Mapping[str, Any], ...]] = tuple(
        {"l2": l2, "low_rank": low_rank}
        for l2 in (1e-4, 3.0, 30.0, 100.0)
        for low_rank in (0.1, 1.0)
    )

    l2: float = 1e-4
    low_rank: float = 0.1
    clusters: int = 5
    coupling: float = 1.0
    seed: int = 0

    def _climb(self, inputs: Float64Array, D: Float64Array, weights: Float64Array) -> Float64Array:
        penalties = l2_penalties(inputs, self.l2, intercept=self.intercept)
        groups = _similar_rows(inputs, self.clusters, self.seed)
        copy, dual = softmax(inputs @ weights, axis=1), np.zeros(D.shape)

        def value_and_gradient(flat: Float64Array) -> tuple[float, Float64Array]:
            W = flat.reshape(weights.shape)
            value, gradient = regularised_kl(W, inputs, D, penalties)
            apart, pull = _coupling(W, inputs, copy - dual, self.coupling)
            return value + apart, gradient + pull

        for _ in range(max(1, self.max_iterations // _ITERATIONS_OF_A_ROUND)):
            weights = descend(value_and_gradient, weights, _ITERATIONS_OF_A_ROUND)
            P = softmax(inputs @ weights, axis=1)
            for rows in groups:
                copy[rows] = shrink_singular_values(
                    P[rows] + dual[rows], self.low_rank / self.coupling
                )
            dual += P - copy
        return weights


def shrink_singular_values(matrix: Float64Array, threshold: float) -> Float64Array:
    """Z that minimises ||Z - matrix||_F^2 / 2 + threshold ||Z||_* (Cai, Candes & Shen,
    SIAM J. Optim. 20:4, 2010).
    """
    U, singular, V = np.linalg.svd(matrix, full_matrices=False)
    shrunk: Float64Array = (U * np.maximum(singular - threshold, 0.0)) @ V
    return shrunk


def _coupling(
    W: Float64Array, inputs: Float64Array, target: Float64Array, coupling: float
) -> tuple[float, Float64Array]:
    """The term coupling ||P - target||_F^2 / 2, and its flat gradient in W."""
    P = softmax(inputs @ W, axis=1)
    pull = coupling * (P - target)
    through_softmax = P * (pull - (pull * P).sum(axis=1, keepdims=True))
    return coupling * float(np.square(P - target).sum()) / 2, (inputs.T @ through_softmax).ravel()


def _similar_rows(inputs: Float64Array, clusters: int, seed: int) -> list[Indices]:
    from sklearn.cluster import KMeans

    clusters = min(clusters, len(np.unique(inputs, axis=0)))
    cluster = KMeans(clusters, n_init=1, random_state=seed).fit_predict(inputs)
    return [np.flatnonzero(cluster == each) for each in np.unique(cluster)]
