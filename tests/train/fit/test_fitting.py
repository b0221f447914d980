from __future__ import annotations

import dataclasses
import logging
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import emodict_train.fit.fitting as fit_module
import emodict_train.fit.resume as resume_module
from emodict.errors import InputError, TableError
from emodict.features.spec import load_spec
from emodict.features.windows import assemble, ready_made_rows
from emodict.results.metrics import mean_metrics
from emodict_desk.tables.table import FeatureTable, join_tables
from emodict_train.cli import describe
from emodict_train.fit.fitting import Step, fit
from emodict_train.fit.held_out import Fold, FoldsInTraining
from emodict_train.fit.options import FitOptions, choose_device
from emodict_train.model.checkpoint import Checkpoint, predict
from emodict_train.training.ensemble import Member
from emodict_train.training.plan import TrainingPlan

SPEC = load_spec("emodict-1").with_modalities(("gsr", "ppg"))
SMALL = {
    "d_model": 8,
    "heads": 2,
    "feed_forward": 8,
    "layers": 1,
    "elements": 4,
    "latent": 16,
    "bottleneck": 8,
}
QUICK = FitOptions(plan=TrainingPlan(epochs=4, batch_size=16), patience=10, model=SMALL)


def make_table(
    *,
    signal_strength: float = 1.0,
    trials: int = 10,
    rows_each: int = 4,
    trial_effect: float = 0.0,
    seed: int = 0,
) -> FeatureTable:
    """Each trial has a label; the first GSR features follow it,
    others may tell the trial apart without meaning.
    """
    rng = np.random.default_rng(seed)
    count = trials * rows_each
    trial = np.repeat(np.arange(trials), rows_each)
    factor = rng.standard_normal(trials)
    logits = np.stack([factor, -factor, np.zeros(trials)], axis=1)
    labels = (np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True))[trial]
    gsr, ppg = rng.standard_normal((count, 28)), rng.standard_normal((count, 27))
    gsr[:, :8] += 3 * signal_strength * factor[trial][:, None]
    ppg += trial_effect * rng.standard_normal((trials, 27))[trial]
    windows = assemble(
        SPEC,
        np.arange(count, dtype=float),
        {"gsr": ready_made_rows(gsr), "ppg": ready_made_rows(ppg)},
    )
    names = np.char.add("t", trial.astype(str))
    return FeatureTable(
        windows, ("up", "down", "level"), labels, np.full(count, "one"), names, "planted"
    )


def _with_labels(table: FeatureTable, labels: np.ndarray | None) -> FeatureTable:
    return dataclasses.replace(table, labels=labels)


def _with_modality_missing(table: FeatureTable, modality: str, rows: np.ndarray) -> FeatureTable:
    tokens, valid = table.windows.tokens.copy(), table.windows.valid.copy()
    tokens[rows, table.spec.token_slices[modality]] = np.nan
    valid[rows, table.spec.modality_names.index(modality)] = False
    return dataclasses.replace(
        table, windows=dataclasses.replace(table.windows, tokens=tokens, valid=valid)
    )


def same_checkpoint(one: Checkpoint, other: Checkpoint) -> bool:
    states = zip(one.states, other.states, strict=True)
    return (
        all(a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a) for a, b in states)
        and one.metrics == other.metrics
        and dict(one.training) == dict(other.training)
        and np.array_equal(one.mean_label, other.mean_label)
    )


@pytest.fixture(scope="module")
def learned() -> Checkpoint:
    options = dataclasses.replace(
        QUICK, plan=TrainingPlan(epochs=20, batch_size=16, learning_rate=1e-2)
    )
    return fit(make_table(trials=20, rows_each=6), options)


@pytest.fixture(scope="module")
def quick() -> Checkpoint:
    return fit(make_table(), QUICK)


@pytest.fixture(scope="module")
def pair() -> Checkpoint:
    return fit(make_table(), dataclasses.replace(QUICK, members=2))


