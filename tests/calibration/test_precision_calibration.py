"""Calibration from checkpoint to precision.json: a planted overflow, the real sample,
and what export reads back.
"""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx.reference import ReferenceEvaluator
from tests.calibration.conftest import MakeCheckpoint, plausible_table

from emodict_calibration.precision.as_json import report_as_dict, write_report
from emodict_calibration.precision.calibrate import (
    PrecisionReport,
    Step,
    calibrate_precision,
    rows_to_measure,
)
from emodict_calibration.precision.options import PrecisionOptions
from emodict_calibration.precision.ranges import NodeRange
from emodict_export.export import folded_onnx, graph_hash
from emodict_export.precision import kept_by, read_precision, to_fp16
from emodict_export.windows import calibration_table, engine_tokens
from emodict_train.model.checkpoint import Checkpoint

FEED_FORWARD = "encoder.transformer.layers.0.linear{}.{}"


def with_planted_overflow(checkpoint: Checkpoint) -> Checkpoint:
    """The hidden numbers of layer 0 scaled up by a power of 2 and down again:
    in FP32 the same model to the bit.
    """
    state = dict(checkpoint.states[0])
    expand, contract = (FEED_FORWARD.format(i, "weight") for i in (1, 2))
    # The constants stay below 65504; the numbers, sums of 24 products, do not.
    factor = 2.0 ** math.floor(math.log2(30000 / float(state[expand].abs().max())))
    for name in (expand, FEED_FORWARD.format(1, "bias")):
        state[name] = state[name] * factor
    state[contract] = state[contract] / factor
    return dataclasses.replace(checkpoint, states=(state,))


def test_a_planted_overflow_is_found_and_kept_in_fp32_by_name(small: Checkpoint) -> None:
    planted = with_planted_overflow(small)
    table = plausible_table(planted, 200)
    report = calibrate_precision(planted, table, PrecisionOptions(rows=64))
    expected = {"layer0/expanded", "layer0/hidden", "layer0/fed_forward"}
    assert set(report.fp16.keep_fp32) == expected
    for name in expected:
        assert "which with a margin of 4 passes 65504" in report.fp16.reasons[name]
    by_name = {node.name: node for node in report.nodes}
    assert by_name["layer0/expanded"].range.peak > 65504
    assert by_name["layer0/expanded"].range.headroom < 1
    assert report.fp16.cost.kl_mean <= 1e-4
    # And the graph that export makes of it, in numpy's float16;
    # FP32 is the same as before the overflow was planted.
    model, tokens = folded_onnx(planted), engine_tokens(planted, table)
    (before,) = ReferenceEvaluator(folded_onnx(small)).run(["distribution"], {"tokens": tokens})
    with np.errstate(all="ignore"):
        (wrong,) = ReferenceEvaluator(to_fp16(model)).run(["distribution"], {"tokens": tokens})
        (right,) = ReferenceEvaluator(to_fp16(model, report.fp16.keep_fp32)).run(
            ["distribution"], {"tokens": tokens}
        )
    # Of an infinity the normalisation makes NaN.
    assert not np.isfinite(wrong).all()
    np.testing.assert_allclose(right, before, atol=2e-3)  # FP16 keeps 11 bits of shares of size 0.1


def test_the_same_model_without_the_overflow_keeps_nothing(small: Checkpoint) -> None:
    report = calibrate_precision(
        small, plausible_table(small, 200), PrecisionOptions(rows=64, max_kl_fp16=1e-2)
    )
    assert report.fp16.keep_fp32 == ()
    assert report.always_fp32 == ("standardised", "distribution")


@pytest.fixture
def report(small: Checkpoint) -> PrecisionReport:
    return calibrate_precision(
        small,
        plausible_table(small, 100),
        PrecisionOptions(rows=40, max_kl_fp16=1e-9),
        data=("a.npz", "b.h5"),
    )


def test_export_reads_back_what_was_chosen(
    report: PrecisionReport, small: Checkpoint, tmp_path: Path
) -> None:
    path = tmp_path / "precision.json"
    write_report(report, path)
    choice = read_precision(path)
    model = folded_onnx(small)
    assert choice.graph_sha256 == graph_hash(model)
    assert report.fp16.keep_fp32
    for precision, found in (("fp16", report.fp16), ("int8", report.int8)):
        kept = kept_by(choice, model, precision=precision, graph_sha256=graph_hash(model))
        assert kept == found.keep_fp32
    assert len(to_fp16(model, choice.keep_fp32["fp16"]).graph.node) > len(to_fp16(model).graph.node)


def test_the_json_says_what_the_numbers_stand_on(report: PrecisionReport, tmp_path: Path) -> None:
    write_report(report, tmp_path / "p.json")
    content = json.loads((tmp_path / "p.json").read_text())
    assert content == report_as_dict(report)
    assert content["data"]["files"] == ["a.npz", "b.h5"]
    assert (content["data"]["rows"], content["data"]["labelled_rows"]) == (
        100,
        report.measured_rows,
    )
    assert content["data"]["simulated"] is False
    assert content["fp16"]["max_kl"] == 1e-9 >= content["fp16"]["cost"]["kl_mean"]
    assert content["fp16"]["margin"] == 4
    assert content["int8"]["worth_it"] is False
    assert content["int8"]["why"].startswith("Not worth it: ")
    assert set(content["truth"]) == {"fp32", "fp16", "int8"}
    assert content["nodes"]["lbl1"]["op"] == "Gemm"
    assert set(content["nodes"]["lbl1"]) == {"op", "range", "fp16", "int8"}
    assert "fp16" not in content["nodes"]["distribution"]


