"""DLDL: deep label distribution learning,
KL end to end (Gao, Xing, Xie, Wu & Geng, IEEE TIP 26:6, 2017).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from emodict_train.rivals.neural import NeuralRival, RivalNetwork

GRID = tuple(
    {"learning_rate": rate, "dropout": dropout, "width": width}
    for rate in (1e-3, 4e-3)
    for dropout in (0.0, 0.5)
    for width in (32, 128)
)


@dataclass
class DLDL(NeuralRival):
    """A deep network trained end to end on KL(label || softmax).

    The original learns from face images;
    a network of two hidden layers on our features stands in place of its CNN.

    Attributes:
        width: units of a hidden layer.
        dropout: share of them left out in a training step.
    """

    width: int = 64
    dropout: float = 0.0

    def network(self, inputs: int, outputs: int) -> RivalNetwork:
        return DeepNetwork(inputs, outputs, width=self.width, dropout=self.dropout)


class DeepNetwork(RivalNetwork):
    """Two hidden layers of rectified units, then a softmax."""

    def __init__(self, inputs: int, outputs: int, *, width: int, dropout: float) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *(nn.Linear(inputs, width), nn.ReLU(), nn.Dropout(dropout)),
            *(nn.Linear(width, width), nn.ReLU(), nn.Dropout(dropout)),
            nn.Linear(width, outputs),
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.log_softmax(self.layers(x), dim=-1)
