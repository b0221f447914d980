"""An exported graph run node by node by torch,
in the types that stand in the graph, on whatever device.

On a GPU its FP16 is the GPU's own, which ONNX Runtime's CPU provider does not have.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import onnx
import torch
from onnx import TensorProto, numpy_helper
from torch import Tensor, nn
from torch.nn import functional

TYPES = {
    TensorProto.FLOAT: torch.float32,
    TensorProto.FLOAT16: torch.float16,
    TensorProto.INT8: torch.int8,
    TensorProto.INT64: torch.int64,
}
Attributes = Mapping[str, Any]
Operator = Callable[[list[Tensor], Attributes], Tensor]


class TorchGraph(nn.Module):
    """tokens -> (distribution, weights); refuses a graph with an operator that it does not know."""

    def __init__(self, model: onnx.ModelProto, device: str = "cpu") -> None:
        super().__init__()
        unknown = sorted({node.op_type for node in model.graph.node} - OPERATORS.keys())
        if unknown:
            raise ValueError(f"no operator {', '.join(unknown)} here")
        self._nodes = [
            (
                OPERATORS[n.op_type],
                list(n.input),
                n.output[0],
                {a.name: onnx.helper.get_attribute_value(a) for a in n.attribute},
            )
            for n in model.graph.node
        ]
        self._outputs = [output.name for output in model.graph.output]
        arrays = {c.name: numpy_helper.to_array(c).copy() for c in model.graph.initializer}
        # A shape is asked for by value: it stays on the host,
        # or each Reshape would wait for the device.
        self._constants = {
            name: torch.from_numpy(array).to(
                "cpu" if array.dtype.kind == "i" and array.dtype.itemsize == 8 else device
            )
            for name, array in arrays.items()
        }

    def forward(self, tokens: Tensor) -> tuple[Tensor, ...]:
        values = {**self._constants, "tokens": tokens}
        for operator, inputs, output, attributes in self._nodes:
            values[output] = operator([values[name] for name in inputs], attributes)
        return tuple(values[name] for name in self._outputs)


def _gemm(x: list[Tensor], a: Attributes) -> Tensor:
    if a.get("alpha", 1.0) != 1.0 or a.get("beta", 1.0) != 1.0 or a.get("transA", 0):
        raise ValueError("a Gemm that is more than A B + C")
    weight = x[1] if a.get("transB", 0) else x[1].T
    return functional.linear(x[0], weight, x[2] if len(x) > 2 else None)


def _layer_norm(x: list[Tensor], a: Attributes) -> Tensor:
    if a.get("axis", -1) not in (-1, x[0].ndim - 1):
        raise ValueError("a LayerNormalization over more than the last axis")
    return functional.layer_norm(x[0], x[1].shape, x[1], x[2], a.get("epsilon", 1e-5))


def _scale(x: list[Tensor], a: Attributes) -> Tensor:
    """Scale of Q/DQ, shaped to stand against the tensor: one number,
    or one per channel of `axis`.
    """
    if x[1].ndim == 0:
        return x[1]
    shape = [1] * x[0].ndim
    shape[a.get("axis", 1)] = -1
    return x[1].reshape(shape)


def _quantize(x: list[Tensor], a: Attributes) -> Tensor:
    _require_symmetric(x)
    return torch.clamp(torch.round(x[0] / _scale(x, a)), -128, 127).to(torch.int8)


def _dequantize(x: list[Tensor], a: Attributes) -> Tensor:
    _require_symmetric(x)
    return x[0].to(x[1].dtype) * _scale(x, a)


def _require_symmetric(x: list[Tensor]) -> None:
    if len(x) > 2 and x[2].device.type == "cpu" and bool(x[2].any()):
        raise ValueError("a zero point that is not zero")


def _reshape(x: list[Tensor], a: Attributes) -> Tensor:
    shape = [x[0].shape[i] if size == 0 else size for i, size in enumerate(x[1].tolist())]
    return x[0].reshape(shape)


def _mean(x: list[Tensor], a: Attributes) -> Tensor:
    return torch.stack(x).mean(dim=0)


OPERATORS: dict[str, Operator] = {
    "Add": lambda x, a: x[0] + x[1],
    "Cast": lambda x, a: x[0].to(TYPES[a["to"]]),
    "Concat": lambda x, a: torch.cat(x, dim=a["axis"]),
    "DequantizeLinear": _dequantize,
    "Gather": lambda x, a: x[0].select(a.get("axis", 0), int(x[1])),
    "Gemm": _gemm,
    "LayerNormalization": _layer_norm,
    "LeakyRelu": lambda x, a: functional.leaky_relu(x[0], a.get("alpha", 0.01)),
    "MatMul": lambda x, a: x[0] @ x[1],
    "Mean": _mean,
    "Mul": lambda x, a: x[0] * x[1],
    "QuantizeLinear": _quantize,
    "ReduceMean": lambda x, a: x[0].mean(dim=x[1].tolist(), keepdim=bool(a.get("keepdims", 1))),
    "Relu": lambda x, a: torch.relu(x[0]),
    "Reshape": _reshape,
    "Sigmoid": lambda x, a: torch.sigmoid(x[0]),
    "Softmax": lambda x, a: torch.softmax(x[0], dim=a.get("axis", -1)),
    "Sub": lambda x, a: x[0] - x[1],
    "Transpose": lambda x, a: x[0].permute(*a["perm"]),
}
