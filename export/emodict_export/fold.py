"""The exact folds: each removes work from the graph and nothing from the numbers;
float64 algebra throughout.

Row vectors: a Linear layer maps x to x W + b with W (inputs, outputs), torch's weight transposed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Float64Array = NDArray[np.float64]
State = dict[str, Float64Array]

# A mean of so many standard deviations is taken off in the graph: folded,
# it would cost two of float32's seven digits.
CENTRE_ABOVE = 100.0


class Affine(NamedTuple):
    """x -> x weight + bias; weight (inputs, outputs), bias (outputs,)."""

    weight: Float64Array
    bias: Float64Array


class Norm(NamedTuple):
    """Scale and bias of a layer normalisation."""

    scale: Float64Array
    bias: Float64Array


@dataclass(frozen=True)
class FoldedLayer:
    """One Transformer layer as the graph runs it, its input being x + shift of the layer before.

    scores: (d, heads d) gives for each head x A_h + c_h,
        whose product with x^T is the attention score;
    mix: (heads d, d) = stacked Wv_h Wo_h, its bias pushed into the normalisation before.
    """

    scores: Affine
    mix: Float64Array
    norm1: Norm
    expand: Affine
    contract: Float64Array
    norm2: Norm


@dataclass(frozen=True)
class FoldedModel:
    """All numbers of the graph of one member.

    The input is scaled in the graph (inverse_scale: (tokens, width)), and centred there (mean, the
    same shape) only where offsets are so large that folding them would cost digits in float32 (else
    mean is None); position (tokens, d) carries all constants.
    """

    mean: Float64Array | None
    inverse_scale: Float64Array
    embed: Float64Array
    position: Float64Array
    layers: tuple[FoldedLayer, ...]
    to_weights: Affine
    lbl1: Affine
    lbl1_reads_weights: bool
    lbl2: Affine
    lbl3: Affine
    gate: Affine | None
    to_emotions: Affine


def fold_model(
    state: State, *, positions: Float64Array, heads: int, layers: int, norm_eps: float
) -> FoldedModel:
    """Fold a checkpoint's state (torch's names, float64)."""
    prefix = "encoder.transformer.layers"
    folded = [fold_layer(below(state, f"{prefix}.{i}."), heads=heads) for i in range(layers)]
    embed = fold_embedding(linear_of(state, "encoder.embed"), positions)
    mean, inverse_scale = state["standardise.mean"], 1.0 / state["standardise.scale"]
    centred = float(np.abs(mean * inverse_scale).max()) > CENTRE_ABOVE
    if not centred:
        embed = fold_centring(mean, inverse_scale, embed)
    shifts = [shift for _, shift in folded]
    plain = [layer for layer, _ in folded]
    # Every layer expects its input shifted by a constant:
    # the normalisation (or the positions) before adds it.
    chained = tuple(
        _add_to_norm2(layer, shifts[i + 1]) if i + 1 < layers else layer
        for i, layer in enumerate(plain)
    )
    to_weights = linear_of(state, "encoder.to_weights")
    lbl1 = fold_batch_norm(
        linear_of(state, "classifier.lbl1.0"), below(state, "classifier.lbl1.1."), norm_eps
    )
    lbl1 = fold_dictionary(dictionary_matrix(state["dictionary.parameter"]), lbl1)
    # A wide pooled vector is cheaper through the few weights, which are computed anyway;
    # a narrow one goes past them.
    wide = len(to_weights.weight) > len(lbl1.weight)
    if not wide:
        lbl1 = fold_linear(to_weights, lbl1)
    gate = None
    if "classifier.lbs.0.weight" in state:
        gate = fold_batch_norm(
            linear_of(state, "classifier.lbs.0"), below(state, "classifier.lbs.1."), norm_eps
        )
    return FoldedModel(
        mean=mean if centred else None,
        inverse_scale=inverse_scale,
        embed=embed.weight,
        position=embed.bias + shifts[0],
        layers=chained,
        to_weights=to_weights,
        lbl1=lbl1,
        lbl1_reads_weights=wide,
        lbl2=fold_batch_norm(
            linear_of(state, "classifier.lbl2.0"), below(state, "classifier.lbl2.1."), norm_eps
        ),
        lbl3=fold_batch_norm(
            linear_of(state, "classifier.lbl3.0"), below(state, "classifier.lbl3.1."), norm_eps
        ),
        gate=gate,
        to_emotions=linear_of(state, "classifier.to_emotions"),
    )


def fold_embedding(embed: Affine, positions: Float64Array) -> Affine:
    """(z W + b) + p = z W + (b + p); the bias becomes (tokens, d)."""
    return Affine(embed.weight, embed.bias + positions)


def fold_centring(mean: Float64Array, inverse_scale: Float64Array, embed: Affine) -> Affine:
    """((x - m) / s) W + b = (x / s) W + (b - (m / s) W)."""
    return Affine(embed.weight, embed.bias - (mean * inverse_scale) @ embed.weight)


def fold_layer(state: State, *, heads: int) -> tuple[FoldedLayer, Float64Array]:
    """One post-norm Transformer layer, and the constant its input must be shifted by."""
    q, k, v = split_projection(state)
    out = linear_of(state, "self_attn.out_proj")
    scores = fold_scores(q, k, heads=heads)
    mix = fold_values(v, out, heads=heads)
    scores, shift = push_bias_through_attention(scores, mix, heads=heads)
    expand, contract = linear_of(state, "linear1"), linear_of(state, "linear2")
    expand, norm1 = push_bias_through_feed_forward(
        expand, contract.bias, Norm(state["norm1.weight"], state["norm1.bias"])
    )
    norm2 = Norm(state["norm2.weight"], state["norm2.bias"])
    return FoldedLayer(scores, mix.weight, norm1, expand, contract.weight, norm2), shift


def fold_scores(query: Affine, key: Affine, *, heads: int) -> Affine:
    """Per head A_h = Wq_h Wk_h^T / sqrt(d_head) and c_h = bq_h Wk_h^T / sqrt(d_head).

    (x_i A_h + c_h) x_j^T is the score but for the key bias's part,
    which is the same for every j and cancels in the softmax.
    """
    parts = []
    for wq, bq, wk in zip(
        np.split(query.weight, heads, axis=1),
        np.split(query.bias, heads),
        np.split(key.weight, heads, axis=1),
        strict=True,
    ):
        scale = 1.0 / np.sqrt(len(bq))
        parts.append((scale * wq @ wk.T, scale * bq @ wk.T))
    return Affine(np.hstack([a for a, _ in parts]), np.concatenate([c for _, c in parts]))


def fold_values(value: Affine, out: Affine, *, heads: int) -> Affine:
    """Stacked VO_h = Wv_h Wo_h; as attention sums to 1,
    the value bias becomes a constant of the output.
    """
    pairs = zip(
        np.split(value.weight, heads, axis=1), np.split(out.weight, heads, axis=0), strict=True
    )
    return Affine(np.vstack([wv @ wo for wv, wo in pairs]), value.bias @ out.weight + out.bias)


def push_bias_through_attention(
    scores: Affine, mix: Affine, *, heads: int
) -> tuple[Affine, Float64Array]:
    """Shift x by s so that x + attention(x) + bias needs no bias: s (I + sum_h VO_h) = bias.

    With x' = x + s each head returns P_h x' = P_h x + s, the scores' constant becomes c_h - s A_h,
    and x' + sum_h P_h x' VO_h = x + sum_h P_h x VO_h + bias.
    """
    size = len(mix.bias)
    total = np.eye(size) + mix.weight.reshape(heads, size, size).sum(axis=0)
    shift = np.linalg.solve(total.T, mix.bias)
    return Affine(scores.weight, scores.bias - shift @ scores.weight), shift


def push_bias_through_feed_forward(
    expand: Affine, bias: Float64Array, norm: Norm
) -> tuple[Affine, Norm]:
    """Let the normalisation before add the second layer's bias;
    the first layer takes it off again.
    """
    shifted = Affine(expand.weight, expand.bias - bias @ expand.weight)
    return shifted, Norm(norm.scale, norm.bias + bias)


def fold_batch_norm(linear: Affine, norm: State, eps: float) -> Affine:
    """(x W + b - mean) gamma / sqrt(var + eps) + beta as one Linear."""
    gain = norm["weight"] / np.sqrt(norm["running_var"] + eps)
    return Affine(linear.weight * gain, (linear.bias - norm["running_mean"]) * gain + norm["bias"])


def fold_dictionary(dictionary: Float64Array, first: Affine) -> Affine:
    """The latent h = w D^T, then the first classifier layer h F + f,
    as one Linear on the weights: w (D^T F) + f.
    """
    return Affine(dictionary.T @ first.weight, first.bias)


def fold_linear(first: Affine, second: Affine) -> Affine:
    """Two Linears in a row as one: (x W + b) V + c = x (W V) + (b V + c)."""
    return Affine(first.weight @ second.weight, first.bias @ second.weight + second.bias)


def dictionary_matrix(parameter: Float64Array) -> Float64Array:
    """(latent, elements): Q of the trained parameter; LAPACK fixes the signs as torch does."""
    return np.linalg.qr(parameter)[0]


def _add_to_norm2(layer: FoldedLayer, shift: Float64Array) -> FoldedLayer:
    norm2 = Norm(layer.norm2.scale, layer.norm2.bias + shift)
    return FoldedLayer(layer.scores, layer.mix, layer.norm1, layer.expand, layer.contract, norm2)


def split_projection(state: State) -> list[Affine]:
    """Torch stacks query, key and value in one weight of 3 d rows."""
    weights = np.split(state["self_attn.in_proj_weight"], 3)
    biases = np.split(state["self_attn.in_proj_bias"], 3)
    return [Affine(w.T, b) for w, b in zip(weights, biases, strict=True)]


def linear_of(state: State, name: str) -> Affine:
    """Torch's Linear of this name."""
    return Affine(state[f"{name}.weight"].T, state[f"{name}.bias"])


def below(state: State, prefix: str) -> State:
    """What stands under a prefix, under its name without it."""
    return {
        name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)
    }


def as_float64(state: dict[str, Any]) -> State:
    """A torch state_dict as float64 numpy arrays."""
    return {name: value.detach().cpu().double().numpy() for name, value in state.items()}
