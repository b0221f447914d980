"""RivalMethod: a rival that is fitted in one go, as a method of a study."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from emodict_train.model.standardisation import fit_standardisation
from emodict_train.rivals import GRIDS, RIVALS
from emodict_train.study.compared.data import StudyData
from emodict_train.study.compared.task import Candidate, Task

Float64Array = NDArray[np.float64]

# Those without epochs: no network, nothing to stop early. In the order of the tables.
ONE_STEP_RIVALS = (
    "mean label", "PT-Bayes", "PT-SVM", "AA-kNN", "SA-IIS", "SA-BFGS", "EDL-LRL", "kernel ridge",
)  # fmt: skip


@dataclass(frozen=True)
class RivalMethod:
    """Fits a rival for each task, on z-scores of the task's own training rows.

    Attributes:
        name: one of ONE_STEP_RIVALS.
        seeds: how many are trained of a rival that draws random numbers,
            which the candidates do not name; None: it draws none.
        z_score: scale the features; otherwise the rival sees them as they are.
            What is missing is 0 either way.
    """

    name: str
    candidates: tuple[Candidate, ...] = ({},)
    seeds: int | None = None
    z_score: bool = True
    # Nothing is trained in epochs.
    steps: ClassVar[int] = 1

    def predict(
        self, data: StudyData, tasks: Sequence[Task], candidate: Candidate
    ) -> list[Float64Array]:
        """For each task (1, test rows, emotions)."""
        return [self._predict_one(data, task, candidate)[None] for task in tasks]

    def _predict_one(self, data: StudyData, task: Task, candidate: Candidate) -> Float64Array:
        X, X_test = data.X[task.split.train], data.X[task.split.test]
        if self.z_score:
            standardisation = fit_standardisation(X)
            X, X_test = standardisation.apply(X), standardisation.apply(X_test)
        else:
            X, X_test = np.nan_to_num(X, nan=0.0), np.nan_to_num(X_test, nan=0.0)
        options = dict(candidate) if self.seeds is None else {**candidate, "seed": task.seed}
        rival = RIVALS[self.name](**options).fit(X, data.D[task.split.train])
        return np.asarray(rival.predict(X_test), dtype=np.float64)


def rival_methods(data: StudyData, *, seeds: int) -> tuple[RivalMethod, ...]:
    """Every rival without epochs; on rows without a feature spec (s-JAFFE)
    they see the features as they are.
    """
    return tuple(
        RivalMethod(
            name,
            candidates=GRIDS.get(name, ({},)),
            seeds=seeds if hasattr(RIVALS[name](), "seed") else None,
            z_score=data.table is not None,
        )
        for name in ONE_STEP_RIVALS
    )
