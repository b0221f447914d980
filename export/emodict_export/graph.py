"""The folded model as an ONNX graph: raw features in, distribution and dictionary weights out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from emodict.engine.model_spec import ModelSpec
from emodict.engine.onnx import DISTRIBUTION, INPUT, WEIGHTS
from emodict_export.fold import Affine, FoldedLayer, FoldedModel, Norm

OPSET = 18
# The IR version that came with opset 18: every runtime that knows the operators can read the file.
IR_VERSION = 8
LEAKY_SLOPE = 0.01
LAYER_NORM_EPS = 1e-5


def build_graph(
    members: Sequence[FoldedModel], spec: ModelSpec, *, tokens: int, width: int
) -> onnx.ModelProto:
    """One graph for all members: their distributions averaged,
    their dictionary weights side by side.
    """
    builder = GraphBuilder()
    outputs = [
        _member(builder, model, spec, tokens=tokens, prefix=f"m{i}/" if len(members) > 1 else "")
        for i, model in enumerate(members)
    ]
    distributions, weights = zip(*outputs, strict=True)
    if len(members) == 1:
        builder.rename(distributions[0], DISTRIBUTION)
        builder.rename(weights[0], WEIGHTS)
    else:
        builder.add("Mean", list(distributions), DISTRIBUTION)
        builder.add("Concat", list(weights), WEIGHTS, axis=1)
    shapes: dict[str, list[str | int | None]] = {
        INPUT: ["batch", tokens, width],
        DISTRIBUTION: ["batch", len(spec.emotions)],
        WEIGHTS: ["batch", spec.elements * len(members)],
    }
    values = {
        n: helper.make_tensor_value_info(n, TensorProto.FLOAT, shape) for n, shape in shapes.items()
    }
    graph = helper.make_graph(
        builder.nodes,
        "emodict",
        [values[INPUT]],
        [values[DISTRIBUTION], values[WEIGHTS]],
        builder.constants,
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="emodict"
    )
    model.ir_version = IR_VERSION
    onnx.checker.check_model(model, full_check=True)
    return model


class GraphBuilder:
    """Nodes and constants in the order they are added; a node is named after its output."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self._known: set[str] = set()

    def add(self, op: str, inputs: list[str], output: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(op, inputs, [output], name=output, **attributes))
        return output

    def constant(self, name: str, value: NDArray[Any]) -> str:
        if name not in self._known:
            self._known.add(name)
            kept = value if value.dtype == np.int64 else value.astype(np.float32)
            self.constants.append(numpy_helper.from_array(np.array(kept, order="C"), name))
        return name

    def gemm(
        self, x: str, affine: Affine | NDArray[Any], output: str, *, plus: str | None = None
    ) -> str:
        """X W + b, or x W + another tensor: then the residual add costs no node."""
        weight = affine.weight if isinstance(affine, Affine) else affine
        inputs = [x, self.constant(f"{output}.weight", weight)]
        if isinstance(affine, Affine):
            inputs.append(self.constant(f"{output}.bias", affine.bias))
        elif plus is not None:
            inputs.append(plus)
        return self.add("Gemm", inputs, output)

    def reshape(self, x: str, shape: Sequence[int], output: str) -> str:
        name = "shape_" + "x".join(str(n).replace("-1", "n") for n in shape)
        return self.add("Reshape", [x, self.constant(name, np.array(shape, np.int64))], output)

    def norm(self, x: str, norm: Norm, output: str) -> str:
        scale = self.constant(f"{output}.scale", norm.scale)
        bias = self.constant(f"{output}.bias", norm.bias)
        return self.add(
            "LayerNormalization", [x, scale, bias], output, axis=-1, epsilon=LAYER_NORM_EPS
        )

    def rename(self, old: str, new: str) -> None:
        for node in self.nodes:
            node.input[:] = [new if name == old else name for name in node.input]
            if old in node.output:
                node.output[:], node.name = [new], new


def _member(
    b: GraphBuilder, model: FoldedModel, spec: ModelSpec, *, tokens: int, prefix: str
) -> tuple[str, str]:
    """(distribution, weights) of one member."""
    sequence = _embed(b, model, prefix)
    x = b.reshape(sequence, (-1, spec.d_model), f"{prefix}embedded")
    last_only = spec.readout == "last"
    for i, layer in enumerate(model.layers):
        only_last_token = last_only and i == len(model.layers) - 1
        name = f"{prefix}layer{i}"
        if i:
            sequence = b.reshape(x, (-1, tokens, spec.d_model), f"{name}/sequence")
        x = _layer(b, layer, x, sequence, spec, tokens=tokens, last=only_last_token, name=name)
    pooled = _pool(b, x, spec, tokens=tokens, prefix=prefix)
    weights = b.gemm(pooled, model.to_weights, f"{prefix}dictionary_weights")
    features = weights if model.lbl1_reads_weights else pooled
    return _classify(b, model, features, prefix), weights


