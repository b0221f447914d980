"""SA-IIS and SA-BFGS: the maximum entropy model of label distributions (Geng, IEEE TKDE
28:7, 2016, section 3.3).

p(y | x) = exp(sum_k w_ky x_k) / sum_y' exp(sum_k w_ky' x_k).
Both minimise KL(label || p); they climb differently.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax

if TYPE_CHECKING:
    from typing_extensions import Self  # in typing from Python 3.11 on

Float64Array = NDArray[np.float64]

# The intercept of a label never seen in training would be log 0.
LEAST_SHARE = 1e-12


@dataclass
class MaximumEntropy(ABC):
    """What the two have in common with each other and with EDL-LRL: the model,
    and where its weights start.

    Attributes:
        max_iterations: after which the weights are taken as they are.
        intercept: a constant among the features, with weights that start at the log of the mean
            label. Geng has none, as his features sum to 1 and hold one already; z-scores do not.
    """

    max_iterations: int = 600
    intercept: bool = True
    _weights: Float64Array | None = field(default=None, init=False, repr=False, compare=False)

    def fit(self, X: Float64Array, D: Float64Array) -> Self:
        """Train on X (rows, features) and D (rows, labels) whose rows sum to 1."""
        inputs = self._inputs(X)
        weights = np.zeros((inputs.shape[1], D.shape[1]))
        if self.intercept:
            weights[-1] = np.log(np.maximum(D.mean(axis=0), LEAST_SHARE))
        self._weights = self._climb(inputs, D, weights)
        return self

    def predict(self, X: Float64Array) -> Float64Array:
        """(rows, features) -> (rows, labels), rows sum to 1."""
        if self._weights is None:
            raise RuntimeError("fit comes before predict")
        distribution: Float64Array = softmax(self._inputs(X) @ self._weights, axis=1)
        return distribution

    @abstractmethod
    def _climb(self, inputs: Float64Array, D: Float64Array, weights: Float64Array) -> Float64Array:
        """Better weights than these, (inputs, labels) both;
        `inputs` ends in the constant if there is one.
        """

    def _inputs(self, X: Float64Array) -> Float64Array:
        return np.column_stack([X, np.ones(len(X))]) if self.intercept else X


@dataclass
class SABFGS(MaximumEntropy):
    """The model fitted by the quasi-Newton method of Broyden, Fletcher,
    Goldfarb and Shanno, of limited memory.

    The published s-JAFFE row (raw features, 10 folds) is reached by `SABFGS(max_iterations=500,
    intercept=False)`. What regularises there is the early end: 600 iterations, the published limit
    from another start, give KL .053 instead of .050, and convergence, after some 3000, gives .113.

    Attributes:
        l2: weight of the sum of squared weights, without the intercept's,
            against the sum of KL over rows.
    """

    GRID: ClassVar[tuple[Mapping[str, Any], ...]] = tuple(
        {"l2": l2} for l2 in (0.0, 1e-4, 0.3, 3.0, 10.0, 30.0, 100.0, 300.0)
    )

    l2: float = 0.0

    def _climb(self, inputs: Float64Array, D: Float64Array, weights: Float64Array) -> Float64Array:
        penalty = l2_penalties(inputs, self.l2, intercept=self.intercept)

        def value_and_gradient(flat: Float64Array) -> tuple[float, Float64Array]:
            return regularised_kl(flat.reshape(weights.shape), inputs, D, penalty)

        return descend(value_and_gradient, weights, self.max_iterations)


def l2_penalties(inputs: Float64Array, l2: float, *, intercept: bool) -> Float64Array:
    """(inputs, 1) what a squared weight of each input costs: the intercept's is free."""
    penalties = np.full((inputs.shape[1], 1), l2)
    if intercept:
        penalties[-1] = 0.0
    return penalties


def regularised_kl(
    weights: Float64Array, inputs: Float64Array, D: Float64Array, penalties: Float64Array
) -> tuple[float, Float64Array]:
    """KL(D || p) summed over rows, short of D's entropy,
    plus the penalised squares; and its flat gradient.
    """
    log_p = log_softmax(inputs @ weights, axis=1)
    value = float((penalties * np.square(weights)).sum() - (D * log_p).sum())
    return value, (inputs.T @ (np.exp(log_p) - D) + 2 * penalties * weights).ravel()


