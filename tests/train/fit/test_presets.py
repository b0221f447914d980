from __future__ import annotations

import pytest

from emodict.engine.model_spec import ModelSpec
from emodict.errors import InputError
from emodict_train.fit.presets import DEFAULT_PRESET, PRESETS, preset
from emodict_train.training.plan import TrainingPlan


def test_the_papers_preset_trains_as_its_section_4_2_says() -> None:
    plan = preset("paper").plan
    assert (plan.epochs, plan.learning_rate, plan.batch_size) == (100, 0.001, 32)
    # Adam, which is AdamW without weight decay
    assert plan.weight_decay == 0
    # and nothing that the paper does not speak of
    assert (plan.dropout, plan.modality_dropout, plan.input_noise, plan.average) == (0, 0, 0, 0)
    assert not plan.cosine
    assert not plan.from_mean_label
    # equation 15 adds auxiliary losses
    assert plan.auxiliary != "none"
    # it is taught the labels themselves
    assert not plan.distillation


def test_the_papers_preset_has_the_sizes_of_its_table_2() -> None:
    spec = ModelSpec(("a", "b"), ("eeg", "gsr"), **preset("paper").model)
    assert (spec.d_model, spec.heads, spec.layers, spec.elements, spec.latent) == (
        24,
        4,
        3,
        32,
        128,
    )
    # from (11, B, 24) to (B, 32) by one Linear: the released code reads the last token
    assert spec.readout == "last"


def test_the_robust_preset_is_what_trains_where_nothing_is_asked_for() -> None:
    assert DEFAULT_PRESET == "robust"
    assert preset("robust").plan == TrainingPlan()
    assert ModelSpec(("a", "b"), ("eeg", "gsr"), **preset("robust").model) == ModelSpec(
        ("a", "b"), ("eeg", "gsr")
    )


@pytest.mark.parametrize("name", list(PRESETS))
def test_what_is_not_asked_for_stays_as_the_preset_has_it(name: str) -> None:
    nothing = {"epochs": None, "learning_rate": None, "auxiliary": None}
    assert preset(name).with_changes(nothing, model={"readout": None}) == preset(name)


def test_what_is_asked_for_by_name_replaces_the_presets_own_and_nothing_else() -> None:
    paper = preset("paper")
    changed = paper.with_changes(
        {"epochs": 7, "input_noise": 0.0, "average": None}, model={"gate": "bare"}
    )
    assert changed.plan.epochs == 7
    assert changed.plan.learning_rate == paper.plan.learning_rate
    assert dict(changed.model) == {"readout": "last", "gate": "bare"}
    assert dict(paper.with_changes({}, model={"readout": "mean"}).model) == {"readout": "mean"}
    # presets are shared: changing one leaves it as it was
    assert paper.plan.epochs == 100
    assert dict(paper.model) == {"readout": "last"}


def test_a_zero_or_a_no_that_is_asked_for_counts() -> None:
    changed = preset("robust").with_changes({"weight_decay": 0.0, "cosine": False}, model={})
    assert changed.plan.weight_decay == 0
    assert not changed.plan.cosine


def test_a_plan_that_cannot_work_is_refused() -> None:
    with pytest.raises(InputError, match="batch"):
        preset("robust").with_changes({"batch_size": 1}, model={})


def test_an_unknown_preset_is_refused_with_the_known_ones() -> None:
    with pytest.raises(InputError, match=r"(?s)robust or paper.*papre"):
        preset("papre")
