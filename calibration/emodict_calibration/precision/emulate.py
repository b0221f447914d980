"""The folded graph in numpy with a precision for each node:
what a device's FP16 and INT8 would answer.

ONNX Runtime's CPU provider computes FP16 graphs in FP32,
so that an overflow shows on the device alone; here it shows.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from emodict.engine.onnx import DISTRIBUTION, INPUT
from emodict.errors import EmodictError
from emodict_calibration.precision.half import (
    OPERATORS,
    Floats,
    Rounding,
    run_operator,
    to_half,
    unrounded,
)
from emodict_export.precision import MOVING, always_fp32, quantisable_nodes

# Symmetric INT8: -127 to 127.
LARGEST_INT8 = 127
Values = Mapping[str, Floats]


@dataclass(frozen=True)
class Node:
    """One node of the folded graph; its name is also its output's."""

    name: str
    op: str
    inputs: tuple[str, ...]
    attributes: Mapping[str, Any]


@dataclass(frozen=True)
class Plan:
    """Which nodes compute in FP16, and which read an activation and a weight through
    INT8; the others are FP32.
    """

    half: frozenset[str] = frozenset()
    int8: frozenset[str] = frozenset()


FP32 = Plan()


@dataclass(frozen=True)
class Run:
    """The answer to a batch: what every node put out, under which plan."""

    plan: Plan
    values: Values = field(repr=False)

    @property
    def distribution(self) -> Floats:
        """(batch, emotions)."""
        return self.values[DISTRIBUTION]