def test_a_planted_effect_is_learned_and_beats_the_mean_label(learned: Checkpoint) -> None:
    # what is not learned has a ratio of 1 or more
    assert learned.metrics["model"]["kl"] < 0.5 * learned.metrics["mean_label"]["kl"]
    assert "NOT" not in describe(learned)
    new = make_table(seed=1)
    tokens = torch.from_numpy(new.windows.tokens).float()
    distribution = predict(learned.networks(), tokens)[0].numpy()
    assert new.labels is not None
    mean = np.broadcast_to(learned.mean_label, new.labels.shape)
    assert mean_metrics(new.labels, distribution)["kl"] < 0.5 * mean_metrics(new.labels, mean)["kl"]


def test_noise_that_tells_trials_apart_does_not_beat_the_mean_label_by_trials_and_is_said_so() -> (
    None
):
    table = make_table(signal_strength=0.0, trial_effect=3.0, trials=20, rows_each=6)
    plan = TrainingPlan(epochs=15, batch_size=16, learning_rate=1e-2)
    honest = fit(table, dataclasses.replace(QUICK, plan=plan))
    ours, mean = honest.metrics["model"]["kl"], honest.metrics["mean_label"]["kl"]
    # the best of 15 epochs lies, by luck, a little below
    assert ours > 0.88 * mean
    hopeless = dataclasses.replace(
        honest,
        metrics={
            "model": honest.metrics["mean_label"],
            "mean_label": {**honest.metrics["mean_label"]},
        },
    )
    assert "does NOT beat the mean label" in describe(hopeless)
    assert (ours >= mean) == ("NOT" in describe(honest))
    # the same noise under random windows: neighbours give the trial away
    leaky = fit(table, dataclasses.replace(QUICK, plan=plan, split="windows"))
    assert leaky.metrics["model"]["kl"] < 0.8 * leaky.metrics["mean_label"]["kl"]
    assert leaky.training["split"].startswith("random windows: ")
    assert "recognises trials, not emotions" in describe(leaky)


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(quick: Checkpoint) -> None:
    assert same_checkpoint(quick, fit(make_table(), QUICK))
    other = fit(make_table(), dataclasses.replace(QUICK, seed=1))
    assert not torch.equal(
        quick.states[0]["encoder.embed.weight"], other.states[0]["encoder.embed.weight"]
    )


def test_the_mean_label_row_is_each_folds_own_training_mean() -> None:
    table = make_table()
    assert table.labels is not None
    folds = fit_module.k_folds(
        table.groups, split="trials", folds=5, rng=np.random.default_rng(QUICK.seed)
    )
    truth, mean = [], []
    for held_out in folds:
        rest = np.setdiff1d(np.arange(len(table)), held_out)
        truth.append(table.labels[held_out])
        mean.append(np.tile(table.labels[rest].mean(axis=0), (len(held_out), 1)))
    expected = mean_metrics(np.concatenate(truth), np.concatenate(mean))
    assert fit(table, QUICK).metrics["mean_label"] == pytest.approx(expected, rel=1e-12)  # float64


def test_validation_uses_held_out_rows_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each fold's network is trained and scaled on the rows that its fold does not hold out."""
    seen: list[tuple[Fold, Member]] = []
    original = fit_module.FoldsInTraining.__init__

    def spy(self: Any, folds: Any, members: Any, *rest: Any) -> None:
        original(self, folds, members, *rest)
        seen.extend(zip(folds, members, strict=True))

    monkeypatch.setattr(fit_module.FoldsInTraining, "__init__", spy)
    table = make_table()
    fit(table, dataclasses.replace(QUICK, plan=TrainingPlan(epochs=1, batch_size=16)))
    assert len(seen) == 5
    for fold, member in seen:
        assert sorted([*fold.rows, *member.rows]) == list(range(len(table)))
        assert not set(table.trial[fold.rows]) & set(table.trial[member.rows])
        assert member.standardisation is not None
        mean = table.windows.tokens[member.rows].mean(axis=0)
        # Float64 sums of 32.
        np.testing.assert_allclose(member.standardisation.mean, mean, rtol=0, atol=1e-12)
    held_out = [trial for fold, _ in seen for trial in set(table.trial[fold.rows])]
    assert len(held_out) == len(set(held_out)) == 10


