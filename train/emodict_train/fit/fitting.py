"""fit: from a feature table to a checkpoint;
when to stop is decided on held-out rows, then all rows are used.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from emodict import __version__
from emodict.engine.model_spec import ModelSpec
from emodict.errors import TableError
from emodict.features.spec import FeatureSpec
from emodict_desk.tables.table import FeatureTable
from emodict_train.data.split import (
    SPLIT_NAMES,
    Indices,
    complement,
    default_split,
    groups_of,
    k_folds,
)
from emodict_train.data.trial_digests import trial_digests
from emodict_train.data.usable import usable_rows
from emodict_train.fit.distillation import held_out_by_teacher, taught
from emodict_train.fit.foreseen import Foreseen
from emodict_train.fit.held_out import Fold, FoldsInTraining, epochs_for_others, pooled
from emodict_train.fit.options import PATIENCE, FitOptions, choose_device
from emodict_train.fit.resume import SavedState, can_be_used
from emodict_train.model.checkpoint import Checkpoint
from emodict_train.training.emotion_dict import (
    TrainedEmotionDict,
    multi_modal_state,
    start_at_mean_label,
    table_ensemble,
)
from emodict_train.training.ensemble import Ensemble, Member, standardised
from emodict_train.training.threads import one_thread

Float64Array = NDArray[np.float64]

FOLDS = 5
# Neighbouring windows hardly differ, so one held-out fifth says enough;
# of few trials every fold is needed.
FOLDS_RUN = {"subjects": FOLDS, "trials": FOLDS, "windows": 1}
# So many of the seeds are trained at once: more would no longer fit the processor's cache.
MEMBERS_AT_ONCE = 32
# The seeds of the members are none of the folds'.
FIRST_MEMBERS_SEED = 1000
# Of the file that keeps the state: an older one is not gone on from.
STATE_LAYOUT = 2


@dataclass(frozen=True)
class Step:
    """Progress of a fit.

    Attributes:
        done, total: epochs of this stage.
        held_out_kl: the best so far; None: nothing is held out in this stage.
        share: of the whole fit, as far as can be foreseen.
        left_s: seconds that are left of it; NaN where nothing is known.
    """

    stage: str
    done: int
    total: int
    held_out_kl: float | None = None
    share: float = 0.0
    left_s: float = float("nan")


OnStep = Callable[[Step], None]


def fit(
    table: FeatureTable,
    options: FitOptions,
    *,
    on_step: OnStep = lambda step: None,
    resume_path: Path | None = None,
) -> Checkpoint:
    """Train EmotionDict on a labelled table.

    The rows are held out fold by fold to find the number of epochs (early stopping)
    and the six measures; the model itself is then trained for that number of epochs on
    all rows, once per member.

    Args:
        resume_path: where the state is kept while training; a later call with the same data,
            options and kind of device goes on from it, and ends with the same model as if it had
            not been interrupted. The file is still there in the end: delete it once the checkpoint
            is saved, and no moment can lose the training.

    Raises:
        TableError: no labels, or too few trials to hold some out.
    """
    table, options = _settled(table, options)
    job = _Job(table, options, resume_path)
    with one_thread():
        epochs, metrics = _find_epochs(job, on_step)
        states = _train_members(job, epochs, on_step)
    return Checkpoint(
        features=table.spec,
        model=dataclasses.replace(job.model, members=options.members),
        states=tuple(states),
        mean_label=_labels(table).mean(axis=0),
        metrics=metrics,
        training=_describe(table, options, epochs),
    )


def can_go_on(table: FeatureTable, options: FitOptions, *, resume_path: Path) -> bool:
    """Whether `fit` with the same arguments would go on from the file instead of starting again."""
    table, options = _settled(table, options)
    return can_be_used(resume_path, _identity(table, options, choose_device(options.device)))


def _settled(table: FeatureTable, options: FitOptions) -> tuple[FeatureTable, FitOptions]:
    """The rows that can be used, and what they leave no doubt about."""
    table = usable_rows(table, required=_required(table.spec, options))
    return table, dataclasses.replace(options, split=options.split or default_split(table))


class _Job:
    """One fit: its rows, its model, and where its state is kept between epochs."""

    def __init__(self, table: FeatureTable, options: FitOptions, resume_path: Path | None) -> None:
        self.table, self.options, self.split = table, options, options.split or default_split(table)
        self.device = choose_device(options.device)
        self.model = _model_spec(table, options)
        self.patience = options.patience or PATIENCE[self.split]
        self.saved = SavedState(resume_path, _identity(table, options, self.device))
        rows = FOLDS_RUN[self.split] * len(table) * (FOLDS - 1) // FOLDS
        self.foreseen = Foreseen(
            rows, options.members * len(table), self.patience, options.plan.epochs
        )

    def members(self, rows: Sequence[Indices], *, first_seed: int) -> list[Member]:
        """A member for each set of rows, with what it is taught.

        What knows a trial by heart knows its other windows: where those are held out,
        nothing need be softened.
        """
        seeded = [Member(own, self.options.seed + first_seed + i) for i, own in enumerate(rows)]
        members = standardised(self.table.windows.tokens, seeded)
        share = 0.0 if self.split == "windows" else self.options.plan.distillation
        groups = held_out_by_teacher(
            self.split, subject=self.table.subject, trial=self.table.groups
        )
        return taught(self.table, members, groups, share=share)

    def ensemble(self, members: Sequence[Member]) -> Ensemble:
        return table_ensemble(
            self._network, self.table, members, self.options.plan, device=self.device
        )

    def _network(self, member: Member) -> TrainedEmotionDict:
        network = TrainedEmotionDict(self.model, self.table.spec, self.options.plan)
        if self.options.plan.from_mean_label:
            assert member.taught is not None
            start_at_mean_label(
                network.emotion_dict, torch.from_numpy(member.taught).float().mean(dim=0)
            )
        return network


def _find_epochs(job: _Job, on_step: OnStep) -> tuple[int, dict[str, dict[str, float]]]:
    """Early stopping: all folds advance together until their mean
    held-out KL has stopped falling.
    """
    finished = job.saved.of("epochs")
    if finished is not None:
        return int(finished["epochs"]), json.loads(finished["metrics"])
    training, kl = _folds_in_training(job), list[float]()
    saved = job.saved.of("folds")
    if saved is not None:
        kl = list(saved["kl"])
        training.restore(saved)
    job.foreseen.go_on(held_out=len(kl))
    best, epochs = _best_of(kl), job.options.plan.epochs
    while len(kl) < epochs and len(kl) - best < job.patience:
        training.run_epoch()
        kl.append(training.kl())
        best = _best_of(kl)
        on_step(
            Step("held out", len(kl), epochs, min(kl), *job.foreseen.stopping_early(best, len(kl)))
        )
        job.saved.save("folds", lambda: {"kl": kl, **training.state()})
    metrics = pooled(training.folds, epochs_for_others(training.folds))
    job.saved.finish("epochs", {"epochs": best, "metrics": json.dumps(metrics)}, instead_of="folds")
    return best, metrics


def _best_of(kl: Sequence[float]) -> int:
    """The epoch of least KL, counted from 1; 0 before the first."""
    return 1 + int(np.argmin(kl)) if kl else 0


def _folds_in_training(job: _Job) -> FoldsInTraining:
    labels = _labels(job.table)
    held_out = _held_out_rows(job)
    trained_on = [complement(rows, len(job.table)) for rows in held_out]
    folds = [
        Fold(rows, labels[rows], labels[others].mean(axis=0))
        for rows, others in zip(held_out, trained_on, strict=True)
    ]
    return FoldsInTraining(
        folds, job.members(trained_on, first_seed=0), job.options.plan, job.ensemble
    )


def _held_out_rows(job: _Job) -> list[Indices]:
    """The rows that each fold holds out, of the folds that are run."""
    groups = groups_of(job.table, job.split)
    count = len(np.unique(groups))
    if job.split == "trials" and count < FOLDS:
        _refuse_shared_ids(job.table)
    folds = max(2, min(FOLDS, count)) if job.split == "subjects" else FOLDS
    rng = np.random.default_rng(job.options.seed)
    return k_folds(groups, split=job.split, folds=folds, rng=rng)[: FOLDS_RUN[job.split]]


def _refuse_shared_ids(table: FeatureTable) -> None:
    """Raises TableError where several trials bear one id, as their different labels show."""
    for group in np.unique(table.groups):
        own = table.groups == group
        trials = len(np.unique(_labels(table)[own], axis=0))
        if trials > 1:
            raise TableError(
                f"{table.source}: {trials} trials share the id '{table.trial[own][0]}', "
                f"and rows of one id are "
                "held out together",
                expected=f"at least {FOLDS} trials, each with an id of its own",
                got=f"{len(np.unique(table.groups))} different ids",
                fix="Number them: in a session.h5 in /trials/trial_id, "
                "in a table in its column of trials",
            )


def _train_members(job: _Job, epochs: int, on_step: OnStep) -> list[dict[str, Tensor]]:
    """The states of the members, each trained on all rows."""
    everything = np.arange(len(job.table))
    members = job.members([everything] * job.options.members, first_seed=FIRST_MEMBERS_SEED)
    states: list[dict[str, Tensor]] = []
    for start in range(0, len(members), MEMBERS_AT_ONCE):
        states += _train_at_once(
            job, members[start : start + MEMBERS_AT_ONCE], start, epochs, on_step
        )
    return states


def _train_at_once(
    job: _Job, members: Sequence[Member], start: int, epochs: int, on_step: OnStep
) -> list[dict[str, Tensor]]:
    last, count = start + len(members), job.options.members
    stage = "final model" if count == 1 else f"members {start + 1} to {last} of {count}"
    finished = job.saved.of(f"{stage} finished")
    if finished is not None:
        return list(finished)
    ensemble, saved = job.ensemble(members), job.saved.of(stage)
    part = len(members) / count
    if saved is not None:
        ensemble.restore(saved)
        job.foreseen.go_on(final=epochs * start / count + ensemble.epoch * part)
    while ensemble.epoch < epochs:
        ensemble.run_epoch()
        done = epochs * start / count + ensemble.epoch * part
        on_step(Step(stage, ensemble.epoch, epochs, None, *job.foreseen.training(done, epochs)))
        job.saved.save(stage, ensemble.state)
    states = [multi_modal_state(*own) for own in zip(ensemble.states(), members, strict=True)]
    job.saved.finish(f"{stage} finished", states, instead_of=stage)
    return states


def _labels(table: FeatureTable) -> Float64Array:
    assert table.labels is not None
    return table.labels


def _model_spec(table: FeatureTable, options: FitOptions) -> ModelSpec:
    return ModelSpec(
        emotions=table.emotions,
        modalities=table.spec.modality_names,
        required_modalities=_required(table.spec, options),
        **options.model,
    )


def _required(features: FeatureSpec, options: FitOptions) -> tuple[str, ...]:
    """Only a model that has practised can do without a modality."""
    names = features.modality_names
    return () if len(names) > 1 and options.plan.modality_dropout > 0 else names


def _identity(table: FeatureTable, options: FitOptions, device: torch.device) -> str:
    """Changes with the data, with every option, with the software and with what it runs on.

    A GPU has random numbers of its own, so a CPU cannot go on where a GPU stopped.
    What counts is the device that `auto` stood for.
    """
    chosen = dataclasses.asdict(dataclasses.replace(options, device=device.type))
    about = {
        "layout": STATE_LAYOUT,
        "options": chosen,
        "emotions": table.emotions,
        "software": _software(),
    }
    digest = hashlib.sha256(table.spec.fingerprint.encode())
    digest.update(json.dumps(about, sort_keys=True, default=str).encode())
    for array in (table.windows.tokens, table.windows.valid, _labels(table), table.groups):
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _describe(table: FeatureTable, options: FitOptions, epochs: int) -> dict[str, Any]:
    return {
        "data": table.source,
        "rows": len(table),
        "trials": len(np.unique(table.groups)),
        "subjects": len(np.unique(table.subject)),
        "simulated": table.simulated,
        "subject_ids": sorted(set(table.subject.tolist())),
        "trial_digests": trial_digests(table),
        "split": SPLIT_NAMES[options.split or default_split(table)],
        "epochs": epochs,
        "options": dataclasses.asdict(options),
        "software": _software(),
    }


def _software() -> str:
    return f"emodict {__version__}, torch {torch.__version__}"
