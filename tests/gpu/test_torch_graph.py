"""The interpreter and the stopwatch of the GPU tests, tried on the CPU,
so that a GPU's hour is not spent on them.
"""

from __future__ import annotations

import datetime
import json
import math
from typing import Any

import numpy as np
import onnx
import onnx.reference
import onnxruntime
import pytest
import torch
from tests.calibration.int8_edges import FEWEST, ROWS, ort_session, rows_off_the_edges
from tests.gpu.conftest import about_this_machine
from tests.gpu.measure import ceilings, flops_per_window, time_call, torch_ways
from tests.gpu.models import Frozen, Model, chebyshev, kl, make_model, windows_for
from tests.gpu.torch_graph import OPERATORS, TorchGraph

from emodict.engine.driver import read_driver
from emodict_train.model.checkpoint import predict

CASES: list[dict[str, Any]] = [
    {"readout": "flatten"},
    {"readout": "last", "gate": "bare"},
    {"readout": "mean", "spec_id": "dmer-sample"},
    {"members": 2, "modalities": ("gsr", "ppg")},
]


def reference(graph: onnx.ModelProto, tokens: np.ndarray) -> list[np.ndarray]:
    with np.errstate(all="ignore"):
        result: list[np.ndarray] = onnx.reference.ReferenceEvaluator(graph).run(
            None, {"tokens": tokens}
        )
    return result


def run_torch(graph: onnx.ModelProto, tokens: np.ndarray) -> list[np.ndarray]:
    with torch.inference_mode():
        return [array.numpy() for array in TorchGraph(graph)(torch.from_numpy(tokens))]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_an_fp32_graph_gives_what_onnx_runtime_gives(case: dict[str, Any]) -> None:
    made = make_model(**case)
    content = made.graphs["fp32"].SerializeToString()
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    for got, wanted in zip(
        run_torch(made.graphs["fp32"], made.tokens),
        session.run(None, {"tokens": made.tokens}),
        strict=True,
    ):
        # Float32 sums in another order.
        np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-5)


def test_fp16_is_computed_in_half_as_onnx_reference_does_and_costs_little(model: Model) -> None:
    exact = reference(model.graphs["fp32"], model.tokens)[0]
    half, ours = (
        reference(model.graphs["fp16"], model.tokens)[0],
        run_torch(model.graphs["fp16"], model.tokens)[0],
    )
    # Both round to 11 bits, in another order of the sums:
    # they agree as well as each agrees with FP32.
    assert kl(exact, ours) < 1e-4
    assert chebyshev(exact, ours) < 1e-3
    assert kl(half, ours) < 1e-4
    assert np.abs(exact - ours).max() > 1e-5, "half precision that costs nothing is none"


def test_an_overflow_of_half_shows_where_onnx_runtimes_cpu_hides_it() -> None:
    """1000 x 1000 in half is infinity:
    ONNX Runtime's CPU provider computes it in float32 where it can.
    """
    helper, kinds = onnx.helper, onnx.TensorProto
    nodes = [
        helper.make_node("Cast", ["tokens"], ["half"], to=kinds.FLOAT16),
        helper.make_node("Mul", ["half", "half"], ["square"]),
        helper.make_node("Cast", ["square"], ["distribution"], to=kinds.FLOAT),
    ]
    ends = [
        helper.make_tensor_value_info(name, kinds.FLOAT, ["batch", 1])
        for name in ("tokens", "distribution")
    ]
    graph = helper.make_model(helper.make_graph(nodes, "g", ends[:1], ends[1:]))
    got = run_torch(graph, np.array([[1000.0], [100.0]], np.float32))[0]
    np.testing.assert_array_equal(got, [[np.inf], [10000.0]])


def test_int8_gives_what_onnx_runtime_gives_for_q_and_dq(model: Model) -> None:
    tokens = windows_for(model.checkpoint, ROWS)
    quantised = model.graphs["int8"]
    wanted, got = (
        ort_session(quantised).run(None, {"tokens": tokens})[0],
        run_torch(quantised, tokens)[0],
    )
    compared = rows_off_the_edges(quantised, tokens)
    assert compared.sum() >= FEWEST
    # Float32 between equal steps.
    np.testing.assert_allclose(got[compared], wanted[compared], rtol=0, atol=1e-6)
    # The bound of INT8, as on the GPU.
    assert 1e-7 < kl(reference(model.graphs["fp32"], tokens)[0], got) < 2e-3


