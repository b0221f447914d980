"""fit: from a feature table to a checkpoint; when to stop is decided on held-out rows, then all rows are used."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from emodict import __version__
from emodict.engine.model_spec import ModelSpec
from emodict.errors import InputError, ModelError
from emodict.features.spec import FeatureSpec
from emodict.results.metrics import mean_metrics
from emodict_desk.tables.table import FeatureTable
from emodict_train.data.split import SPLIT_NAMES, SPLITS, complement, k_folds
from emodict_train.data.trial_digests import trial_digests
from emodict_train.data.usable import usable_rows
from emodict_train.fit.distillation import softened_labels
from emodict_train.fit.presets import DEFAULT_PRESET, PRESETS
from emodict_train.model.checkpoint import Checkpoint, load_tensors, save_tensors
from emodict_train.model.standardisation import Standardisation, fit_standardisation
from emodict_train.training.threads import one_thread
from emodict_train.training.trainer import Trainer, TrainingPlan, TrainingRows

logger = logging.getLogger(__name__)
Float64Array = NDArray[np.float64]

FOLDS = 5
# Neighbouring windows hardly differ, so one held-out fifth says enough; of few trials every fold is needed.
FOLDS_RUN = {"trials": FOLDS, "windows": 1}
# Held-out trials are learned in a few epochs or never; neighbouring windows get better to the end of the schedule.
PATIENCE = {"trials": 10, "windows": 25}
# An interrupted run loses at most this much work, and the epoch it was in.
SAVE_EVERY_S = 5.0
STATE = "the state of an interrupted fit"


@dataclass(frozen=True)
class FitOptions:
    """What `fit` is asked for.

    Attributes:
        split: `trials` holds whole trials out, `windows` random ones (see split.SPLIT_NAMES).
        patience: epochs without a better held-out KL before training stops; None: PATIENCE of the split.
        members: seeds trained on all rows and folded into one checkpoint.
        model: sizes and switches of ModelSpec to change, by name.
    """

    split: str = "trials"
    patience: int | None = None
    seed: int = 0
    members: int = 1
    device: str = "auto"
    plan: TrainingPlan = PRESETS[DEFAULT_PRESET].plan
    model: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.split not in SPLITS:
            raise InputError(
                "The split is unknown",
                expected=" or ".join(SPLITS),
                got=self.split,
                fix="Use --split trials unless you want to compare with work that splits by windows",
            )
        if (self.patience is not None and self.patience < 1) or self.members < 1:
            raise InputError(
                "patience and members must be positive",
                got=f"patience {self.patience} and {self.members} members",
                fix="Use 1 or more of both; patience None is the split's own",
            )


@dataclass(frozen=True)
class Step:
    """Progress of a fit: `done` of `total` epochs of this stage, with the held-out KL so far (None: none held out)."""

    stage: str
    done: int
    total: int
    held_out_kl: float | None = None


OnStep = Callable[[Step], None]


def fit(
    table: FeatureTable,
    options: FitOptions,
    *,
    on_step: OnStep = lambda step: None,
    resume_path: Path | None = None,
) -> Checkpoint:
    """Train EmotionDict on a labelled table.

    The rows are held out fold by fold to find the number of epochs (early stopping) and the six measures; the
    model itself is then trained for that number of epochs on all rows, once per member.

    Args:
        resume_path: where the state is kept while training; a later call with the same data, options and kind
            of device goes on from it, and ends with the same model as if it had not been interrupted. The file is
            still there in the end: delete it once the checkpoint is saved, and no moment can lose the training.

    Raises:
        TableError: no labels, or too few trials to hold some out.
    """
    table = usable_rows(table, required=_required(table.spec, options))
    job = _Job(table, options, resume_path)
    with one_thread():
        epochs, metrics = _find_epochs(job, on_step)
        states = [_train_member(job, i, epochs, on_step) for i in range(options.members)]
    return Checkpoint(
        features=table.spec,
        model=dataclasses.replace(job.model, members=options.members),
        states=tuple(states),
        mean_label=_labels(table).mean(axis=0),
        metrics=metrics,
        training=_describe(table, options, epochs),
    )


def can_go_on(table: FeatureTable, options: FitOptions, *, resume_path: Path) -> bool:
    """Whether `fit` with the same arguments would go on from the file instead of starting anew."""
    table = usable_rows(table, required=_required(table.spec, options))
    identity = _identity(table, options, choose_device(options.device))
    try:
        return _is_state_of(identity, load_tensors(resume_path, what=STATE))
    except ModelError:
        return False


def choose_device(name: str) -> torch.device:
    """`auto` is the GPU where there is one.

    Raises:
        InputError: a GPU is asked for by name and there is none.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        known = device.type in ("cpu", "cuda")
    except RuntimeError:
        known = False
    if not known:
        raise InputError(
            "The device is unknown",
            expected="auto, cpu or cuda",
            got=repr(name),
            fix="auto takes a GPU where there is one",
        )
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise InputError(
            "A GPU was asked for and none can be used",
            expected="a CUDA GPU with its driver and a CUDA build of torch",
            got=f"{name}, and torch {torch.__version__} with {torch.cuda.device_count()} usable GPUs",
            fix="Use --device cpu",
        )
    return device