def descend(value_and_gradient: Any, weights: Float64Array, max_iterations: int) -> Float64Array:
    """Weights of the shape given that L-BFGS reaches from there."""
    found = minimize(
        value_and_gradient,
        weights.ravel(),
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": max_iterations},
    )
    better: Float64Array = found.x.reshape(weights.shape)
    return better


@dataclass
class SAIIS(MaximumEntropy):
    """The model fitted by improved iterative scaling (Della Pietra, Della Pietra &
    Lafferty, IEEE TPAMI 19:4, 1997).

    It has no penalty: the fewer its iterations, the nearer it stays to the mean label. The
    published s-JAFFE row (raw features, 10 folds) is reached by `SAIIS(intercept=False)`, whose 600
    iterations end far from convergence.
    """

    GRID: ClassVar[tuple[Mapping[str, Any], ...]] = tuple(
        {"max_iterations": iterations} for iterations in (5, 10, 20, 50, 100, 200, 500, 1000)
    )

    def _climb(self, inputs: Float64Array, D: Float64Array, weights: Float64Array) -> Float64Array:
        scaling = _Scaling(inputs, D)
        log_p = log_softmax(inputs @ weights, axis=1)
        for _ in range(self.max_iterations):
            weights, log_p, gain = scaling.climbed(weights, log_p)
            if gain < _LEAST_GAIN * len(inputs):
                break
        return weights


# Nats per row below which another iteration of scaling is not worth its time.
_LEAST_GAIN = 1e-10
# No iteration changes any expectation by more than this factor:
# that of a label never seen should fall to 0.
_LARGEST_LOG_FACTOR = 3.0
# Keeps 0 / 0 out of features that are 0 throughout; its square is a normal number.
_TINY = 1e-150


class _Scaling:
    """Improved iterative scaling of one set of rows.

    An iteration solves, for each weight w_ky apart, sum_i p_iy x_ik exp(delta_ky sign(x_ik) f_i) =
    sum_i d_iy x_ik with f_i = sum_k |x_ik|. Here f_i is replaced by its mean over what feature k
    gives to label y, F_ky: the equation becomes quadratic in exp(delta F). It is exact where f is
    constant, as of histograms, and to first order elsewhere.
    """

    def __init__(self, inputs: Float64Array, D: Float64Array) -> None:
        self._inputs, self._D = inputs, D
        self._positive, self._negative = np.maximum(inputs, 0.0), np.maximum(-inputs, 0.0)
        self._total = np.abs(inputs).sum(axis=1, keepdims=True)
        self._wanted = inputs.T @ D

    def climbed(
        self, weights: Float64Array, log_p: Float64Array
    ) -> tuple[Float64Array, Float64Array, float]:
        """The weights after an iteration, log p (rows, labels) with them,
        and what the likelihood gained.
        """
        step = self._step(np.exp(log_p))
        while True:
            log_p_then = log_softmax(self._inputs @ (weights + step), axis=1)
            gain = float((self._D * (log_p_then - log_p)).sum())
            # Where f varies the step may be too long; it always points upwards.
            if gain >= 0 or np.abs(step).max() < _LEAST_GAIN:
                return weights + step, log_p_then, gain
            step = step / 2

    def _step(self, p: Float64Array) -> Float64Array:
        up, down = self._positive.T @ p + _TINY, self._negative.T @ p + _TINY
        weighted = self._total * p
        exponent = (self._positive.T @ weighted + self._negative.T @ weighted + _TINY) / (up + down)
        # up u - down / u = wanted, in the form that does not cancel.
        root = np.sqrt(np.square(self._wanted) + 4 * up * down)
        falls = self._wanted < 0
        factor = np.where(falls, 2 * down, self._wanted + root) / np.where(
            falls, root - self._wanted, 2 * up
        )
        step: Float64Array = (
            np.clip(np.log(factor), -_LARGEST_LOG_FACTOR, _LARGEST_LOG_FACTOR) / exponent
        )
        return step
