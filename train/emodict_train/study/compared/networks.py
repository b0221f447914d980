"""EmotionDict and its ablations as networks of an ensemble:
what is taken out or exchanged, and the loss.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from emodict.engine.model_spec import ModelSpec
from emodict.features.spec import FeatureSpec
from emodict_train.model.emotion_dict import Dictionary, Output, Transformer, lbl
from emodict_train.model.losses import AUXILIARY_TASKS
from emodict_train.training.emotion_dict import TrainedEmotionDict, start_at_mean_label
from emodict_train.training.plan import TrainingPlan


@dataclass(frozen=True)
class Variant:
    """EmotionDict, or EmotionDict changed in one respect.

    Attributes:
        plan: how it is trained.
        model: sizes and switches of ModelSpec to change, by name.
        fusion: what makes h: the `dictionary`; `none`, the Transformer alone; or, as in the paper's
            Table 7, the `concatenation` of what the multi-modal and the modality-specific encoders
            give, or `attention` over it.
        tasks: which of the two auxiliary losses there are, if the plan has any.
        without: the modality that is left out.
        stop_on: the protocol whose folds decide when to stop; None: the study's own.
    """

    plan: TrainingPlan
    model: Mapping[str, Any] = field(default_factory=dict)
    fusion: str = "dictionary"
    tasks: tuple[str, ...] = AUXILIARY_TASKS
    without: str | None = None
    stop_on: str | None = None

    def network(
        self, emotions: tuple[str, ...], features: FeatureSpec, mean_label: Tensor
    ) -> AblationNetwork:
        """A new network with random weights; `mean_label` (emotions,)
        is where it starts, if the plan says so.
        """
        sizes = dict(self.model)
        if self.fusion == "none":
            # Without a dictionary the encoder's own output is h.
            sizes["elements"] = sizes.get("latent", ModelSpec.latent)
        spec = ModelSpec(emotions, features.modality_names, **sizes)
        kinds = {
            "dictionary": AblationNetwork, "none": AblationNetwork,
            "concatenation": Concatenation, "attention": Attention,
        }  # fmt: skip
        network = kinds[self.fusion](spec, features, self)
        if self.plan.from_mean_label:
            start_at_mean_label(network.emotion_dict, mean_label)
        return network

    def with_plan(self, **changes: Any) -> Variant:
        """The same, trained otherwise."""
        return dataclasses.replace(self, plan=dataclasses.replace(self.plan, **changes))


class AblationNetwork(TrainedEmotionDict):
    """EmotionDict, or a variant of it, with the losses of the variant's plan."""

    def __init__(self, spec: ModelSpec, features: FeatureSpec, variant: Variant) -> None:
        super().__init__(spec, features, variant.plan, tasks=variant.tasks)
        self.dropout = variant.plan.dropout
        if variant.fusion == "none":
            self.emotion_dict.dictionary = NoDictionary()


class NoDictionary(Dictionary):
    """Table 5, without the dictionary: h is what the encoder gives."""

    def __init__(self) -> None:
        nn.Module.__init__(self)

    def forward(self, weights: Tensor) -> Tensor:
        return weights


class Concatenation(AblationNetwork):
    """Table 7, (2): what all encoders give, side by side,
    takes the dictionary's place before the classifier.

    There is no h then that auxiliary losses could compare the modalities with.
    """

    def __init__(self, spec: ModelSpec, features: FeatureSpec, variant: Variant) -> None:
        super().__init__(spec, features, variant)
        self.form = "none"
        encoders = 1 + len(self.emotion_dict.modality_encoders)
        self.join = self.joining(spec, encoders)

    @property
    def needs_modality_encoders(self) -> bool:
        return True

    def joining(self, spec: ModelSpec, encoders: int) -> nn.Module:
        """(rows, encoders, elements) -> (rows, latent)."""
        return nn.Sequential(nn.Flatten(), lbl(encoders * spec.elements, spec.latent))

    def output(self, x: Tensor) -> Output:
        model = self.emotion_dict
        weights = model.encoder(x)
        parts = [
            encoder(x[:, model.token_slices[name]])
            for name, encoder in model.modality_encoders.items()
        ]
        latent = self.join(torch.stack([weights, *parts], dim=1))
        return Output(torch.log_softmax(model.classifier(latent), dim=-1), weights, latent)


class Attention(Concatenation):
    """Table 7, (3): a Transformer layer over what all encoders give,
    before the same concatenation.
    """

    def joining(self, spec: ModelSpec, encoders: int) -> nn.Module:
        # As wide as its tokens, the encoders' outputs,
        # with the heads and the feed-forward width of the encoders.
        attention = dataclasses.replace(spec, d_model=spec.elements, layers=1)
        return nn.Sequential(Transformer(attention, self.dropout), super().joining(spec, encoders))