def test_training_stops_when_the_held_out_kl_has_stopped_falling() -> None:
    steps: list[Step] = []
    table = make_table(signal_strength=0.0, trial_effect=3.0, trials=20, rows_each=6)
    plan = TrainingPlan(epochs=60, batch_size=16, learning_rate=3e-2)
    checkpoint = fit(table, dataclasses.replace(QUICK, plan=plan, patience=3), on_step=steps.append)
    held_out = [s for s in steps if s.stage == "held out"]
    best = checkpoint.training["epochs"]
    assert len(held_out) == best + 3 < 60
    assert held_out[-1].held_out_kl == held_out[best - 1].held_out_kl
    assert [(s.done, s.total) for s in steps if s.stage == "final model"] == [
        (i + 1, best) for i in range(best)
    ]


def test_an_ensemble_has_members_of_different_seeds_and_predicts_their_mean(
    pair: Checkpoint,
) -> None:
    assert pair.model.members == len(pair.states) == 2
    one, two = pair.networks()
    tokens = torch.from_numpy(make_table(seed=3).windows.tokens[:4]).float()
    with torch.no_grad():
        a, b = one(tokens), two(tokens)
    assert not torch.equal(a.weights, b.weights)
    distribution, weights = predict([one, two], tokens)
    mean = (a.log_distribution.double().exp() + b.log_distribution.double().exp()) / 2
    torch.testing.assert_close(distribution.double(), mean, atol=1e-6, rtol=0)  # float32 shares
    assert torch.equal(weights, torch.cat([a.weights, b.weights], dim=1))


def test_a_model_that_never_practised_without_a_modality_requires_it(quick: Checkpoint) -> None:
    assert quick.model.required_modalities == ()
    plan = dataclasses.replace(QUICK.plan, modality_dropout=0.0)
    table = _with_modality_missing(make_table(), "ppg", np.arange(8))
    needy = fit(table, dataclasses.replace(QUICK, plan=plan))
    assert needy.model.required_modalities == ("gsr", "ppg")
    assert needy.training["rows"] == 32  # the others could never be answered
    alone = fit(make_table().with_modalities(["ppg"]), QUICK)
    assert alone.model.required_modalities == ("ppg",)


def test_the_final_model_is_standardised_with_all_rows(quick: Checkpoint) -> None:
    tokens = make_table().windows.tokens
    state = quick.states[0]
    # float32 of float64
    np.testing.assert_allclose(
        state["standardise.mean"].numpy(), tokens.mean(axis=0), rtol=1e-6, atol=1e-7
    )
    scale = tokens.std(axis=0)
    np.testing.assert_allclose(
        state["standardise.scale"].numpy(), np.where(scale == 0, 1, scale), rtol=1e-6
    )


def test_rows_without_a_label_or_a_signal_are_ignored(quick: Checkpoint) -> None:
    table, extra = make_table(), make_table(seed=9)
    assert table.labels is not None
    unlabelled = _with_labels(extra, np.full((len(extra), 3), np.nan))
    joined = join_tables([table, unlabelled])
    got = fit(joined, QUICK)
    assert same_checkpoint(
        quick, dataclasses.replace(got, training={**got.training, "data": "planted"})
    )
    dead = _with_modality_missing(
        _with_modality_missing(table, "gsr", np.arange(4)), "ppg", np.arange(4)
    )
    assert fit(dead, QUICK).training["rows"] == len(table) - 4


def test_a_table_without_labels_is_refused() -> None:
    with pytest.raises(TableError, match="planted has no labels to train on"):
        fit(_with_labels(make_table(), None), QUICK)
    with pytest.raises(TableError, match=r"nothing to train on.*got 40 windows, none such"):
        fit(_with_labels(make_table(), np.full((40, 3), np.nan)), QUICK)


