"""EDLConv: a CNN on the features of several signals (Shu et al., IEEE Trans.
Affective Computing 14:3, 2023).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from emodict_train.rivals.neural import MultimodalRival, RivalNetwork, part_widths

GRID = tuple(
    {"learning_rate": rate, "dropout": dropout, "width": width}
    for rate in (1e-3, 4e-3)
    for dropout in (0.0, 0.5)
    for width in (16, 32)
)


@dataclass
class EDLConv(MultimodalRival):
    """A 1-D CNN per modality, their outputs joined, a softmax; KL(label || prediction).

    The original convolves over the features of successive windows of a trial. Ours predicts each
    window by itself, so that the convolution runs along a modality's features only; its stride of 2
    stands in place of pooling.

    Attributes:
        channels: of the convolutions.
    """

    channels: int = 8

    def network(self, inputs: int, outputs: int) -> RivalNetwork:
        return ConvolutionalNetwork(
            self.parts(),
            inputs,
            outputs,
            channels=self.channels,
            width=self.width,
            dropout=self.dropout,
        )


class ConvolutionalNetwork(RivalNetwork):
    """Per modality two convolutions along its features and a linear layer;
    all modalities joined to the labels.
    """

    def __init__(
        self,
        parts: Sequence[slice],
        inputs: int,
        outputs: int,
        *,
        channels: int,
        width: int,
        dropout: float,
    ) -> None:
        super().__init__()
        self.parts = tuple(parts)
        self.encoders = nn.ModuleList(
            nn.Sequential(
                *(Convolution(1, channels), nn.ReLU(), Convolution(channels, channels), nn.ReLU()),
                *(
                    nn.Flatten(),
                    nn.Linear(math.ceil(columns / 4) * channels, width),
                    nn.ReLU(),
                    nn.Dropout(dropout),
                ),
            )
            for columns in part_widths(parts, inputs)
        )
        self.to_labels = nn.Linear(width * len(self.parts), outputs)

    def forward(self, x: Tensor) -> Tensor:
        encoded = [
            encode(x[:, part, None]) for encode, part in zip(self.encoders, self.parts, strict=True)
        ]
        return torch.log_softmax(self.to_labels(torch.cat(encoded, dim=-1)), dim=-1)


class Convolution(nn.Module):
    """Convolution over 3 neighbours at every second place: (rows, length, channels)
    -> (rows, ceil(length/2), outputs).

    Zeros stand beyond the ends. It is one matrix product, which vmap turns into one batched
    product; Conv1d would become a slow grouped convolution.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.kernel = nn.Linear(3 * inputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        padded = nn.functional.pad(x, (0, 0, 1, 1))
        neighbours = torch.cat([padded[:, :-2:2], padded[:, 1:-1:2], padded[:, 2::2]], dim=-1)
        y: Tensor = self.kernel(neighbours)
        return y
