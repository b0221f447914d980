from __future__ import annotations

import pytest
from tests.calibration.conftest import MakeCheckpoint, plausible_table

from emodict_calibration.precision.emulate import Emulator
from emodict_calibration.precision.sensitivity import Choice, Cost
from emodict_calibration.precision.worth import Product, judge_int8, products, too_narrow_for_int8
from emodict_export.export import folded_onnx
from emodict_export.windows import engine_tokens


def choice(kl: float, *kept: str) -> Choice:
    cost = Cost(kl, kl, kl, kl)
    return Choice(kept, dict.fromkeys(kept, "told to"), cost, cost, 0)


def test_products_have_the_sizes_that_the_models_spec_says(trained: MakeCheckpoint) -> None:
    checkpoint = trained("emodict-1")
    spec, features = checkpoint.model, checkpoint.features
    emulator = Emulator(folded_onnx(checkpoint))
    shapes = products(emulator, engine_tokens(checkpoint, plausible_table(checkpoint, 1)))
    t, d, h = features.tokens, spec.d_model, spec.heads
    assert shapes["projected"] == Product(t, features.token_width, d)
    assert shapes["layer0/queries"] == Product(t, d, h * d)
    assert shapes["layer0/scores"] == Product(t * h, d, t)
    assert shapes["layer0/mixed"] == Product(t * h, t, d)
    assert shapes["layer2/expanded"] == Product(t, d, spec.feed_forward)
    assert shapes["logits"] == Product(1, spec.latent, len(spec.emotions))
    assert shapes["weights"].macs == t * d * spec.elements
    narrow = too_narrow_for_int8(emulator, shapes)
    assert list(narrow) == ["logits"]
    assert narrow["logits"] == "INT8 gains nothing: K 128, N 10, and one is under 16"


def test_the_verdict_follows_from_the_share_and_the_size_of_what_int8_speeds_up() -> None:
    small = {"a": Product(1, 100, 100), "b": Product(1, 100, 10)}
    verdict = judge_int8(small, ["a"], fp16=choice(1e-6), int8=choice(3e-5, "b"))
    assert not verdict.worth_it
    assert verdict.macs == 11_000
    assert verdict.gaining_share == pytest.approx(10 / 11)
    assert verdict.saved_s == pytest.approx(10_000 / 1e12 / 2)
    assert verdict.why == (
        "Not worth it: 91% of a window's 0.01 million multiply-adds are in products that INT8 "
        "speeds up; at 10^12 a "
        "second it saves at most 0.005 us a window, where starting one kernel takes 2 us; "
        "it costs KL 3.0e-05, "
        "30 times FP16's 1.0e-06."
    )
    large = {"a": Product(1000, 1000, 1000), "b": Product(1000, 1000, 10)}
    assert judge_int8(large, ["a"], fp16=choice(1e-6), int8=choice(3e-5)).why.startswith(
        "Worth a try: 99% of "
    )
    # Large, but most of it stays in FP32.
    lost = judge_int8(
        {**large, "c": Product(5000, 1000, 1000)}, ["a"], fp16=choice(0.0), int8=choice(3e-5, "c")
    )
    assert not lost.worth_it
    assert "it costs KL 3.0e-05, FP16 0.0e+00" in lost.why


def test_int8_that_holds_no_budget_is_not_worth_it() -> None:
    verdict = judge_int8({"a": Product(1, 16, 16)}, [], fp16=choice(0.0), int8=choice(0.0, "a"))
    assert (verdict.worth_it, verdict.gaining_share) == (False, 0.0)
    assert "no product may run in INT8" in verdict.why
