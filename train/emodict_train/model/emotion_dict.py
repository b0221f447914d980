"""EmotionDict as the paper writes it (Liu et al., equations 2-12 and Table
2), in the paper's order.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from emodict.engine.model_spec import ModelSpec
from emodict.features.spec import FeatureSpec


class Output(NamedTuple):
    """What the multi-modal path gives for each row.

    Attributes:
        log_distribution: (rows, emotions) natural log of the predicted distribution.
        weights: (rows, elements) of the dictionary.
        latent: (rows, 128) h of equation 2.
    """

    log_distribution: Tensor
    weights: Tensor
    latent: Tensor


class EmotionDict(nn.Module):
    """Tokens of raw features -> a distribution over emotions and the weights of
    the dictionary's elements.

    Args:
        features: the feature spec; its modalities are the model's.
        auxiliary: also build the modality-specific encoders of the
            auxiliary losses (training only).
    """

    def __init__(
        self,
        spec: ModelSpec,
        features: FeatureSpec,
        *,
        dropout: float = 0.0,
        auxiliary: bool = False,
    ) -> None:
        super().__init__()
        self.spec = spec
        self.standardise = Standardise(features.tokens, features.token_width)
        self.encoder = Encoder(spec, features.tokens, features.token_width, dropout)
        self.dictionary = Dictionary(spec.latent, spec.elements)
        self.classifier = Classifier(spec, dropout)
        self.token_slices = dict(features.token_slices)
        self.modality_encoders = nn.ModuleDict()
        if auxiliary:
            for name, part in self.token_slices.items():
                count = part.stop - part.start
                self.modality_encoders[name] = Encoder(spec, count, features.token_width, dropout)

    def forward(self, tokens: Tensor) -> Output:
        """(rows, tokens, width) raw features, NaN where a modality is missing."""
        return self.from_standardised(self.standardise(tokens))

    def from_standardised(self, x: Tensor) -> Output:
        """The multi-modal path, equations 2-10, from standardised tokens."""
        weights = self.encoder(x)
        latent = self.dictionary(weights)
        logits = self.classifier(latent)
        return Output(torch.log_softmax(logits, dim=-1), weights, latent)  # eq. 9

    def auxiliary_latents(self, x: Tensor) -> dict[str, Tensor]:
        """h^k of equations 11 and 12; they never pass through the classifier,
        whose BatchNorm they would spoil.
        """
        return {
            name: self.dictionary(encoder(x[:, self.token_slices[name]]))
            for name, encoder in self.modality_encoders.items()
        }


class Standardise(nn.Module):
    """z = (x - mean) / scale with the training set's statistics;
    what is missing becomes the mean, 0.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, tokens: int, width: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(tokens, width))
        self.register_buffer("scale", torch.ones(tokens, width))

    def forward(self, tokens: Tensor) -> Tensor:
        z = (tokens - self.mean) / self.scale
        return torch.where(torch.isnan(z), torch.zeros_like(z), z)


class Encoder(nn.Module):
    """Equations 3 and 11: Linear, positions, Transformer,
    Linear -> the weights of the dictionary's elements.
    """

    positions: Tensor

    def __init__(self, spec: ModelSpec, tokens: int, width: int, dropout: float) -> None:
        super().__init__()
        self.readout = spec.readout
        self.embed = nn.Linear(width, spec.d_model)
        self.register_buffer(
            "positions", sinusoidal_positions(tokens, spec.d_model), persistent=False
        )
        self.dropout = nn.Dropout(dropout)
        self.transformer = Transformer(spec, dropout)
        pooled = spec.d_model * (tokens if spec.readout == "flatten" else 1)
        self.to_weights = nn.Linear(pooled, spec.elements)

    def forward(self, x: Tensor) -> Tensor:
        x = self.dropout(self.embed(x) + self.positions)
        x = self.transformer(x, last_only=self.readout == "last")
        pooled = x.mean(dim=1) if self.readout == "mean" else x.flatten(1)
        weights: Tensor = self.to_weights(pooled)
        return weights


class Transformer(nn.Module):
    """Vaswani et al. (2017), computed step by step from the parameters of torch's own layers.

    torch's fused attention is made for long sequences: for a dozen tokens the plain products
    train 1.3 times as fast, and unlike it they can be mapped over the networks of an
    ensemble (torch.func.vmap).
    """

    def __init__(self, spec: ModelSpec, dropout: float) -> None:
        super().__init__()
        # feed_forward is given: the default width of 2048 would cost 6.6
        # times the time for nothing.
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(
                spec.d_model, spec.heads, spec.feed_forward, dropout, batch_first=True
            )
            for _ in range(spec.layers)
        )

    def forward(self, x: Tensor, *, last_only: bool = False) -> Tensor:
        """(rows, tokens, d_model) -> the same; with `last_only` (rows, 1, d_model),
        as nothing reads the others.
        """
        for i, layer in enumerate(self.layers):
            assert isinstance(layer, nn.TransformerEncoderLayer)
            kept = x[:, -1:] if last_only and i == len(self.layers) - 1 else x
            y = layer.norm1(kept + layer.dropout1(_attention(layer.self_attn, kept, x)))
            hidden = layer.dropout(torch.relu(layer.linear1(y)))
            x = layer.norm2(y + layer.dropout2(layer.linear2(hidden)))
        return x


