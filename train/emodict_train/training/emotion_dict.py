"""EmotionDict in training: its losses, where it starts, and how rows of a table reach it."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from emodict.engine.model_spec import ModelSpec
from emodict.features.spec import FeatureSpec
from emodict_desk.tables.table import FeatureTable
from emodict_train.model.emotion_dict import EmotionDict, Output
from emodict_train.model.losses import AUXILIARY_TASKS, auxiliary_loss, main_loss
from emodict_train.training.augment import augmented, modality_of_token
from emodict_train.training.ensemble import Build, Ensemble, Member, State
from emodict_train.training.plan import TrainingPlan

_PREFIX, _AUXILIARY = "emotion_dict.", "modality_encoders."


class TrainedEmotionDict(nn.Module):
    """EmotionDict with the losses of a plan, on standardised tokens: a Network of an ensemble.

    Args:
        tasks: which of the two auxiliary losses there are, if the plan has any.
    """

    def __init__(
        self,
        spec: ModelSpec,
        features: FeatureSpec,
        plan: TrainingPlan,
        *,
        tasks: Sequence[str] = AUXILIARY_TASKS,
    ) -> None:
        super().__init__()
        self.form, self.tasks = plan.auxiliary, tasks
        self.emotion_dict = EmotionDict(
            spec, features, dropout=plan.dropout, auxiliary=self.needs_modality_encoders
        )

    @property
    def needs_modality_encoders(self) -> bool:
        """Whether anything looks at the modalities one by one."""
        return self.form != "none"

    def output(self, x: Tensor) -> Output:
        """(rows, tokens, width) -> log-distribution, weights and h."""
        return self.emotion_dict.from_standardised(x)

    def forward(self, x: Tensor) -> Tensor:
        """(rows, tokens, width) -> (rows, emotions) log-distribution."""
        return self.output(x).log_distribution

    def loss(self, x: Tensor, d: Tensor) -> Tensor:
        """Equation 15: the main loss and the auxiliary ones."""
        output = self.output(x)
        loss = main_loss(output.log_distribution, d)
        if self.form != "none":
            latents = self.emotion_dict.auxiliary_latents(x)
            loss = loss + auxiliary_loss(self.form, output.latent, latents, tasks=self.tasks)
        return loss


def start_at_mean_label(network: EmotionDict, mean_label: Tensor) -> None:
    """Let the untrained network predict the mean label:
    training can only add to the prediction to beat.
    """
    with torch.no_grad():
        network.classifier.to_emotions.weight.zero_()
        network.classifier.to_emotions.bias.copy_(mean_label.clamp_min(1e-6).log())


def table_ensemble(
    build: Build,
    table: FeatureTable,
    members: Sequence[Member],
    plan: TrainingPlan,
    *,
    device: torch.device | str = "cpu",
) -> Ensemble:
    """Networks on the rows of a labelled table, changed on their way as the plan says."""
    assert table.labels is not None
    augment = functools.partial(
        _augmented,
        valid=torch.from_numpy(table.windows.valid),
        plan=plan,
        modality=modality_of_token(table.spec),
    )
    return Ensemble(
        build, table.windows.tokens, table.labels, members, plan, augment=augment, device=device
    )


def _augmented(
    x: Tensor,
    rows: Tensor,
    generator: torch.Generator,
    *,
    valid: Tensor,
    plan: TrainingPlan,
    modality: Tensor,
) -> Tensor:
    return augmented(
        x, valid.to(x.device)[rows], noise=plan.input_noise, modality_dropout=plan.modality_dropout,
        modality_of_token=modality, generator=generator,
    )  # fmt: skip


def multi_modal_state(state: State, member: Member) -> State:
    """What a checkpoint keeps of a TrainedEmotionDict: the multi-modal path, and its scaling."""
    own = {name.removeprefix(_PREFIX): value.cpu() for name, value in state.items()}
    kept = {name: value for name, value in own.items() if not name.startswith(_AUXILIARY)}
    assert member.standardisation is not None
    for name in ("mean", "scale"):
        kept[f"standardise.{name}"] = torch.from_numpy(
            getattr(member.standardisation, name)
        ).float()
    return kept
