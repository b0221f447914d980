"""The numbers of one network for C: folded as the graph's, but for attention, whose heads are kept.

A product of query and key weights saves the graph nodes, and costs twice the multiplications.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emodict_export.fold import (
    Affine,
    Norm,
    State,
    below,
    dictionary_matrix,
    fold_batch_norm,
    fold_dictionary,
    fold_embedding,
    linear_of,
    split_projection,
)

Float64Array = NDArray[np.float64]


@dataclass(frozen=True)
class Layer:
    """One Transformer layer; the query is scaled, and the values' bias is in `out`."""

    query: Affine
    key: Affine
    value: Affine
    out: Affine
    expand: Affine
    contract: Affine
    norm1: Norm
    norm2: Norm


@dataclass(frozen=True)
class Network:
    """All numbers of one member; mean, inverse_scale (tokens, width); position (tokens, d)."""

    mean: Float64Array
    inverse_scale: Float64Array
    embed: Affine
    position: Float64Array
    layers: tuple[Layer, ...]
    to_weights: Affine
    lbl1: Affine
    lbl2: Affine
    lbl3: Affine
    gate: Affine | None
    to_emotions: Affine


def fold_for_c(
    state: State, *, positions: Float64Array, heads: int, layers: int, norm_eps: float
) -> Network:
    """Fold a checkpoint's state (torch's names, float64)."""
    embed = fold_embedding(linear_of(state, "encoder.embed"), positions)

    def normed(name: str) -> Affine:
        linear, norm = linear_of(state, f"classifier.{name}.0"), f"classifier.{name}.1."
        return fold_batch_norm(linear, below(state, norm), norm_eps)

    prefix = "encoder.transformer.layers"
    return Network(
        mean=state["standardise.mean"],
        inverse_scale=1.0 / state["standardise.scale"],
        embed=_without_bias(embed.weight),
        position=embed.bias,
        layers=tuple(
            fold_heads(below(state, f"{prefix}.{i}."), heads=heads) for i in range(layers)
        ),
        to_weights=linear_of(state, "encoder.to_weights"),
        lbl1=fold_dictionary(dictionary_matrix(state["dictionary.parameter"]), normed("lbl1")),
        lbl2=normed("lbl2"),
        lbl3=normed("lbl3"),
        gate=normed("lbs") if "classifier.lbs.0.weight" in state else None,
        to_emotions=linear_of(state, "classifier.to_emotions"),
    )


def fold_heads(state: State, *, heads: int) -> Layer:
    """One post-norm layer.

    The key's bias adds the same to every score of a query and cancels in the softmax; attention
    sums to 1, so the values' bias is a constant of the output.
    """
    query, key, value = split_projection(state)
    out = linear_of(state, "self_attn.out_proj")
    scale = (len(query.bias) / heads) ** -0.5
    return Layer(
        query=Affine(scale * query.weight, scale * query.bias),
        key=_without_bias(key.weight),
        value=_without_bias(value.weight),
        out=Affine(out.weight, value.bias @ out.weight + out.bias),
        expand=linear_of(state, "linear1"),
        contract=linear_of(state, "linear2"),
        norm1=Norm(state["norm1.weight"], state["norm1.bias"]),
        norm2=Norm(state["norm2.weight"], state["norm2.bias"]),
    )


def _without_bias(weight: Float64Array) -> Affine:
    return Affine(weight, np.zeros(weight.shape[1]))
