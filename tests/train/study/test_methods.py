from __future__ import annotations

import dataclasses
import io
from collections.abc import Sequence
from typing import Any

import joblib
import numpy as np
import pytest
import torch
from tests.train.study.fixtures import BUDGET
from tests.train.study.synthetic import data as made_up_data

from emodict.features.spec import load_spec
from emodict.features.windows import assemble, ready_made_rows
from emodict_desk.tables.table import FeatureTable
from emodict_train.fit.presets import preset
from emodict_train.rivals import RIVALS
from emodict_train.study.compared.ablations import blocks_for
from emodict_train.study.compared.data import StudyData, from_table
from emodict_train.study.compared.methods import EPOCHS, methods_for
from emodict_train.study.compared.network_method import (
    EmotionDictMethod,
    NeuralRivalMethod,
    emotion_dict_ensemble,
)
from emodict_train.study.compared.networks import AblationNetwork, Variant
from emodict_train.study.compared.protocols import PROTOCOLS
from emodict_train.study.compared.rival_method import RivalMethod
from emodict_train.study.compared.task import Method
from emodict_train.study.running.run import StudyOptions
from emodict_train.study.running.selection import needs_selection
from emodict_train.training.ensemble import Member
from emodict_train.training.plan import TrainingPlan

FULL, QUICK = StudyOptions(), StudyOptions(quick=True, seeds=2)
# The paper's section 4.4, and two baselines.
DMER, EDL = ("eeg", "gsr", "ppg", "video"), ("gsr", "skt", "ecg", "hr")


def study_data(spec_id: str, *, rows: int = 12) -> StudyData:
    """Random rows with all modalities of a spec."""
    rng, spec = np.random.default_rng(0), load_spec(spec_id)
    features = {
        m.name: ready_made_rows(rng.standard_normal((rows, *m.shape))) for m in spec.modalities
    }
    windows = assemble(spec, np.arange(rows, dtype=float), features)
    labels, trial = (
        rng.dirichlet(np.ones(3), rows),
        np.array([f"trial{i // 2}" for i in range(rows)]),
    )
    return from_table(
        FeatureTable(windows, ("a", "b", "c"), labels, np.full(rows, "person"), trial, "random")
    )


@pytest.fixture(scope="module")
def dmer() -> StudyData:
    return study_data("emodict-1")


@pytest.fixture(scope="module")
def edl() -> StudyData:
    return study_data("edl-89")


def methods(
    data: StudyData, options: StudyOptions = FULL, protocol: str = "trials"
) -> dict[str, Method]:
    return {method.name: method for method in methods_for(data, options, protocol)}


def ablation(data: StudyData, name: str, protocol: str = "trials") -> EmotionDictMethod:
    found = methods(data, protocol=protocol)[name]
    assert isinstance(found, EmotionDictMethod)
    return found


def names(found: Sequence[Method]) -> list[str]:
    return [method.name for method in found]


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(("spec_id", "modalities"), [("emodict-1", DMER), ("edl-89", EDL)])
def test_every_rival_ours_and_every_ablation_is_compared_once_and_in_the_order_of_the_tables(
    spec_id: str, modalities: tuple[str, ...], protocol: str
) -> None:
    data = study_data(spec_id)
    assert tuple(data.modalities) == modalities
    blocks = blocks_for(modalities)
    variants = [f"{b.key}: {name}" for b in blocks for name in b.variants if name not in b.shared]
    expected = [*RIVALS, "EmotionDict (paper)", "EmotionDict (robust)", *variants]
    assert names(methods_for(data, FULL, protocol)) == expected
    assert names(methods_for(data, QUICK, protocol)) == expected
    # whatever a table shows has been run
    assert {block.method(name) for block in blocks for name in block.variants} <= set(expected)


