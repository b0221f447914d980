"""Presets of `emodict-train fit`: the paper's own training, and the one that generalises."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from emodict.errors import InputError
from emodict_train.training.plan import TrainingPlan


@dataclass(frozen=True)
class Preset:
    """A way to train.

    Attributes:
        model: switches of ModelSpec, by name.
    """

    plan: TrainingPlan
    model: Mapping[str, Any] = field(default_factory=dict)

    def with_changes(self, plan: Mapping[str, Any], *, model: Mapping[str, Any]) -> Preset:
        """The preset with what was asked for by name; None asks for nothing."""
        return dataclasses.replace(
            self,
            plan=dataclasses.replace(self.plan, **_asked_for(plan)),
            model={**self.model, **_asked_for(model)},
        )


def _asked_for(changes: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in changes.items() if value is not None}


PRESETS = {
    # What holds on trials that were not seen: taught by kernel ridge, from the mean label on, with
    # strong weight decay, a running average of the weights, hidden modalities, and all tokens read.
    "robust": Preset(TrainingPlan()),
    # Liu et al., section 4.2: Adam, learning rate 0.001, batches of 32, 100 epochs; the
    # released code reads the last token. The auxiliary losses are in the form that can
    # be computed (losses.py).
    "paper": Preset(
        TrainingPlan(
            epochs=100,
            batch_size=32,
            learning_rate=1e-3,
            weight_decay=0.0,
            modality_dropout=0.0,
            auxiliary="kl",
            average=0.0,
            cosine=False,
            from_mean_label=False,
            distillation=0.0,
        ),
        model={"readout": "last"},
    ),
}
DEFAULT_PRESET = "robust"


def preset(name: str) -> Preset:
    """A preset by name.

    Raises:
        InputError: there is none of this name.
    """
    if name not in PRESETS:
        raise InputError(
            "The preset is unknown",
            expected=" or ".join(PRESETS),
            got=name,
            fix="robust generalises best; paper is the paper's own training, to compare with",
        )
    return PRESETS[name]
