"""The stimulus mean: what other people answered to the same film or condition."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from emodict_train.study.compared.data import StudyData
from emodict_train.study.compared.task import Candidate, Task

Float64Array = NDArray[np.float64]

STIMULUS_MEAN = "stimulus mean"


@dataclass(frozen=True)
class StimulusMean:
    """The mean label of a row's stimulus, each of the other people who had it counting once.

    A model can learn to tell which film was seen, and nothing else: this is what it reaches then.
    It reads other people's labels under every protocol, even where models are of one person.
    A stimulus that nobody else had is answered with the mean label of the training rows.
    """

    name: str = STIMULUS_MEAN
    candidates: tuple[Candidate, ...] = ({},)
    seeds: int | None = None
    steps: ClassVar[int] = 1

    def predict(
        self, data: StudyData, tasks: Sequence[Task], candidate: Candidate
    ) -> list[Float64Array]:
        """For each task (1, test rows, emotions)."""
        return [self._predict_one(data, task)[None] for task in tasks]

    def _predict_one(self, data: StudyData, task: Task) -> Float64Array:
        rows = task.split.test
        predicted = np.tile(data.D[task.split.train].mean(axis=0), (len(rows), 1))
        for stimulus, subject in set(_named(data, rows)):
            others = _labels_of_others(data, stimulus, subject)
            if len(others):
                here = (data.stimulus[rows] == stimulus) & (data.subject[rows] == subject)
                predicted[here] = others.mean(axis=0)
        return predicted


def has_shared_stimuli(data: StudyData) -> bool:
    """Whether any two people had the same stimulus."""
    pairs = set(_named(data, np.arange(len(data))))
    return len({stimulus for stimulus, _ in pairs}) < len(pairs)


def _named(data: StudyData, rows: NDArray[np.intp]) -> list[tuple[str, str]]:
    """(stimulus, subject) of the rows whose stimulus is known."""
    pairs = zip(data.stimulus[rows].tolist(), data.subject[rows].tolist(), strict=True)
    return [(stimulus, subject) for stimulus, subject in pairs if stimulus]


def _labels_of_others(data: StudyData, stimulus: str, subject: str) -> Float64Array:
    """(people, emotions) the mean label that each other person gave this stimulus."""
    there = (data.stimulus == stimulus) & (data.subject != subject)
    people = np.unique(data.subject[there])
    labels = [data.D[there & (data.subject == person)].mean(axis=0) for person in people]
    return np.array(labels).reshape(len(labels), data.D.shape[1])
