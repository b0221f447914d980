"""Each fold alone in float64 against the untouched torch module or the plain formula,
then all of them together.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from torch import nn

from emodict_export import fold
from emodict_export.export import fold_network
from emodict_export.fold import Affine, FoldedLayer, Norm
from emodict_export.graph import build_graph
from emodict_train.model.checkpoint import Checkpoint

# float64 keeps 16 digits; the sums here have at most a few hundred terms of size 1 to 10.
ATOL = 1e-12
D, HEADS, TOKENS, ROWS = 24, 4, 11, 5
Array = np.ndarray


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def _affine(rng: np.random.Generator, inputs: int, outputs: int) -> Affine:
    return Affine(
        rng.standard_normal((inputs, outputs)) / np.sqrt(inputs), rng.standard_normal(outputs)
    )


def _apply(affine: Affine, x: Array) -> Array:
    return x @ affine.weight + affine.bias


def _softmax(x: Array) -> Array:
    powers = np.exp(x - x.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def _layer_norm(x: Array, norm: Norm) -> Array:
    centred = x - x.mean(axis=-1, keepdims=True)
    return (
        centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + 1e-5) * norm.scale + norm.bias
    )


def _head(x: Array, head: int) -> Array:
    return x[..., head * D // HEADS : (head + 1) * D // HEADS]


def _close(got: Array, expected: Array) -> None:
    np.testing.assert_allclose(got, expected, rtol=0, atol=ATOL)


@pytest.mark.parametrize(
    ("deviations", "in_the_graph"), [(99.9, False), (-99.9, False), (100.1, True), (-100.1, True)]
)
def test_a_mean_of_more_than_100_standard_deviations_is_taken_off_in_the_graph(
    trained: Callable[..., Checkpoint], deviations: float, in_the_graph: bool
) -> None:
    (network,) = trained("emodict-1", modalities=("gsr", "ppg")).networks()
    network.standardise.mean.zero_()[0, 3] = 0.25 * deviations
    network.standardise.scale.fill_(0.25)
    folded = fold_network(network)
    assert (folded.mean is not None) is in_the_graph
    np.testing.assert_array_equal(folded.inverse_scale, np.full_like(folded.inverse_scale, 4.0))


def test_positions_go_into_the_bias_of_the_embedding(rng: np.random.Generator) -> None:
    embed, positions, z = (
        _affine(rng, 18, D),
        rng.standard_normal((TOKENS, D)),
        rng.standard_normal((ROWS, TOKENS, 18)),
    )
    _close(_apply(fold.fold_embedding(embed, positions), z), _apply(embed, z) + positions)


def test_centring_goes_into_the_bias_of_the_embedding(rng: np.random.Generator) -> None:
    embed, x = _affine(rng, 18, D), rng.standard_normal((ROWS, TOKENS, 18))
    mean, scale = rng.standard_normal((TOKENS, 18)), rng.uniform(0.5, 2, (TOKENS, 18))
    folded = fold.fold_centring(mean, 1 / scale, fold.fold_embedding(embed, np.zeros((TOKENS, D))))
    _close(_apply(folded, x / scale), _apply(embed, (x - mean) / scale))


def test_merged_scores_give_the_attention_of_queries_and_keys_with_all_their_biases(
    rng: np.random.Generator,
) -> None:
    query, key, x = _affine(rng, D, D), _affine(rng, D, D), rng.standard_normal((ROWS, TOKENS, D))
    merged = fold.fold_scores(query, key, heads=HEADS)
    for h in range(HEADS):
        q, k = _head(_apply(query, x), h), _head(_apply(key, x), h)
        expected = _softmax(q @ k.transpose(0, 2, 1) / np.sqrt(D // HEADS))
        scores = _apply(merged, x)[..., h * D : (h + 1) * D] @ x.transpose(0, 2, 1)
        _close(_softmax(scores), expected)


def test_merged_values_give_the_heads_output_projected_with_all_biases(
    rng: np.random.Generator,
) -> None:
    value, out, x = _affine(rng, D, D), _affine(rng, D, D), rng.standard_normal((ROWS, TOKENS, D))
    attention = [_softmax(rng.standard_normal((ROWS, TOKENS, TOKENS))) for _ in range(HEADS)]
    heads = [attention[h] @ _head(_apply(value, x), h) for h in range(HEADS)]
    expected = _apply(out, np.concatenate(heads, axis=-1))
    merged = fold.fold_values(value, out, heads=HEADS)
    _close(_apply(merged, np.concatenate([a @ x for a in attention], axis=-1)), expected)


def test_a_shifted_input_stands_for_the_bias_of_attention(rng: np.random.Generator) -> None:
    scores, mix = _affine(rng, D, HEADS * D), _affine(rng, HEADS * D, D)
    x = rng.standard_normal((ROWS, TOKENS, D))

    def attend(x: Array, scores: Affine) -> tuple[list[Array], Array]:
        per_head = np.split(_apply(scores, x), HEADS, axis=-1)
        attention = [_softmax(q @ x.transpose(0, 2, 1)) for q in per_head]
        return attention, x + np.concatenate([a @ x for a in attention], axis=-1) @ mix.weight

    shifted, shift = fold.push_bias_through_attention(scores, mix, heads=HEADS)
    attention, without_bias = attend(x, scores)
    attention_shifted, got = attend(x + shift, shifted)
    for a, b in zip(attention_shifted, attention, strict=True):
        _close(a, b)
    _close(got, without_bias + mix.bias)


def test_the_normalisation_before_carries_the_bias_of_the_feed_forward(
    rng: np.random.Generator,
) -> None:
    expand, contract = _affine(rng, D, 32), _affine(rng, 32, D)
    norm, x = Norm(rng.uniform(0.5, 2, D), rng.standard_normal(D)), rng.standard_normal((ROWS, D))
    y = _layer_norm(x, norm)
    expected = y + _apply(contract, np.maximum(_apply(expand, y), 0))
    expand2, norm2 = fold.push_bias_through_feed_forward(expand, contract.bias, norm)
    y = _layer_norm(x, norm2)
    _close(y + np.maximum(_apply(expand2, y), 0) @ contract.weight, expected)


def test_batch_norm_goes_into_the_linear_before_it(rng: np.random.Generator) -> None:
    linear, norm = nn.Linear(7, 9).double(), nn.BatchNorm1d(9).double().eval()
    for name in ("weight", "running_var"):
        getattr(norm, name).data = torch.from_numpy(rng.uniform(0.1, 3, 9))
    for name in ("bias", "running_mean"):
        getattr(norm, name).data = torch.from_numpy(rng.standard_normal(9))
    x = rng.standard_normal((ROWS, 7))
    affine = Affine(linear.weight.detach().numpy().T, linear.bias.detach().numpy())
    state = {k: v.double().numpy() for k, v in norm.state_dict().items()}
    with torch.no_grad():
        _close(
            _apply(fold.fold_batch_norm(affine, state, norm.eps), x),
            norm(linear(torch.from_numpy(x))).numpy(),
        )


def test_the_dictionary_and_the_layer_after_it_are_one_linear(rng: np.random.Generator) -> None:
    dictionary, first, w = (
        rng.standard_normal((128, 32)),
        _affine(rng, 128, 16),
        rng.standard_normal((ROWS, 32)),
    )
    _close(_apply(fold.fold_dictionary(dictionary, first), w), _apply(first, w @ dictionary.T))


def test_two_linears_in_a_row_are_one(rng: np.random.Generator) -> None:
    one, two, x = _affine(rng, 6, 7), _affine(rng, 7, 8), rng.standard_normal((ROWS, 6))
    _close(_apply(fold.fold_linear(one, two), x), _apply(two, _apply(one, x)))


def test_the_dictionarys_matrix_is_torchs_signs_included(rng: np.random.Generator) -> None:
    parameter = rng.standard_normal((128, 32))
    _close(
        fold.dictionary_matrix(parameter), torch.linalg.qr(torch.from_numpy(parameter)).Q.numpy()
    )


def _run_layer(layer: FoldedLayer, x: Array) -> Array:
    """What the graph does with a folded layer, written out."""
    queries = np.split(_apply(layer.scores, x), HEADS, axis=-1)
    heads = [_softmax(q @ x.transpose(0, 2, 1)) @ x for q in queries]
    y = _layer_norm(x + np.concatenate(heads, axis=-1) @ layer.mix, layer.norm1)
    return _layer_norm(y + np.maximum(_apply(layer.expand, y), 0) @ layer.contract, layer.norm2)


def test_a_folded_layer_is_torchs_untouched_layer_on_its_shifted_input(
    rng: np.random.Generator,
) -> None:
    torch.manual_seed(0)
    theirs = (
        nn.TransformerEncoderLayer(D, HEADS, dim_feedforward=32, dropout=0.0, batch_first=True)
        .double()
        .eval()
    )
    for parameter in theirs.parameters():  # biases start at 0, scales at 1
        parameter.data += 0.2 * torch.randn_like(parameter)
    layer, shift = fold.fold_layer(fold.as_float64(theirs.state_dict()), heads=HEADS)
    x = rng.standard_normal((ROWS, TOKENS, D))
    with torch.no_grad():
        _close(_run_layer(layer, x + shift), theirs(torch.from_numpy(x)).numpy())


OPERATORS: dict[str, Callable[..., Array]] = {
    "Sub": lambda a, b: a - b,
    "Mul": lambda a, b: a * b,
    "Add": lambda a, b: a + b,
    "MatMul": lambda a, b: a @ b,
    "Gemm": lambda a, b, c: a @ b + c,
    "Reshape": lambda a, shape: a.reshape(shape),
    "Transpose": lambda a, perm: a.transpose(perm),
    "Gather": lambda a, index, axis: np.take(a, index, axis=axis),
    "Softmax": lambda a, axis: _softmax(a),
    "LayerNormalization": lambda a, scale, bias, axis, epsilon: _layer_norm(a, Norm(scale, bias)),
    "Relu": lambda a: np.maximum(a, 0),
    "LeakyRelu": lambda a, alpha: np.where(a > 0, a, 0.01 * a),
    "Sigmoid": lambda a: 1 / (1 + np.exp(-a)),
    "ReduceMean": lambda a, axes, keepdims: a.mean(axis=tuple(axes)),
    "Mean": lambda *parts: sum(parts) / len(parts),
    "Concat": lambda *parts, axis: np.concatenate(parts, axis=axis),
}


def _run_float64(model: onnx.ModelProto, tokens: Array) -> tuple[Array, Array]:
    """The graph node by node in float64;
    attributes that ONNX stores in float32 are taken at their exact value.
    """
    values = {c.name: numpy_helper.to_array(c) for c in model.graph.initializer} | {
        "tokens": tokens
    }
    for node in model.graph.node:
        attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        values[node.output[0]] = OPERATORS[node.op_type](
            *[values[n] for n in node.input], **attributes
        )
    return values["distribution"], values["weights"]


@pytest.mark.parametrize("spec_id", ["emodict-1", "dmer-sample"])
@pytest.mark.parametrize("readout", ["last", "mean", "flatten"])
@pytest.mark.parametrize("gate", ["linear", "bare"])
def test_the_whole_folded_graph_computes_in_float64_what_torch_does(
    trained: Callable[..., Checkpoint],
    monkeypatch: pytest.MonkeyPatch,
    spec_id: str,
    readout: str,
    gate: str,
) -> None:
    checkpoint = trained(spec_id, readout=readout, gate=gate)
    _check_in_float64(checkpoint, monkeypatch)


@pytest.mark.parametrize(("offset", "in_graph"), [(0.0, False), (5.0, False), (400.0, True)])
def test_the_mean_is_taken_off_in_the_graph_only_where_it_is_large(
    trained: Callable[..., Checkpoint],
    monkeypatch: pytest.MonkeyPatch,
    offset: float,
    in_graph: bool,
) -> None:
    checkpoint = trained("emodict-1", offset=offset)
    assert (fold_network(checkpoint.networks()[0]).mean is not None) == in_graph
    _check_in_float64(checkpoint, monkeypatch, offset=offset)


def _check_in_float64(
    checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch, *, offset: float = 5.0
) -> None:
    graph_in_float64(monkeypatch)
    members = [fold_network(network) for network in checkpoint.networks()]
    features = checkpoint.features
    model = build_graph(
        members, checkpoint.model, tokens=features.tokens, width=features.token_width
    )
    tokens = offset + np.random.default_rng(1).standard_normal(
        (7, features.tokens, features.token_width)
    )
    distribution, weights = _run_float64(model, tokens)
    with torch.no_grad():
        expected = checkpoint.networks()[0].double()(torch.from_numpy(tokens))
    _close(distribution, expected.log_distribution.exp().numpy())
    _close(weights, expected.weights.numpy())


def graph_in_float64(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the graph's constants in float64; the operators are then not type-checked."""
    from emodict_export import graph

    def constant(self: Any, name: str, value: Array) -> str:
        if name not in self._known:
            self._known.add(name)
            self.constants.append(
                numpy_helper.from_array(np.ascontiguousarray(value).reshape(value.shape), name)
            )
        return name

    monkeypatch.setattr(graph.GraphBuilder, "constant", constant)
    monkeypatch.setattr(graph.onnx.checker, "check_model", lambda *_, **__: None)