def _attention(parameters: nn.MultiheadAttention, asking: Tensor, asked: Tensor) -> Tensor:
    """softmax(Q K^T / sqrt(d)) V for each head;
    (rows, tokens that ask, d_model) -> the same shape.
    """
    heads, width = parameters.num_heads, parameters.head_dim
    weights, biases = parameters.in_proj_weight, parameters.in_proj_bias
    query, key, value = (
        functional.linear(x, weight, bias).reshape(*x.shape[:-1], heads, width).transpose(1, 2)
        for x, weight, bias in zip(
            (asking, asked, asked), weights.chunk(3), biases.chunk(3), strict=True
        )
    )
    attention = _softmax(query * width**-0.5 @ key.transpose(-1, -2))
    attention = functional.dropout(attention, parameters.dropout, parameters.training)
    mixed: Tensor = parameters.out_proj((attention @ value).transpose(1, 2).flatten(-2))
    return mixed


def _softmax(x: Tensor) -> Tensor:
    """Over the last axis, of a dozen numbers.

    Along the first axis torch computes whole vectors of softmaxes at once, along the last one
    after the other: for a dozen numbers this takes a tenth to a third of the time.
    """
    return torch.softmax(x.movedim(-1, 0), dim=0).movedim(0, -1)


class Dictionary(nn.Module):
    """Equation 2: h = sum_i w_i d_i with orthonormal elements d_i,
    the Q of a parameter's QR decomposition.
    """

    def __init__(self, latent: int, elements: int) -> None:
        super().__init__()
        self.parameter = nn.Parameter(torch.randn(latent, elements) / math.sqrt(latent))

    @property
    def matrix(self) -> Tensor:
        """(latent, elements), orthonormal columns."""
        q: Tensor = torch.linalg.qr(self.parameter).Q
        return q

    def forward(self, weights: Tensor) -> Tensor:
        return weights @ self.matrix.T


class Classifier(nn.Module):
    """Equations 4-8: h1 = LBL(h), h2 = LBS(LBL(LBL(h1))), o = h1 * h2,
    then one Linear to the emotions (Table 2).
    """

    def __init__(self, spec: ModelSpec, dropout: float) -> None:
        super().__init__()
        self.lbl1 = lbl(spec.latent, spec.latent)
        self.lbl2 = lbl(spec.latent, spec.bottleneck)
        self.lbl3 = lbl(spec.bottleneck, spec.latent)
        if spec.gate == "linear":
            self.lbs = nn.Sequential(
                nn.Linear(spec.latent, spec.latent), nn.BatchNorm1d(spec.latent), nn.Sigmoid()
            )
        else:
            self.lbs = nn.Sequential(nn.Sigmoid())
        self.dropout = nn.Dropout(dropout)
        self.to_emotions = nn.Linear(spec.latent, len(spec.emotions))

    def forward(self, latent: Tensor) -> Tensor:
        h1 = self.lbl1(latent)  # eq. 6
        h2 = self.lbs(self.lbl3(self.lbl2(h1)))  # eq. 7
        logits: Tensor = self.to_emotions(self.dropout(h1 * h2))  # eq. 8
        return logits


def lbl(inputs: int, outputs: int) -> nn.Sequential:
    """Equation 4: Linear, BatchNorm, LeakyReLU."""
    return nn.Sequential(nn.Linear(inputs, outputs), nn.BatchNorm1d(outputs), nn.LeakyReLU())


def sinusoidal_positions(tokens: int, d_model: int) -> Tensor:
    """(tokens, d_model): sin and cos of geometrically spaced frequencies (Vaswani et al. 2017)."""
    position = torch.arange(tokens, dtype=torch.float64)[:, None]
    rate = torch.exp(
        torch.arange(0, d_model, 2, dtype=torch.float64) * (-math.log(10000.0) / d_model)
    )
    out = torch.empty(tokens, d_model, dtype=torch.float64)
    out[:, 0::2] = torch.sin(position * rate)
    out[:, 1::2] = torch.cos(position * rate)
    return out.float()
