from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from tests.calibration.conftest import plausible_table

from emodict_calibration.precision.emulate import Emulator, Plan
from emodict_calibration.precision.ranges import absmax_of, measure_ranges
from emodict_calibration.precision.sensitivity import Bench, Cost, choose, half_plan, int8_plan
from emodict_export.export import folded_onnx
from emodict_export.windows import engine_tokens
from emodict_train.model.checkpoint import Checkpoint


@pytest.fixture
def bench(small: Checkpoint) -> Bench:
    model, tokens = folded_onnx(small), engine_tokens(small, plausible_table(small, 100))
    return Bench(Emulator(model, absmax=absmax_of(measure_ranges(Emulator(model), tokens))), tokens)


def half_alone(bench: Bench) -> dict[str, Cost]:
    names = bench.emulator.computing
    return dict(zip(names, bench.alone([Plan(half=frozenset({n})) for n in names]), strict=True))


def test_a_cost_is_torchs_kl_and_the_largest_gap_of_shares(small: Checkpoint) -> None:
    model, tokens = folded_onnx(small), engine_tokens(small, plausible_table(small, 100))
    emulator = Emulator(model)
    bench, plan = Bench(emulator, tokens), half_plan(emulator, ())
    # Block by block, as the bench runs them: a half of another order of sums may be the next one.
    blocks = [np.arange(0, 100, 2), np.arange(1, 100, 2)]
    exact, low = (
        torch.from_numpy(
            np.concatenate([emulator.run(tokens[rows], p).distribution for rows in blocks])
        ).double()
        for p in (Plan(), plan)
    )
    in_order = np.concatenate(blocks).argsort()
    np.testing.assert_array_equal(bench.distributions(plan), low.numpy()[in_order])
    exact, low = (p / p.sum(dim=1, keepdim=True) for p in (exact, low))
    kl = torch.nn.functional.kl_div(low.log(), exact, reduction="none").sum(dim=1)
    cost = bench.whole(plan)
    # float64 keeps 16 digits of terms of size 0.1; they cancel to a KL of 1e-7.
    assert cost.kl_mean == pytest.approx(float(kl.mean()), rel=1e-6)
    assert cost.kl_max == pytest.approx(float(kl.max()), rel=1e-6)
    assert cost.chebyshev_max == pytest.approx(float((exact - low).abs().max()), rel=1e-6)


def test_a_node_alone_costs_what_a_whole_run_with_it_alone_does(bench: Bench) -> None:
    heard: list[None] = []
    plans = [Plan(half=frozenset({"logits"})), Plan(int8=frozenset({"layer0/queries"})), Plan()]
    alone = bench.alone(plans, on_plan=lambda: heard.append(None))
    assert alone == [bench.whole(plan) for plan in plans]
    assert alone[2] == Cost(0, 0, 0, 0)
    assert len(heard) == len(plans) * bench.blocks == 6


def test_an_answer_that_overflows_costs_infinitely_much(bench: Bench) -> None:
    bench.emulator._halves["lbl2.weight"] = np.full_like(
        bench.emulator._halves["lbl2.weight"], np.inf
    )
    cost = bench.whole(Plan(half=frozenset({"lbl2"})))
    assert cost == Cost(math.inf, math.inf, math.inf, math.inf)


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_the_smaller_the_budget_the_more_nodes_are_kept_and_it_is_held(
    bench: Bench, precision: str
) -> None:
    emulator = bench.emulator
    if precision == "fp16":
        alone, make_plan = half_alone(bench), lambda kept: half_plan(emulator, kept)
    else:
        names = emulator.quantisable
        plans = [Plan(int8=frozenset({n})) for n in names]
        alone, make_plan = (
            dict(zip(names, bench.alone(plans), strict=True)),
            lambda kept: int8_plan(emulator, kept),
        )
    free = bench.whole(make_plan(())).kl_mean
    counts = []
    for share in (1.0, 0.5, 0.02, 0.0):
        heard: list[int] = []
        found = choose(
            bench, make_plan, alone=alone, forced={}, max_kl=free * share, on_step=heard.append
        )
        assert found.cost == bench.whole(make_plan(found.keep_fp32))
        assert found.cost.kl_mean <= free * share
        assert found.cost_before_moves.kl_mean == free
        assert set(found.reasons) == set(found.keep_fp32)
        assert len(heard) == found.steps
        counts.append(len(found.keep_fp32))
    assert counts[0] == 0 < counts[1] < counts[2] < counts[3]
    # Nothing is free of rounding: a budget of 0 leaves FP32 alone.
    assert counts[3] >= len(alone) - 2
    assert found.cost.kl_max == 0


def test_what_is_forced_stays_with_its_reason_and_the_worst_node_goes_first(bench: Bench) -> None:
    alone = half_alone(bench)
    found = choose(
        bench,
        lambda kept: half_plan(bench.emulator, kept),
        alone=alone,
        forced={"wide": "it is told to"},
        max_kl=bench.whole(half_plan(bench.emulator, ("wide",))).kl_mean * 0.999,
    )
    assert found.reasons["wide"] == "it is told to"
    assert found.steps == 1
    others = set(found.keep_fp32) - {"wide"}
    worst = sorted(alone, key=lambda name: alone[name].kl_mean, reverse=True)[:4]
    groups = {name.rpartition("/")[0] for name in others}
    assert (len(others) == 1 and others <= set(worst)) or len(groups) == 1
    assert all("to hold the budget: alone it costs KL" in found.reasons[name] for name in others)
    # In the graph's order, as a reader looks for them.
    assert list(found.keep_fp32) == [name for name in alone if name in found.keep_fp32]
