"""Small real methods and tables that the tests of the study's runner share;
worker processes import them from here.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from emodict.features.spec import load_spec
from emodict.features.windows import assemble, ready_made_rows
from emodict_desk.tables.table import FeatureTable
from emodict_train.study.compared.data import StudyData
from emodict_train.study.compared.protocols import Split
from emodict_train.study.compared.task import Latents, Task
from emodict_train.study.judging.results import Results
from emodict_train.study.running.run import StudyOptions, compute_study, plan_study
from emodict_train.study.running.runner import Failure

SPEC = load_spec("emodict-1").with_modalities(("gsr", "ppg"))
EMOTIONS = ("up", "down", "level")
# More candidates than these no method may have: it would be tuned harder than others.
BUDGET = 8
LAMBDAS = tuple({"ridge": value} for value in (0.1, 10.0, 1000.0))


def make_table(
    *, subjects: int = 1, trials: int = 10, rows_each: int = 4, seed: int = 0
) -> FeatureTable:
    """Each trial of each subject has a label of its own, which the first features of GSR follow."""
    rng = np.random.default_rng(seed)
    whole = subjects * trials
    trial = np.repeat(np.arange(whole), rows_each)
    factor = rng.standard_normal(whole)
    labels = np.exp(np.stack([factor, -factor, np.zeros(whole)], axis=1))
    labels /= labels.sum(axis=1, keepdims=True)
    gsr, ppg = rng.standard_normal((len(trial), 28)), rng.standard_normal((len(trial), 27))
    gsr[:, :8] += 3 * factor[trial][:, None]
    rows = {"gsr": ready_made_rows(gsr), "ppg": ready_made_rows(ppg)}
    return FeatureTable(
        assemble(SPEC, np.arange(len(trial), dtype=float), rows),
        EMOTIONS,
        labels[trial],
        np.char.add("person", (trial // trials).astype(str)),
        np.char.add("trial", (trial % trials).astype(str)),
        "planted",
    )


def _z_scores(data: StudyData, split: Split) -> tuple[NDArray[Any], NDArray[Any]]:
    train, test = data.X[split.train], data.X[split.test]
    return (train - train.mean(axis=0)) / train.std(axis=0), (
        test - train.mean(axis=0)
    ) / train.std(axis=0)


def _softmax(scores: NDArray[Any]) -> NDArray[np.float64]:
    shares = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return shares / shares.sum(axis=-1, keepdims=True)


@dataclass(frozen=True)
class MeanLabel:
    """The mean training label."""

    name: str = "mean label"
    candidates: tuple[Mapping[str, Any], ...] = ({},)
    seeds: int | None = None
    steps: ClassVar[int] = 1

    def predict(
        self, data: StudyData, tasks: Sequence[Task], candidate: Mapping[str, Any]
    ) -> list[NDArray[np.float64]]:
        means = [data.D[task.split.train].mean(axis=0) for task in tasks]
        return [
            np.tile(mean, (1, len(task.split.test), 1))
            for mean, task in zip(means, tasks, strict=True)
        ]


@dataclass(frozen=True)
class Ridge:
    """Ridge regression on log-labels.

    Attributes:
        pause_s: makes a cell last, for tests that stop a study within one.
        log: a file that gets a line for each call.
    """

    name: str = "ridge"
    candidates: tuple[Mapping[str, Any], ...] = LAMBDAS
    seeds: int | None = None
    pause_s: float = 0.0
    log: Path | None = None
    steps: ClassVar[int] = 1

    def predict(
        self, data: StudyData, tasks: Sequence[Task], candidate: Mapping[str, Any]
    ) -> list[NDArray[np.float64]]:
        time.sleep(self.pause_s)
        if self.log is not None:
            with self.log.open("a") as handle:
                handle.write(f"{len(tasks)} {candidate['ridge']}\n")
        return [self._predict_one(data, task.split, candidate["ridge"]) for task in tasks]

    def _predict_one(self, data: StudyData, split: Split, ridge: float) -> NDArray[np.float64]:
        Z, Z_test = _z_scores(data, split)
        target = np.log(np.maximum(data.D[split.train], 1e-9))
        weights = np.linalg.solve(
            Z.T @ Z + ridge * np.eye(Z.shape[1]), Z.T @ (target - target.mean(axis=0))
        )
        return _softmax(Z_test @ weights + target.mean(axis=0))[None]


@dataclass(frozen=True)
class Descent:
    """Softmax regression by gradient descent from a random start:
    a method with epochs and seeds.
    """

    name: str = "descent"
    candidates: tuple[Mapping[str, Any], ...] = field(
        default_factory=lambda: ({"rate": 0.1}, {"rate": 1.0})
    )
    seeds: int | None = 3
    epochs: int = 6

    def predict(
        self, data: StudyData, tasks: Sequence[Task], candidate: Mapping[str, Any]
    ) -> list[NDArray[np.float64]]:
        return [self._predict_one(data, task, candidate["rate"]) for task in tasks]

    def latents(
        self, data: StudyData, split: Split, candidate: Mapping[str, Any], step: int, seed: int
    ) -> Latents:
        """The distribution after the step, and its logarithm."""
        shares = self._predict_one(data, Task(split, seed), candidate["rate"])[step]
        return Latents(split.test, np.log(shares), shares)

    def _predict_one(self, data: StudyData, task: Task, rate: float) -> NDArray[np.float64]:
        Z, Z_test = _z_scores(data, task.split)
        truth = data.D[task.split.train]
        weights = 0.1 * np.random.default_rng(task.seed).standard_normal(
            (Z.shape[1], truth.shape[1])
        )
        steps = []
        for _ in range(self.epochs):
            weights = weights - rate * Z.T @ (_softmax(Z @ weights) - truth) / len(Z)
            steps.append(_softmax(Z_test @ weights))
        return np.stack(steps)


@dataclass(frozen=True)
class Failing:
    """Raises an error from its first call on."""

    error: Exception = field(default_factory=lambda: ZeroDivisionError("division by zero"))
    name: str = "failing"
    candidates: tuple[Mapping[str, Any], ...] = ({},)
    seeds: int | None = None

    def predict(
        self, data: StudyData, tasks: Sequence[Task], candidate: Mapping[str, Any]
    ) -> list[NDArray[np.float64]]:
        raise self.error


METHODS: tuple[Any, ...] = (MeanLabel(), Ridge(), Descent())


def compute(
    data: StudyData, folder: Path, methods: Sequence[Any] = METHODS, **options: Any
) -> tuple[Results, tuple[Failure, ...]]:
    """A study without the tables and figures."""
    chosen = StudyOptions(**options)
    plan = plan_study(data, chosen)
    return compute_study(data, plan, dict.fromkeys(plan.folds, methods), chosen, folder)


def same(one: Results, other: Results) -> bool:
    return one.predictions.keys() == other.predictions.keys() and all(
        np.array_equal(a.distribution, b.distribution)
        and np.array_equal(a.rows, b.rows)
        and np.array_equal(a.fold, b.fold)
        and a.chosen == b.chosen
        for a, b in zip(one.predictions.values(), other.predictions.values(), strict=True)
    )


def cells_of(folder: Path) -> dict[str, int]:
    """When each cell of a study was written."""
    return {path.name: path.stat().st_mtime_ns for path in sorted((folder / "cells").glob("*.npz"))}
