"""In which number type the layers of a network compute, read from the network itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from emodict_export.plan.tensorrt_api import Layer, Network, Tensor

# Layers that move or convert numbers and compute none:
# they say nothing about the precision of the arithmetic.
MOVING = frozenset(
    (
        "ASSERTION",
        "CAST",
        "CONCATENATION",
        "CONSTANT",
        "DEQUANTIZE",
        "FILL",
        "GATHER",
        "IDENTITY",
        "QUANTIZE",
        "SHAPE",
        "SHUFFLE",
        "SLICE",
        "SQUEEZE",
        "UNSQUEEZE",
    )
)
INTEGERS = frozenset(("BOOL", "INT32", "INT64", "UINT8"))
PRODUCTS = frozenset(("MATRIX_MULTIPLY", "CONVOLUTION"))
SPOKEN = {"HALF": "FP16", "FLOAT": "FP32", "INT8": "INT8", "BF16": "BF16"}


def count_layers(network: Network) -> dict[str, int]:
    """Number of computing layers by the type they compute in: {"FLOAT": 9, "HALF": 51, "INT8": 12}.

    Counted are the layers of the strongly typed network that the plan was built from which do
    arithmetic on floating point numbers; constants, shapes, reshapes, copies and casts are not. The
    type is that of the layer's output, but for a product whose factors both come out of
    DequantizeLinear: TensorRT multiplies the INT8 numbers before that, so it counts as INT8. In a
    strongly typed network no layer may run in another type than this. How TensorRT then fuses
    layers into kernels can only be inspected in the deserialised plan, which takes a GPU.
    """
    producers = {tensor.name: layer for layer in _layers(network) for tensor in _outputs(layer)}
    counted = Counter(
        _computes_in(layer, producers) for layer in _layers(network) if _computes(layer)
    )
    return dict(sorted(counted.items()))


def describe_layers(layers: Mapping[str, int], dtype: str) -> str:
    """`51 of 72 layers in FP16`."""
    return f"{layers.get(dtype, 0)} of {sum(layers.values())} layers in {SPOKEN.get(dtype, dtype)}"


def _computes(layer: Layer) -> bool:
    if layer.type.name in MOVING:
        return False
    return any(
        not tensor.is_shape_tensor and tensor.dtype.name not in INTEGERS
        for tensor in _outputs(layer)
    )


def _computes_in(layer: Layer, producers: Mapping[str, Layer]) -> str:
    if layer.type.name in PRODUCTS:
        # The kernel of a convolution may be an attribute of the layer:
        # then only one factor is an input.
        factors = [tensor for tensor in _inputs(layer)[:2] if tensor is not None]
        if factors and all(_comes_from(tensor, producers) == "DEQUANTIZE" for tensor in factors):
            return "INT8"
    return layer.get_output(0).dtype.name


def _comes_from(tensor: Tensor, producers: Mapping[str, Layer]) -> str:
    """Type of the layer that made the numbers of `tensor`,
    looking through reshapes and transposes.
    """
    layer = producers.get(tensor.name)
    while layer is not None and layer.type.name == "SHUFFLE":
        source = layer.get_input(0)
        layer = None if source is None else producers.get(source.name)
    return "" if layer is None else layer.type.name


def _layers(network: Network) -> Iterator[Layer]:
    return (network.get_layer(i) for i in range(network.num_layers))


def _inputs(layer: Layer) -> list[Tensor | None]:
    return [layer.get_input(i) for i in range(layer.num_inputs)]


def _outputs(layer: Layer) -> list[Tensor]:
    return [layer.get_output(i) for i in range(layer.num_outputs)]
