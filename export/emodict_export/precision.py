"""Precision in the graph: the folded FP32 graph rewritten with FP16 casts, or with INT8 Q/DQ pairs.

TensorRT 11 knows no precision but the graph's own, so nothing here is a hint:
what the types say is what runs.
"""

from __future__ import annotations

import contextlib
import logging
import tempfile
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from emodict.engine.onnx import DISTRIBUTION, INPUT
from emodict.errors import ModelError
from emodict.files.jsontext import parse_json

PRECISIONS = ("fp32", "fp16", "int8")
FORMAT, FORMAT_VERSION = "emodict-precision", "1"
LARGEST_HALF = float(np.finfo(np.float16).max)
# Operators that move numbers and compute none: they take whatever type comes in.
MOVING = frozenset({"Reshape", "Transpose", "Gather", "Concat"})
# What a tensor core multiplies in INT8: an activation by a constant weight.
QUANTISABLE = frozenset({"Gemm", "MatMul"})
_ONNX_TYPE = {True: TensorProto.FLOAT16, False: TensorProto.FLOAT}
_SUFFIX = {True: "half", False: "float"}


@dataclass(frozen=True)
class PrecisionChoice:
    """What emodict-calibrate found: the nodes to keep in FP32, by precision,
    of the graph with this hash.
    """

    graph_sha256: str
    keep_fp32: Mapping[str, tuple[str, ...]]


def read_precision(path: Path) -> PrecisionChoice:
    """Read the part of precision.json that an export obeys.

    Raises:
        ModelError: no such file, or not one of emodict-calibrate.
    """
    fix = "Write one: emodict-calibrate model.pt DATA -o precision.json"
    if not path.is_file():
        raise ModelError(f"There is no file {path}", expected="a precision.json", fix=fix)
    try:
        content = parse_json(path.read_text(encoding="utf-8"))
        if content["format"] != FORMAT or content["format_version"] != FORMAT_VERSION:
            raise ValueError(f"format {content['format']!r}, version {content['format_version']!r}")
        keep = {name: _names(content[name]["keep_fp32"]) for name in PRECISIONS if name in content}
        return PrecisionChoice(graph_sha256=str(content["graph_sha256"]), keep_fp32=keep)
    except (ValueError, KeyError, TypeError) as error:
        raise ModelError(
            f"{path} is not a precision.json of this emodict, or it is damaged: {error}",
            expected=f"format '{FORMAT}', version {FORMAT_VERSION}",
            fix=fix,
        ) from error


def kept_by(
    choice: PrecisionChoice, model: onnx.ModelProto, *, precision: str, graph_sha256: str
) -> tuple[str, ...]:
    """The nodes of `model` that must stay FP32 in this precision.

    Raises:
        ModelError: the choice was made for another model,
            says nothing of this precision, or names unknown nodes.
    """
    fix = "Calibrate this model: emodict-calibrate model.pt DATA -o precision.json"
    if choice.graph_sha256 != graph_sha256:
        raise ModelError(
            "The precision.json was made for another model",
            expected=graph_sha256,
            got=choice.graph_sha256,
            fix=fix,
        )
    if precision not in choice.keep_fp32:
        raise ModelError(
            f"The precision.json says nothing of {precision}",
            got=", ".join(choice.keep_fp32) or "nothing",
            fix=fix,
        )
    kept = choice.keep_fp32[precision]
    _require_nodes(model, kept)
    return kept


def always_fp32(model: onnx.ModelProto) -> frozenset[str]:
    """Nodes that stay FP32 in every precision.

    The standardisation, since raw features reach far beyond half's range; and the last Softmax,
    whose output leaves in FP32 anyway, so that the shares sum to 1 at no extra cast.
    """
    standardising: set[str] = set()
    for node in model.graph.node:
        if node.op_type in ("Sub", "Mul") and node.input[0] in {INPUT, *standardising}:
            standardising.update(node.output)
    result = {DISTRIBUTION}
    for node in reversed(model.graph.node):
        if node.op_type == "Mean" and node.output[0] in result:
            result.update(node.input)
    return frozenset(n.name for n in model.graph.node if n.output[0] in standardising | result)


def constants_beyond_half(model: onnx.ModelProto) -> frozenset[str]:
    """Nodes with a constant that passes 65504, half's largest number:
    their numbers do not exist in FP16.
    """
    large = {c.name for c in model.graph.initializer if _is_float(c) and _absmax(c) > LARGEST_HALF}
    return frozenset(n.name for n in model.graph.node if large.intersection(n.input))


