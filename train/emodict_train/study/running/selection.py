"""Nested selection: every hyper-parameter, and when to stop,
is chosen on folds inside the training rows.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from emodict.errors import EmodictError
from emodict.results.metrics import distribution_metrics
from emodict_train.study.compared.data import StudyData
from emodict_train.study.compared.protocols import Split
from emodict_train.study.compared.task import Candidate, DescribesSteps, HasLatents, Method, Task

Float64Array = NDArray[np.float64]
Arrays = Mapping[str, NDArray[Any]]

# A cell trains on at most about this many rows, summed over its tasks: its predictions after each
# of 50 epochs then stay below half a gigabyte, and a killed study loses little.
CELL_ROWS = 200_000
# And at most about this many tasks: more networks at once hardly cost less each,
# and keep everybody waiting longer.
CELL_TASKS = 24


@dataclass(frozen=True)
class Fold:
    """An outer fold, by number, and the inner ones that parameters are chosen on."""

    number: int
    outer: Split
    inner: tuple[Split, ...]


@dataclass(frozen=True)
class Choice:
    """Which candidate of a method, and after which of its steps, counted from 0."""

    candidate: int
    step: int


class Cell(Protocol):
    """A piece of work that is done as a whole, and kept when it is."""

    @property
    def protocol(self) -> str: ...

    @property
    def method(self) -> Method: ...

    @property
    def label(self) -> str:
        """What the cell is for, in a word or two."""
        ...

    @property
    def what(self) -> str:
        """What is missing from the results if the cell fails: the method, or something about it."""
        ...

    @property
    def tasks(self) -> tuple[Task, ...]: ...

    @property
    def settings(self) -> tuple[Any, ...]:
        """What it depends on besides the method and the tasks, as JSON."""
        ...

    @property
    def arrays(self) -> tuple[str, ...]:
        """Names of what it computes."""
        ...

    def compute(self, data: StudyData) -> dict[str, NDArray[Any]]: ...


@dataclass(frozen=True)
class SelectionCell:
    """How one candidate does on the inner folds of some outer ones."""

    protocol: str
    method: Method
    folds: tuple[Fold, ...]
    candidate: int
    seed: int
    arrays: tuple[str, ...] = ("curves",)

    @property
    def label(self) -> str:
        return f"candidate {self.candidate + 1}{_part(self.folds)}"

    @property
    def what(self) -> str:
        return self.method.name

    @property
    def tasks(self) -> tuple[Task, ...]:
        return tuple(Task(split, self.seed) for fold in self.folds for split in fold.inner)

    @property
    def settings(self) -> tuple[Any, ...]:
        return (dict(self.method.candidates[self.candidate]),)

    def compute(self, data: StudyData) -> dict[str, NDArray[Any]]:
        """`curves` (outer folds, steps): the KL over all rows of the inner folds,
        pooled, after each step.
        """
        candidate = self.method.candidates[self.candidate]
        predictions = iter(_checked(self.method, data, self.tasks, candidate))
        curves = [
            _pooled_kl(data, fold.inner, [next(predictions) for _ in fold.inner])
            for fold in self.folds
        ]
        return {"curves": np.stack(curves)}


@dataclass(frozen=True)
class FinalCell:
    """The chosen candidates, trained on all rows of the outer folds and
    judged on what those hold out.
    """

    protocol: str
    method: Method
    folds: tuple[Fold, ...]
    choices: tuple[Choice, ...]
    seeds: tuple[int, ...]
    arrays: tuple[str, ...] = ("distribution",)

    @property
    def label(self) -> str:
        return f"final{_part(self.folds)}"

    @property
    def what(self) -> str:
        return self.method.name

    @property
    def tasks(self) -> tuple[Task, ...]:
        return tuple(Task(fold.outer, seed) for fold in self.folds for seed in self.seeds)

    @property
    def settings(self) -> tuple[Any, ...]:
        return tuple(
            [dict(self.method.candidates[choice.candidate]), choice.step] for choice in self.choices
        )

    def compute(self, data: StudyData) -> dict[str, NDArray[Any]]:
        """`distribution` (seeds, test rows of fold after fold, emotions),
        each fold after its chosen step.
        """
        found: dict[int, Float64Array] = {}
        for index in sorted({choice.candidate for choice in self.choices}):
            chosen = [
                (fold, choice.step)
                for fold, choice in zip(self.folds, self.choices, strict=True)
                if choice.candidate == index
            ]
            tasks = [Task(fold.outer, seed) for fold, _ in chosen for seed in self.seeds]
            method = _trained_for(self.method, 1 + max(step for _, step in chosen))
            predictions = iter(_checked(method, data, tasks, method.candidates[index]))
            for fold, step in chosen:
                found[fold.number] = np.stack([next(predictions)[step] for _ in self.seeds])
        distribution = np.concatenate([found[fold.number] for fold in self.folds], axis=1)
        if not np.isfinite(distribution).all():
            raise EmodictError(f"{self.method.name} predicted something that is not a number")
        return {"distribution": distribution}


def _trained_for(method: Method, steps: int) -> Method:
    """The method, stopped after the last step that anybody asks for;
    what it does until then is the same.
    """
    if (
        not dataclasses.is_dataclass(method)
        or not hasattr(method, "epochs")
        or not needs_selection(method)
    ):
        return method
    return cast(Method, dataclasses.replace(method, epochs=steps))


@dataclass(frozen=True)
class LatentsCell:
    """What goes on inside a method for the held-out rows of one outer fold."""

    protocol: str
    method: Method
    fold: Fold
    choice: Choice
    seed: int
    arrays: tuple[str, ...] = ("rows", "latent", "weights")

    @property
    def label(self) -> str:
        return f"latents of {self.fold.outer.name}"

    @property
    def what(self) -> str:
        return f"{self.method.name}, latents"

    @property
    def tasks(self) -> tuple[Task, ...]:
        return (Task(self.fold.outer, self.seed),)

    @property
    def settings(self) -> tuple[Any, ...]:
        return ([dict(self.method.candidates[self.choice.candidate]), self.choice.step],)

    def compute(self, data: StudyData) -> dict[str, NDArray[Any]]:
        """`rows` (n,), `latent` (n, sizes of h) and `weights` (n, elements)."""
        assert isinstance(self.method, HasLatents)
        candidate = self.method.candidates[self.choice.candidate]
        found = self.method.latents(data, self.fold.outer, candidate, self.choice.step, self.seed)
        return {"rows": found.rows, "latent": found.latent, "weights": found.weights}


def needs_selection(method: Method) -> bool:
    """Whether there is anything to choose: several candidates, or steps to stop after."""
    return len(method.candidates) > 1 or getattr(method, "steps", None) != 1


def choose(method: Method, curves: Sequence[Float64Array]) -> tuple[Choice, ...]:
    """For each outer fold the candidate and the step of least inner KL; of equals the first.

    Args:
        curves: for each candidate (outer folds, steps).

    Raises:
        EmodictError: no candidate predicts numbers in some fold.
    """
    return tuple(_best(method, [curve[fold] for curve in curves]) for fold in range(len(curves[0])))


def _best(method: Method, curves: Sequence[Float64Array]) -> Choice:
    finite = [np.where(np.isfinite(curve), curve, np.inf) for curve in curves]
    candidate = int(np.argmin([curve.min() for curve in finite]))
    if not np.isfinite(finite[candidate]).any():
        raise EmodictError(f"No candidate of {method.name} predicted numbers on the inner folds")
    return Choice(candidate, int(np.argmin(finite[candidate])))


def describe_choice(method: Method, choice: Choice) -> dict[str, Any]:
    """The chosen hyper-parameters, and how many epochs to train for."""
    if isinstance(method, DescribesSteps):
        return {**method.candidates[choice.candidate], **method.describe_step(choice.step)}
    return {**method.candidates[choice.candidate], "epochs": choice.step + 1}


def in_parts(
    folds: Sequence[Fold], splits_of: Callable[[Fold], Sequence[Split]]
) -> list[tuple[Fold, ...]]:
    """The folds, in order, as many together as a cell may train on and at least one.

    Args:
        splits_of: what a fold asks to be trained.
    """
    parts: list[list[Fold]] = []
    rows = tasks = 0
    for fold in folds:
        splits = splits_of(fold)
        rows, tasks = rows + sum(len(split.train) for split in splits), tasks + len(splits)
        if not parts or rows > CELL_ROWS or tasks > CELL_TASKS:
            parts.append([])
            rows, tasks = sum(len(split.train) for split in splits), len(splits)
        parts[-1].append(fold)
    return [tuple(part) for part in parts]


def _part(folds: tuple[Fold, ...]) -> str:
    return f", folds {folds[0].number + 1}-{folds[-1].number + 1}"


def _pooled_kl(
    data: StudyData, splits: Sequence[Split], predictions: Sequence[Float64Array]
) -> Float64Array:
    """(steps,) KL after each step, a mean over the rows of all the splits."""
    truth = np.concatenate([data.D[split.test] for split in splits])
    steps = np.concatenate(predictions, axis=1)
    return np.array([distribution_metrics(truth, predicted)["kl"].mean() for predicted in steps])


def _checked(
    method: Method, data: StudyData, tasks: Sequence[Task], candidate: Candidate
) -> list[Float64Array]:
    """What a method predicts, if it has the form agreed upon."""
    predictions = method.predict(data, tasks, candidate)
    for task, predicted in zip(tasks, predictions, strict=True):
        expected = (len(task.split.test), len(data.emotions))
        if predicted.ndim != 3 or not len(predicted) or predicted.shape[1:] != expected:
            raise EmodictError(
                f"{method.name} predicted something of the wrong shape",
                expected=f"(steps, {expected[0]}, {expected[1]})",
                got=predicted.shape,
            )
    return predictions
