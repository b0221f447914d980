"""FitOptions: what `fit` is asked for, and what it is done on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from emodict.errors import InputError
from emodict_train.data.split import SPLITS
from emodict_train.fit.presets import DEFAULT_PRESET, PRESETS
from emodict_train.training.plan import TrainingPlan

# Held-out trials are learned in a few epochs or never;
# neighbouring windows get better to the end of the schedule.
PATIENCE = {"subjects": 10, "trials": 10, "windows": 25}


@dataclass(frozen=True)
class FitOptions:
    """What `fit` is asked for.

    Attributes:
        split: what is held out: whole `subjects`, whole `trials`, or random `windows` (see
            data.split); None: as `default_split` says.
        patience: epochs without a better held-out KL before training stops;
            None: PATIENCE of the split.
        members: seeds trained on all rows and joined in one checkpoint.
        model: sizes and switches of ModelSpec to change, by name.
    """

    split: str | None = None
    patience: int | None = None
    seed: int = 0
    members: int = 1
    device: str = "auto"
    plan: TrainingPlan = PRESETS[DEFAULT_PRESET].plan
    model: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.split not in (None, *SPLITS):
            raise InputError(
                "The split is unknown",
                expected=f"{', '.join(SPLITS[:-1])} or {SPLITS[-1]}",
                got=self.split,
                fix="Use none unless you want to compare with work that splits otherwise",
            )
        if (self.patience is not None and self.patience < 1) or self.members < 1:
            raise InputError(
                "patience and members must be positive",
                got=f"patience {self.patience} and {self.members} members",
                fix="Use 1 or more of both; patience None is the split's own",
            )


def choose_device(name: str) -> torch.device:
    """`auto` is the GPU where there is one.

    Raises:
        InputError: a GPU is asked for by name and there is none.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        known = device.type in ("cpu", "cuda")
    except RuntimeError:
        known = False
    if not known:
        raise InputError(
            "The device is unknown",
            expected="auto, cpu or cuda",
            got=repr(name),
            fix="auto takes a GPU where there is one",
        )
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise InputError(
            "A GPU was asked for and none can be used",
            expected="a CUDA GPU with its driver and a CUDA build of torch",
            got=f"{name}, and torch {torch.__version__} with "
            f"{torch.cuda.device_count()} usable GPUs",
            fix="Use --device cpu",
        )
    return device