class Emulator:
    """Runs the folded graph node by node.

    Args:
        model: the FP32 graph of `folded_onnx`.
        absmax: the largest absolute value of each tensor over the calibration
            data, for INT8's scales.
    """

    def __init__(
        self, model: onnx.ModelProto, *, absmax: Mapping[str, float] | None = None
    ) -> None:
        self.nodes = tuple(_node(proto) for proto in model.graph.node)
        self.constants = {
            c.name: np.asarray(numpy_helper.to_array(c)) for c in model.graph.initializer
        }
        self.always_fp32 = always_fp32(model)
        self.quantisable = tuple(n.name for n in self.nodes if n.name in quantisable_nodes(model))
        self._absmax = dict(absmax or {})
        self._halves = {
            n: to_half(c) if c.dtype == np.float32 else c for n, c in self.constants.items()
        }
        self._by_name = {node.name: node for node in self.nodes}
        self._int8_weights: dict[str, Floats] = {}

    @property
    def computing(self) -> tuple[str, ...]:
        """The nodes that can be given FP16: those that compute and are not always FP32."""
        return tuple(
            n.name for n in self.nodes if n.op not in MOVING and n.name not in self.always_fp32
        )

    def node(self, name: str) -> Node:
        """The node of this name."""
        return self._by_name[name]

    def absmax_of_constant(self, name: str) -> float:
        """Of a float constant; 0 for what is none."""
        constant = self.constants.get(name)
        return (
            0.0
            if constant is None or constant.dtype != np.float32
            else float(np.abs(constant).max(initial=0.0))
        )

    def run(self, tokens: Floats, plan: Plan = FP32, *, base: Run | None = None) -> Run:
        """(batch, tokens, width) through the graph.

        Args:
            base: an earlier run on the same tokens;
                only what the two plans make different is computed again.
        """
        quantised = self._quantised_tensors(plan)
        todo = self._changed(plan, base)
        values: dict[str, Floats] = {INPUT: np.ascontiguousarray(tokens, dtype=np.float32)}
        if base is not None:
            values |= base.values
        read: dict[tuple[str, bool], Floats] = {}
        with np.errstate(all="ignore"):
            for node in self.nodes:
                if node.name in todo:
                    values[node.name] = self._compute(node, plan, values, quantised, read)
        return Run(plan, values)

    def watch(self, tokens: Floats, rounding_of: Mapping[str, Rounding]) -> Run:
        """An FP32 run in which `rounding_of[node]` sees every elementary step of
        that node, and its inputs.
        """
        values: dict[str, Floats] = {INPUT: np.ascontiguousarray(tokens, dtype=np.float32)}
        with np.errstate(all="ignore"):
            for node in self.nodes:
                look = rounding_of.get(node.name, unrounded)
                inputs = [
                    look(values[n]) if n in values else self.constants[n] for n in node.inputs
                ]
                values[node.name] = run_operator(node.op, inputs, node.attributes, look)
        return Run(FP32, values)

    def _compute(
        self,
        node: Node,
        plan: Plan,
        values: Values,
        quantised: Collection[str],
        read: dict[tuple[str, bool], Floats],
    ) -> Floats:
        half = node.name in plan.half
        inputs = []
        for position, name in enumerate(node.inputs):
            if name in self.constants:
                inputs.append(self._constant(node, position, plan))
                continue
            if (name, half) not in read:
                value = (
                    self._through_int8(name, values[name]) if name in quantised else values[name]
                )
                read[name, half] = to_half(value) if half else value
            inputs.append(read[name, half])
        return run_operator(node.op, inputs, node.attributes, to_half if half else unrounded)

    def _constant(self, node: Node, position: int, plan: Plan) -> NDArray[Any]:
        name = node.inputs[position]
        if node.name in plan.int8 and position == 1:
            if name not in self._int8_weights:
                self._int8_weights[name] = quantise_weight(self.constants[name])
            return self._int8_weights[name]
        return self._halves[name] if node.name in plan.half else self.constants[name]

    def _through_int8(self, name: str, value: Floats) -> Floats:
        if name not in self._absmax:
            raise EmodictError(f"INT8 was asked for without the range of '{name}'")
        return through_int8(value, int8_scale(self._absmax[name]))

    def _quantised_tensors(self, plan: Plan) -> frozenset[str]:
        """Q/DQ stands behind a tensor, not before one of its readers:
        all of them read the quantised numbers.
        """
        return frozenset(self._by_name[name].inputs[0] for name in plan.int8)

    def _changed(self, plan: Plan, base: Run | None) -> frozenset[str]:
        """The nodes whose output differs from the base's."""
        if base is None:
            return frozenset(self._by_name)
        nodes = (plan.half ^ base.plan.half) | (plan.int8 ^ base.plan.int8)
        tensors = self._quantised_tensors(plan) ^ self._quantised_tensors(base.plan)
        changed: set[str] = set()
        for node in self.nodes:
            if node.name in nodes or any(
                name in changed or name in tensors for name in node.inputs
            ):
                changed.add(node.name)
        return frozenset(changed)


def int8_scale(absmax: float) -> np.float32:
    """As onnxruntime.quantization has it: absmax / 127, or 1 for a tensor of zeros."""
    absmax32 = np.float32(absmax)
    scale = (np.float64(absmax32) + np.float64(absmax32)) / (2 * LARGEST_INT8)
    return np.float32(1) if scale < np.finfo(np.float32).tiny else np.float32(scale)


def through_int8(x: Floats, scale: np.float32 | Floats) -> Floats:
    """Quantised and back: round half to even,
    clipped at -128 and 127 as ONNX's QuantizeLinear does.
    """
    return np.asarray(np.clip(np.rint(x / scale), -LARGEST_INT8 - 1, LARGEST_INT8) * scale)


def quantise_weight(weight: NDArray[Any]) -> Floats:
    """(K, N) -> the same through INT8, each of the N columns by its own scale."""
    scales = np.array(
        [int8_scale(float(column)) for column in np.abs(weight).max(axis=0)], dtype=np.float32
    )
    return through_int8(np.asarray(weight, dtype=np.float32), scales)


def _node(proto: onnx.NodeProto) -> Node:
    if proto.op_type not in OPERATORS:
        raise EmodictError(
            f"The emulator does not know the operator {proto.op_type} of node '{proto.name}'"
        )
    attributes = {a.name: onnx.helper.get_attribute_value(a) for a in proto.attribute}
    return Node(proto.name, proto.op_type, tuple(proto.input), attributes)
