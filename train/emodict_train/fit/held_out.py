"""Early stopping: folds in training, what each predicts of the rows it holds out,
and after which epoch to stop.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from emodict.results.metrics import mean_metrics
from emodict_train.data.split import Indices
from emodict_train.training.ensemble import Ensemble, Member, steps_of_an_epoch
from emodict_train.training.plan import StepPlan

Float64Array = NDArray[np.float64]


@dataclass(frozen=True)
class Fold:
    """Rows that are held out together, and what was predicted of them.

    Attributes:
        rows: of the table.
        truth: (rows, emotions).
        mean_label: (emotions,) of the rows that are trained on.
        predictions: (rows, emotions) after each epoch.
    """

    rows: Indices
    truth: Float64Array
    mean_label: Float64Array
    predictions: list[Float64Array] = field(default_factory=list)


class FoldsInTraining:
    """A network for each fold, trained on all rows but the fold's.

    Those that take as many steps in an epoch are trained at once:
    each is then trained as it would be alone.
    """

    def __init__(
        self,
        folds: Sequence[Fold],
        members: Sequence[Member],
        plan: StepPlan,
        train: Callable[[Sequence[Member]], Ensemble],
    ) -> None:
        self.folds = tuple(folds)
        alike: dict[tuple[int, int], list[int]] = defaultdict(list)
        for i, member in enumerate(members):
            alike[steps_of_an_epoch(len(member.rows), plan)].append(i)
        self._parts = [(which, train([members[i] for i in which])) for which in alike.values()]

    def run_epoch(self) -> None:
        """Train all for an epoch, and predict what each holds out."""
        for which, ensemble in self._parts:
            ensemble.run_epoch()
            own = [self.folds[i] for i in which]
            for fold, predicted in zip(
                own, ensemble.predict(rows=[fold.rows for fold in own]), strict=True
            ):
                fold.predictions.append(predicted)

    def kl(self) -> float:
        """The held-out KL after the latest epoch, over all rows."""
        return pooled(self.folds, [len(fold.predictions) - 1 for fold in self.folds])["model"]["kl"]

    def state(self) -> dict[str, Any]:
        """For `restore`; tensors and plain values."""
        predictions = [torch.from_numpy(np.stack(fold.predictions)) for fold in self.folds]
        return {
            "networks": [ensemble.state() for _, ensemble in self._parts],
            "predictions": predictions,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a `state`."""
        for (_, ensemble), saved in zip(self._parts, state["networks"], strict=True):
            ensemble.restore(saved)
        for fold, predictions in zip(self.folds, state["predictions"], strict=True):
            fold.predictions[:] = predictions.numpy()


def epochs_for_others(folds: Sequence[Fold]) -> list[int]:
    """For each fold the epoch that is best on the OTHER folds,
    so that no row is judged by a choice made on it.

    A lone fold has no others: its epoch is chosen on its own rows, which flatters a little.
    """
    curves = np.array(
        [[mean_metrics(fold.truth, p)["kl"] for p in fold.predictions] for fold in folds]
    )
    rows = np.array([len(fold.truth) for fold in folds])
    if len(folds) == 1:
        return [int(curves[0].argmin())]
    total = rows @ curves
    return [int((total - rows[i] * curves[i]).argmin()) for i in range(len(folds))]


def pooled(folds: Sequence[Fold], epochs: Sequence[int]) -> dict[str, dict[str, float]]:
    """The six measures over all held-out rows, each fold after its epoch,
    beside its training rows' mean label.
    """
    truth = np.concatenate([fold.truth for fold in folds])
    mean = np.concatenate(
        [np.repeat(fold.mean_label[None], len(fold.truth), axis=0) for fold in folds]
    )
    model = np.concatenate(
        [fold.predictions[epoch] for fold, epoch in zip(folds, epochs, strict=True)]
    )
    return {"model": mean_metrics(truth, model), "mean_label": mean_metrics(truth, mean)}
