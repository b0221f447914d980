"""No raw graph is written that gives a number that Python does not give."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from tests.export.conftest import MakeCheckpoint
from tests.export.raw.conftest import SENSORS, WRIST

from emodict.errors import EmodictError
from emodict_export.raw.export import compare_with_stream, raw_onnx


def scaled(graph: onnx.ModelProto, output: str, factor: float) -> onnx.ModelProto:
    """The same, one of its outputs multiplied."""
    wrong = onnx.ModelProto()
    wrong.CopyFrom(graph)
    for node in wrong.graph.node:
        node.output[:] = ["before" if name == output else name for name in node.output]
    wrong.graph.initializer.append(numpy_helper.from_array(np.float32(factor), "factor"))
    wrong.graph.node.append(onnx.helper.make_node("Mul", ["before", "factor"], [output]))
    return wrong


@pytest.mark.parametrize("many", [False, True])
@SENSORS
def test_a_graph_that_is_right_passes(
    fitted: MakeCheckpoint, sensors: dict[str, Any], many: bool
) -> None:
    checkpoint = fitted(**sensors)
    graph, _ = raw_onnx(checkpoint, many=many)
    assert compare_with_stream(graph, checkpoint, at_once=50 if many else 1) < 3e-5


@pytest.mark.parametrize(
    ("output", "factor"), [("quality", 0.1), ("quality", 0.9999), ("weights", 3), ("weights", 1.1)]
)
def test_a_graph_whose_quality_or_weights_are_wrong_is_not_written(
    fitted: MakeCheckpoint, output: str, factor: float
) -> None:
    checkpoint = fitted(**WRIST)
    graph, _ = raw_onnx(checkpoint)
    with pytest.raises(EmodictError, match="does not compute what Python does"):
        compare_with_stream(scaled(graph, output, factor), checkpoint)


def test_a_graph_with_one_feature_that_is_wrong_by_a_thousandth_is_not_written(
    fitted: MakeCheckpoint,
) -> None:
    """Even where the answer hardly depends on it, and where it is not told."""
    checkpoint = fitted(**WRIST)
    graph, _ = raw_onnx(checkpoint)
    scale = next(i for i in graph.graph.initializer if i.name == "row/scale_of")
    values = numpy_helper.to_array(scale).copy()
    first_of_ppg = checkpoint.features.token_slices["ppg"].start * checkpoint.features.token_width
    values[first_of_ppg] *= 1.001
    scale.CopyFrom(numpy_helper.from_array(values, scale.name))
    with pytest.raises(EmodictError, match="features within"):
        compare_with_stream(graph, checkpoint)
