"""AA-kNN: nearest neighbours, adapted to label distributions (Geng, IEEE TKDE
28:7, 2016, section 3.2).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from sklearn.neighbors import NearestNeighbors

from emodict.errors import InputError

if TYPE_CHECKING:
    from typing_extensions import Self  # in typing from Python 3.11 on

Float64Array = NDArray[np.float64]


@dataclass
class AAkNN:
    """The mean distribution of the k training rows that are nearest by Euclidean distance.

    The published s-JAFFE row (raw features, 10 folds) is reached by the defaults, `AAkNN()`.

    Attributes:
        k: number of neighbours; all training rows where there are fewer.
    """

    GRID: ClassVar[tuple[Mapping[str, Any], ...]] = tuple(
        {"k": k} for k in (1, 2, 3, 5, 10, 20, 40, 80)
    )

    k: int = 5
    _neighbours: NearestNeighbors | None = field(
        default=None, init=False, repr=False, compare=False
    )
    _D: Float64Array = field(
        default_factory=lambda: np.empty((0, 0)), init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        if self.k < 1:
            raise InputError(
                "AA-kNN needs a neighbour", expected="k of at least 1", got=self.k, fix="5 is usual"
            )

    def fit(self, X: Float64Array, D: Float64Array) -> Self:
        """Train on X (rows, features) and D (rows, labels) whose rows sum to 1."""
        self._neighbours, self._D = NearestNeighbors(n_neighbors=min(self.k, len(X))).fit(X), D
        return self

    def predict(self, X: Float64Array) -> Float64Array:
        """(rows, features) -> (rows, labels), rows sum to 1."""
        if self._neighbours is None:
            raise RuntimeError("fit comes before predict")
        nearest = self._neighbours.kneighbors(X, return_distance=False)
        distribution: Float64Array = self._D[nearest].mean(axis=1)
        return distribution
