"""The written numbers of a network, computed in numpy in the order of the C code.

Where a model is exported there may be no compiler; its numbers are held against torch all the same.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from emodict.engine.model_spec import ModelSpec
from emodict_export.c.network import LINEARS_OF_LAYER, WrittenNetwork
from emodict_export.fold import Norm
from emodict_export.graph import LAYER_NORM_EPS, LEAKY_SLOPE

Float32Array = NDArray[np.float32]


def run_written(
    members: Sequence[WrittenNetwork], model: ModelSpec, tokens: Float32Array
) -> tuple[Float32Array, Float32Array]:
    """(rows, tokens, width) -> distribution and weights, by the numbers that are written."""
    outputs = [_run_member(member, model, tokens) for member in members]
    distribution = np.mean([d for d, _ in outputs], axis=0, dtype=np.float32)
    return np.asarray(distribution), np.concatenate([w for _, w in outputs], axis=1)


def _run_member(
    member: WrittenNetwork, model: ModelSpec, tokens: Float32Array
) -> tuple[Float32Array, Float32Array]:
    network, linears = member.network, member.linears
    z = (tokens - network.mean.astype(np.float32)) * network.inverse_scale.astype(np.float32)
    x = linears["embed"].apply(z) + network.position.astype(np.float32)
    for i in range(len(network.layers)):
        x = _run_layer(member, i, model, x)
    weights = linears["to_weights"].apply(_pool(x, model))
    h1 = _leaky(linears["lbl1"].apply(weights))
    gate = _leaky(linears["lbl3"].apply(_leaky(linears["lbl2"].apply(h1))))
    if "gate" in linears:
        gate = linears["gate"].apply(gate)
    with np.errstate(over="ignore"):  # a gate that is shut: exp of much, and a share of 0
        gated = h1 / (1 + np.exp(-gate))
    return _softmax(linears["to_emotions"].apply(gated)), weights


def _run_layer(member: WrittenNetwork, i: int, model: ModelSpec, x: Float32Array) -> Float32Array:
    part = {name: member.linears[f"layer{i}.{name}"] for name in LINEARS_OF_LAYER}
    layer = member.network.layers[i]
    rows, tokens, d = x.shape
    query, key, value = (
        part[name].apply(x).reshape(rows, tokens, model.heads, -1).swapaxes(1, 2)
        for name in ("query", "key", "value")
    )
    mixed = _softmax(query @ key.swapaxes(2, 3)) @ value
    y = _normed(x + part["out"].apply(mixed.swapaxes(1, 2).reshape(rows, tokens, d)), layer.norm1)
    hidden = np.maximum(part["expand"].apply(y), 0)
    return _normed(y + part["contract"].apply(hidden), layer.norm2)


def _pool(x: Float32Array, model: ModelSpec) -> Float32Array:
    if model.readout == "last":
        return x[:, -1]
    return x.mean(axis=1) if model.readout == "mean" else x.reshape(len(x), -1)


def _normed(x: Float32Array, norm: Norm) -> Float32Array:
    centred = x - x.mean(axis=-1, keepdims=True)
    spread = np.sqrt(np.square(centred).mean(axis=-1, keepdims=True) + np.float32(LAYER_NORM_EPS))
    scale, bias = norm.scale.astype(np.float32), norm.bias.astype(np.float32)
    return np.asarray(centred / spread * scale + bias)


def _softmax(x: Float32Array) -> Float32Array:
    share = np.exp(x - x.max(axis=-1, keepdims=True))
    return np.asarray(share / share.sum(axis=-1, keepdims=True))


def _leaky(x: Float32Array) -> Float32Array:
    return np.where(x < 0, np.float32(LEAKY_SLOPE) * x, x)