def test_a_modality_that_was_never_valid_is_refused_by_name() -> None:
    table = _with_modality_missing(make_table(), "ppg", np.arange(40))
    with pytest.raises(TableError, match=r"no labelled window has valid ppg.*--modalities gsr\."):
        fit(table, QUICK)


def test_too_few_trials_are_refused_before_training() -> None:
    with pytest.raises(TableError, match="Too few trials"):
        fit(make_table(trials=4), QUICK)


def people(count: int) -> FeatureTable:
    """Each with ten trials of their own."""
    tables = [
        dataclasses.replace(make_table(seed=i), subject=np.full(40, f"person{i}"))
        for i in range(count)
    ]
    return join_tables(tables)


@pytest.mark.parametrize(
    ("count", "asked", "split"),
    [(1, None, "trials"), (2, None, "trials"), (3, None, "subjects"), (3, "trials", "trials"),
     (2, "subjects", "subjects")],
)  # fmt: skip
def test_whole_people_are_held_out_where_there_are_three_or_more(
    count: int, asked: str | None, split: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Fold] = []
    original = FoldsInTraining.__init__

    def spy(self: Any, folds: Any, *rest: Any) -> None:
        original(self, folds, *rest)
        seen.extend(folds)

    monkeypatch.setattr(FoldsInTraining, "__init__", spy)
    table = people(count)
    checkpoint = fit(
        table, dataclasses.replace(QUICK, split=asked, plan=TrainingPlan(epochs=1, batch_size=16))
    )
    assert checkpoint.training["options"]["split"] == split
    assert checkpoint.training["split"].startswith(f"grouped by {split[:-1]}: ")
    held_out = [sorted(set(table.subject[fold.rows])) for fold in seen]
    if split == "subjects":
        assert sorted(held_out) == [[f"person{i}"] for i in range(count)]
        assert [len(fold.rows) for fold in seen] == [40] * count
    else:
        assert len(held_out) == 5


def test_one_person_cannot_be_held_out() -> None:
    with pytest.raises(
        TableError, match=r"Too few subjects.*at least 2 subjects, got 1.*--split trials"
    ):
        fit(make_table(), dataclasses.replace(QUICK, split="subjects"))


def test_trials_that_share_an_id_are_named_where_too_few_are_left() -> None:
    table = dataclasses.replace(make_table(), trial=np.full(40, "film"))
    with pytest.raises(
        TableError,
        match=r"planted: 10 trials share the id 'film'.*got 1 different ids\. Number them",
    ):
        fit(table, QUICK)


@pytest.mark.parametrize("change", [{"split": "trail"}, {"patience": 0}, {"members": 0}])
def test_options_that_cannot_work_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=r"(?i)got .*\. Use "):
        FitOptions(**change)


@pytest.mark.parametrize("name", ["gpu", "mps", "", "cuda:x"])
def test_an_unknown_device_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="The device is unknown"):
        choose_device(name)


def test_a_gpu_that_is_not_there_is_refused_with_a_sentence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with pytest.raises(InputError, match=r"A GPU was asked for and none can be used.*--device cpu"):
        choose_device("cuda")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(InputError, match="got cuda:1"):
        choose_device("cuda:1")


class _PulledPlugError(Exception):
    pass