class _Job:
    """One fit: its rows, its model, and where its state is kept between epochs."""

    def __init__(self, table: FeatureTable, options: FitOptions, resume_path: Path | None) -> None:
        self.table, self.options, self._resume_path = table, options, resume_path
        self.device = choose_device(options.device)
        self.model = _model_spec(table, options)
        self._identity = _identity(table, options, self.device)
        self._saved: dict[str, Any] = {}
        self._written_at = -math.inf  # the first epoch is on disk as soon as it is done
        if resume_path is not None and resume_path.is_file():
            self._saved = self._load(resume_path)

    def trainer(self, rows: NDArray[np.intp], *, seed: int) -> tuple[Trainer, Standardisation]:
        standardisation = fit_standardisation(self.table.windows.tokens[rows])
        tokens = standardisation.apply(self.table.windows.tokens[rows])
        training = TrainingRows(
            tokens=self.to_device(tokens),
            labels=self.to_device(self._taught(tokens, rows)),
            valid=torch.from_numpy(self.table.windows.valid[rows]).to(self.device),
        )
        trainer = Trainer(self.table.spec, self.model, self.options.plan, training, seed=seed)
        return trainer, standardisation

    def _taught(self, tokens: Float64Array, rows: NDArray[np.intp]) -> Float64Array:
        """The labels, or what a kernel ridge teacher makes of them.

        What knows a trial by heart knows its other windows: where those are held out, nothing need be softened.
        """
        labels = _labels(self.table)[rows]
        share = 0.0 if self.options.split == "windows" else self.options.plan.distillation
        return softened_labels(tokens, labels, self.table.groups[rows], share=share)

    def to_device(self, values: Float64Array) -> Tensor:
        return torch.from_numpy(values).float().to(self.device)

    def saved(self, stage: str) -> Any:
        """What an interrupted run had reached in this stage, None if nothing."""
        return self._saved.get(stage)

    def save(self, stage: str, state: Callable[[], Any]) -> None:
        """Keep what a stage has reached, now and then; copying a state takes time, so it is asked for only then."""
        if self._resume_path is not None and time.monotonic() - self._written_at > SAVE_EVERY_S:
            self._saved[stage] = state()
            self._write()

    def finish(self, stage: str, result: Any, *, instead_of: str) -> None:
        """Keep the result of a stage in place of the state that led to it."""
        self._saved.pop(instead_of, None)
        self._saved[stage] = result
        self._write()

    def _write(self) -> None:
        if self._resume_path is not None:
            save_tensors({"identity": self._identity, **self._saved}, self._resume_path)
            self._written_at = time.monotonic()

    def _load(self, path: Path) -> dict[str, Any]:
        try:
            saved: dict[str, Any] = load_tensors(path, what=STATE)
        except ModelError:
            logger.warning("%s, left by an interrupted run, is damaged: starting anew", path)
            return {}
        if not _is_state_of(self._identity, saved):
            logger.warning("%s belongs to other data or options, or to another kind of device: starting anew", path)
            return {}
        logger.warning("Going on from %s, left by an interrupted run", path)
        return saved


def _is_state_of(identity: str, saved: Any) -> bool:
    return isinstance(saved, dict) and saved.get("identity") == identity


def _find_epochs(job: _Job, on_step: OnStep) -> tuple[int, dict[str, dict[str, float]]]:
    """Early stopping: all folds advance together until their mean held-out KL has stopped falling."""
    finished = job.saved("epochs")
    if finished is not None:
        return int(finished["epochs"]), json.loads(finished["metrics"])
    folds = _folds(job)
    runs = [_FoldRun(job, held_out, seed=job.options.seed + i) for i, held_out in enumerate(folds)]
    kl: list[float] = []
    saved = job.saved("folds")
    if saved is not None:
        kl = list(saved["kl"])
        for run, state in zip(runs, saved["runs"], strict=True):
            run.restore(state)
    patience, epochs = job.options.patience or PATIENCE[job.options.split], job.options.plan.epochs
    while len(kl) < epochs and len(kl) - (1 + int(np.argmin(kl)) if kl else 0) < patience:
        for run in runs:
            run.run_epoch()
        kl.append(_pooled(runs, [len(kl)] * len(runs))["model"]["kl"])
        on_step(Step("held out", len(kl), epochs, min(kl)))
        job.save("folds", lambda: {"kl": kl, "runs": [run.state() for run in runs]})
    best = 1 + int(np.argmin(kl))
    metrics = _pooled(runs, _epochs_for_others(runs))
    job.finish("epochs", {"epochs": best, "metrics": json.dumps(metrics)}, instead_of="folds")
    return best, metrics