def test_an_overflow_is_null_in_the_json_which_knows_no_infinity(report: PrecisionReport) -> None:
    cost = dataclasses.replace(report.fp16.cost, kl_max=math.inf)
    changed = dataclasses.replace(report, fp16=dataclasses.replace(report.fp16, cost=cost))
    assert report_as_dict(changed)["fp16"]["cost"]["kl_max"] is None


@pytest.mark.parametrize(
    "options", [{"members": 2, "layers": 1}, {"readout": "last"}, {"readout": "mean", "layers": 1}]
)
def test_every_kind_of_model_gets_a_choice_that_holds_a_harsh_budget(
    trained: MakeCheckpoint, options: dict[str, Any]
) -> None:
    checkpoint = trained("emodict-1", **options)
    budgets = PrecisionOptions(rows=24, max_kl_fp16=1e-8, max_kl_int8=1e-6)
    report = calibrate_precision(checkpoint, plausible_table(checkpoint, 30), budgets)
    assert report.fp16.cost.kl_mean <= 1e-8 < report.fp16.cost_before_moves.kl_mean
    assert report.int8.cost.kl_mean <= 1e-6
    prefixes = ("m0/", "m1/") if "members" in options else ("",)
    assert {f"{p}standardised" for p in prefixes} <= set(report.always_fp32)
    assert set(report.fp16.keep_fp32).isdisjoint(report.always_fp32)
    # Export takes the list as it is, and its graph is still nearer to FP32 than without it.
    model, tokens = (
        folded_onnx(checkpoint),
        engine_tokens(checkpoint, plausible_table(checkpoint, 30)),
    )
    exact, free, kept = (
        ReferenceEvaluator(m).run(["distribution"], {"tokens": tokens})[0]
        for m in (model, to_fp16(model), to_fp16(model, report.fp16.keep_fp32))
    )
    assert np.square(kept - exact).mean() < np.square(free - exact).mean()


def test_labels_are_not_needed_and_missing_modalities_are_filled(trained: MakeCheckpoint) -> None:
    checkpoint = trained("emodict-1", layers=1)
    table = plausible_table(checkpoint, 40, labels=False, simulated=True)
    table.windows.valid[::2, 0] = False
    table.windows.tokens[::2, checkpoint.features.token_slices[checkpoint.model.modalities[0]]] = (
        np.nan
    )
    steps: list[Step] = []
    report = calibrate_precision(checkpoint, table, on_step=steps.append)
    assert math.isfinite(report.fp16.cost.kl_max)
    assert report.simulated
    assert (report.truth, report.labelled_rows) == ({}, 0)
    assert report.data == ("random.npz",)
    stages = list(dict.fromkeys(step.stage for step in steps))
    assert stages[:2] == ["ranges", "each node alone"]
    assert [(s.done, s.total) for s in steps if s.stage == "each node alone"][-1][0] == steps[
        -1
    ].total


def test_costs_are_measured_on_extremes_and_on_rows_spread_evenly() -> None:
    ranges = {
        str(i): NodeRange(0, 1, 1, 0, extreme_row=row) for i, row in enumerate([3, 3, 997, 501])
    }
    rows = rows_to_measure(ranges, 1000, 100)
    assert {3, 501, 997} <= set(rows.tolist())
    assert 97 <= len(rows) <= 100
    assert np.diff(rows).max() <= 12  # 1000 / 97
    assert rows_to_measure(ranges, 50, 100).tolist() == list(range(50))
    assert len(rows_to_measure(ranges, 1000, 1)) == 1


def test_on_the_real_sample_fp16_and_int8_cost_next_to_nothing(
    shared_data: Path, trained: MakeCheckpoint
) -> None:
    """Fitted for three epochs on the released one-subject sample."""
    from emodict_train.data import read_training_data
    from emodict_train.fit import FitOptions, fit
    from emodict_train.training.plan import TrainingPlan

    path = shared_data / "dmer_sample" / "train.mat"
    checkpoint = fit(
        read_training_data([path]), FitOptions(split="windows", plan=TrainingPlan(epochs=3))
    )
    report = calibrate_precision(
        checkpoint, calibration_table(checkpoint, [path]), PrecisionOptions(rows=256)
    )
    assert report.rows == 696
    assert report.fp16.cost.kl_mean <= 1e-4
    assert report.fp16.cost.chebyshev_mean <= 1e-3
    assert report.int8.cost.kl_mean <= 2e-3
    assert not report.worth.worth_it
    assert report.truth["fp16"]["kl"] == pytest.approx(report.truth["fp32"]["kl"], abs=1e-3)
