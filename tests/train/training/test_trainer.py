from __future__ import annotations

import io
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from torch import Tensor

from emodict.engine.model_spec import ModelSpec
from emodict.errors import InputError
from emodict.features.spec import load_spec
from emodict_train.model.standardisation import fit_standardisation
from emodict_train.training.trainer import Trainer, TrainingPlan, TrainingRows

FEATURES = load_spec("emodict-1").with_modalities(("gsr", "ppg"))
ROWS = 21
MODEL = ModelSpec(
    ("a", "b", "c"),
    FEATURES.modality_names,
    **{"d_model": 8, "heads": 2, "feed_forward": 8, "layers": 1, "elements": 4, "latent": 16, "bottleneck": 8},
)


def _rows(seed: int = 0, *, invalid: bool = False) -> TrainingRows:
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.randn(ROWS, FEATURES.tokens, FEATURES.token_width, generator=generator)
    labels = torch.softmax(torch.randn(ROWS, 3, generator=generator), dim=1)
    valid = torch.ones(ROWS, 2, dtype=torch.bool)
    if invalid:
        valid[::3, 0] = False
        tokens[::3, :2] = 0
    return TrainingRows(tokens, labels, valid)


def _trainer(seed: int = 0, rows: TrainingRows | None = None, **plan: object) -> Trainer:
    settings_ = {"epochs": 4, "batch_size": 8, **plan}
    return Trainer(FEATURES, MODEL, TrainingPlan(**settings_), rows or _rows(), seed=seed)  # type: ignore[arg-type]


def _same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)


NUMBERS = st.floats(-1e6, 1e6) | st.just(math.nan)


@settings(max_examples=60, deadline=None)
@given(tokens=hnp.arrays(np.float64, (7, 2, 3), elements=NUMBERS))
def test_standardisation_is_numpys_mean_and_deviation_of_what_is_there(tokens: np.ndarray) -> None:
    got = fit_standardisation(tokens)
    for i, j in np.ndindex(2, 3):
        column = tokens[:, i, j][~np.isnan(tokens[:, i, j])]
        if not len(column):
            assert (got.mean[i, j], got.scale[i, j]) == (0, math.inf)
            continue
        # sums of 7 terms in another order
        assert got.mean[i, j] == pytest.approx(column.mean(), rel=1e-12, abs=1e-9)
        spread = column.std()
        if spread > 1e-8 * max(1, abs(column.mean())):
            assert got.scale[i, j] == pytest.approx(spread, rel=1e-6)  # rounding of a spread far below the mean
        elif spread == 0:
            assert got.scale[i, j] == 1
    assert np.isfinite(got.apply(tokens)).all()


def test_standardised_training_rows_have_mean_0_and_deviation_1() -> None:
    tokens = np.random.default_rng(0).normal(50, 3, (200, 2, 3))
    z = fit_standardisation(tokens).apply(tokens)
    np.testing.assert_allclose(z.mean(axis=0), 0, atol=1e-12)  # float64 sums of 200 terms
    np.testing.assert_allclose(z.std(axis=0), 1, atol=1e-12)


def test_a_constant_feature_has_scale_1_even_where_its_mean_is_rounded() -> None:
    tokens = np.full((10, 1, 2), 0.1)
    tokens[:, 0, 1] = 1e9 + 0.1
    standardisation = fit_standardisation(tokens)
    assert standardisation.scale.tolist() == [[1, 1]]
    np.testing.assert_allclose(standardisation.apply(tokens), 0, atol=1e-6)  # of 1e9, 15 digits


def test_a_feature_never_seen_in_training_tells_nothing_later() -> None:
    tokens = np.ones((5, 1, 2))
    tokens[:, 0, 1] = np.nan
    standardisation = fit_standardisation(tokens)
    assert standardisation.apply(np.array([[[1.0, 1e6]], [[1.0, np.nan]]])).tolist() == [[[0, 0]], [[0, 0]]]


@pytest.mark.parametrize("changed", [{"modality_dropout": 0.5}, {"input_noise": 0.3}])
def test_noise_and_hidden_modalities_reach_training_and_leave_the_rows_alone(changed: dict[str, float]) -> None:
    """What they do is tested with augment.py."""
    rows = _rows()
    before = rows.tokens.clone()
    plain, other = _trainer(rows=rows, modality_dropout=0), _trainer(rows=rows, **{"modality_dropout": 0, **changed})
    for trainer in (plain, other):
        trainer.run_epoch()
    weights = "encoder.embed.weight"
    assert not torch.equal(plain.network.state_dict()[weights], other.network.state_dict()[weights])
    assert torch.equal(rows.tokens, before)


def test_the_untrained_network_predicts_the_mean_label() -> None:
    rows = _rows()
    predicted = _trainer(rows=rows).predict(rows.tokens)
    expected = np.broadcast_to(rows.labels.double().mean(dim=0).numpy(), predicted.shape)
    np.testing.assert_allclose(predicted, expected, atol=1e-6)  # float32 shares


def test_training_moves_the_prediction_away_from_the_mean_label() -> None:
    rows = _rows()
    trainer = _trainer(rows=rows, average=0.0)
    trainer.run_epoch()
    assert np.ptp(trainer.predict(rows.tokens), axis=0).max() > 1e-4


