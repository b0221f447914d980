from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from scipy.special import softmax
from sklearn.preprocessing import StandardScaler
from tests.train.study.fixtures import make_table

import emodict_train.fit.distillation as distillation
import emodict_train.study.compared.network_method as network_method
from emodict_train.model.standardisation import fit_standardisation
from emodict_train.rivals import GRIDS, RIVALS
from emodict_train.study.compared.data import StudyData, from_table
from emodict_train.study.compared.network_method import (
    EmotionDictMethod,
    NeuralRivalMethod,
    emotion_dict_ensemble,
)
from emodict_train.study.compared.networks import Variant
from emodict_train.study.compared.protocols import Split
from emodict_train.study.compared.task import Task
from emodict_train.training.ensemble import Member
from emodict_train.training.plan import TrainingPlan

SMALL = {
    "d_model": 8,
    "heads": 2,
    "feed_forward": 8,
    "layers": 1,
    "elements": 4,
    "latent": 16,
    "bottleneck": 8,
    "readout": "last",
}
# Nothing but what a test asks for.
PLAN = TrainingPlan(
    batch_size=8,
    learning_rate=1e-2,
    weight_decay=0.0,
    modality_dropout=0.0,
    average=0.0,
    cosine=False,
    from_mean_label=False,
    distillation=0.0,
)
EPOCHS = 3
# Of 40 rows; two splits of equal size.
SPLITS = (
    Split(np.arange(24), np.arange(24, 40), "last held out"),
    Split(np.arange(16, 40), np.arange(10), "first held out"),
)
NEURAL_RIVALS = ("AA-BP", "SA-CPNN", "SA-CPNN (one-hot)", "DLDL", "EDLConv", "MISA", "TAILOR")


@pytest.fixture(scope="module")
def data() -> StudyData:
    """10 trials of 4 rows, some without PPG."""
    table = make_table(trials=10)
    tokens, valid = table.windows.tokens.copy(), table.windows.valid.copy()
    tokens[::7, 2:], valid[::7, 1] = np.nan, False
    return from_table(
        dataclasses.replace(
            table, windows=dataclasses.replace(table.windows, tokens=tokens, valid=valid)
        )
    )


def ours(
    *, plan: dict[str, Any] | None = None, without: str | None = None, **changes: Any
) -> EmotionDictMethod:
    variant = Variant(dataclasses.replace(PLAN, **(plan or {})), SMALL, without=without)
    return dataclasses.replace(
        EmotionDictMethod("ours", variant, ({},), seeds=1, epochs=EPOCHS), **changes
    )


def rival(name: str) -> NeuralRivalMethod:
    return NeuralRivalMethod(name, GRIDS[name], seeds=1, epochs=EPOCHS)


def tasks(*seeds: int) -> list[Task]:
    return [Task(split, seed) for seed in seeds or (0,) for split in SPLITS]


def with_tokens(data: StudyData, change: Callable[[np.ndarray], None]) -> StudyData:
    """The data with other features, on both sides: as columns and as tokens."""
    assert data.table is not None
    tokens = data.table.windows.tokens.copy()
    change(tokens)
    table = dataclasses.replace(
        data.table, windows=dataclasses.replace(data.table.windows, tokens=tokens)
    )
    return from_table(table)


def with_labels(data: StudyData, change: Callable[[np.ndarray], None]) -> StudyData:
    labels = data.D.copy()
    change(labels)
    assert data.table is not None
    return from_table(dataclasses.replace(data.table, labels=labels))


def assert_same(got: Sequence[np.ndarray], expected: Sequence[np.ndarray]) -> None:
    for one, other in zip(got, expected, strict=True):
        np.testing.assert_array_equal(one, other)


def differ(some: Sequence[np.ndarray], others: Sequence[np.ndarray], *, by: float = 1e-3) -> bool:
    return all(np.abs(one - other).max() > by for one, other in zip(some, others, strict=True))


@pytest.fixture(scope="module")
def unchanged(data: StudyData) -> list[np.ndarray]:
    return ours().predict(data, tasks(), {})


