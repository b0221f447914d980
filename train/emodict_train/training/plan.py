"""Plans: how networks are trained, step by step; EmotionDict's has more to it than steps."""

from __future__ import annotations

import math
from dataclasses import dataclass

from emodict.errors import InputError
from emodict_train.model.losses import AUXILIARY_FORMS

# With all units, or all of the past, nothing would be left to train.
ALMOST_ALL = math.nextafter(1, 0)


@dataclass(frozen=True)
class StepPlan:
    """How the steps of any network are taken: AdamW, and what is kept.

    Attributes:
        cosine: the learning rate falls along a cosine to 0 at the last of `epochs`; else it stays.
        average: decay per step of the running average of the weights,
            which then predicts and is kept; 0: none.
    """

    epochs: int = 50
    batch_size: int = 32
    learning_rate: float = 1e-3
    weight_decay: float = 0.0
    cosine: bool = False
    average: float = 0.0


@dataclass(frozen=True)
class TrainingPlan(StepPlan):
    """How EmotionDict is trained.

    Attributes:
        modality_dropout: chance that a row loses a modality in a step,
            so that the model learns to do without.
        auxiliary: form of the auxiliary losses (see losses.py);
            `none` measured best and is fastest.
        distillation: how much of what is taught is what kernel ridge makes of the labels
            (distillation.py), which cannot be learned by heart; the rest is the labels themselves.
        from_mean_label: the untrained network predicts the mean label,
            so training can only add to it.
    """

    epochs: int = 80
    learning_rate: float = 2e-3
    weight_decay: float = 1.0
    cosine: bool = True
    average: float = 0.98
    dropout: float = 0.0
    modality_dropout: float = 0.1
    input_noise: float = 0.0
    auxiliary: str = "none"
    from_mean_label: bool = True
    distillation: float = 1.0

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.batch_size < 2:
            raise InputError(
                "Training needs at least 1 epoch and 2 rows in a batch",
                got=f"{self.epochs} epochs and {self.batch_size} rows",
                fix="80 epochs and 32 rows work for most data",
            )
        for name in ("dropout", "modality_dropout", "average", "distillation"):
            share, most = getattr(self, name), 1 if name == "distillation" else ALMOST_ALL
            if not 0 <= share <= most:
                bound = "0 <= share <= 1" if most == 1 else "0 <= share < 1"
                raise InputError(
                    f"{name} is a share", expected=bound, got=share, fix=_if_in_doubt(name)
                )
        for name in ("learning_rate", "weight_decay", "input_noise"):
            value = getattr(self, name)
            if not 0 <= value < math.inf or (name == "learning_rate" and value == 0):
                raise InputError(
                    f"{name} cannot be used",
                    expected="a positive number",
                    got=value,
                    fix=_if_in_doubt(name),
                )
        if self.auxiliary not in AUXILIARY_FORMS:
            raise InputError(
                "The auxiliary loss is unknown",
                expected=" or ".join(AUXILIARY_FORMS),
                got=self.auxiliary,
                fix=_if_in_doubt("auxiliary"),
            )


def _if_in_doubt(name: str) -> str:
    return f"Leave it at {getattr(TrainingPlan, name)} if in doubt"