def test_the_learning_rate_falls_from_its_peak_to_almost_0_along_half_a_cosine() -> None:
    trainer = _trainer(epochs=4, learning_rate=0.01)
    rates = []
    step = trainer._train_step

    def spy(batch: Tensor) -> None:
        step(batch)
        rates.append(trainer._optimiser.param_groups[0]["lr"])

    trainer._train_step = spy  # type: ignore[method-assign]
    for _ in range(4):
        trainer.run_epoch()
    steps = 4 * (ROWS // 8)
    assert len(rates) == steps
    expected = [0.005 * (1 + math.cos(math.pi * k / steps)) for k in range(steps)]
    assert rates == pytest.approx(expected, abs=1e-12)  # float64
    assert rates[0] == 0.01
    assert trainer._cosine() == pytest.approx(0, abs=1e-12)  # after the last step


def test_the_kept_weights_are_the_running_average_of_the_trained_ones() -> None:
    trainer = _trainer(average=0.5, epochs=3)
    name = "encoder.embed.weight"
    statistics = "classifier.lbl1.1.running_var"
    expected = {k: trainer.network.state_dict()[k].clone().double() for k in (name, statistics)}
    step, count = trainer._train_step, 0

    def spy(batch: Tensor) -> None:
        nonlocal count
        step(batch)
        count += 1
        decay = min(0.5, (1 + count) / (10 + count))
        for key in expected:
            expected[key] = decay * expected[key] + (1 - decay) * trainer.network.state_dict()[key]

    trainer._train_step = spy  # type: ignore[method-assign]
    for _ in range(3):
        trainer.run_epoch()
    for key, value in expected.items():
        # float32 rounding in each of 6 steps
        torch.testing.assert_close(trainer.averaged_state()[key].double(), value, atol=1e-6, rtol=0)


def test_predicting_changes_nothing_of_the_training() -> None:
    rows = _rows()
    watched, alone = _trainer(rows=rows), _trainer(rows=rows)
    for _ in range(3):
        watched.run_epoch()
        watched.predict(rows.tokens)
        alone.run_epoch()
    assert _same(watched.averaged_state(), alone.averaged_state())
    assert _same(watched.network.state_dict(), alone.network.state_dict())


def test_a_prediction_does_not_depend_on_the_rows_beside_it() -> None:
    rows = _rows()
    trainer = _trainer(rows=rows)
    trainer.run_epoch()
    # float32: a product of another shape sums in another order
    np.testing.assert_allclose(trainer.predict(rows.tokens)[:3], trainer.predict(rows.tokens[:3]), atol=1e-6)


@pytest.mark.parametrize("auxiliary", ["none", "kl"])
def test_a_restored_run_goes_on_bit_by_bit_as_if_it_had_not_stopped(auxiliary: str) -> None:
    plan = {"auxiliary": auxiliary, "dropout": 0.2, "input_noise": 0.1, "modality_dropout": 0.3}
    straight = _trainer(**plan)
    for _ in range(2):
        straight.run_epoch()
    file = io.BytesIO()
    torch.save(straight.state(), file)
    for _ in range(2):
        straight.run_epoch()
    file.seek(0)
    resumed = _trainer(**plan)
    resumed.restore(torch.load(file, weights_only=True))
    assert resumed.epoch == 2
    for _ in range(2):
        resumed.run_epoch()
    assert _same(resumed.network.state_dict(), straight.network.state_dict())
    assert _same(resumed.averaged_state(), straight.averaged_state())


def test_a_state_is_a_snapshot_that_later_training_leaves_alone() -> None:
    trainer = _trainer()
    trainer.run_epoch()
    state = trainer.state()
    first, second = _trainer(), _trainer()
    first.restore(state)
    first.run_epoch()
    trainer.run_epoch()
    second.restore(state)
    second.run_epoch()
    assert _same(first.network.state_dict(), trainer.network.state_dict())
    assert _same(first.network.state_dict(), second.network.state_dict())


def test_seeds_decide_and_the_global_generator_is_left_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    one, same, other = _trainer(1), _trainer(1), _trainer(2)
    for trainer in (one, same, other):
        trainer.run_epoch()
    assert torch.equal(torch.rand(3), expected)
    assert _same(one.averaged_state(), same.averaged_state())
    assert not _same(one.averaged_state(), other.averaged_state())


def test_fewer_rows_than_a_batch_are_one_batch() -> None:
    trainer = _trainer(batch_size=32)
    trainer.run_epoch()
    assert trainer._step == 1


def test_what_is_kept_is_the_multi_modal_path_alone() -> None:
    trainer = _trainer(auxiliary="kl")
    assert any(k.startswith("modality_encoders.") for k in trainer.network.state_dict())
    assert not any(k.startswith("modality_encoders.") for k in trainer.averaged_state())


@pytest.mark.parametrize(
    "plan",
    [{"epochs": 0}, {"batch_size": 1}, {"dropout": 1.0}, {"modality_dropout": -0.1}, {"average": math.nan},
     {"auxiliary": "kI"}, {"learning_rate": 0.0}, {"weight_decay": -1.0}, {"input_noise": math.nan}],
)  # fmt: skip
def test_a_plan_that_cannot_work_is_refused(plan: dict[str, object]) -> None:
    with pytest.raises(InputError, match=r"(?i)got .*\. (Leave it at|80 epochs)"):
        TrainingPlan(**plan)  # type: ignore[arg-type]
