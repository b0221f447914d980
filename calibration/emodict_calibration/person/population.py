"""with_population: a model learns how people are at rest, to compare a person with."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from emodict.errors import PersonError
from emodict.features.spec import FeatureSpec
from emodict.predict.person import REST, Person
from emodict_train.model.checkpoint import Checkpoint

# The mean of one person is that person.
FEWEST_PEOPLE = 3


def with_population(checkpoint: Checkpoint, people: Sequence[Person]) -> Checkpoint:
    """The same weights; the training record holds the mean of the people's
    baselines, each counting once.

    Raises:
        PersonError: too few people for every modality, a subject twice, or unmixed EEG.
        SpecError: a baseline of other features than the model's.
    """
    twice = [
        subject
        for subject, count in Counter(person.subject_id for person in people).items()
        if count > 1
    ]
    if twice:
        raise PersonError(
            "A subject is there twice",
            expected="each person once",
            got=", ".join(twice),
            fix="Leave one out",
        )
    if not checkpoint.features.streaming:
        raise PersonError(
            f"Feature spec {checkpoint.features.id} is computed by trial, and a rest has none",
            expected="a model of streaming features, such as emodict-1",
            fix="Use a model trained on emodict-1",
        )
    _refuse_unmixed(checkpoint.features, people)
    means = {}
    for name in checkpoint.features.modality_names:
        having = [person for person in people if name in person.baselines]
        for person in having:
            person.require_same(checkpoint.features, name)
        if len(having) >= FEWEST_PEOPLE:
            means[name] = np.mean(
                [person.baselines[name].mean for person in having], axis=0
            ).tolist()
    if not means:
        raise PersonError(
            "Too few people to tell what is usual",
            expected=f"baselines of at least {FEWEST_PEOPLE} people",
            got=f"{len(people)} with "
            f"{', '.join(sorted({name for person in people for name in person.baselines}))}",
            fix="Make more: emodict-calibrate person REST.h5 -o person.json",
        )
    rest = {
        "people": len(people),
        "simulated": any(person.simulated for person in people),
        "mean": means,
    }
    return dataclasses.replace(checkpoint, training={**checkpoint.training, REST: rest})


def _refuse_unmixed(features: FeatureSpec, people: Sequence[Person]) -> None:
    unmixed = [person.subject_id for person in people if person.unmixing is not None]
    if "eeg" in features.modality_names and unmixed:
        raise PersonError(
            "Models are trained on EEG as it was recorded, "
            "and the EEG of some of these people is unmixed",
            expected="baselines made without --ica",
            got=", ".join(unmixed),
            fix="Calibrate them again without --ica",
        )


def describe_population(checkpoint: Checkpoint) -> str:
    """Whom the model knows now."""
    rest: dict[str, Any] = checkpoint.training[REST]
    lacking = [name for name in checkpoint.features.modality_names if name not in rest["mean"]]
    text = (
        f"The model knows {rest['people']} "
        f"{'SIMULATED ' if rest['simulated'] else ''}people at rest: "
    )
    text += "+".join(rest["mean"])
    return text + (f"; fewer than {FEWEST_PEOPLE} have {', '.join(lacking)}" if lacking else "")
