"""Which held-out rows one network of EmotionDict spoke for:
latents of two networks are in two spaces.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from emodict_train.study.judging.results import Predictions, Results
from emodict_train.study.showing.figures import canvas
from emodict_train.study.showing.figures.reading import Float64Array, Indices, leading, positions


@dataclass(frozen=True)
class Sitting:
    """One person's rows that one network held out.

    Attributes:
        subject, fold: whose rows, and the number of the network's fold.
        name: the subject; where all data are one person's, the fold.
        rows: (n,) of the data, trial by trial, each trial in the order of the data.
        trial: (n,) number of each row's trial.
        latent, weights: (n, 128) and (n, elements) of these rows.
    """

    subject: str
    fold: int
    name: str
    rows: Indices
    trial: Indices
    latent: Float64Array
    weights: Float64Array


def sittings(results: Results, protocol: str, count: int) -> tuple[Sitting, ...]:
    """At most `count`: of each person one, before a second one of somebody.

    A person's second sitting must have a trial that the first has not: with random windows every
    network holds windows of every trial out, and one of them shows it.
    """
    by_person: dict[str, list[Sitting]] = {}
    for sitting in _all(results, protocol):
        shown = by_person.setdefault(sitting.subject, [])
        if not set(sitting.trial.tolist()) <= {
            trial for one in shown for trial in one.trial.tolist()
        }:
            shown.append(sitting)
    turns = [(turn, sitting) for shown in by_person.values() for turn, sitting in enumerate(shown)]
    return tuple(sitting for _, sitting in sorted(turns, key=lambda each: each[0])[:count])


def network(results: Results, protocol: str) -> Predictions:
    """What the method predicted whose latents were kept:
    the EmotionDict that a study recommends.
    """
    found = leading(results, protocol)
    assert found is not None
    return found


def _all(results: Results, protocol: str) -> list[Sitting]:
    rows = results.latents[protocol].rows
    predictions = network(results, protocol)
    fold, subject = predictions.fold[positions(predictions, rows)], results.data.subject[rows]
    folds = np.unique(fold).tolist()
    masks = {
        (who, number): (subject == who) & (fold == number)
        for who in results.data.subjects
        for number in folds
    }
    return [
        _sitting(results, protocol, *pair, np.flatnonzero(mask))
        for pair, mask in masks.items()
        if mask.any()
    ]


def _sitting(results: Results, protocol: str, person: str, fold: int, at: Indices) -> Sitting:
    """`at`: positions in the latents."""
    latents, trial = results.latents[protocol], results.data.trial
    at = at[np.argsort(latents.rows[at])]
    at = at[_trial_by_trial(trial[latents.rows[at]])]
    rows, weights = latents.rows[at], latents.weights[at]
    alone = len(results.data.subjects) == 1
    name = f"fold {fold + 1}" if alone else canvas.printable(person, longest=16)
    # Where folds chose dictionaries of different sizes, a smaller one has zeros beyond its own.
    return Sitting(
        person, fold, name, rows, trial[rows], latents.latent[at], weights[:, weights.any(axis=0)]
    )


def _trial_by_trial(trial: Indices) -> Indices:
    """The order that puts a trial's rows together,
    the trial first whose first row is first: time, if rows have it.
    """
    _, first, number = np.unique(trial, return_index=True, return_inverse=True)
    return np.argsort(first[number.reshape(-1)], kind="stable")


def in_trial_order(results: Results) -> bool:
    """Whether the data hold each trial's rows together, as a recording does;
    a shuffled table has lost the time.
    """
    data = results.data
    changes = (data.trial[1:] != data.trial[:-1]) | (data.subject[1:] != data.subject[:-1])
    return int(changes.sum()) + 1 == len(
        set(zip(data.subject.tolist(), data.trial.tolist(), strict=True))
    )
