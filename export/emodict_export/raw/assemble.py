"""From the parts of all modalities to the model's tokens, and from its answer to that of a row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from emodict.engine.manifest import Manifest, Shapes
from emodict.engine.onnx import DISTRIBUTION, INPUT, WEIGHTS
from emodict.features.spec import FeatureSpec
from emodict_desk.raw import NEXT, QUALITY, STATE, VALID
from emodict_export.graph import IR_VERSION, OPSET
from emodict_export.raw.builder import Part, RawBuilder

Float64Array = NDArray[np.float64]


@dataclass(frozen=True)
class _Slots:
    """Of each number of the tokens, flattened: which column it is, and what becomes of it.

    Attributes:
        owner: which modality it belongs to.
        column: among the columns of all parts.
        scale, offset: what a valid column is multiplied by and moved by.
    """

    owner: NDArray[np.int64]
    column: NDArray[np.int64]
    scale: Float64Array
    offset: Float64Array


def add_tokens(
    b: RawBuilder,
    features: FeatureSpec,
    parts: Sequence[Part],
    *,
    missing_value: Float64Array,
    shift: Float64Array | None,
) -> None:
    """`tokens` (batch, tokens, width), `valid` and `quality` (batch, modalities).

    What is not valid gives way to `missing_value` (tokens, width); `shift` moves what is valid.
    """
    slots = _slots(features, parts)
    offset = slots.offset if shift is None else slots.offset + shift.reshape(-1)
    b.join([part.valid for part in parts], VALID)
    b.join([part.quality for part in parts], QUALITY)
    columns = b.join([part.columns for part in parts], "row/columns")
    placed = b.add(
        "Gather", [columns, b.constant("row/column_of", slots.column)], "row/placed", axis=1
    )
    scaled = b.add("Mul", [placed, b.constant("row/scale_of", slots.scale)], "row/scaled")
    moved = b.add("Add", [scaled, b.constant("row/offset_of", offset)], "row/moved")
    owned = VALID
    if len(parts) > 1:
        owners = b.constant("row/owner_of", slots.owner)
        owned = b.add("Gather", [VALID, owners], "row/owned", axis=1)
    there = b.as_bool(owned, "row/there")
    missing = b.constant("row/missing_value", missing_value.reshape(-1))
    known = b.add("Where", [there, moved, missing], "row/known")
    b.reshape(known, (-1, features.tokens, features.token_width), INPUT)


def _slots(features: FeatureSpec, parts: Sequence[Part]) -> _Slots:
    width, count = features.token_width, features.tokens * features.token_width
    owner, column = np.zeros(count, np.int64), np.zeros(count, np.int64)
    scale, offset = np.zeros(count), np.zeros(count)
    first = 0
    for i, (modality, part) in enumerate(zip(features.modalities, parts, strict=True)):
        tokens = features.token_slices[modality.name]
        owner[tokens.start * width : tokens.stop * width] = i
        own = slice(tokens.start * width, tokens.start * width + modality.dims)
        has_column = part.order >= 0
        # What has no column is a constant: 0 times any column that is a number, and the offset.
        column[tokens.start * width : tokens.stop * width] = first
        column[own] = first + np.maximum(part.order, 0)
        scale[own] = np.where(has_column, part.scale, 0.0)
        offset[own] = part.offset
        first += part.width
    return _Slots(owner, column, scale, offset)


def add_answer(b: RawBuilder, features: FeatureSpec, required: Sequence[str]) -> None:
    """`distribution` and `weights`, NaN in a row that lacks a required modality, or all of them."""
    valid = VALID
    if required and set(required) != set(features.modality_names):
        wanted = np.array([features.modality_names.index(name) for name in required])
        valid = b.add(
            "Gather", [VALID, b.constant("row/required", wanted)], "row/required_valid", axis=1
        )
    op = "ReduceMin" if required else "ReduceMax"
    answered = b.as_bool(b.reduce(op, valid, 1, "row/answerable"), "row/answered")
    for name in (DISTRIBUTION, WEIGHTS):
        b.add("Where", [answered, inner(name), b.constant("row/no_answer", np.array(np.nan))], name)


def inner(name: str) -> str:
    """What an output of the model is called inside."""
    return f"model_{name}"


def join_graphs(
    features: RawBuilder, model: onnx.ModelProto, manifest: Manifest
) -> onnx.ModelProto:
    """The features before the model, and the answer behind it, as one graph.

    `features` holds the nodes of both ends; the order in which nodes stand is that of their inputs.
    """
    renamed = {name: inner(name) for name in (DISTRIBUTION, WEIGHTS)}
    nodes = []
    for node in model.graph.node:
        own = onnx.NodeProto()
        own.CopyFrom(node)
        own.input[:] = [renamed.get(name, name) for name in node.input]
        own.output[:] = [renamed.get(name, name) for name in node.output]
        own.name = renamed.get(node.name, node.name)
        nodes.append(own)
    ends = next(i for i, node in enumerate(features.nodes) if node.name == INPUT) + 1
    constants = {c.name: c for c in [*features.constants, *model.graph.initializer]}
    graph = helper.make_graph(
        [*features.nodes[:ends], *nodes, *features.nodes[ends:]],
        "emodict",
        _values(manifest.inputs, many=features.many),
        _values(manifest.outputs, many=features.many),
        list(constants.values()),
    )
    opset = [helper.make_opsetid("", OPSET)]
    joined = helper.make_model(graph, opset_imports=opset, producer_name="emodict")
    joined.ir_version = IR_VERSION
    onnx.checker.check_model(joined, full_check=True)
    return joined


def _values(shapes: Shapes, *, many: bool) -> list[onnx.ValueInfoProto]:
    """The first axis is a batch of wearers; or seconds, and the states are those of one wearer."""

    def rows(name: str) -> str | int:
        if not many:
            return "batch"
        return 1 if name.startswith((STATE, NEXT)) else "seconds"

    return [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [rows(name), *shape])
        for name, shape in shapes.items()
    ]
