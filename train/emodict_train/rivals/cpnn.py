"""SA-CPNN: the conditional probability neural network (Geng, Yin & Zhou,
IEEE TPAMI 35:10, 2013).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from emodict.errors import InputError
from emodict_train.rivals.neural import NeuralRival, RivalNetwork

ENCODINGS = ("numeric", "one-hot")

GRID = tuple(
    {"hidden": hidden, "learning_rate": rate, "weight_decay": decay}
    for hidden in (32, 128)
    for rate in (2e-3, 1e-2)
    for decay in (0.0, 1.0)
)


@dataclass
class CPNN(NeuralRival):
    """A network that takes the features and a label, and gives that label's score;
    its exponentials are normalised.

    The original learns ages, which are numbers, by Rprop. Emotions have no order: with the numeric
    encoding they are numbered as they come.

    Attributes:
        encoding: how the label enters,
            "numeric" (the original: one number, counted from 1) or "one-hot".
        hidden: number of hidden units.
    """

    encoding: str = "numeric"
    hidden: int = 64

    def __post_init__(self) -> None:
        if self.encoding not in ENCODINGS:
            raise InputError(
                "CPNN does not know this encoding of labels",
                expected=" or ".join(ENCODINGS),
                got=self.encoding,
                fix="numeric is the original's",
            )

    def network(self, inputs: int, outputs: int) -> RivalNetwork:
        return ConditionalProbabilityNetwork(
            inputs, label_codes(self.encoding, outputs), self.hidden
        )


def label_codes(encoding: str, labels: int) -> Tensor:
    """(labels, inputs): what the network is given for each label."""
    return torch.eye(labels) if encoding == "one-hot" else torch.arange(1.0, labels + 1)[:, None]


class ConditionalProbabilityNetwork(RivalNetwork):
    """p(y | x) = exp(f(x, y)) / sum_y' exp(f(x, y')), f = v' sigmoid(W [x; y] + a).

    f has no bias of its own: it would cancel.
    """

    codes: Tensor

    def __init__(self, inputs: int, codes: Tensor, hidden: int) -> None:
        super().__init__()
        self.inputs = inputs
        self.register_buffer("codes", codes)
        self.hidden = nn.Linear(inputs + codes.shape[1], hidden)
        self.score = nn.Linear(hidden, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        # W [x; y] = W_x x + W_y y: the product with the features is done once for all labels.
        of_features, of_label = (
            self.hidden.weight[:, : self.inputs],
            self.hidden.weight[:, self.inputs :],
        )
        from_features = functional.linear(x, of_features, self.hidden.bias)[:, None, :]
        hidden = torch.sigmoid(from_features + functional.linear(self.codes, of_label))
        return torch.log_softmax(self.score(hidden).squeeze(-1), dim=-1)
