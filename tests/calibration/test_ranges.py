from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from tests.calibration.conftest import MakeCheckpoint, plausible_table

from emodict.errors import ModelError
from emodict_calibration.precision.emulate import Emulator
from emodict_calibration.precision.ranges import NodeRange, measure_ranges, too_large_for_half
from emodict_export.export import folded_onnx
from emodict_export.windows import engine_tokens
from emodict_train.model.checkpoint import Checkpoint


def every_output(model: onnx.ModelProto, tokens: np.ndarray) -> dict[str, Any]:
    """What ONNX Runtime has behind every node."""
    import onnxruntime

    opened = onnx.ModelProto()
    opened.CopyFrom(model)
    del opened.graph.output[:]
    names = [node.output[0] for node in model.graph.node]
    opened.graph.output.extend(
        helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names
    )
    session = onnxruntime.InferenceSession(
        opened.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return dict(zip(names, session.run(names, {"tokens": tokens}), strict=True))


@pytest.mark.parametrize("rows", [1, 64, 130])
def test_ranges_are_those_of_onnx_runtimes_own_outputs(small: Checkpoint, rows: int) -> None:
    model, tokens = folded_onnx(small), engine_tokens(small, plausible_table(small, rows))
    heard: list[int] = []
    ranges = measure_ranges(Emulator(model), tokens, on_rows=heard.append)
    assert heard[-1] == rows
    outputs = every_output(model, tokens)
    assert set(ranges) == set(outputs)
    for name, value in outputs.items():
        # float32, another order of sums
        assert ranges[name].low == pytest.approx(value.min(), rel=1e-4, abs=1e-5), name
        assert ranges[name].high == pytest.approx(value.max(), rel=1e-4, abs=1e-5), name
        assert ranges[name].absmax == max(abs(ranges[name].low), abs(ranges[name].high))
        assert ranges[name].peak >= ranges[name].absmax
        by_row = np.abs(value).reshape(rows, -1).max(axis=1)
        assert by_row[ranges[name].extreme_row] == pytest.approx(by_row.max(), rel=1e-4)


def test_the_peak_of_a_layer_norm_is_that_of_its_sum_of_squares(small: Checkpoint) -> None:
    model, tokens = folded_onnx(small), engine_tokens(small, plausible_table(small, 16))
    ranges = measure_ranges(Emulator(model), tokens)
    x = every_output(model, tokens)["layer0/attended"].astype(np.float64)
    squares = np.square(x - x.mean(axis=-1, keepdims=True)).sum(axis=-1).max()
    others = max(
        np.abs(x).max(),
        np.abs(x.sum(axis=-1)).max(),
        ranges["layer0/norm1"].absmax,
        1 / x.std(axis=-1).min(),
    )
    assert ranges["layer0/norm1"].peak == pytest.approx(max(squares, others), rel=1e-3)
    assert squares > ranges["layer0/norm1"].absmax


def test_underflow_is_the_share_of_numbers_that_half_cannot_tell_from_0(small: Checkpoint) -> None:
    emulator = Emulator(folded_onnx(small))
    width = emulator.constants["inverse_scale"].shape
    scales = np.full(width, 1.0, np.float32)
    emulator.constants["inverse_scale"] = scales
    tokens = np.zeros((2, *width), np.float32)
    smallest = 2.0**-24  # IEEE 754 binary16, subnormal
    tokens[0, 0, :8] = [smallest / 4, -smallest / 4, smallest, 1, 2, 3, 4, 5]
    found = measure_ranges(emulator, tokens)["standardised"]
    assert found.underflow_share == 2 / 8
    assert (found.low, found.high, found.extreme_row) == (-smallest / 4, 5, 0)


def test_headroom_is_how_often_the_largest_number_fits_into_65504() -> None:
    assert NodeRange(
        -2.0, 1.0, peak=655.04, underflow_share=0, extreme_row=0
    ).headroom == pytest.approx(100)
    assert NodeRange(0.0, 0.0, peak=0.0, underflow_share=0, extreme_row=0).headroom == float("inf")


def test_a_node_is_kept_where_its_peak_times_the_margin_passes_65504(small: Checkpoint) -> None:
    model, tokens = folded_onnx(small), engine_tokens(small, plausible_table(small, 16))
    emulator = Emulator(model)
    ranges = measure_ranges(emulator, tokens)
    assert too_large_for_half(emulator, ranges, margin=4) == {}
    largest = max(emulator.computing, key=lambda name: ranges[name].peak)
    margin = 65504 / ranges[largest].peak
    assert too_large_for_half(emulator, ranges, margin=margin * 0.999) == {}
    found = too_large_for_half(emulator, ranges, margin=margin * 1.001)
    assert list(found) == [largest]
    assert (
        f"its numbers reach {ranges[largest].peak:.3g}, which with a margin of " in found[largest]
    )
    # The standardisation is always FP32, whatever it holds.
    ranges["standardised"] = dataclasses.replace(ranges["standardised"], peak=1e9)
    assert too_large_for_half(emulator, ranges, margin=4) == {}


def test_a_node_is_kept_for_a_constant_that_half_does_not_have(small: Checkpoint) -> None:
    model, tokens = folded_onnx(small), engine_tokens(small, plausible_table(small, 16))
    emulator = Emulator(model)
    ranges = measure_ranges(emulator, tokens)
    emulator.constants["lbl3.bias"] = np.full_like(emulator.constants["lbl3.bias"], -7e4)
    assert too_large_for_half(emulator, ranges, margin=4) == {
        "lbl3": "a constant of 7e+04 passes 65504, half's largest number"
    }


def test_a_model_that_puts_out_nan_in_fp32_is_refused_by_its_first_node(
    trained: MakeCheckpoint,
) -> None:
    checkpoint = trained("emodict-1", modalities=("ppg", "gsr"), layers=2)
    model = folded_onnx(checkpoint)
    emulator = Emulator(model)
    emulator.constants["lbl2.bias"] = np.full_like(emulator.constants["lbl2.bias"], np.nan)
    with pytest.raises(ModelError, match="infinities or NaN in FP32 already, first at node 'lbl2'"):
        measure_ranges(emulator, engine_tokens(checkpoint, plausible_table(checkpoint, 8)))
