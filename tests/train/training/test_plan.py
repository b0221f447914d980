from __future__ import annotations

import math

import pytest

from emodict.errors import InputError
from emodict_train.training.plan import TrainingPlan


@pytest.mark.parametrize(
    "plan",
    [
        {"epochs": 0},
        {"batch_size": 1},
        {"dropout": 1.0},
        {"modality_dropout": -0.1},
        {"average": math.nan},
        {"auxiliary": "kI"},
        {"learning_rate": 0.0},
        {"weight_decay": -1.0},
        {"input_noise": math.nan},
    ],
)
def test_a_plan_that_cannot_work_is_refused(plan: dict[str, object]) -> None:
    with pytest.raises(InputError, match=r"(?i)got .*\. (Leave it at|80 epochs)"):
        TrainingPlan(**plan)  # type: ignore[arg-type]