def to_fp16(model: onnx.ModelProto, keep_fp32: Collection[str] = ()) -> onnx.ModelProto:
    """A copy that computes in FP16 but for `keep_fp32` and `always_fp32`;
    inputs and outputs stay as they are.

    Operators that only move numbers follow the type of what they move.
    Each tensor is cast at most once each way.

    Raises:
        ModelError: an unknown node in `keep_fp32`,
            or a constant beyond 65504 in a node that is not kept.
    """
    _require_nodes(model, keep_fp32)
    kept = always_fp32(model) | set(keep_fp32)
    lost = sorted(constants_beyond_half(model) - kept)
    if lost:
        raise ModelError(
            f"Constants of {', '.join(lost)} pass {LARGEST_HALF:.0f}, the largest number in FP16",
            fix="Keep these nodes in FP32: emodict-calibrate lists them in its precision.json",
        )
    return _HalfPass(model, kept).run()


class _HalfPass:
    """One walk over the nodes in their order, which is topological."""

    def __init__(self, model: onnx.ModelProto, kept: Collection[str]) -> None:
        self._model, self._kept = model, kept
        self._constants = {c.name: c for c in model.graph.initializer}
        self._outputs = {o.name for o in model.graph.output}
        self._half = {value.name: False for value in model.graph.input}
        self._cast: set[str] = set()
        self._nodes: list[onnx.NodeProto] = []
        self._used: dict[str, onnx.TensorProto] = {}

    def run(self) -> onnx.ModelProto:
        for node in self._model.graph.node:
            self._convert(node)
        result = onnx.ModelProto()
        result.CopyFrom(self._model)
        del result.graph.node[:], result.graph.initializer[:]
        result.graph.node.extend(self._nodes)
        result.graph.initializer.extend(self._used.values())
        del result.graph.value_info[:]
        onnx.checker.check_model(result, full_check=True)
        return result

    def _convert(self, old: onnx.NodeProto) -> None:
        half = self._computes_in_half(old)
        node = onnx.NodeProto()
        node.CopyFrom(old)
        node.input[:] = [self._as_type(name, half) for name in old.input]
        name = old.output[0]
        self._half[name] = half
        self._nodes.append(node)
        if half and name in self._outputs:
            # The output's name belongs to its FP32 form; the half form goes on inside.
            node.output[:] = [f"{name}/half"]
            self._nodes.append(_cast(f"{name}/half", name, half=False))

    def _computes_in_half(self, node: onnx.NodeProto) -> bool:
        if node.name in self._kept:
            return False
        if node.op_type in MOVING:
            moved = [name for name in node.input if name in self._half]
            return all(self._half[name] for name in moved)
        return True

    def _as_type(self, name: str, half: bool) -> str:
        """The name under which `name` is to be had in FP16 or FP32;
        adds what is needed for that.
        """
        if name in self._constants:
            return self._constant(name, half)
        if self._half[name] and name in self._outputs:
            # A half tensor that is also an output is there in FP32, too, under its own name.
            return f"{name}/half" if half else name
        if self._half[name] == half:
            return name
        cast = f"{name}/{_SUFFIX[half]}"
        if cast not in self._cast:
            self._cast.add(cast)
            self._nodes.append(_cast(name, cast, half=half))
        return cast

    def _constant(self, name: str, half: bool) -> str:
        constant = self._constants[name]
        if not (half and _is_float(constant)):
            self._used[name] = constant
            return name
        cast = f"{name}/half"
        if cast not in self._used:
            self._used[cast] = numpy_helper.from_array(
                numpy_helper.to_array(constant).astype(np.float16), cast
            )
        return cast


def to_int8(
    model: onnx.ModelProto, tokens: NDArray[np.float32], keep_fp32: Collection[str] = ()
) -> onnx.ModelProto:
    """A copy with symmetric Q/DQ pairs before each product of an activation and a constant
    weight; the rest is FP32.

    Weights are quantised per output channel, activations per tensor by the extremes they take on
    `tokens` (rows, tokens, width), real windows of the kind the device will see:
    onnxruntime.quantization's static quantisation, in the one form that TensorRT's parser accepts.

    Raises:
        ModelError: no window, or an unknown node in `keep_fp32`.
    """
    _require_nodes(model, keep_fp32)
    if not len(tokens):
        raise ModelError(
            "INT8 needs windows to calibrate on", got="0 windows", fix="Give other --data"
        )
    chosen = sorted(quantisable_nodes(model) - set(keep_fp32))
    result = onnx.ModelProto()
    result.CopyFrom(model)
    if chosen:
        result = _quantised(result, np.ascontiguousarray(tokens, dtype=np.float32), chosen)
    onnx.checker.check_model(result, full_check=True)
    return result


