"""What the neural rivals share: how a network is trained to be a rival,
and the attention in two of them.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from emodict_train.model.losses import main_loss
from emodict_train.training.ensemble import Ensemble, Member
from emodict_train.training.plan import StepPlan

if TYPE_CHECKING:
    from typing_extensions import Self  # in typing from Python 3.11 on

Float64Array = NDArray[np.float64]


class RivalNetwork(nn.Module, ABC):
    """Rows of features -> log-distributions, and the loss that trains them.

    Many copies of one are trained at once by `torch.func.vmap` over their parameters: no control
    flow may depend on values, and nothing may be changed in place.
    """

    @abstractmethod
    def forward(self, x: Tensor) -> Tensor:
        """(rows, features) -> (rows, labels) natural log of the distribution."""

    def loss(self, x: Tensor, d: Tensor) -> Tensor:
        """Scalar to minimise on rows x with distributions d: KL(d || prediction)
        unless the method has its own.
        """
        return main_loss(self(x), d)


@dataclass
class NeuralRival(ABC):
    """A rival that is a network: `fit` trains one on all rows, a study trains many of them at once.

    Attributes:
        learning_rate: of AdamW, which stands in place of each original's own optimiser.
        weight_decay: decoupled (Loshchilov & Hutter 2019), per unit of learning rate.
        seed: of the first weights, the order of the rows and dropout.
    """

    epochs: int = 50
    batch_size: int = 32
    learning_rate: float = 1e-3
    weight_decay: float = 0.0
    seed: int = 0
    _trained: Ensemble | None = field(default=None, init=False, repr=False, compare=False)

    @abstractmethod
    def network(self, inputs: int, outputs: int) -> RivalNetwork:
        """A new network with random weights for this many features and labels."""

    def plan(self) -> StepPlan:
        """How the network is trained."""
        return StepPlan(
            epochs=self.epochs,
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            weight_decay=self.weight_decay,
        )

    def fit(self, X: Float64Array, D: Float64Array) -> Self:
        """Train on X (rows, features), already scaled, and D (rows, labels) whose rows sum to 1."""
        plan = self.plan()
        members = [Member(np.arange(len(X)), self.seed)]
        self._trained = Ensemble(
            lambda _: self.network(X.shape[1], D.shape[1]), X, D, members, plan
        )
        for _ in range(plan.epochs):
            self._trained.run_epoch()
        return self

    def predict(self, X: Float64Array) -> Float64Array:
        """(rows, features) -> (rows, labels), rows sum to 1."""
        if self._trained is None:
            raise RuntimeError("fit comes before predict")
        return self._trained.predict(X)[0]


@dataclass
class MultimodalRival(NeuralRival):
    """A neural rival that treats the modalities apart.

    Attributes:
        modalities: the columns of each modality; empty: one modality that has all columns.
        width: size of a modality's representation.
        dropout: share of hidden units left out in a training step.
    """

    modalities: tuple[slice, ...] = ()
    width: int = 16
    dropout: float = 0.0

    def parts(self) -> tuple[slice, ...]:
        """The columns of each modality."""
        return self.modalities or (slice(None),)


def pairs(count: int) -> tuple[list[int], list[int]]:
    """First and second members of all pairs among `count` modalities; both empty for one."""
    found = list(combinations(range(count), 2))
    return [i for i, _ in found], [j for _, j in found]


def part_widths(parts: Sequence[slice], inputs: int) -> list[int]:
    """Number of columns of each modality among `inputs` columns."""
    return [len(range(*part.indices(inputs))) for part in parts]


class AttentionBlock(nn.Module):
    """A layer of a Transformer (Vaswani et al. 2017): tokens attend to a context,
    then each passes a small network.

    Args:
        width: size of a token; a multiple of `heads`.
    """

    def __init__(self, width: int, *, heads: int = 2, dropout: float = 0.0) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, width)
        self.feed_forward = nn.Sequential(
            nn.Linear(width, 2 * width), nn.ReLU(), nn.Linear(2 * width, width)
        )
        self.norm_attention = nn.LayerNorm(width)
        self.norm = nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, tokens: Tensor, context: Tensor) -> Tensor:
        """(rows or 1, tokens, width) and (rows, others, width) -> (rows, tokens, width)."""
        x = self.norm_attention(tokens + self.dropout(self._attend(tokens, context)))
        y: Tensor = self.norm(x + self.dropout(self.feed_forward(x)))
        return y

    def _attend(self, tokens: Tensor, context: Tensor) -> Tensor:
        key, value = self.key_value(context).chunk(2, dim=-1)
        query, key, value = self._split(self.query(tokens)), self._split(key), self._split(value)
        # Written out because torch's own scaled_dot_product_attention has no rule for vmap.
        weights = torch.softmax(query @ key.transpose(-1, -2) / math.sqrt(query.shape[-1]), dim=-1)
        attended: Tensor = self.out((weights @ value).transpose(-2, -3).flatten(-2))
        return attended

    def _split(self, x: Tensor) -> Tensor:
        """(rows, tokens, width) -> (rows, heads, tokens, width / heads)."""
        return x.reshape(*x.shape[:-1], self.heads, x.shape[-1] // self.heads).transpose(-2, -3)