class _FoldRun:
    """Training on all rows but one fold's, and its predictions for that fold after each epoch."""

    def __init__(self, job: _Job, held_out: NDArray[np.intp], *, seed: int) -> None:
        rows = complement(held_out, len(job.table))
        self._trainer, standardisation = job.trainer(rows, seed=seed)
        self._tokens = job.to_device(standardisation.apply(job.table.windows.tokens[held_out]))
        labels = _labels(job.table)
        self.truth, self.mean_label = labels[held_out], labels[rows].mean(axis=0)
        self.predictions: list[Float64Array] = []

    def run_epoch(self) -> None:
        self._trainer.run_epoch()
        self.predictions.append(self._trainer.predict(self._tokens))

    def state(self) -> dict[str, Any]:
        predictions = torch.from_numpy(np.stack(self.predictions))
        return {"trainer": self._trainer.state(), "predictions": predictions}

    def restore(self, state: Mapping[str, Any]) -> None:
        self._trainer.restore(state["trainer"])
        self.predictions = list(state["predictions"].numpy())


def _epochs_for_others(runs: Sequence[_FoldRun]) -> list[int]:
    """For each fold the epoch that is best on the OTHER folds, so that no row is judged by a choice made on it.

    A lone fold has no others: its epoch is chosen on its own rows, which flatters a little.
    """
    curves = np.array([[mean_metrics(run.truth, p)["kl"] for p in run.predictions] for run in runs])
    rows = np.array([len(run.truth) for run in runs])
    if len(runs) == 1:
        return [int(curves[0].argmin())]
    total = rows @ curves
    return [int((total - rows[i] * curves[i]).argmin()) for i in range(len(runs))]


def _pooled(runs: Sequence[_FoldRun], epochs: Sequence[int]) -> dict[str, dict[str, float]]:
    """The six measures over all held-out rows, each fold after its epoch, beside its training rows' mean label."""
    truth = np.concatenate([run.truth for run in runs])
    mean = np.concatenate([np.repeat(run.mean_label[None], len(run.truth), axis=0) for run in runs])
    model = np.concatenate([run.predictions[epoch] for run, epoch in zip(runs, epochs, strict=True)])
    return {"model": mean_metrics(truth, model), "mean_label": mean_metrics(truth, mean)}


def _train_member(job: _Job, index: int, epochs: int, on_step: OnStep) -> dict[str, Tensor]:
    stage = f"member {index + 1} of {job.options.members}" if job.options.members > 1 else "final model"
    finished = job.saved(f"{stage} finished")
    if finished is not None:
        return dict(finished)
    seed = job.options.seed + 1000 + index
    trainer, standardisation = job.trainer(np.arange(len(job.table)), seed=seed)
    saved = job.saved(stage)
    if saved is not None:
        trainer.restore(saved)
    while trainer.epoch < epochs:
        trainer.run_epoch()
        on_step(Step(stage, trainer.epoch, epochs))
        job.save(stage, trainer.state)
    state = {k: v.cpu() for k, v in trainer.averaged_state().items()}
    state["standardise.mean"] = torch.from_numpy(standardisation.mean).float()
    state["standardise.scale"] = torch.from_numpy(standardisation.scale).float()
    job.finish(f"{stage} finished", state, instead_of=stage)
    return state


def _folds(job: _Job) -> list[NDArray[np.intp]]:
    split = job.options.split
    rng = np.random.default_rng(job.options.seed)
    folds = k_folds(job.table.groups, split=split, folds=FOLDS, rng=rng)
    return folds[: FOLDS_RUN[split]]


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

    A GPU has random numbers of its own, so a CPU cannot go on where a GPU stopped. What counts is the device
    that `auto` stood for.
    """
    chosen = dataclasses.asdict(dataclasses.replace(options, device=device.type))
    about = {"options": chosen, "emotions": table.emotions, "software": _software()}
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
        "split": SPLIT_NAMES[options.split],
        "epochs": epochs,
        "options": dataclasses.asdict(options),
        "software": _software(),
    }


def _software() -> str:
    return f"emodict {__version__}, torch {torch.__version__}"