def test_rows_without_a_spec_meet_the_rivals_that_need_no_modalities_on_features_as_they_are() -> (
    None
):
    bare = made_up_data()
    assert bare.table is None
    found = methods_for(bare, FULL, "windows")
    assert names(found) == [name for name in RIVALS if name not in ("EDLConv", "MISA", "TAILOR")]
    assert all(
        isinstance(method, RivalMethod | NeuralRivalMethod) and not method.z_score
        for method in found
    )


def test_without_eeg_there_is_no_first_auxiliary_loss_to_leave_out(
    dmer: StudyData, edl: StudyData
) -> None:
    auxiliary = {"components: without aux 1", "components: without aux 2"}
    assert auxiliary <= set(methods(dmer))
    assert not auxiliary & set(methods(edl))
    for data, modalities in ((dmer, DMER), (edl, EDL)):
        left_out = [name for name in methods(data) if name.startswith("modalities: ")]
        assert left_out == [f"modalities: without {name}" for name in modalities]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_nobody_has_more_than_the_budget_of_candidates_and_no_rival_fewer_than_ours(
    dmer: StudyData, protocol: str
) -> None:
    found = methods(dmer, protocol=protocol)
    counts = {name: len(method.candidates) for name, method in found.items()}
    assert all(1 <= count <= BUDGET for count in counts.values())
    ours = max(count for name, count in counts.items() if name.startswith("EmotionDict"))
    # The mean label has nothing to choose.
    assert min(counts[name] for name in RIVALS if name != "mean label") >= ours
    for method in found.values():
        assert len({str(sorted(candidate.items())) for candidate in method.candidates}) == len(
            method.candidates
        )


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_quick_has_fewer_epochs_seeds_and_candidates(dmer: StudyData, protocol: str) -> None:
    full, quick = methods(dmer, protocol=protocol), methods(dmer, QUICK, protocol)
    for name, method in full.items():
        fewer = quick[name]
        assert set(map(str, fewer.candidates)) <= set(map(str, method.candidates))
        assert len(fewer.candidates) < len(method.candidates) or len(method.candidates) == 1
        if isinstance(method, RivalMethod):
            assert (fewer.seeds is None) == (method.seeds is None)
        else:
            assert isinstance(fewer, NeuralRivalMethod | EmotionDictMethod)
            assert isinstance(method, NeuralRivalMethod | EmotionDictMethod)
            # A schedule that is run to its end is not cut:
            # there is nothing to choose, so it costs little.
            whole = name == "EmotionDict (robust)" and protocol != "windows"
            assert fewer.epochs == method.epochs if whole else 1 <= fewer.epochs < method.epochs
            assert 1 <= fewer.seeds < method.seeds


def test_whatever_draws_random_numbers_has_the_seeds_asked_for_and_an_ablation_half_of_them(
    dmer: StudyData,
) -> None:
    found = methods(dmer, StudyOptions(seeds=6))
    for name, method in found.items():
        if isinstance(method, NeuralRivalMethod) or name.startswith("EmotionDict"):
            assert method.seeds == 6
        elif isinstance(method, EmotionDictMethod):
            assert method.seeds == 3
    assert ablation_seeds(methods(dmer, StudyOptions(seeds=1))) == {1}


def ablation_seeds(found: dict[str, Method]) -> set[int | None]:
    return {method.seeds for name, method in found.items() if ": " in name}


def test_the_two_presets_are_those_of_fit(dmer: StudyData) -> None:
    paper = ablation(dmer, "EmotionDict (paper)")
    assert paper.variant == Variant(preset("paper").plan, preset("paper").model)
    robust = ablation(dmer, "EmotionDict (robust)")
    assert robust.variant == Variant(dataclasses.replace(TrainingPlan(), epochs=robust.epochs))


@pytest.mark.parametrize("protocol", ["trials", "subjects"])
@pytest.mark.parametrize("options", [FULL, QUICK], ids=["full", "quick"])
def test_the_robust_preset_chooses_nothing_but_its_teacher_where_groups_are_held_out(
    dmer: StudyData, options: StudyOptions, protocol: str
) -> None:
    method = methods(dmer, options, protocol)["EmotionDict (robust)"]
    assert isinstance(method, EmotionDictMethod)
    assert not needs_selection(method)
    # the schedule is run to its end
    assert method.epochs == method.variant.plan.epochs == EPOCHS[protocol]