def test_an_unknown_operator_is_refused_not_skipped() -> None:
    node = onnx.helper.make_node("STFT", ["tokens"], ["distribution"])
    assert "STFT" not in OPERATORS
    with pytest.raises(ValueError, match="no operator STFT"):
        TorchGraph(onnx.helper.make_model(onnx.helper.make_graph([node], "g", [], [])))


def test_every_way_that_will_be_timed_gives_the_same_distribution(model: Model) -> None:
    exact = reference(model.graphs["fp32"], model.tokens)[0]
    ways = dict(torch_ways(model, "cpu", compiled=False))
    assert set(ways) == {
        "torch eager",
        "folded graph in torch, fp32",
        "folded graph in torch, fp16",
    }
    for name, make in ways.items():
        for batch in (1, 7):
            tolerance = 2e-3 if "fp16" in name else 1e-5  # FP16 keeps 11 significant bits
            np.testing.assert_allclose(
                make(batch)(model.tokens[:batch]), exact[:batch], atol=tolerance
            )


def test_the_stopwatch_counts_calls_and_windows() -> None:
    naps: list[int] = []

    def call(tokens: np.ndarray) -> np.ndarray:
        naps.append(len(tokens))
        return tokens

    timing = time_call("nothing", call, np.zeros((5, 1, 1), np.float32), seconds=0, fewest=8)
    assert timing.calls == 8
    assert len(naps) == 8 + 3
    assert timing.windows_per_s == pytest.approx(5e6 / timing.median_us)
    assert 0 < timing.median_us <= timing.p95_us


def test_the_operations_of_one_window_are_those_of_its_matrix_products(model: Model) -> None:
    """By hand: two for each element of each product and each element of the axis summed over."""
    graph = onnx.ModelProto()
    graph.CopyFrom(model.graphs["fp32"])
    for value in (*graph.graph.input, *graph.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = 1
    inferred = onnx.shape_inference.infer_shapes(graph, strict_mode=True, data_prop=True)
    values = [*inferred.graph.value_info, *inferred.graph.input, *inferred.graph.output]
    shapes = {v.name: [d.dim_value for d in v.type.tensor_type.shape.dim] for v in values}
    products = [n for n in graph.graph.node if n.op_type in ("Gemm", "MatMul")]
    assert all(all(shapes[n.output[0]]) for n in products)
    total = sum(2 * math.prod(shapes[n.output[0]]) * shapes[n.input[0]][-1] for n in products)
    assert flops_per_window(model) == total > 100_000


def test_ceilings_are_positive_and_the_matrix_product_is_the_right_order() -> None:
    found = ceilings("cpu", copy_bytes=2**20, side=64, repeats=2)
    assert set(found) == {
        "copy_on_device_gb_per_s", "copy_to_device_gb_per_s", "copy_from_device_gb_per_s",
        "matmul_fp32_tflop_per_s", "matmul_fp16_tflop_per_s",
    }  # fmt: skip
    assert all(np.isfinite(value) and value > 0 for value in found.values())


def test_the_rival_is_the_model_itself(model: Model) -> None:
    tokens = torch.from_numpy(model.tokens[:7])
    with torch.inference_mode():
        got, expected = Frozen(model.network)(tokens), predict([model.network], tokens)[0]
    # Float32 shares, of the same products.
    torch.testing.assert_close(got, expected, atol=1e-6, rtol=0)


def test_what_is_written_about_the_machine_is_json() -> None:
    about = json.loads(json.dumps(about_this_machine()))
    assert about["packages"]["onnxruntime"] == onnxruntime.__version__
    assert about["taken_on"] == datetime.date.today().isoformat()
    assert (about["gpu"] is None) == (not read_driver().gpus)
