"""Where INT8 can be compared number by number:
rows that no rounding of float32 can bring to another step.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

# In steps of INT8, 127 at most: float32 keeps 24 bits, and sums of up to 128 products in other
# orders leave all but the last five of them alike. A number that stands nearer than this to the
# edge between two steps may fall to either.
EDGE = 127 * 2.0**-19
# Of 7000 numbers in a row none stands that near once in 30 times.
ROWS, FEWEST = 512, 4


def ort_session(model: onnx.ModelProto) -> Any:
    """On the CPU, each node as it stands in the graph."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


def rows_off_the_edges(quantised: onnx.ModelProto, tokens: np.ndarray) -> np.ndarray:
    """(rows,) bool: those none of whose numbers stands on the edge between two steps
    when ONNX Runtime rounds it.
    """
    constants = {c.name: numpy_helper.to_array(c) for c in quantised.graph.initializer}
    rounded = [
        n.input
        for n in quantised.graph.node
        if n.op_type == "QuantizeLinear" and n.input[0] not in constants
    ]
    shown = onnx.ModelProto()
    shown.CopyFrom(quantised)
    inside = {name for name, *_ in rounded} - {output.name for output in quantised.graph.output}
    shown.graph.output.extend(
        helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in sorted(inside)
    )
    values = ort_session(shown).run([name for name, *_ in rounded], {"tokens": tokens})
    off = np.ones(len(tokens), dtype=bool)
    for value, (_, scale, _) in zip(values, rounded, strict=True):
        steps = value / constants[scale]
        from_edge = np.abs(steps - np.floor(steps) - 0.5)
        # What the encoder computes has a row for every token; a window's tokens stand together.
        off &= (from_edge > EDGE).reshape(len(tokens), -1).all(axis=1)
    return off
