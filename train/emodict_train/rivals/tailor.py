"""TAILOR: adversarially refined representations and a label-guided decoder (Zhang, Chen,
Shen & Wang, AAAI 2022).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from emodict_train.model.losses import main_loss
from emodict_train.rivals.neural import (
    AttentionBlock,
    MultimodalRival,
    RivalNetwork,
    pairs,
    part_widths,
)

GRID = tuple(
    {"learning_rate": rate, "dropout": dropout, "adversarial": adversarial}
    for rate in (1e-3, 4e-3)
    for dropout in (0.0, 0.2)
    for adversarial in (0.01, 0.1)
)


@dataclass
class TAILOR(MultimodalRival):
    """Private and common representations of the modalities are refined by an adversary;
    each label asks for its share.

    The original encodes sequences of words, frames and sounds by Transformers; a small network on a
    window's features stands in place of each, so that a modality is one token. It joins three
    sequences one after another and then what they have in common; with one token each, the private
    tokens are joined at once, then with the common one. A softmax over the labels' scores replaces
    a sigmoid for each, KL(label || prediction) the cross-entropy.

    Attributes:
        adversarial, orthogonal, semantic:
        weights of the losses beside the task's (the released code's values).
    """

    adversarial: float = 0.01
    orthogonal: float = 5e-6
    semantic: float = 0.5

    def network(self, inputs: int, outputs: int) -> RivalNetwork:
        return LabelGuidedNetwork(
            self.parts(),
            inputs,
            outputs,
            width=self.width,
            dropout=self.dropout,
            loss_weights=(self.adversarial, self.orthogonal, self.semantic),
        )


class LabelGuidedNetwork(RivalNetwork):
    """Encoders, extractors, discriminator, fusion and decoder of TAILOR.

    Args:
        loss_weights: of the adversarial, orthogonality and common semantic losses.
    """

    def __init__(
        self,
        parts: Sequence[slice],
        inputs: int,
        outputs: int,
        *,
        width: int,
        dropout: float,
        loss_weights: tuple[float, float, float],
    ) -> None:
        super().__init__()
        self.parts, self.loss_weights = tuple(parts), loss_weights
        self.encoders = nn.ModuleList(
            nn.Sequential(nn.Linear(columns, width), nn.ReLU())
            for columns in part_widths(parts, inputs)
        )
        self.norm = nn.LayerNorm(width)
        self.private = nn.ModuleList(nn.Linear(width, width) for _ in self.parts)
        self.common = nn.Linear(width, width)
        self.refine = nn.Sequential(nn.Dropout(dropout), nn.Tanh())
        self.discriminator = nn.Sequential(
            nn.Linear(width, width // 2), nn.ReLU(), nn.Linear(width // 2, len(self.parts))
        )
        self.common_to_labels = nn.Linear(width, outputs)
        self.join_private = AttentionBlock(width, dropout=dropout)
        self.join_common = AttentionBlock(width, dropout=dropout)
        self.labels = nn.Parameter(torch.randn(1, outputs, width))
        self.relate_labels = AttentionBlock(width, dropout=dropout)
        self.ask = AttentionBlock(width, dropout=dropout)
        self.score = nn.Linear(width, 1)

    def forward(self, x: Tensor) -> Tensor:
        private, common = self._represent(x)
        return self._decode(private, common)

    def loss(self, x: Tensor, d: Tensor) -> Tensor:
        """The task's KL, and the weighted adversarial, orthogonality and common semantic losses."""
        private, common = self._represent(x)
        adversarial, orthogonal, semantic = self.loss_weights
        of_common = torch.log_softmax(self.common_to_labels(common.sum(dim=1)), dim=-1)
        return (
            main_loss(self._decode(private, common), d)
            + adversarial
            * (self._modality_loss(private) + self._modality_loss(reverse_gradient(common)))
            + orthogonal * orthogonality_loss(private, common)
            + semantic * main_loss(of_common, d)
        )

    def _represent(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Private and common representation of each modality, (rows, modalities, width)."""
        encoded = [
            encode(x[:, part]) for encode, part in zip(self.encoders, self.parts, strict=True)
        ]
        u = self.norm(torch.stack(encoded, dim=1))
        private = [extract(one) for extract, one in zip(self.private, u.unbind(1), strict=True)]
        refined: Tensor = self.refine(
            torch.cat([torch.stack(private, dim=1), self.common(u)], dim=1)
        )
        return refined[:, : len(self.parts)], refined[:, len(self.parts) :]

    def _decode(self, private: Tensor, common: Tensor) -> Tensor:
        """Each label looks among the fused modalities for what concerns it:
        (rows, labels) log-distribution.
        """
        joined = torch.cat(
            [self.join_private(private, private), common.sum(dim=1, keepdim=True)], dim=1
        )
        fused = self.join_common(joined, joined)
        answers = self.ask(self.relate_labels(self.labels, self.labels), fused)
        return torch.log_softmax(self.score(answers).squeeze(-1), dim=-1)

    def _modality_loss(self, representation: Tensor) -> Tensor:
        """Cross-entropy of naming the modality of each representation, summed over modalities."""
        log_p = torch.log_softmax(self.discriminator(representation), dim=-1)
        return -log_p.diagonal(dim1=-2, dim2=-1).sum(dim=-1).mean()


def reverse_gradient(x: Tensor, strength: float = 1.0) -> Tensor:
    """The same values, whose gradient comes back times -strength (Ganin & Lempitsky 2015).

    In plain operations, which vmap knows, in place of a Function of autograd.
    """
    return (1 + strength) * x.detach() - strength * x


def orthogonality_loss(private: Tensor, common: Tensor) -> Tensor:
    """Squared products of a modality's two representations and of two modalities'
    private ones, mean over rows.

    Both are (rows, modalities, width).
    """
    first, second = pairs(private.shape[1])
    a, b = (
        torch.cat([common, private[:, first]], dim=1),
        torch.cat([private, private[:, second]], dim=1),
    )
    return (a * b).sum(dim=-1).square().mean(dim=0).sum()