def quantisable_nodes(model: onnx.ModelProto) -> frozenset[str]:
    """Products of an activation and a constant weight;
    the two products inside attention have no constant.
    """
    constants = {c.name for c in model.graph.initializer}
    return frozenset(
        n.name for n in model.graph.node if n.op_type in QUANTISABLE and n.input[1] in constants
    )


_TENSORRTS_FORM = {
    "ActivationSymmetric": True,
    "WeightSymmetric": True,
    # An INT32 bias needs a DequantizeLinear that TensorRT's parser refuses.
    "QuantizeBias": False,
    "AddQDQPairToWeight": True,
    # TensorRT wants the pair where a product reads, not where it writes.
    "OpTypesToExcludeOutputQuantization": sorted(QUANTISABLE),
}


def _quantised(
    model: onnx.ModelProto, tokens: NDArray[np.float32], nodes: list[str]
) -> onnx.ModelProto:
    from onnxruntime.quantization import (
        CalibrationDataReader,
        QuantFormat,
        QuantType,
        quantize_static,
    )

    class Windows(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self._left: Iterator[dict[str, NDArray[np.float32]]] = iter([{INPUT: tokens}])

        def get_next(self) -> dict[str, NDArray[np.float32]] | None:
            return next(self._left, None)

    with tempfile.TemporaryDirectory() as folder, _root_logger_silent():
        target = Path(folder) / "int8.onnx"
        quantize_static(
            model,
            target,
            Windows(),
            quant_format=QuantFormat.QDQ,
            activation_type=QuantType.QInt8,
            weight_type=QuantType.QInt8,
            per_channel=True,
            nodes_to_quantize=nodes,
            op_types_to_quantize=sorted(QUANTISABLE),
            extra_options=_TENSORRTS_FORM,
        )
        return _as_exported(onnx.load(target), model)


@contextlib.contextmanager
def _root_logger_silent() -> Iterator[None]:
    """Keep off the terminal that onnxruntime advises a pre-processing,
    which would undo the folding.
    """
    logger, level = logging.getLogger(), logging.getLogger().level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def _as_exported(quantised: onnx.ModelProto, model: onnx.ModelProto) -> onnx.ModelProto:
    """The quantised graph in the frame of the exported one: versions, producer,
    inputs and outputs unchanged.
    """
    result = onnx.ModelProto()
    result.CopyFrom(model)
    result.graph.CopyFrom(quantised.graph)
    result.graph.name = model.graph.name
    del result.graph.value_info[:]
    for value in result.graph.output:
        _take_pair_off_output(result.graph, value.name)
    return result


def _take_pair_off_output(graph: onnx.GraphProto, name: str) -> None:
    """An output that is read on inside is quantised for its readers, not for the user."""
    pairs = [n for n in graph.node if n.op_type == "DequantizeLinear" and n.output[0] == name]
    if not pairs:
        return
    renamed = {f"{name}_QuantizeLinear_Input": name, name: f"{name}_DequantizeLinear_Output"}
    for node in graph.node:
        node.input[:] = [renamed.get(i, i) for i in node.input]
        node.output[:] = [renamed.get(o, o) for o in node.output]


def _cast(source: str, target: str, *, half: bool) -> onnx.NodeProto:
    return helper.make_node("Cast", [source], [target], name=f"{target}/cast", to=_ONNX_TYPE[half])


def _require_nodes(model: onnx.ModelProto, names: Collection[str]) -> None:
    unknown = sorted(set(names) - {node.name for node in model.graph.node})
    if unknown:
        raise ModelError(
            f"The model has no node {', '.join(unknown)}",
            expected="names of its nodes",
            fix="Calibrate this very model: emodict-calibrate model.pt DATA -o precision.json",
        )


def _names(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise TypeError("keep_fp32 is not a list of names")
    return tuple(value)


def _is_float(constant: onnx.TensorProto) -> bool:
    return bool(constant.data_type == TensorProto.FLOAT)


def _absmax(constant: onnx.TensorProto) -> float:
    return float(np.abs(numpy_helper.to_array(constant)).max(initial=0.0))
