"""The temperature is recovered, folded without a node, judged on others,
and refused where it is worth nothing.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from scipy.special import softmax

from emodict.errors import InputError, ModelError, TableError
from emodict.results.metrics import distribution_metrics
from emodict_calibration.output.reliability import reliability
from emodict_calibration.output.table import describe, draw_reliability
from emodict_calibration.output.temperature import (
    OUTPUT,
    at_temperature,
    calibrate_output,
    fit_temperature,
    member_logits,
    with_temperature,
)
from emodict_desk.tables.table import FeatureTable
from emodict_export.export import export_onnx, folded_onnx
from emodict_export.windows import engine_tokens
from emodict_train.data.trial_digests import trial_digests
from emodict_train.model.checkpoint import Checkpoint

from .conftest import plausible_table

# float32 keeps 7 digits of shares below 1.
ATOL = 1e-6


def sharpened(checkpoint: Checkpoint, factor: float) -> Checkpoint:
    """The same model, its logits times `factor`."""
    names = ("classifier.to_emotions.weight", "classifier.to_emotions.bias")
    states = tuple(
        {**state, **{name: state[name] * factor for name in names}} for state in checkpoint.states
    )
    return dataclasses.replace(checkpoint, states=states)


def unbiased_table(
    checkpoint: Checkpoint, rows: int = 240, *, people: int = 4, trials: int = 3
) -> FeatureTable:
    """Labels that scatter around what the model predicts: its temperature is 1."""
    table = plausible_table(checkpoint, rows, seed=3)
    predicted = at_temperature(member_logits(checkpoint, table), 1.0)
    rng = np.random.default_rng(4)
    labels = np.stack([rng.dirichlet(2000 * share) for share in predicted])
    who = np.arange(rows) * people // rows
    which = np.arange(rows) * people * trials // rows
    return dataclasses.replace(
        table,
        labels=labels,
        subject=np.array([f"sub-{i}" for i in who]),
        trial=np.array([f"trial-{i}" for i in which]),
    )


@pytest.mark.parametrize("members", [1, 3])
def test_a_model_three_times_too_sure_has_temperature_three(
    trained: Callable[..., Any], members: int
) -> None:
    checkpoint = trained("emodict-1", modalities=("ppg", "gsr"), layers=2, members=members)
    table = unbiased_table(checkpoint)
    own = fit_temperature(member_logits(checkpoint, table), table.labels)
    # Its standard error is 1 / sqrt(2000 x 240 rows x .018, the variance of the logits):
    # .011. Four and a half such.
    assert own == pytest.approx(1.0, abs=0.05)
    report = calibrate_output(sharpened(checkpoint, 3.0), table)
    # Exact algebra: softmax(3 z / (3 T)) is softmax(z / T).
    # The search stops within 1e-6 of log T, logits are float32.
    assert report.temperature == pytest.approx(3 * own, rel=1e-3)
    assert set(report.folds) == {"sub-0", "sub-1", "sub-2", "sub-3"}
    assert report.grouped_by == "subject"
    assert report.after.kl < report.before.kl
    assert report.after.ece < report.before.ece


def test_the_temperature_is_the_minimum_of_the_kl(small: Checkpoint) -> None:
    table = unbiased_table(small)
    logits = 2.5 * member_logits(small, table)
    found = fit_temperature(logits, table.labels)

    def kl(temperature: float) -> float:
        return distribution_metrics(table.labels, at_temperature(logits, temperature))["kl"].mean()

    assert kl(found) < min(kl(found * 1.01), kl(found / 1.01))


@pytest.mark.parametrize("members", [1, 3])
def test_the_exported_graph_gives_softmax_of_logits_over_temperature_with_no_new_node(
    trained: Callable[..., Any], members: int, tmp_path: Path
) -> None:
    from onnxruntime import InferenceSession

    checkpoint = sharpened(
        trained("emodict-1", modalities=("ppg", "gsr"), layers=2, members=members), 3.0
    )
    table = unbiased_table(checkpoint)
    report = calibrate_output(sharpened(checkpoint, 2.0), table)
    calibrated = with_temperature(sharpened(checkpoint, 2.0), report)
    path = tmp_path / "calibrated.onnx"
    export_onnx(calibrated, path)
    session = InferenceSession(path, providers=["CPUExecutionProvider"])
    got = session.run(["distribution"], {"tokens": engine_tokens(checkpoint, table)})[0]
    networks = sharpened(checkpoint, 2.0).networks()
    with torch.no_grad():
        logits = [
            n(torch.from_numpy(table.windows.tokens).float()).log_distribution.double().numpy()
            for n in networks
        ]
    expected = np.mean([softmax(z / report.temperature, axis=1) for z in logits], axis=0)
    np.testing.assert_allclose(got, expected, atol=ATOL)
    assert len(onnx.load(path).graph.node) == len(folded_onnx(checkpoint).graph.node)


def test_the_record_says_what_was_done(small: Checkpoint) -> None:
    report = calibrate_output(sharpened(small, 3.0), unbiased_table(small))
    calibrated = with_temperature(sharpened(small, 3.0), report)
    recorded = calibrated.training[OUTPUT]
    assert recorded["temperature"] == report.temperature
    assert recorded["folds"] == report.folds
    assert recorded["after"]["kl"] < recorded["before"]["kl"]
    with pytest.raises(ModelError, match="calibrated already"):
        calibrate_output(calibrated, unbiased_table(small))


def test_what_is_judged_was_not_fitted_on(small: Checkpoint) -> None:
    table = unbiased_table(small, people=2)
    checkpoint = sharpened(small, 3.0)
    logits = member_logits(checkpoint, table)
    report = calibrate_output(checkpoint, table)
    parts = []
    for name, other in (("sub-0", "sub-1"), ("sub-1", "sub-0")):
        temperature = fit_temperature(
            logits[:, table.subject == other], table.labels[table.subject == other]
        )
        assert report.folds[name] == temperature
        mine = table.subject == name
        parts.append(
            distribution_metrics(table.labels[mine], at_temperature(logits[:, mine], temperature))[
                "kl"
            ]
        )
    assert report.after.kl == pytest.approx(np.concatenate(parts).mean(), rel=1e-12)


def test_one_persons_trials_are_left_out_one_by_one(small: Checkpoint) -> None:
    report = calibrate_output(sharpened(small, 3.0), unbiased_table(small, people=1))
    assert report.grouped_by == "trial"
    assert set(report.folds) == {"trial-0", "trial-1", "trial-2"}


def test_rows_that_a_model_was_trained_on_are_refused(
    small: Checkpoint, caplog: pytest.LogCaptureFixture
) -> None:
    table = unbiased_table(small)
    recorded = dataclasses.replace(
        small, training={**small.training, "trial_digests": trial_digests(table)[:2]}
    )
    with pytest.raises(TableError, match="2 of these 12 trials"):
        calibrate_output(sharpened(recorded, 3.0), table)
    same = dataclasses.replace(
        small, training={"trial_digests": [], "subject_ids": ["sub-1", "else"]}
    )
    calibrate_output(sharpened(same, 3.0), table)
    assert "Other trials of sub-1 were trained on" in caplog.text
    caplog.clear()
    calibrate_output(sharpened(small, 3.0), table)
    assert "does not say which trials" in caplog.text


def test_a_trial_is_known_by_its_subject_name_and_label(small: Checkpoint) -> None:
    table = unbiased_table(small)
    first = np.flatnonzero(table.trial == table.trial[0])[0]
    label = "\x1f".join(f"{share:.6f}" for share in table.labels[first])
    text = f"{table.subject[first]}\x1f{table.trial[first]}\x1f{label}"
    digests = trial_digests(table)
    assert hashlib.sha256(text.encode()).hexdigest()[:8] in digests
    assert len(digests) == 12
    assert trial_digests(table.with_modalities(["ppg"])) == digests


def test_a_temperature_that_helps_nobody_is_refused(small: Checkpoint) -> None:
    table = unbiased_table(small, people=2)
    # One person calls for sharper, the other for flatter distributions:
    # what suits one harms the other.
    logits = member_logits(small, table)
    opposed = np.where(
        (table.subject == "sub-0")[:, None],
        at_temperature(logits, 0.5),
        at_temperature(logits, 2.0),
    )
    with pytest.raises(ModelError, match="no better; nothing was written"):
        calibrate_output(small, dataclasses.replace(table, labels=opposed))


def test_data_that_cannot_judge_are_refused(small: Checkpoint) -> None:
    table = unbiased_table(small, people=1, trials=1)
    with pytest.raises(TableError, match="one trial alone"):
        calibrate_output(small, table)
    with pytest.raises(TableError, match="no labels"):
        calibrate_output(small, dataclasses.replace(table, labels=None))
    reversed_labels = at_temperature(-5 * member_logits(small, unbiased_table(small)), 1.0)
    with pytest.raises(InputError, match="No temperature fits"):
        calibrate_output(small, dataclasses.replace(unbiased_table(small), labels=reversed_labels))


def test_reliability_is_what_is_computed_by_hand() -> None:
    predicted = np.array([[0.1, 0.9], [0.3, 0.7], [0.4, 0.6]])
    truth = np.array([[0.2, 0.8], [0.5, 0.5], [0.3, 0.7]])
    got = reliability(truth, predicted, bins=3)
    # Sorted: 0.1 0.3 | 0.4 0.6 | 0.7 0.9 with true shares 0.2 0.5 | 0.3 0.7 | 0.5 0.8.
    np.testing.assert_allclose(got.predicted, [0.2, 0.5, 0.8])
    np.testing.assert_allclose(got.true, [0.35, 0.5, 0.65])
    assert got.counts == (2, 2, 2)
    assert got.ece == pytest.approx((0.15 + 0 + 0.15) / 3)
    assert got.chebyshev == pytest.approx((0.1 + 0.2 + 0.1) / 3)
    terms = truth * np.log(truth / predicted)
    assert got.kl == pytest.approx(terms.sum() / 3)


def test_the_picture_and_the_table_say_what_the_report_says(
    small: Checkpoint, tmp_path: Path
) -> None:
    table = dataclasses.replace(unbiased_table(small), simulated=True)
    report = calibrate_output(sharpened(small, 3.0), table)
    path = tmp_path / "reliability.svg"
    draw_reliability(report, path)
    picture, text = path.read_text(), describe(report)
    assert f"Temperature {report.temperature:.3f}, 240 windows, SIMULATED" in picture
    assert f"before: ECE {report.before.ece:.4f}" in picture
    assert "SIMULATED" in text
    assert f"{report.before.kl:.5f}{report.after.kl:>10.5f}" in text
    assert (
        len(
            [
                line
                for line in text.splitlines()
                if line.startswith("  ") and line[:4].strip().isdigit()
            ]
        )
        == 10
    )