@pytest.mark.parametrize("name", ["ours", "SA-CPNN", "MISA"])
def test_there_is_a_distribution_for_every_held_out_row_after_every_epoch(
    data: StudyData, name: str
) -> None:
    method = ours() if name == "ours" else rival(name)
    found = method.predict(data, tasks(0), method.candidates[0])
    for task, curve in zip(tasks(0), found, strict=True):
        assert curve.shape == (EPOCHS, len(task.split.test), 3)
        assert (curve >= 0).all()
        np.testing.assert_allclose(curve.sum(axis=-1), 1, atol=1e-5)  # float32
        assert differ(curve[1:], curve[:-1], by=1e-4)


def test_where_there_is_nothing_to_choose_the_last_epoch_is_all(data: StudyData) -> None:
    every, last = (ours(last_only=last_only) for last_only in (False, True))
    curves = every.predict(data, tasks(), {})
    assert_same(last.predict(data, tasks(), {}), [curve[-1:] for curve in curves])
    assert (every.steps, last.steps) == (EPOCHS, 1)
    assert [every.describe_step(step) for step in range(EPOCHS)] == [
        {"epochs": i + 1} for i in range(EPOCHS)
    ]
    assert last.describe_step(0) == {"epochs": EPOCHS}


@pytest.mark.parametrize(
    ("grouping", "people", "whole"),
    # of three people too few are left to hold one out again
    [("trials", 5, "trial"), ("subjects", 5, "subject"), ("subjects", 3, "trial")],
)
def test_a_distilled_network_learns_what_its_teacher_says_and_not_the_labels(
    monkeypatch: pytest.MonkeyPatch, grouping: str, people: int, whole: str
) -> None:
    data = from_table(make_table(subjects=people, trials=4, rows_each=2))
    held_out = np.flatnonzero(data.subject == "person1")
    part = Split(np.setdiff1d(np.arange(len(data)), held_out), held_out, "person1")
    lessons: list[tuple[np.ndarray, ...]] = []

    def teacher(
        inputs: np.ndarray, labels: np.ndarray, groups: np.ndarray, *, share: float
    ) -> np.ndarray:
        assert share == 0.75
        lessons.append((inputs, labels, groups))
        return np.roll(labels, 1, axis=1)

    def roll(labels: np.ndarray) -> None:
        labels[part.train] = np.roll(labels[part.train], 1, axis=1)

    monkeypatch.setattr(distillation, "softened_labels", teacher)
    both = [Task(part, seed) for seed in (0, 1)]
    found = ours(plan={"distillation": 0.75}, grouping=grouping).predict(data, both, {})
    assert_same(found, ours().predict(with_labels(data, roll), both, {}))
    # one teacher for both seeds, of the training rows alone
    [(inputs, labels, groups)] = lessons
    assert data.table is not None
    tokens = data.table.windows.tokens[part.train]
    expected = StandardScaler().fit_transform(tokens.reshape(len(tokens), -1))
    np.testing.assert_allclose(inputs.reshape(len(tokens), -1), expected, atol=1e-9)
    np.testing.assert_allclose(labels, data.D[part.train], rtol=1e-12)
    unit = {"trial": data.trial, "subject": data.subject}[whole][part.train]
    np.testing.assert_array_equal(groups[:, None] == groups, unit[:, None] == unit)


@pytest.mark.parametrize(
    ("count", "sizes"), [(1, [1]), (2, [2]), (3, [2, 1]), (4, [2, 2]), (5, [2, 1, 2])]
)
def test_tasks_are_trained_in_as_few_parts_of_about_equal_size_as_possible(
    monkeypatch: pytest.MonkeyPatch, count: int, sizes: list[int]
) -> None:
    monkeypatch.setattr(network_method, "MEMBERS_AT_ONCE", 2)
    all_tasks = [Task(SPLITS[0], seed) for seed in range(count)]
    parts: list[list[Task]] = []

    def train(part: Sequence[Task]) -> list[np.ndarray]:
        parts.append(list(part))
        return [np.full(1, float(task.seed)) for task in part]

    found = network_method._in_parts(all_tasks, train)
    assert sorted(map(len, parts)) == sorted(sizes)
    assert [task for part in parts for task in part] == all_tasks
    assert [float(curve[0]) for curve in found] == list(range(count))


