"""What every honest table shows besides the rivals: the mean label,
and kernel ridge regression of log-labels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist
from scipy.special import softmax
from sklearn import kernel_ridge

from emodict.errors import InputError

if TYPE_CHECKING:
    from typing_extensions import Self  # in typing from Python 3.11 on

Float64Array = NDArray[np.float64]

KERNELS = ("linear", "rbf")
# The system to solve is as large as the rows it rests on: of more, as many at random say enough.
MOST_ROWS = 2000


@dataclass
class MeanLabel:
    """The mean distribution of the training rows, whatever the features say."""

    GRID: ClassVar[tuple[Mapping[str, Any], ...]] = ({},)

    _mean: Float64Array | None = field(default=None, init=False, repr=False, compare=False)

    def fit(self, X: Float64Array, D: Float64Array) -> Self:
        """Take the mean of D (rows, labels) whose rows sum to 1."""
        self._mean = D.mean(axis=0)
        return self

    def predict(self, X: Float64Array) -> Float64Array:
        """(rows, features) -> (rows, labels), rows sum to 1."""
        if self._mean is None:
            raise RuntimeError("fit comes before predict")
        return np.tile(self._mean, (len(X), 1))


@dataclass
class KernelRidge:
    """Kernel ridge regression of the labels' logarithms about their training mean,
    made distributions by a softmax.

    It rests on at most MOST_ROWS training rows, drawn at random but always the same ones.

    Both kernels are free of the features' scale: a row's kernel with itself is 1,
    for `linear` on average.

    Attributes:
        kernel: `rbf`, exp(-width |x - x'|^2 / s) with s the mean squared distance of training rows,
            or `linear`, on features less their training mean.
        ridge: added to the kernel matrix's diagonal; the larger,
            the nearer the geometric mean label.
        width: of the rbf kernel.
        floor: what a smaller share counts as, so that it has a logarithm.
    """

    GRID: ClassVar[tuple[Mapping[str, Any], ...]] = (
        *({"kernel": "linear", "ridge": ridge} for ridge in (2.0, 10.0, 40.0)),
        *({"kernel": "rbf", "ridge": ridge} for ridge in (0.03, 0.3, 2.0, 6.0, 20.0)),
    )

    kernel: str = "rbf"
    ridge: float = 1.0
    width: float = 1.0
    floor: float = 1e-3
    _X: Float64Array = field(
        default_factory=lambda: np.empty((0, 0)), init=False, repr=False, compare=False
    )
    _scale: float = field(default=1.0, init=False, repr=False, compare=False)
    _mean: Float64Array | None = field(default=None, init=False, repr=False, compare=False)
    _model: kernel_ridge.KernelRidge | None = field(
        default=None, init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        if self.kernel not in KERNELS:
            raise InputError(
                "Kernel ridge does not know this kernel",
                expected=KERNELS,
                got=self.kernel,
                fix="Take rbf",
            )

    def fit(self, X: Float64Array, D: Float64Array) -> Self:
        """Train on X (rows, features) and D (rows, labels) whose rows sum to 1."""
        if len(X) > MOST_ROWS:
            drawn = np.sort(np.random.default_rng(0).choice(len(X), MOST_ROWS, replace=False))
            X, D = X[drawn], D[drawn]
        log_labels = np.log(np.maximum(D, self.floor))
        self._X, self._mean = X, log_labels.mean(axis=0)
        # Twice the mean squared distance to the mean is that of two rows (a row and
        # itself are two as well).
        spread = float(np.square(X - X.mean(axis=0)).sum(axis=1).mean())
        self._scale = (2 * spread if self.kernel == "rbf" else spread) or 1.0
        self._model = kernel_ridge.KernelRidge(alpha=self.ridge, kernel="precomputed")
        self._model.fit(self._kernel_to_training(X), log_labels - self._mean)
        return self

    def predict(self, X: Float64Array) -> Float64Array:
        """(rows, features) -> (rows, labels), rows sum to 1."""
        if self._model is None:
            raise RuntimeError("fit comes before predict")
        distribution: Float64Array = softmax(
            self._mean + self._model.predict(self._kernel_to_training(X)), axis=1
        )
        return distribution

    def _kernel_to_training(self, X: Float64Array) -> Float64Array:
        """(rows, training rows)"""
        if self.kernel == "rbf":
            similarity: Float64Array = np.exp(
                -self.width * cdist(X, self._X, "sqeuclidean") / self._scale
            )
        else:
            centre = self._X.mean(axis=0)
            similarity = (X - centre) @ (self._X - centre).T / self._scale
        return similarity
