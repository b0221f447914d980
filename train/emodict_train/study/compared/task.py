"""Task and Method: what a study asks of everything that it compares."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from emodict_train.study.compared.data import StudyData
from emodict_train.study.compared.protocols import Split

Float64Array = NDArray[np.float64]
Indices = NDArray[np.intp]
Candidate = Mapping[str, Any]


@dataclass(frozen=True)
class Task:
    """Train on one side of a split, with this seed, and predict the other."""

    split: Split
    seed: int


@dataclass(frozen=True)
class Latents:
    """EmotionDict's inner values for held-out rows, of its first seed.

    Attributes:
        rows: (n,) rows of the data.
        latent: (n, 128) h, what the dictionary composes (eq. 3 of the paper).
        weights: (n, elements) the weight of each basic emotion element.
    """

    rows: Indices
    latent: Float64Array
    weights: Float64Array


class Method(Protocol):
    """A way to predict distributions; it travels to worker processes,
    so it and its candidates can be pickled.

    Attributes:
        candidates: the hyper-parameters among which nested selection chooses.
        seeds: how many seeds are trained; None: it is deterministic, and one is enough.

    A method may have more, which a study looks for: `steps`, how many steps `predict` returns (of
    one step and one candidate nothing has to be selected); `epochs`, how often it goes through its
    rows, to foresee the time; `stop_on`, a protocol whose kind of inner folds decides in place of
    the study's; and what the protocols below say.
    """

    @property
    def name(self) -> str: ...

    @property
    def candidates(self) -> tuple[Candidate, ...]: ...

    @property
    def seeds(self) -> int | None: ...

    def predict(
        self, data: StudyData, tasks: Sequence[Task], candidate: Candidate
    ) -> list[Float64Array]:
        """For each task (steps, test rows, emotions):
        the prediction after each step (epoch) of training.
        """
        ...


@runtime_checkable
class DescribesSteps(Protocol):
    """A method whose steps are not just epochs."""

    def describe_step(self, step: int) -> dict[str, Any]:
        """What a step of `predict`, counted from 0, stands for: "epochs",
        and what else belongs to it.
        """
        ...


@runtime_checkable
class HasLatents(Protocol):
    """A method that can show what goes on inside it."""

    def latents(
        self, data: StudyData, split: Split, candidate: Candidate, step: int, seed: int
    ) -> Latents:
        """For the test rows, after step number `step`,
        counted from 0 as in what `predict` returns.
        """
        ...