def _embed(b: GraphBuilder, model: FoldedModel, prefix: str) -> str:
    """Standardise and project: (batch, tokens, width) -> (batch, tokens, d)."""
    centred = INPUT
    if model.mean is not None:
        centred = b.add("Sub", [INPUT, b.constant(f"{prefix}mean", model.mean)], f"{prefix}centred")
    scale = b.constant(f"{prefix}inverse_scale", model.inverse_scale)
    z = b.add("Mul", [centred, scale], f"{prefix}standardised")
    projected = b.add(
        "MatMul", [z, b.constant(f"{prefix}embed.weight", model.embed)], f"{prefix}projected"
    )
    return b.add(
        "Add", [projected, b.constant(f"{prefix}position", model.position)], f"{prefix}placed"
    )


def _layer(
    b: GraphBuilder,
    layer: FoldedLayer,
    x: str,
    sequence: str,
    spec: ModelSpec,
    *,
    tokens: int,
    last: bool,
    name: str,
) -> str:
    """From x (batch tokens, d), the same as sequence (batch, tokens, d),
    to the layer's output, shaped like x.

    With `last` only the last token is computed, (batch, d), the rest of the layer being dead. The
    heads stand beside the tokens, (batch, tokens heads, d), so that no head is ever transposed.
    """
    d, heads = spec.d_model, spec.heads
    keys = b.add("Transpose", [sequence], f"{name}/keys", perm=[0, 2, 1])
    if last:
        index = b.constant(f"last_of_{tokens}", np.array(tokens - 1, np.int64))
        x = b.add("Gather", [sequence, index], f"{name}/last", axis=1)
    queries = b.gemm(x, layer.scores, f"{name}/queries")
    rows = heads if last else tokens * heads
    queries = b.reshape(queries, (-1, rows, d), f"{name}/queries_by_head")
    scores = b.add("MatMul", [queries, keys], f"{name}/scores")
    attention = b.add("Softmax", [scores], f"{name}/attention", axis=-1)
    mixed = b.add("MatMul", [attention, sequence], f"{name}/mixed")
    mixed = b.reshape(mixed, (-1, heads * d), f"{name}/mixed_by_token")
    x = b.norm(b.gemm(mixed, layer.mix, f"{name}/attended", plus=x), layer.norm1, f"{name}/norm1")
    hidden = b.add("Relu", [b.gemm(x, layer.expand, f"{name}/expanded")], f"{name}/hidden")
    return b.norm(
        b.gemm(hidden, layer.contract, f"{name}/fed_forward", plus=x), layer.norm2, f"{name}/norm2"
    )


def _pool(b: GraphBuilder, x: str, spec: ModelSpec, *, tokens: int, prefix: str) -> str:
    if spec.readout == "last":
        return x
    if spec.readout == "flatten":
        return b.reshape(x, (-1, tokens * spec.d_model), f"{prefix}pooled")
    sequence = b.reshape(x, (-1, tokens, spec.d_model), f"{prefix}to_pool")
    axis = b.constant("token_axis", np.array([1], np.int64))
    return b.add("ReduceMean", [sequence, axis], f"{prefix}pooled", keepdims=0)


def _classify(b: GraphBuilder, model: FoldedModel, features: str, prefix: str) -> str:
    h1 = _leaky(b, b.gemm(features, model.lbl1, f"{prefix}lbl1"), f"{prefix}h1")
    narrow = _leaky(b, b.gemm(h1, model.lbl2, f"{prefix}lbl2"), f"{prefix}narrow")
    wide = _leaky(b, b.gemm(narrow, model.lbl3, f"{prefix}lbl3"), f"{prefix}wide")
    gate = wide if model.gate is None else b.gemm(wide, model.gate, f"{prefix}lbs")
    h2 = b.add("Sigmoid", [gate], f"{prefix}h2")
    gated = b.add("Mul", [h1, h2], f"{prefix}gated")
    logits = b.gemm(gated, model.to_emotions, f"{prefix}logits")
    return b.add("Softmax", [logits], f"{prefix}member_distribution", axis=-1)


def _leaky(b: GraphBuilder, x: str, output: str) -> str:
    return b.add("LeakyRelu", [x], output, alpha=LEAKY_SLOPE)
