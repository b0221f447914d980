from __future__ import annotations

import numpy as np
import pytest

from emodict.errors import TableError
from emodict.results.metrics import mean_metrics
from emodict_train.fit.distillation import softened_labels
from emodict_train.rivals import baselines
from emodict_train.rivals.baselines import KernelRidge

TRIALS, ROWS_EACH, FEATURES, LABELS = 16, 8, 5, 3


def trials(*, signal: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features that tell every trial from the others;
    with `signal` the labels follow the first feature.
    """
    rng = np.random.default_rng(seed)
    place = 3 * rng.standard_normal((TRIALS, FEATURES))
    logits = rng.standard_normal((TRIALS, LABELS))
    logits[:, 0] = signal * place[:, 0] + (1 - min(signal, 1)) * logits[:, 0]
    labels = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    trial = np.repeat(np.arange(TRIALS), ROWS_EACH)
    return place[trial] + 0.1 * rng.standard_normal((len(trial), FEATURES)), labels[trial], trial


def kl_of_mean(labels: np.ndarray) -> float:
    return mean_metrics(labels, np.tile(labels.mean(axis=0), (len(labels), 1)))["kl"]


def test_labels_that_no_other_trial_bears_out_are_softened_almost_to_their_mean() -> None:
    inputs, labels, trial = trials(signal=0.0)
    taught = softened_labels(inputs, labels, trial, share=1.0)
    mean = np.tile(labels.mean(axis=0), (len(labels), 1))
    # Told apart by their features, the trials could all be learned by heart: KL 0.
    assert mean_metrics(labels, taught)["kl"] > 0.5 * kl_of_mean(labels)
    assert np.abs(taught - mean).mean() < 0.5 * np.abs(labels - mean).mean()


def test_labels_that_follow_a_feature_are_kept() -> None:
    inputs, labels, trial = trials(signal=1.0)
    assert mean_metrics(labels, softened_labels(inputs, labels, trial, share=1.0))[
        "kl"
    ] < 0.5 * kl_of_mean(labels)


def test_the_teacher_is_kernel_ridge_of_the_candidate_that_is_best_on_held_out_trials() -> None:
    inputs, labels, trial = trials(signal=0.5)
    possible = [
        KernelRidge(**dict(one)).fit(inputs, labels).predict(inputs) for one in KernelRidge.GRID
    ]
    taught = softened_labels(inputs.reshape(len(inputs), 1, FEATURES), labels, trial, share=1.0)
    distances = [np.abs(taught - one).max() for one in possible]
    assert min(distances) < 1e-12
    np.testing.assert_allclose(taught.sum(axis=1), 1, rtol=1e-12)


def test_teacher_and_labels_can_share_what_is_taught() -> None:
    inputs, labels, trial = trials(signal=0.5)
    taught, mixed, plain = (
        softened_labels(inputs, labels, trial, share=share) for share in (1.0, 0.25, 0.0)
    )
    np.testing.assert_allclose(mixed, 0.25 * taught + 0.75 * labels, rtol=1e-12)  # float64
    np.testing.assert_array_equal(plain, labels)


def test_of_many_rows_some_are_enough_to_ask_and_all_are_taught(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    inputs, labels, trial = trials(signal=1.0)
    monkeypatch.setattr(baselines, "MOST_ROWS", 60)
    taught = softened_labels(inputs, labels, trial, share=1.0)
    assert taught.shape == labels.shape
    assert mean_metrics(labels, taught)["kl"] < 0.7 * kl_of_mean(labels)


def test_a_single_trial_leaves_nothing_to_hold_out() -> None:
    inputs, labels, trial = trials(signal=1.0)
    with pytest.raises(TableError, match="at least 2 trials to train on"):
        softened_labels(inputs, labels, np.zeros_like(trial), share=1.0)
