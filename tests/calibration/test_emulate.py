"""The emulator against ONNX Runtime in FP32 and INT8, and against onnx.reference's float16."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from tests.calibration.conftest import MakeCheckpoint, plausible_table
from tests.calibration.int8_edges import FEWEST, ROWS, ort_session, rows_off_the_edges

from emodict.errors import EmodictError
from emodict_calibration.precision.emulate import FP32, Emulator, Plan, through_int8
from emodict_calibration.precision.ranges import absmax_of, measure_ranges
from emodict_export.export import folded_onnx
from emodict_export.precision import to_fp16, to_int8
from emodict_export.windows import engine_tokens
from emodict_train.model.checkpoint import Checkpoint

MODELS: dict[str, dict[str, Any]] = {
    "flatten": {"readout": "flatten"},
    "last": {"readout": "last"},
    "mean": {"readout": "mean"},
    "bare gate": {"gate": "bare"},
    "far from 0": {"offset": 4e3},  # the centring stays in the graph
    "ensemble": {"members": 2, "layers": 1},
    "sample layout": {"spec_id": "dmer-sample", "layers": 1},
}
# Shares are below 1, of which float32 keeps 6e-8;
# sums of a hundred terms in another order move some of these.
FLOAT32_SHARES = 1e-6


def tokens_for(checkpoint: Checkpoint, rows: int, seed: int = 1) -> np.ndarray:
    return engine_tokens(checkpoint, plausible_table(checkpoint, rows, seed=seed))


def spelled_out(model: onnx.ModelProto) -> onnx.ModelProto:
    """Half LayerNormalization as elementary nodes:
    onnx.reference goes over to float32 in the middle of its own.
    """
    result = onnx.ModelProto()
    result.CopyFrom(model)
    del result.graph.node[:]
    axis, epsilon = np.array([-1], np.int64), np.array(1e-5, np.float16)
    result.graph.initializer.extend(
        [numpy_helper.from_array(axis, "axis"), numpy_helper.from_array(epsilon, "eps")]
    )
    for node in model.graph.node:
        if node.op_type != "LayerNormalization" or not node.input[1].endswith("/half"):
            result.graph.node.append(node)
            continue
        x, scale, bias = node.input
        names = iter(f"{node.name}/step{i}" for i in range(9))
        steps = [("ReduceMean", [x, "axis"])]
        last = next(names)
        result.graph.node.append(helper.make_node(*steps[0], [last]))
        centred = next(names)
        result.graph.node.append(helper.make_node("Sub", [x, last], [centred]))
        last = centred
        for op, others in (
            ("Mul", [centred]),
            ("ReduceMean", ["axis"]),
            ("Add", ["eps"]),
            ("Sqrt", []),
            ("Reciprocal", []),
            ("Mul", [centred]),
            ("Mul", [scale]),
        ):
            output = next(names)
            result.graph.node.append(helper.make_node(op, [last, *others], [output]))
            last = output
        result.graph.node.append(
            helper.make_node("Add", [last, bias], list(node.output), name=node.name)
        )
    return result


@pytest.mark.parametrize("batch", [1, 7])
@pytest.mark.parametrize("kind", MODELS)
def test_in_fp32_it_answers_as_onnx_runtime_does(
    trained: MakeCheckpoint, kind: str, batch: int
) -> None:
    checkpoint = trained(**MODELS[kind])
    model, tokens = folded_onnx(checkpoint), tokens_for(checkpoint, batch)
    run = Emulator(model).run(tokens)
    distribution, weights = ort_session(model).run(["distribution", "weights"], {"tokens": tokens})
    np.testing.assert_allclose(run.distribution, distribution, rtol=0, atol=FLOAT32_SHARES)
    np.testing.assert_allclose(run.values["weights"], weights, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("batch", [1, 7])
@pytest.mark.parametrize("kind", MODELS)
def test_in_fp16_it_answers_as_numpys_float16_does_node_by_node(
    trained: MakeCheckpoint, kind: str, batch: int
) -> None:
    checkpoint = trained(**MODELS[kind])
    model, tokens = folded_onnx(checkpoint), tokens_for(checkpoint, batch)
    emulator = Emulator(model)
    got = emulator.run(tokens, Plan(half=frozenset(emulator.computing)))
    (expected,) = ReferenceEvaluator(spelled_out(to_fp16(model))).run(
        ["distribution"], {"tokens": tokens}
    )
    exact = emulator.run(tokens).distribution
    assert np.abs(expected - exact).max() > 1e-5, "there is nothing to see"
    # Sums in another order move a half by one unit now and then, 5e-4 of it; shares are of size 0.1
    # to 1. numpy adds up the tokens of the mean readout in half, one by one.
    np.testing.assert_allclose(got.distribution, expected, atol=1.5e-3 if kind == "mean" else 5e-4)


def test_nodes_kept_in_fp32_are_computed_in_fp32(small: Checkpoint) -> None:
    model, tokens = folded_onnx(small), tokens_for(small, 16)
    emulator = Emulator(model)
    kept = ["layer0/norm1", "layer1/expanded", "layer1/mixed", "lbl1", "weights", "logits"]
    got = emulator.run(tokens, Plan(half=frozenset(emulator.computing) - frozenset(kept)))
    (expected,) = ReferenceEvaluator(spelled_out(to_fp16(model, kept))).run(
        ["distribution"], {"tokens": tokens}
    )
    np.testing.assert_allclose(got.distribution, expected, atol=5e-4)  # as above
    everything = emulator.run(tokens, Plan(half=frozenset(emulator.computing)))
    assert np.abs(everything.distribution - got.distribution).max() > 1e-6


@pytest.mark.parametrize("kept", [(), ("layer0/queries", "lbl1", "logits")])
@pytest.mark.parametrize("kind", MODELS)
def test_in_int8_it_answers_as_the_quantised_graph_does(
    trained: MakeCheckpoint, kind: str, kept: tuple[str, ...]
) -> None:
    checkpoint = trained(**MODELS[kind])
    if kind == "ensemble":
        kept = tuple(f"m1/{name}" for name in kept)
    model, tokens = folded_onnx(checkpoint), tokens_for(checkpoint, ROWS)
    emulator = Emulator(model, absmax=absmax_of(measure_ranges(Emulator(model), tokens)))
    got = emulator.run(
        tokens, Plan(int8=frozenset(emulator.quantisable) - frozenset(kept))
    ).distribution
    quantised = to_int8(model, tokens, kept)
    expected = ort_session(quantised).run(["distribution"], {"tokens": tokens})[0]
    compared = rows_off_the_edges(quantised, tokens)
    assert compared.sum() >= FEWEST
    shift = np.abs(expected - emulator.run(tokens).distribution)
    assert shift[compared].max() > 100 * FLOAT32_SHARES, "there is nothing to see"
    # Both round the same numbers to the same steps: what is left is float32 between them.
    np.testing.assert_allclose(got[compared], expected[compared], rtol=0, atol=FLOAT32_SHARES)


def test_half_way_between_two_steps_the_even_one_is_taken_and_the_ends_are_minus_128_and_127() -> (
    None
):
    # The scale is a power of two, so that halves are exact;
    # the expected steps are ONNX's definition of QuantizeLinear.
    steps = np.float32(
        [0.5, 1.5, 2.5, -0.5, -1.5, -2.5, 0.49, 2.51, 126.5, 127.5, 300, -127.5, -128.5, -300]
    )
    rounded = np.float32([0, 2, 2, 0, -2, -2, 0, 3, 126, 127, 127, -128, -128, -128])
    np.testing.assert_array_equal(through_int8(steps / 8, np.float32(1 / 8)), rounded / 8)


def test_what_a_base_run_spares_changes_no_bit(small: Checkpoint) -> None:
    model, tokens = folded_onnx(small), tokens_for(small, 8)
    emulator = Emulator(model, absmax=absmax_of(measure_ranges(Emulator(model), tokens)))
    half = frozenset(emulator.computing)
    plans = [Plan(half=half), Plan(half=half - {"layer1/norm1"}), Plan(half=frozenset({"lbl2"}))]
    plans += [
        FP32,
        Plan(int8=frozenset({"layer1/expanded"})),
        Plan(int8=frozenset(emulator.quantisable)),
    ]
    for base_plan in plans:
        base = emulator.run(tokens, base_plan)
        for plan in plans:
            quick, whole = emulator.run(tokens, plan, base=base), emulator.run(tokens, plan)
            for name, value in whole.values.items():
                np.testing.assert_array_equal(
                    quick.values[name], value, err_msg=f"{name}: {base_plan} -> {plan}"
                )


def test_only_what_stands_behind_a_node_is_computed_again(small: Checkpoint) -> None:
    emulator = Emulator(folded_onnx(small))
    base = emulator.run(tokens_for(small, 4))
    run = emulator.run(tokens_for(small, 4), Plan(half=frozenset({"lbl2"})), base=base)
    again = {name for name, value in run.values.items() if value is not base.values.get(name)} - {
        "tokens"
    }
    assert again == {
        "lbl2",
        "narrow",
        "lbl3",
        "wide",
        "lbs",
        "h2",
        "gated",
        "logits",
        "distribution",
    }


def test_an_unknown_operator_and_a_missing_range_are_named(small: Checkpoint) -> None:
    node = helper.make_node("Erf", ["tokens"], ["distribution"], name="distribution")
    values = [
        helper.make_tensor_value_info(n, TensorProto.FLOAT, ["n", 2])
        for n in ("tokens", "distribution")
    ]
    model = helper.make_model(helper.make_graph([node], "g", values[:1], values[1:]))
    with pytest.raises(EmodictError, match="does not know the operator Erf of node 'distribution'"):
        Emulator(model)
    with pytest.raises(EmodictError, match="without the range of 'gated'"):
        Emulator(folded_onnx(small)).run(tokens_for(small, 2), Plan(int8=frozenset({"logits"})))