def test_every_network_is_trained_on_the_device_asked_for(dmer: StudyData) -> None:
    found = [
        m for m in methods_for(dmer, StudyOptions(device="cuda"), "trials") if hasattr(m, "device")
    ]
    assert {method.device for method in found} == {"cuda"}
    assert {"EmotionDict (paper)", "EmotionDict (robust)", "MISA"} <= {*names(found)}


def test_among_the_papers_candidates_is_its_own_learning_rate_and_nothing_else_is_changed(
    dmer: StudyData,
) -> None:
    candidates = ablation(dmer, "EmotionDict (paper)").candidates
    assert {"learning_rate": 0.001} in candidates  # section 4.2
    assert {key for candidate in candidates for key in candidate} == {"learning_rate"}
    for name, method in methods(dmer).items():
        if ": " in name:
            assert method.candidates == ({"learning_rate": 0.001},)


def test_on_random_windows_the_robust_schedule_ends_with_the_last_epoch_and_learns_plain_labels(
    dmer: StudyData,
) -> None:
    for options in (FULL, QUICK):
        method = methods(dmer, options, "windows")["EmotionDict (robust)"]
        assert isinstance(method, EmotionDictMethod)
        assert method.variant.plan == dataclasses.replace(
            TrainingPlan(), epochs=method.epochs, distillation=0.0
        )


def test_the_robust_teacher_holds_out_what_the_protocol_holds_out(dmer: StudyData) -> None:
    for protocol in ("trials", "subjects"):
        method = ablation(dmer, "EmotionDict (robust)", protocol)
        assert method.variant.plan.distillation
        assert method.grouping == protocol


def test_ablations_train_for_a_fixed_time_on_random_windows_and_stop_early_elsewhere(
    dmer: StudyData,
) -> None:
    early = {"stopping: early (random windows)", "stopping: early (grouped)"}
    for name in methods(dmer):
        if ": " in name:
            assert needs_selection(ablation(dmer, name, "windows")) == (name in early)
            assert needs_selection(ablation(dmer, name, "trials")) == (
                name != "stopping: fixed epochs"
            )


def test_the_three_ways_to_stop_differ_in_the_rows_that_decide_alone(dmer: StudyData) -> None:
    by = {"fixed epochs": None, "early (random windows)": "windows", "early (grouped)": "trials"}
    full = ablation(dmer, "EmotionDict (paper)").variant
    for protocol in PROTOCOLS:
        for name, rows in by.items():
            method = ablation(dmer, f"stopping: {name}", protocol)
            assert method.stop_on == rows
            assert dataclasses.replace(method.variant, stop_on=None) == full


def built(data: StudyData, method: EmotionDictMethod) -> AblationNetwork:
    """A network of a method's first candidate, as it is before training."""
    table = method._table(data)
    variant = method.variant.with_plan(**method.candidates[0])
    ensemble = emotion_dict_ensemble(table, [Member(np.arange(len(table)), 3)], variant)
    network = variant.network(data.emotions, table.spec, torch.full((3,), 1 / 3))
    network.load_state_dict(ensemble.states()[0])
    return network.eval()


def kl(target: torch.Tensor, other: torch.Tensor) -> float:
    """Of the softmaxes over the 128 numbers of h, by numpy; mean over rows."""
    p, q = (np.exp(x.double().numpy()) for x in (target, other))
    p, q = p / p.sum(axis=1, keepdims=True), q / q.sum(axis=1, keepdims=True)
    return float((p * np.log(p / q)).sum(axis=1).mean())


