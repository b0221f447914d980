"""EmotionDict in training, alone and among others: what is learned, kept, and gone on from."""

from __future__ import annotations

import dataclasses
import io
import math

import numpy as np
import pytest
import torch
from torch import Tensor

from emodict.engine.model_spec import ModelSpec
from emodict.features.spec import load_spec
from emodict.features.windows import FeatureWindows
from emodict_desk.tables.table import FeatureTable
from emodict_train.training.emotion_dict import (
    TrainedEmotionDict,
    multi_modal_state,
    start_at_mean_label,
    table_ensemble,
)
from emodict_train.training.ensemble import Ensemble, Member, standardised
from emodict_train.training.plan import TrainingPlan

FEATURES = load_spec("emodict-1").with_modalities(("gsr", "ppg"))
ROWS = 21
MODEL = ModelSpec(
    ("a", "b", "c"),
    FEATURES.modality_names,
    **{
        "d_model": 8,
        "heads": 2,
        "feed_forward": 8,
        "layers": 1,
        "elements": 4,
        "latent": 16,
        "bottleneck": 8,
    },
)
WEIGHT = "emotion_dict.encoder.embed.weight"


def make_table(seed: int = 0) -> FeatureTable:
    rng = np.random.default_rng(seed)
    tokens = rng.standard_normal((ROWS, FEATURES.tokens, FEATURES.token_width))
    valid = np.ones((ROWS, 2), dtype=bool)
    windows = FeatureWindows(
        FEATURES, np.arange(ROWS, dtype=float), tokens, valid, np.ones(valid.shape)
    )
    labels = rng.dirichlet(np.ones(3), ROWS)
    return FeatureTable(
        windows, MODEL.emotions, labels, np.full(ROWS, "one"), np.full(ROWS, "t"), "random"
    )


def in_training(*seeds: int, table: FeatureTable | None = None, **changes: object) -> Ensemble:
    """One network for each seed (0), on all rows."""
    table = table or make_table()
    plan = TrainingPlan(**{"epochs": 4, "batch_size": 8, **changes})  # type: ignore[arg-type]
    rows = np.arange(ROWS)
    members = standardised(table.windows.tokens, [Member(rows, seed) for seed in seeds or (0,)])

    def build(_: Member) -> TrainedEmotionDict:
        network = TrainedEmotionDict(MODEL, FEATURES, plan)
        if plan.from_mean_label:
            assert table.labels is not None
            start_at_mean_label(
                network.emotion_dict, torch.from_numpy(table.labels.mean(axis=0)).float()
            )
        return network

    return table_ensemble(build, table, members, plan)


def run(ensemble: Ensemble, epochs: int) -> Ensemble:
    for _ in range(epochs):
        ensemble.run_epoch()
    return ensemble


def same(one: Ensemble, other: Ensemble) -> bool:
    return all(
        a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)
        for a, b in zip(one.states(), other.states(), strict=True)
    )


def weights(ensemble: Ensemble, name: str = WEIGHT) -> Tensor:
    """Of the first member, as they are, not averaged."""
    return ensemble.state()["weights"][name][0]  # type: ignore[no-any-return]


@pytest.mark.parametrize("changed", [{"modality_dropout": 0.5}, {"input_noise": 0.3}])
def test_noise_and_hidden_modalities_reach_training_and_leave_the_rows_alone(
    changed: dict[str, float],
) -> None:
    """What they do is tested with augment.py."""
    table = make_table()
    before = table.windows.tokens.copy()
    plain = run(in_training(table=table, modality_dropout=0), 1)
    other = run(in_training(table=table, **{"modality_dropout": 0, **changed}), 1)
    assert not torch.equal(weights(plain), weights(other))
    np.testing.assert_array_equal(table.windows.tokens, before)


def test_the_untrained_network_predicts_the_mean_label() -> None:
    table = make_table()
    assert table.labels is not None
    predicted = in_training(table=table).predict()[0]
    expected = np.broadcast_to(table.labels.mean(axis=0), predicted.shape)
    np.testing.assert_allclose(predicted, expected, atol=1e-6)  # float32 shares


def test_training_moves_the_prediction_away_from_the_mean_label() -> None:
    assert np.ptp(run(in_training(average=0.0), 1).predict()[0], axis=0).max() > 1e-4