@pytest.mark.parametrize("stop_at", [1, 3, 4, 5, 7])
def test_an_interrupted_fit_goes_on_to_the_identical_checkpoint(
    stop_at: int,
    pair: Checkpoint,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """4 epochs held out and 4 of the 2 members at once,
    stopped at one of them, then again right after.
    """
    monkeypatch.setattr(resume_module, "SAVE_EVERY_S", -1.0)
    options = dataclasses.replace(QUICK, members=2)
    resume, count = tmp_path / "model.pt.resume", 0

    def pull_the_plug(step: Step) -> None:
        nonlocal count
        count += 1
        if count in (stop_at, stop_at + 1):
            raise _PulledPlugError

    for _ in range(2):
        with pytest.raises(_PulledPlugError):
            fit(make_table(), options, on_step=pull_the_plug, resume_path=resume)
    assert resume.is_file() == (stop_at > 1)
    steps: list[Step] = []
    with caplog.at_level(logging.WARNING):
        resumed = fit(make_table(), options, on_step=steps.append, resume_path=resume)
    assert same_checkpoint(resumed, pair)
    if stop_at > 1:
        assert "Going on from" in caplog.text
        assert len(steps) <= 8 - (stop_at - 1)  # nothing that was saved is done again
    # For the caller to delete, once the checkpoint is saved.
    assert list(tmp_path.iterdir()) == [resume]


def test_a_fit_killed_before_the_choice_of_epochs_makes_the_same_choice(
    tmp_path: Path, quick: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resume_module, "SAVE_EVERY_S", -1.0)
    resume = tmp_path / "model.pt.resume"

    def killed(*_: object, **__: object) -> None:
        raise _PulledPlugError

    with monkeypatch.context() as patch:
        patch.setattr(resume_module.SavedState, "finish", killed)
        with pytest.raises(_PulledPlugError):
            fit(make_table(), QUICK, resume_path=resume)
    steps: list[Step] = []
    assert same_checkpoint(
        fit(make_table(), QUICK, on_step=steps.append, resume_path=resume), quick
    )
    assert "held out" not in {step.stage for step in steps}


def test_a_finished_fit_is_not_trained_again_before_its_state_is_deleted(
    tmp_path: Path, quick: Checkpoint
) -> None:
    resume = tmp_path / "model.pt.resume"
    fit(make_table(), QUICK, resume_path=resume)
    steps: list[Step] = []
    assert same_checkpoint(
        fit(make_table(), QUICK, on_step=steps.append, resume_path=resume), quick
    )
    assert steps == []


@pytest.mark.parametrize(
    ("kept", "every_s", "copies"), [(False, -1.0, 0), (True, 1e9, 1), (True, -1.0, 4)]
)
def test_states_are_copied_only_when_they_are_written(
    kept: bool, every_s: float, copies: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """4 epochs of all folds: never without a file, after the first epoch alone, or after each."""
    original, count = FoldsInTraining.state, 0

    def spy(self: Any) -> dict[str, Any]:
        nonlocal count
        count += 1
        return original(self)

    monkeypatch.setattr(FoldsInTraining, "state", spy)
    monkeypatch.setattr(resume_module, "SAVE_EVERY_S", every_s)
    fit(make_table(), QUICK, resume_path=tmp_path / "model.pt.resume" if kept else None)
    assert count == copies


def test_the_first_epoch_can_be_gone_on_from_as_soon_as_it_is_done(tmp_path: Path) -> None:
    resume = tmp_path / "model.pt.resume"

    def pull_the_plug(step: Step) -> None:
        assert fit_module.can_go_on(make_table(), QUICK, resume_path=resume) == (step.done > 1)
        if step.done == 2:
            raise _PulledPlugError

    with pytest.raises(_PulledPlugError):
        fit(make_table(), QUICK, on_step=pull_the_plug, resume_path=resume)
    assert not fit_module.can_go_on(make_table(seed=5), QUICK, resume_path=resume)
    resume.write_bytes(b"damaged")
    assert not fit_module.can_go_on(make_table(), QUICK, resume_path=resume)


def test_a_state_from_a_gpu_starts_anew_on_a_cpu_and_says_so(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    quick: Checkpoint,
) -> None:
    resume = tmp_path / "model.pt.resume"
    _stopped(resume, monkeypatch)
    state = torch.load(resume, weights_only=True)
    state["identity"] = fit_module._identity(make_table(), QUICK, torch.device("cuda"))
    torch.save(state, resume)
    steps: list[Step] = []
    assert same_checkpoint(
        fit(make_table(), QUICK, on_step=steps.append, resume_path=resume), quick
    )
    assert steps[0].done == 1
    assert "another kind of device: starting again" in caplog.text


def test_what_auto_stands_for_goes_on_where_auto_stopped() -> None:
    named = dataclasses.replace(QUICK, device="cpu")
    cpu = torch.device("cpu")
    assert fit_module._identity(make_table(), named, cpu) == fit_module._identity(
        make_table(), QUICK, cpu
    )


def test_the_measures_say_whose_they_are(quick: Checkpoint, pair: Checkpoint) -> None:
    assert "single networks" not in describe(quick)
    assert "chosen on these same rows" not in describe(quick)
    assert "the ensemble of 2 itself was not measured" in describe(pair)
    options = {**quick.training["options"], "split": "windows"}
    windows = dataclasses.replace(quick, training={**quick.training, "options": options})
    assert "; the epoch was chosen on these same rows" in describe(windows)


KILLED = """
    import sys, time
    from pathlib import Path
    sys.path.insert(0, {tests!r})
    import emodict_train.fit.resume
    from test_fitting import QUICK, fit, make_table
    emodict_train.fit.resume.SAVE_EVERY_S = -1.0
    def on_step(step):
        print(step.done, flush=True)
        if step.done == 3:
            time.sleep(60)
    fit(make_table(), QUICK, on_step=on_step, resume_path=Path({resume!r}))
"""


def test_a_fit_killed_outright_goes_on_to_the_identical_checkpoint(
    tmp_path: Path, quick: Checkpoint
) -> None:
    resume = tmp_path / "model.pt.resume"
    program = textwrap.dedent(KILLED).format(tests=str(Path(__file__).parent), resume=str(resume))
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.strip() == "3":
                os.kill(process.pid, signal.SIGKILL)
                break
    assert process.returncode == -signal.SIGKILL
    assert resume.is_file()
    steps: list[Step] = []
    assert same_checkpoint(
        fit(make_table(), QUICK, on_step=steps.append, resume_path=resume), quick
    )
    assert steps[0].done == 3


def _stopped(resume: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resume_module, "SAVE_EVERY_S", -1.0)

    def pull_the_plug(step: Step) -> None:
        if step.done == 3:
            raise _PulledPlugError

    with pytest.raises(_PulledPlugError):
        fit(make_table(), QUICK, on_step=pull_the_plug, resume_path=resume)


OTHERS = {
    "data": (make_table(seed=5), QUICK),
    "a missing modality": (_with_modality_missing(make_table(), "ppg", np.arange(3)), QUICK),
    "labels": (_with_labels(make_table(), np.roll(make_table().labels, 1, axis=1)), QUICK),  # type: ignore[arg-type]
    "emotions": (dataclasses.replace(make_table(), emotions=("x", "y", "z")), QUICK),
    "seed": (make_table(), dataclasses.replace(QUICK, seed=1)),
    "plan": (make_table(), dataclasses.replace(QUICK, plan=TrainingPlan(epochs=5, batch_size=16))),
    "model": (make_table(), dataclasses.replace(QUICK, model={**SMALL, "gate": "bare"})),
}


@pytest.mark.parametrize("what", list(OTHERS))
def test_the_state_of_a_fit_of_something_else_is_not_used(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    resume = tmp_path / "model.pt.resume"
    _stopped(resume, monkeypatch)
    table, options = OTHERS[what]
    job = fit_module._Job(table, options, resume)
    assert job.saved.of("folds") is None
    assert (
        "belongs to other data or options, or to another kind of device: starting again"
        in caplog.text
    )


@pytest.mark.parametrize("damage", ["cut", "random", "list", "empty"])
def test_a_damaged_state_starts_anew_and_says_so(
    damage: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    quick: Checkpoint,
) -> None:
    resume = tmp_path / "model.pt.resume"
    _stopped(resume, monkeypatch)
    if damage == "cut":
        resume.write_bytes(resume.read_bytes()[:-1000])
    elif damage == "random":
        resume.write_bytes(np.random.default_rng(0).bytes(5000))
    elif damage == "list":
        torch.save([1, 2], resume)
    else:
        resume.write_bytes(b"")
    steps: list[Step] = []
    assert same_checkpoint(
        fit(make_table(), QUICK, on_step=steps.append, resume_path=resume), quick
    )
    assert steps[0].done == 1
    assert "starting again" in caplog.text