@pytest.mark.parametrize("name", ["ours", "AA-BP", "MISA"])
def test_networks_trained_in_two_parts_are_those_trained_at_once(
    data: StudyData, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # float32, sums in another order. A bias before BatchNorm has a gradient of rounding alone, and
    # goes full steps of Adam all the same: 9 of 1e-3, by which hidden numbers of size 1 may
    # differ. 16 weights of 1/4 hand that on to a logit, and p (1 - p) = 2/9 of it to a share. The
    # rivals have no BatchNorm.
    atol = 2e-3 if name == "ours" else 1e-5
    method = ours(plan={"learning_rate": 1e-3}) if name == "ours" else rival(name)
    candidate = method.candidates[0]
    at_once = method.predict(data, tasks(0, 1), candidate)
    monkeypatch.setattr(network_method, "MEMBERS_AT_ONCE", 2)
    in_parts = method.predict(data, tasks(0, 1), candidate)
    for one, other in zip(in_parts, at_once, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=atol)
    assert differ(at_once[:2], at_once[2:], by=5 * atol)


def test_the_same_task_is_trained_the_same_and_another_seed_otherwise(data: StudyData) -> None:
    method = ours(plan={"modality_dropout": 0.3, "dropout": 0.2, "input_noise": 0.1})
    first, again, other = (method.predict(data, tasks(seed), {}) for seed in (0, 0, 1))
    assert_same(again, first)
    assert differ(other, first)


@pytest.mark.parametrize(
    "change",
    [
        {"learning_rate": 1e-3, "weight_decay": 5.0},
        {"modality_dropout": 0.5},
        {"input_noise": 1.0},
        {"dropout": 0.5},
        {"average": 0.9},
        {"from_mean_label": True},
        {"distillation": 1.0},
    ],
)
def test_a_candidate_changes_how_the_variant_is_trained(
    data: StudyData, unchanged: list[np.ndarray], change: dict[str, Any]
) -> None:
    asked_for = ours().predict(data, tasks(), change)
    assert_same(asked_for, ours(plan=change).predict(data, tasks(), {}))
    assert differ(asked_for, unchanged)


def test_without_a_modality_its_features_count_for_nothing_and_others_do(data: StudyData) -> None:
    def other_gsr(tokens: np.ndarray) -> None:
        tokens[:, :2] = np.random.default_rng(1).normal(size=tokens[:, :2].shape)

    def other_ppg(tokens: np.ndarray) -> None:
        tokens[:, 2:] *= np.random.default_rng(2).normal(size=tokens[:, 2:].shape)

    method = ours(without="gsr", plan={"modality_dropout": 0.3})
    found = method.predict(data, tasks(), {})
    assert_same(method.predict(with_tokens(data, other_gsr), tasks(), {}), found)
    assert differ(method.predict(with_tokens(data, other_ppg), tasks(), {}), found)
    assert differ(ours(plan={"modality_dropout": 0.3}).predict(data, tasks(), {}), found)


def test_a_row_never_loses_the_only_modality_that_it_has(data: StudyData) -> None:
    assert data.table is not None
    windows, split = data.table.windows, SPLITS[0]
    tokens, valid = windows.tokens.copy(), windows.valid.copy()
    tokens[split.train, 2:], valid[split.train, 1] = np.nan, False
    windows = dataclasses.replace(windows, tokens=tokens, valid=valid)
    gsr_only = from_table(dataclasses.replace(data.table, windows=windows))
    never, often = (ours(plan={"modality_dropout": chance}) for chance in (0.0, 0.9))
    task = [Task(split, 0)]
    assert_same(often.predict(gsr_only, task, {}), never.predict(gsr_only, task, {}))
    assert differ(often.predict(data, task, {}), never.predict(data, task, {}))


@pytest.mark.parametrize("name", ["ours", "AA-BP", "MISA"])
def test_held_out_rows_and_their_labels_teach_nothing(data: StudyData, name: str) -> None:
    split = SPLITS[0]
    untouched = slice(0, 6)

    def spoil_labels(labels: np.ndarray) -> None:
        labels[split.test] = np.roll(labels[split.test], 1, axis=1)

    def spoil_features(tokens: np.ndarray) -> None:
        tokens[split.test[6:]] = 1e3

    method = (
        ours(plan={"modality_dropout": 0.3, "distillation": 1.0}) if name == "ours" else rival(name)
    )
    candidate = method.candidates[0]
    found = method.predict(data, [Task(split, 0)], candidate)
    assert_same(method.predict(with_labels(data, spoil_labels), [Task(split, 0)], candidate), found)
    spoilt = method.predict(with_tokens(data, spoil_features), [Task(split, 0)], candidate)
    # The rows beside them are others, so float32 may add up theirs in another order, too.
    np.testing.assert_allclose(spoilt[0][:, untouched], found[0][:, untouched], rtol=0, atol=1e-6)
    assert differ([spoilt[0][:, 6:]], [found[0][:, 6:]])

    def spoil_training_labels(labels: np.ndarray) -> None:
        labels[split.train] = np.roll(labels[split.train], 1, axis=1)

    assert differ(
        method.predict(with_labels(data, spoil_training_labels), [Task(split, 0)], candidate), found
    )


@pytest.mark.parametrize(("epoch", "average"), [(1, 0.0), (2, 0.9), (3, 0.0)])
def test_latents_are_what_the_network_of_the_chosen_epoch_makes_its_prediction_from(
    data: StudyData, epoch: int, average: float
) -> None:
    method = ours(plan={"modality_dropout": 0.2})
    candidate, split = {"average": average}, SPLITS[1]
    found = method.latents(data, split, candidate, epoch - 1, 5)
    np.testing.assert_array_equal(found.rows, split.test)
    assert found.weights.shape == (10, 4)
    assert found.latent.shape == (10, 16)
    # The same network once more; its dictionary by numpy,
    # the signs of a QR decomposition being free.
    assert data.table is not None
    tokens = data.table.windows.tokens
    variant = method.variant.with_plan(**candidate)
    member = Member(split.train, 5, fit_standardisation(tokens[split.train]))
    ensemble = emotion_dict_ensemble(data.table, [member], variant)
    for _ in range(epoch):
        ensemble.run_epoch()
    network = variant.network(data.emotions, data.table.spec, torch.ones(3))
    network.load_state_dict(ensemble.states()[0])
    model = network.eval().emotion_dict
    q, r = np.linalg.qr(model.dictionary.parameter.detach().double().numpy())
    signs = np.sign(np.diag(r)) * np.sign(
        torch.linalg.qr(model.dictionary.parameter).R.diagonal().detach().numpy()
    )
    np.testing.assert_allclose(found.latent, found.weights @ (q * signs).T, atol=1e-5)  # float32
    with torch.no_grad():
        logits = model.classifier(torch.from_numpy(found.latent).float()).double().numpy()
    whole = method.predict(data, [Task(split, 5)], candidate)[0][epoch - 1]
    np.testing.assert_allclose(softmax(logits, axis=1), whole, atol=1e-5)  # float32


def test_latents_of_another_epoch_are_others(data: StudyData) -> None:
    first, last = (ours().latents(data, SPLITS[0], {}, step, 0) for step in (0, EPOCHS - 1))
    assert differ([first.weights, first.latent], [last.weights, last.latent])
    fixed = ours(last_only=True).latents(data, SPLITS[0], {}, 0, 0)
    np.testing.assert_array_equal(fixed.weights, last.weights)


@pytest.mark.parametrize("name", NEURAL_RIVALS)
def test_a_neural_rival_is_trained_on_z_scores_of_its_own_rows_and_told_the_modalities(
    data: StudyData, name: str
) -> None:
    candidate = GRIDS[name][-1]
    multimodal = hasattr(RIVALS[name](), "modalities")
    assert multimodal == (name in ("EDLConv", "MISA", "TAILOR"))
    options = {"modalities": (slice(0, 28), slice(28, 55))} if multimodal else {}
    for split in SPLITS:
        scaler = StandardScaler().fit(data.X[split.train])
        Z = np.nan_to_num(scaler.transform(data.X))
        alone = RIVALS[name](**candidate, **options, epochs=EPOCHS, seed=4).fit(
            Z[split.train], data.D[split.train]
        )
        found = rival(name).predict(data, [Task(split, 4)], candidate)[0]
        assert len(found) == EPOCHS
        # Float32 of other roundings.
        np.testing.assert_allclose(found[-1], alone.predict(Z[split.test]), atol=1e-4)
    if multimodal:
        all_in_one = dataclasses.replace(data, modalities={"all": slice(0, 55)})
        assert differ(
            rival(name).predict(all_in_one, tasks(), candidate),
            rival(name).predict(data, tasks(), candidate),
        )