def test_the_learning_rate_falls_from_its_peak_to_almost_0_along_half_a_cosine() -> None:
    ensemble = in_training(epochs=4, learning_rate=0.01)
    rates = []
    step = ensemble._train_step

    def spy() -> None:
        step()
        rates.append(ensemble._optimiser.param_groups[0]["lr"])

    ensemble._train_step = spy  # type: ignore[method-assign]
    run(ensemble, 4)
    steps = 4 * (ROWS // 8)
    assert len(rates) == steps
    expected = [0.005 * (1 + math.cos(math.pi * k / steps)) for k in range(steps)]
    assert rates == pytest.approx(expected, abs=1e-12)  # float64
    assert rates[0] == 0.01


def test_the_kept_weights_are_the_running_average_of_the_trained_ones() -> None:
    ensemble = in_training(average=0.5, epochs=3)
    names = (WEIGHT, "emotion_dict.classifier.lbl1.1.running_var")
    expected = {name: weights(ensemble, name).double() for name in names}
    step, count = ensemble._train_step, 0

    def spy() -> None:
        nonlocal count
        step()
        count += 1
        decay = min(0.5, (1 + count) / (10 + count))
        for name in names:
            expected[name] = decay * expected[name] + (1 - decay) * weights(ensemble, name)

    ensemble._train_step = spy  # type: ignore[method-assign]
    run(ensemble, 3)
    for name, value in expected.items():
        # float32 rounding in each of 6 steps
        torch.testing.assert_close(ensemble.states()[0][name].double(), value, atol=1e-6, rtol=0)


def test_predicting_changes_nothing_of_the_training() -> None:
    watched, alone = in_training(), in_training()
    for _ in range(3):
        watched.run_epoch()
        watched.predict()
        alone.run_epoch()
    assert same(watched, alone)
    assert torch.equal(weights(watched), weights(alone))


@pytest.mark.parametrize("seeds", [(0,), (3, 4, 5)])
@pytest.mark.parametrize("auxiliary", ["none", "kl"])
def test_a_restored_run_goes_on_bit_by_bit_as_if_it_had_not_stopped(
    auxiliary: str, seeds: tuple[int, ...]
) -> None:
    plan = {"auxiliary": auxiliary, "dropout": 0.2, "input_noise": 0.1, "modality_dropout": 0.3}
    straight = run(in_training(*seeds, **plan), 2)
    file = io.BytesIO()
    torch.save(straight.state(), file)
    run(straight, 2)
    file.seek(0)
    resumed = in_training(*seeds, **plan)
    resumed.restore(torch.load(file, weights_only=True))
    assert resumed.epoch == 2
    run(resumed, 2)
    assert same(resumed, straight)
    assert torch.equal(weights(resumed), weights(straight))


def test_a_state_is_a_snapshot_that_later_training_leaves_alone() -> None:
    ensemble = run(in_training(), 1)
    state = ensemble.state()
    first, second = in_training(), in_training()
    first.restore(state)
    run(first, 1)
    run(ensemble, 1)
    second.restore(state)
    run(second, 1)
    assert same(first, ensemble)
    assert same(first, second)


def test_hidden_modalities_of_a_member_are_the_same_whatever_others_it_is_trained_with() -> None:
    """After one step its weights differ by rounding alone; hidden otherwise,
    they would differ by whole steps.
    """
    plan = {
        "epochs": 1,
        "batch_size": ROWS,
        "modality_dropout": 0.5,
        "learning_rate": 1e-2,
        "average": 0.0,
    }
    alone, among = run(in_training(4, **plan), 1), run(in_training(4, 9, **plan), 1)
    other = run(in_training(4, **{**plan, "modality_dropout": 0.1}), 1)
    bias = "emotion_dict.classifier.to_emotions.weight"
    # Adam's first step is the learning rate in the direction of the gradient, of whatever size.
    torch.testing.assert_close(weights(among, bias), weights(alone, bias), atol=1e-4, rtol=0)
    assert (weights(other, bias) - weights(alone, bias)).abs().max() > 1e-2


def test_seeds_decide_and_the_global_generator_is_left_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    one, again, other = (run(in_training(seed), 1) for seed in (1, 1, 2))
    assert torch.equal(torch.rand(3), expected)
    assert same(one, again)
    assert not same(one, other)


def test_what_is_kept_is_the_multi_modal_path_alone_with_its_scaling() -> None:
    ensemble = in_training(auxiliary="kl")
    state = ensemble.states()[0]
    assert any(".modality_encoders." in name for name in state)
    member = standardised(make_table().windows.tokens, [Member(np.arange(ROWS), 0)])[0]
    kept = multi_modal_state(state, member)
    network = TrainedEmotionDict(
        MODEL, FEATURES, dataclasses.replace(TrainingPlan(), auxiliary="none")
    ).emotion_dict
    network.load_state_dict(kept)  # nothing is missing, and nothing is left over
    assert member.standardisation is not None
    np.testing.assert_array_equal(
        network.standardise.mean.numpy(), member.standardisation.mean.astype(np.float32)
    )
