"""One training run of one network: epochs, cosine schedule, running average of the weights, and its whole state."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from emodict.engine.model_spec import ModelSpec
from emodict.errors import InputError
from emodict.features.spec import FeatureSpec
from emodict_train.model.emotion_dict import EmotionDict
from emodict_train.model.losses import AUXILIARY_FORMS, auxiliary_loss, main_loss
from emodict_train.training.augment import augmented, modality_of_token
from emodict_train.training.schedule import average_decay, cosine

# With all units, or all of the past, nothing would be left to train.
ALMOST_ALL = math.nextafter(1, 0)


@dataclass(frozen=True)
class TrainingPlan:
    """How one network is trained.

    Attributes:
        modality_dropout: chance that a row loses a modality in a step, so that the model learns to do without.
        auxiliary: form of the auxiliary losses (see losses.py); `none` measured best and is fastest.
        average: decay per step of the running average of the weights, which is what is kept; 0: the weights.
        cosine: the learning rate falls along a cosine to 0 at the last of `epochs`; else it stays.
        distillation: how much of what is taught is what kernel ridge makes of the labels (distillation.py), which
            cannot be learned by heart; the rest is the labels themselves.
        from_mean_label: the untrained network predicts the mean label, so training can only add to it.
    """

    epochs: int = 80
    batch_size: int = 32
    learning_rate: float = 2e-3
    weight_decay: float = 1.0
    dropout: float = 0.0
    modality_dropout: float = 0.1
    input_noise: float = 0.0
    auxiliary: str = "none"
    average: float = 0.98
    cosine: bool = True
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
                raise InputError(f"{name} is a share", expected=bound, got=share, fix=_if_in_doubt(name))
        for name in ("learning_rate", "weight_decay", "input_noise"):
            value = getattr(self, name)
            if not 0 <= value < math.inf or (name == "learning_rate" and value == 0):
                raise InputError(
                    f"{name} cannot be used", expected="a positive number", got=value, fix=_if_in_doubt(name)
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


@dataclass(frozen=True)
class TrainingRows:
    """Rows ready for training: standardised tokens (0 where missing), labels and valid modalities, on a device."""

    tokens: Tensor
    labels: Tensor
    valid: Tensor

    def __len__(self) -> int:
        return len(self.tokens)


class Trainer:
    """Trains one network on its rows, epoch by epoch; everything it is can be saved and restored exactly."""

    def __init__(
        self,
        features: FeatureSpec,
        model: ModelSpec,
        plan: TrainingPlan,
        rows: TrainingRows,
        *,
        seed: int,
    ) -> None:
        self._plan, self._rows, self._device = plan, rows, rows.tokens.device
        self._modality_of_token = modality_of_token(features).to(self._device)
        self._order = np.random.default_rng(seed)
        with torch.random.fork_rng(devices=_gpus(self._device)):
            torch.manual_seed(seed)
            self.network = EmotionDict(model, features, dropout=plan.dropout, auxiliary=plan.auxiliary != "none")
            self._random = _random_state(self._device)
        if plan.from_mean_label:
            start_at_mean_label(self.network, rows.labels.mean(dim=0))
        self.network.to(self._device)
        self._averaged = copy.deepcopy(self.network).eval().requires_grad_(False)
        self._averages = _averaged_tensors(self._averaged), _averaged_tensors(self.network)
        self._optimiser = torch.optim.AdamW(
            self.network.parameters(), lr=plan.learning_rate, weight_decay=plan.weight_decay, fused=True
        )
        self._step = 0
        self.epoch = 0

    @property
    def _steps_per_epoch(self) -> int:
        return max(1, len(self._rows) // self._plan.batch_size)

    def run_epoch(self) -> None:
        """One pass over the rows in a fresh order; an incomplete last batch is left for another epoch."""
        self.network.train()
        order = self._order.permutation(len(self._rows))
        with torch.random.fork_rng(devices=_gpus(self._device)):
            _set_random_state(self._random, self._device)
            for i in range(self._steps_per_epoch):
                batch = order[i * self._plan.batch_size : (i + 1) * self._plan.batch_size]
                self._train_step(torch.from_numpy(batch).to(self._device))
            self._random = _random_state(self._device)
        self.epoch += 1

    def averaged_state(self) -> dict[str, Tensor]:
        """The running average of the multi-modal path's weights: what is validated and kept."""
        state = self._averaged.state_dict()
        return {k: v.clone() for k, v in state.items() if not k.startswith("modality_encoders.")}

    def predict(self, tokens: Tensor) -> NDArray[np.float64]:
        """(rows, tokens, width) standardised -> (rows, emotions) with the averaged weights."""
        with torch.no_grad():
            out = self._averaged.from_standardised(tokens).log_distribution.double().exp()
        return out.cpu().numpy()

    def state(self) -> dict[str, Any]:
        """Everything a killed run needs to go on as if nothing had happened; tensors and plain values."""
        state = {
            "network": self.network.state_dict(),
            "average": self._averaged.state_dict(),
            "optimiser": self._optimiser.state_dict(),
            "random": self._random,
            "order": _plain(self._order.bit_generator.state),
            "step": self._step,
            "epoch": self.epoch,
        }
        return copy.deepcopy(state)  # torch's state_dicts are views of what training goes on to change

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a `state`."""
        self.network.load_state_dict(state["network"])
        self._averaged.load_state_dict(state["average"])
        self._optimiser.load_state_dict(copy.deepcopy(state["optimiser"]))
        self._random = state["random"]
        self._order.bit_generator.state = _unplain(state["order"])
        self._step, self.epoch = state["step"], state["epoch"]

    def _train_step(self, batch: Tensor) -> None:
        truth = self._rows.labels[batch]
        x = augmented(
            self._rows.tokens[batch],
            self._rows.valid[batch],
            noise=self._plan.input_noise,
            modality_dropout=self._plan.modality_dropout,
            modality_of_token=self._modality_of_token,
        )
        output = self.network.from_standardised(x)
        loss = main_loss(output.log_distribution, truth)
        if self._plan.auxiliary != "none":
            latents = self.network.auxiliary_latents(x)
            loss = loss + auxiliary_loss(self._plan.auxiliary, output.latent, latents)
        if self._plan.cosine:
            for group in self._optimiser.param_groups:
                group["lr"] = self._plan.learning_rate * self._cosine()
        self._optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        self._optimiser.step()
        self._step += 1
        self._update_average()

    def _cosine(self) -> float:
        total = self._plan.epochs * self._steps_per_epoch
        return cosine(self._step, total)

    def _update_average(self) -> None:
        """Exponential moving average of what the plan keeps."""
        decay = average_decay(self._plan.average, self._step)
        averages, current = self._averages
        torch._foreach_lerp_(averages, current, 1 - decay)


def _averaged_tensors(network: EmotionDict) -> list[Tensor]:
    """All weights and BatchNorm statistics, in place: collecting them anew for each step would cost a tenth of it."""
    return [tensor for tensor in network.state_dict().values() if tensor.is_floating_point()]


def start_at_mean_label(network: EmotionDict, mean_label: Tensor) -> None:
    """Let the untrained network predict the mean label: training can only add to the prediction to beat."""
    with torch.no_grad():
        network.classifier.to_emotions.weight.zero_()
        network.classifier.to_emotions.bias.copy_(mean_label.clamp_min(1e-6).log())


def _gpus(device: torch.device) -> list[torch.device]:
    return [device] if device.type == "cuda" else []


def _random_state(device: torch.device) -> list[Tensor]:
    """The state of torch's generators: the CPU's, and that of the GPU in use, which dropout draws from."""
    return [torch.get_rng_state(), *(torch.cuda.get_rng_state(gpu) for gpu in _gpus(device))]


def _set_random_state(state: list[Tensor], device: torch.device) -> None:
    torch.set_rng_state(state[0])
    for gpu, gpu_state in zip(_gpus(device), state[1:], strict=True):
        torch.cuda.set_rng_state(gpu_state, gpu)


def _plain(state: Mapping[str, Any]) -> dict[str, Any]:
    """PCG64's state with its 128-bit numbers as text, which torch can store without pickling objects."""
    return {**state, "state": {k: str(v) for k, v in state["state"].items()}}


def _unplain(state: Mapping[str, Any]) -> dict[str, Any]:
    return {**state, "state": {k: int(v) for k, v in state["state"].items()}}
