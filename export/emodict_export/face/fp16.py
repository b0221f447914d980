"""The face graph in FP16, run as a GPU would: every number that FP16 holds is one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import numpy_helper
from onnx.helper import get_attribute_value
from torch import Tensor
from torch.nn import functional

from emodict.face.crop import INPUT, OUTPUT
from emodict_export.precision import constants_beyond_half, to_fp16

_TORCH_TYPE = {onnx.TensorProto.FLOAT: torch.float32, onnx.TensorProto.FLOAT16: torch.float16}


def face_to_fp16(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy whose convolutions compute in FP16: one cast to it after the pixels are centred,
    one back before the mean.

    The mean is over 256 numbers, whose sum may pass 65504 where none of them does. A
    constant that passes it stays FP32, and so does its node: whether its result fits is
    what the comparison shows.
    """
    first = next(i for i, node in enumerate(model.graph.node) if node.op_type == "Conv")
    before = {node.name for node in model.graph.node[:first]}
    return to_fp16(model, before | {OUTPUT} | constants_beyond_half(model))


def run_in_half(
    model: onnx.ModelProto, crops: NDArray[np.uint8]
) -> tuple[NDArray[np.float32], float]:
    """(n, 128, 128, 3) -> (n, 32), node by node in the graph's own types;
    and the largest number of all.

    A convolution multiplies halves exactly, sums in float32, and rounds its result to half once:
    what passes 65504 is infinite, as on a GPU, while ONNX Runtime's CPU would go on in float32. A
    GPU that also sums in half rounds more.
    """
    values: dict[str, Tensor] = {
        c.name: torch.tensor(numpy_helper.to_array(c)) for c in model.graph.initializer
    }
    values[INPUT] = torch.from_numpy(crops)
    largest = 0.0
    with torch.inference_mode():
        for node in model.graph.node:
            attributes = {a.name: get_attribute_value(a) for a in node.attribute}
            result = _OPERATORS[node.op_type]([values[name] for name in node.input], attributes)
            if result.dtype == torch.float16:
                largest = max(largest, float(result.abs().max()))
            values[node.output[0]] = result
    embedding: NDArray[np.float32] = values[OUTPUT].numpy()
    return embedding, largest


def _convolution(inputs: list[Tensor], attributes: dict[str, Any]) -> Tensor:
    x, weight, bias = (tensor.float() for tensor in inputs)
    return functional.conv2d(x, weight, bias, padding=attributes["pads"][0]).to(inputs[0].dtype)


# The operators of the face graph, and no others.
_OPERATORS: dict[str, Callable[[list[Tensor], dict[str, Any]], Tensor]] = {
    "Cast": lambda inputs, attributes: inputs[0].to(_TORCH_TYPE[attributes["to"]]),
    "Sub": lambda inputs, _: inputs[0] - inputs[1],
    "Transpose": lambda inputs, attributes: inputs[0].permute(attributes["perm"]),
    "Reshape": lambda inputs, _: inputs[0].reshape(inputs[1].tolist()),
    "Conv": _convolution,
    "Relu": lambda inputs, _: inputs[0].relu(),
    "MaxPool": lambda inputs, attributes: functional.max_pool2d(
        inputs[0], attributes["kernel_shape"]
    ),
    "ReduceMean": lambda inputs, _: inputs[0].mean(dim=inputs[1].tolist()),
}