def auxiliary_losses(network: AblationNetwork, x: torch.Tensor) -> dict[str, float]:
    """By hand, the terms that equation 15 may add to the main loss."""
    h, own = network.output(x).latent, network.emotion_dict.auxiliary_latents(x)
    peripheral = [latent for name, latent in own.items() if name != "eeg"]
    joint = torch.stack(peripheral).sum(dim=0)
    mean = joint / len(peripheral)
    return {
        "aux 1": kl(h, own["eeg"]),
        "aux 2": kl(h, mean),
        "aux 2, literal": kl(h, joint),
        "aux 1, mse": float((h - own["eeg"]).square().mean()),
        "aux 2, mse": float((h - mean).square().mean()),
    }


@pytest.mark.parametrize(("name", "terms"), [
    ("EmotionDict (paper)", ("aux 1", "aux 2")),
    ("components: without dictionary", ("aux 1", "aux 2")),
    ("components: without aux 1", ("aux 2",)),
    ("components: without aux 2", ("aux 1",)),
    ("components: aux literal", ("aux 1", "aux 2, literal")),
    ("components: aux mse", ("aux 1, mse", "aux 2, mse")),
    ("elements: 8", ("aux 1", "aux 2")),
])  # fmt: skip
def test_an_ablation_has_the_auxiliary_losses_that_its_name_says(
    dmer: StudyData, name: str, terms: tuple[str, ...]
) -> None:
    network = built(dmer, ablation(dmer, name))
    generator = torch.Generator().manual_seed(0)
    # So large that the encoders' outputs lie apart.
    x = 3 * torch.randn(6, 11, 18, generator=generator)
    d = torch.softmax(torch.randn(6, 3, generator=generator), dim=1)
    with torch.no_grad():
        main = float((d * (d.log() - network(x))).sum(dim=1).mean())
        known = auxiliary_losses(network, x)
        got = network.loss(x, d).item() - main
    expected = sum(known[term] for term in terms)
    assert got == pytest.approx(expected, rel=1e-3)  # a difference of float32 numbers
    others = [known[term] for term in known if term not in terms]
    assert all(value > 1e-2 * expected for value in others)


def test_without_auxiliary_losses_and_in_fusion_only_what_is_needed_is_built(
    dmer: StudyData,
) -> None:
    bare = built(dmer, ablation(dmer, "components: without auxiliary losses"))
    assert not bare.emotion_dict.modality_encoders
    for name in ("concatenation", "attention"):
        assert set(
            built(dmer, ablation(dmer, f"fusion: {name}")).emotion_dict.modality_encoders
        ) == set(DMER)


def test_the_sizes_of_the_dictionary_are_those_of_figure_5(dmer: StudyData) -> None:
    x = torch.zeros(2, 11, 18)
    for count in (8, 16, 64, 128):
        output = built(dmer, ablation(dmer, f"elements: {count}")).output(x)
        assert output.weights.shape == (2, count)
        assert output.latent.shape == (2, 128)
    assert built(dmer, ablation(dmer, "EmotionDict (paper)")).output(x).weights.shape == (2, 32)


@pytest.mark.parametrize(("left_out", "tokens"), [("eeg", 6), ("gsr", 9), ("ppg", 9), ("video", 9)])
def test_without_a_modality_its_tokens_are_gone(
    dmer: StudyData, left_out: str, tokens: int
) -> None:
    method = ablation(dmer, f"modalities: without {left_out}")
    network = built(dmer, method)
    assert set(network.emotion_dict.modality_encoders) == set(DMER) - {left_out}
    assert network.output(torch.zeros(2, tokens, 18)).latent.shape == (2, 128)
    assert (
        dataclasses.replace(method.variant, without=None)
        == ablation(dmer, "EmotionDict (paper)").variant
    )


def travelled(method: Any) -> Any:
    """As it arrives in another process."""
    file = io.BytesIO()
    joblib.dump(method, file)
    file.seek(0)
    return joblib.load(file)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_every_method_reaches_a_worker_process_as_it_was(
    dmer: StudyData, edl: StudyData, protocol: str
) -> None:
    for data in (dmer, edl, made_up_data()):
        found = methods_for(data, FULL, protocol)
        assert [travelled(method) for method in found] == list(found)
