"""MISA: modality-invariant and -specific representations (Hazarika, Zimmermann &
Poria, ACM Multimedia 2020).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from emodict_train.model.losses import main_loss
from emodict_train.rivals.neural import (
    AttentionBlock,
    MultimodalRival,
    RivalNetwork,
    pairs,
    part_widths,
)

MOMENTS = 5  # the paper's K

GRID = tuple(
    {"learning_rate": rate, "dropout": dropout, "width": width}
    for rate in (1e-3, 4e-3)
    for dropout in (0.0, 0.2)
    for width in (16, 32)
)


@dataclass
class MISA(MultimodalRival):
    """Each modality is projected to a space shared by all and to one of its own;
    a Transformer fuses all of them.

    The original encodes text by BERT and sound and video by LSTMs; a small network on a window's
    features stands in place of each. The softmax replaces its scores or classes, KL(label ||
    prediction) its task loss.

    Attributes:
        similarity, difference, reconstruction:
        weights of the losses beside the task's (the paper's alpha, beta and
            gamma; the released code's values).
    """

    similarity: float = 1.0
    difference: float = 0.3
    reconstruction: float = 1.0

    def network(self, inputs: int, outputs: int) -> RivalNetwork:
        return InvariantSpecificNetwork(
            self.parts(),
            inputs,
            outputs,
            width=self.width,
            dropout=self.dropout,
            loss_weights=(self.similarity, self.difference, self.reconstruction),
        )


class InvariantSpecificNetwork(RivalNetwork):
    """Encoders, the invariant and the specific projections, the decoder, and the fusion of MISA.

    Args:
        loss_weights: of similarity, difference and reconstruction.
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
        self.norm = nn.Sequential(nn.Dropout(dropout), nn.LayerNorm(width))
        self.specific = nn.ModuleList(nn.Linear(width, width) for _ in self.parts)
        self.invariant = nn.Linear(width, width)
        self.decoders = nn.ModuleList(nn.Linear(width, width) for _ in self.parts)
        self.fusion = AttentionBlock(width, dropout=dropout)
        joined = 2 * len(self.parts) * width
        self.to_labels = nn.Sequential(
            nn.Linear(joined, 2 * width),
            nn.Dropout(dropout),
            nn.ReLU(),
            nn.Linear(2 * width, outputs),
        )

    def forward(self, x: Tensor) -> Tensor:
        _, invariant, specific = self._represent(x)
        return self._fuse(invariant, specific)

    def loss(self, x: Tensor, d: Tensor) -> Tensor:
        """The task's KL, and the weighted similarity, difference and reconstruction losses."""
        encoded, invariant, specific = self._represent(x)
        decoded = [
            decode(i + s)
            for decode, i, s in zip(
                self.decoders, invariant.unbind(1), specific.unbind(1), strict=True
            )
        ]
        similarity, difference, reconstruction = self.loss_weights
        return (
            main_loss(self._fuse(invariant, specific), d)
            + similarity * similarity_loss(invariant)
            + difference * difference_loss(invariant, specific)
            + reconstruction * (torch.stack(decoded, dim=1) - encoded).square().mean()
        )

    def _represent(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Each modality's encoding and its invariant and specific representations,
        (rows, modalities, width).
        """
        encoded = [
            encode(x[:, part]) for encode, part in zip(self.encoders, self.parts, strict=True)
        ]
        u = self.norm(torch.stack(encoded, dim=1))
        specific = [project(one) for project, one in zip(self.specific, u.unbind(1), strict=True)]
        return u, torch.sigmoid(self.invariant(u)), torch.sigmoid(torch.stack(specific, dim=1))

    def _fuse(self, invariant: Tensor, specific: Tensor) -> Tensor:
        tokens = torch.cat([invariant, specific], dim=1)
        fused = self.fusion(tokens, tokens).flatten(-2)
        return torch.log_softmax(self.to_labels(fused), dim=-1)


def similarity_loss(invariant: Tensor) -> Tensor:
    """(rows, modalities, width) of values in [0,
    1] -> mean CMD over pairs of modalities; 0 for one modality.

    CMD(a, b) = ||E a - E b|| + sum_{k=2..K} ||E (a - E a)^k - E (b - E b)^k||
    (Zellinger et al. 2017).
    """
    first, second = pairs(invariant.shape[1])
    if not first:
        return invariant.new_zeros(())
    moments = _moments(invariant)
    distance: Tensor = torch.linalg.vector_norm(moments[:, first] - moments[:, second], dim=-1)
    return distance.sum(dim=0).mean()


def _moments(x: Tensor) -> Tensor:
    """(rows, modalities, width) -> (K, modalities, width): the mean,
    then the central moments 2 to K.
    """
    mean = x.mean(dim=0)
    centred = x - mean
    moments, power = [mean], centred
    for _ in range(2, MOMENTS + 1):
        power = power * centred
        moments.append(power.mean(dim=0))
    return torch.stack(moments)


def difference_loss(invariant: Tensor, specific: Tensor) -> Tensor:
    """Soft orthogonality: ||a' b||^2 of a modality's two representations,
    and of two modalities' specific ones, summed.

    Both are (rows, modalities, width); a and b have centred columns and then rows of length 1. The
    norm is the mean over entries, as in the released code: the paper's Frobenius norm would tie the
    loss's weight to the width.
    """
    first, second = pairs(specific.shape[1])
    i, s = _directions(invariant), _directions(specific)
    a, b = torch.cat([i, s[:, first]], dim=1), torch.cat([s, s[:, second]], dim=1)
    return torch.einsum("rpi,rpj->pij", a, b).square().mean(dim=(1, 2)).sum()


def _directions(x: Tensor) -> Tensor:
    return functional.normalize(x - x.mean(dim=0), dim=-1)
