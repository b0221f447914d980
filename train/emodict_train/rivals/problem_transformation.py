"""PT-Bayes and PT-SVM: classifiers of single labels,
made to learn distributions (Geng, IEEE TKDE 28:7, 2016).

Problem transformation turns a row into one example of each label,
which counts by its share: weighted, or drawn.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from sklearn.calibration import CalibratedClassifierCV
from sklearn.naive_bayes import GaussianNB
from sklearn.svm import LinearSVC

from emodict_train.data.split import Indices

if TYPE_CHECKING:
    from typing_extensions import Self  # in typing from Python 3.11 on

Float64Array = NDArray[np.float64]

# Parts of the training rows that take turns in calibrating a machine trained on the
# others, as scikit-learn has it.
CALIBRATION_PARTS = 5
# liblinear leaves out examples of no weight, and must not be left with one class.
LEAST_WEIGHT = 1e-6


@dataclass
class PTBayes:
    """Naive Bayes with a normal density of each feature given the label;
    the posterior is the prediction.

    Geng draws as many examples as there are pairs of a row and a label, in proportion to the
    shares. Weights are what the draw is on average, without its noise, and are the default. The
    published s-JAFFE row (raw features, 10 folds) is that of drawn examples, `PTBayes(draw_seed=0)`
    with any seed: the noise of the draw raises KL from .061 to .073.

    Attributes:
        smoothing: added to each variance, as a share of the largest feature's. Dependent features
            make naive Bayes far too sure of itself; large values temper it, towards the mean label.
        draw_seed: of a draw of the examples by their shares; None: they are weighted.
    """

    GRID: ClassVar[tuple[Mapping[str, Any], ...]] = tuple(
        {"smoothing": smoothing} for smoothing in (1e-2, 0.05, 0.2, 1.0, 5.0, 15.0, 40.0, 100.0)
    )

    smoothing: float = 0.1
    draw_seed: int | None = None
    _labels: int = field(default=0, init=False, repr=False, compare=False)
    _prior: Float64Array | None = field(default=None, init=False, repr=False, compare=False)
    _model: GaussianNB | None = field(default=None, init=False, repr=False, compare=False)

    def fit(self, X: Float64Array, D: Float64Array) -> Self:
        """Train on X (rows, features) and D (rows, labels) whose rows sum to 1."""
        self._prior = None
        row, label = np.nonzero(D)
        weight: Float64Array | None = D[row, label]
        if self.draw_seed is not None:
            rng = np.random.default_rng(self.draw_seed)
            drawn = rng.choice(len(row), size=D.size, p=weight / D.sum())
            row, label, weight = row[drawn], label[drawn], None
        self._labels = D.shape[1]
        if not np.ptp(X, axis=0).any():
            # Of features that never vary there is no density:
            # only the labels' frequencies are left.
            self._prior = D.mean(axis=0)
            return self
        self._model = GaussianNB(var_smoothing=self.smoothing).fit(
            X[row], label, sample_weight=weight
        )
        return self

    def predict(self, X: Float64Array) -> Float64Array:
        """(rows, features) -> (rows, labels), rows sum to 1;
        a label never seen in training gets 0.
        """
        if self._prior is not None:
            return np.tile(self._prior, (len(X), 1))
        if self._model is None:
            raise RuntimeError("fit comes before predict")
        distribution = np.zeros((len(X), self._labels))
        distribution[:, self._model.classes_] = self._model.predict_proba(X)
        return distribution


@dataclass
class PTSVM:
    """A linear support vector machine for each label against the rest,
    made a probability by Platt's sigmoid.

    Each row is an example of the label, weighted by its share, and of the rest, by what remains;
    the labels' probabilities are then divided by their sum. The published s-JAFFE row (raw
    features, 10 folds) is reached by the defaults, `PTSVM()`. Geng's own machine, LIBSVM with
    pairwise coupling, did worse there (KL .086) and is far slower.

    Attributes:
        C: cost of a margin violation against the squared norm of the weights.
    """

    GRID: ClassVar[tuple[Mapping[str, Any], ...]] = tuple(
        {"C": C} for C in (1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1.0, 10.0, 100.0)
    )

    C: float = 1.0
    _labels: int = field(default=0, init=False, repr=False, compare=False)
    _models: dict[int, CalibratedClassifierCV] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def fit(self, X: Float64Array, D: Float64Array) -> Self:
        """Train on X (rows, features), at least two, and D (rows, labels) whose rows sum to 1."""
        self._labels = D.shape[1]
        self._models = {
            int(label): self._machine(X, D[:, label]) for label in np.flatnonzero(D.any(axis=0))
        }
        return self

    def predict(self, X: Float64Array) -> Float64Array:
        """(rows, features) -> (rows, labels), rows sum to 1;
        a label never seen in training gets 0.
        """
        if not self._models:
            raise RuntimeError("fit comes before predict")
        probability = np.zeros((len(X), self._labels))
        for label, model in self._models.items():
            probability[:, label] = model.predict_proba(X)[:, 1]
        distribution: Float64Array = probability / probability.sum(axis=1, keepdims=True)
        return distribution

    def _machine(self, X: Float64Array, share: Float64Array) -> CalibratedClassifierCV:
        # The primal problem is the faster one: there are fewer features than examples.
        machine = LinearSVC(C=self.C, dual=False)
        share = np.clip(share, LEAST_WEIGHT, 1 - LEAST_WEIGHT)
        return CalibratedClassifierCV(machine, cv=_calibration_splits(len(X))).fit(
            np.concatenate([X, X]),
            np.repeat([1, 0], len(X)),
            sample_weight=np.concatenate([share, 1 - share]),
        )


def _calibration_splits(rows: int) -> list[tuple[Indices, Indices]]:
    """Splits of the two copies of all rows that keep both copies,
    and neighbouring rows, on one side.
    """
    part = np.arange(rows) * min(CALIBRATION_PARTS, rows) // rows
    part_of_copy = np.tile(part, 2)
    return [
        (np.flatnonzero(part_of_copy != each), np.flatnonzero(part_of_copy == each))
        for each in np.unique(part)
    ]
