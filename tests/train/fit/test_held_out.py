"""When to stop is decided on what is held out,
and no row is judged by a choice that was made on it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from emodict_train.fit.held_out import Fold, FoldsInTraining, epochs_for_others
from emodict_train.training.ensemble import Ensemble, Member
from emodict_train.training.plan import StepPlan


def fold_whose_predictions(*shares: float, rows: int = 4) -> Fold:
    """The truth is (.5, .5), each prediction (share, 1 - share):
    KL grows with its distance from .5.
    """
    truth = np.full((rows, 2), 0.5)
    return Fold(
        np.arange(rows),
        truth,
        truth[0],
        [np.tile([share, 1 - share], (rows, 1)) for share in shares],
    )


def test_a_fold_is_judged_after_the_epoch_that_is_best_on_the_others() -> None:
    folds = [
        # Alone it would choose epoch 0; the other two choose 1.
        fold_whose_predictions(0.5, 0.8, 0.8),
        fold_whose_predictions(0.8, 0.5, 0.8),
        fold_whose_predictions(0.7, 0.6, 0.8),
    ]
    # For the second fold .5 and .7 beat .8 and .6;
    # for the third epochs 0 and 1 tie, and the first is taken.
    assert epochs_for_others(folds) == [1, 0, 0]


def test_a_large_fold_weighs_by_its_rows_and_a_lone_one_chooses_for_itself() -> None:
    small, large = (
        fold_whose_predictions(0.5, 0.9, rows=1),
        fold_whose_predictions(0.6, 0.5, rows=100),
    )
    other = fold_whose_predictions(0.5, 0.5)
    assert epochs_for_others([small, large, other])[2] == 1
    assert epochs_for_others([small]) == [0]


def test_folds_of_as_many_steps_are_trained_at_once_and_others_apart() -> None:
    """Of 7 and 8 rows three batches of 2 and four; of 6 rows three as well."""
    d = np.full((8, 2), 0.5)
    folds = [Fold(np.arange(1), d[:1], d[0]) for _ in range(3)]
    members = [Member(np.arange(rows), seed=0) for rows in (7, 8, 6)]
    together: list[list[int]] = []

    def train(part: Sequence[Member]) -> Ensemble:
        together.append([len(member.rows) for member in part])
        return Ensemble(lambda _: Flat(), np.zeros((8, 3)), d, part, StepPlan(batch_size=2))

    training = FoldsInTraining(folds, members, StepPlan(batch_size=2), train)
    assert together == [[7, 6], [8]]
    training.run_epoch()
    assert [len(fold.predictions) for fold in folds] == [1, 1, 1]


class Flat(nn.Module):
    """Any network of two outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 2)

    def forward(self, x: Tensor) -> Tensor:
        return torch.log_softmax(self.linear(x), dim=-1)

    def loss(self, x: Tensor, d: Tensor) -> Tensor:
        return -(d * self(x)).sum(dim=-1).mean()
