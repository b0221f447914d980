"""Made-up results of a study, for tests of what is drawn and written: tiny,
seeded, no network trained.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from emodict_desk.tables.table import DMER_EMOTIONS
from emodict_train.study.compared.ablations import BLOCKS, PAPER, ROBUST
from emodict_train.study.compared.data import StudyData
from emodict_train.study.compared.task import Latents
from emodict_train.study.judging.results import Predictions, Results

# How far each method's log-distribution stands from the truth: the smaller, the better.
SPREADS: Mapping[str, float] = {
    "PT-Bayes": 2.5,
    "AA-kNN": 0.42,
    "SA-BFGS": 0.5,
    "DLDL": 0.36,
    "mean label": 0.4,
    "kernel ridge": 0.3,
    PAPER: 0.45,
    ROBUST: 0.25,
}
FOLDS, SEEDS, ELEMENTS = 4, 2, 32
_NETWORKS = (PAPER, ROBUST, "DLDL")


def data(
    *,
    people: int = 1,
    trials: int = 8,
    windows: int = 6,
    source: str = "train.mat",
    simulated: bool = False,
    emotions: Sequence[str] = DMER_EMOTIONS,
) -> StudyData:
    """Every person watches the same trials, of `windows` windows each; a trial has one label."""
    rng = np.random.default_rng(3)
    labels = rng.dirichlet(np.full(len(emotions), 8.0), size=people * trials)
    return StudyData(
        X=rng.normal(size=(people * trials * windows, 4)),
        D=np.repeat(labels, windows, axis=0),
        modalities={"eeg": slice(0, 2), "video": slice(2, 4)},
        trial=np.tile(np.repeat(np.arange(trials), windows), people),
        subject=np.repeat([f"P{i + 1:02d}" for i in range(people)], trials * windows),
        emotions=tuple(emotions),
        source=source,
        simulated=simulated,
        table=None,
        stimulus=np.full(people * trials * windows, ""),
    )


def taken(study: StudyData, rows: np.ndarray) -> StudyData:
    """Some rows of data, in any order."""
    names = ("X", "D", "trial", "subject", "stimulus")
    arrays = {name: getattr(study, name)[rows] for name in names}
    return dataclasses.replace(study, **arrays)


def results(
    study: StudyData | None = None,
    *,
    protocols: Sequence[str] = ("trials", "windows"),
    spreads: Mapping[str, float] = SPREADS,
    ablations: bool = True,
    latents: bool = True,
    quick: bool = False,
    about: Mapping[str, object] | None = None,
) -> Results:
    """Predictions of every method in `spreads`,
    and of the ablations as noisy as the paper's model.
    """
    study = study or data()
    found = {}
    for i, protocol in enumerate(protocols):
        methods = dict(spreads)
        if ablations and PAPER in spreads:
            variants = [block.method(variant) for block in BLOCKS for variant in block.variants]
            methods.update(
                {
                    name: spreads[PAPER] + 0.01 * j
                    for j, name in enumerate(variants)
                    if name != PAPER
                }
            )
        for j, (name, spread) in enumerate(methods.items()):
            found[protocol, name] = _predictions(
                study, name, protocol, spread / (1 + i), seed=100 * i + j
            )
    said = {
        "command": "emodict-train study train.mat -o study",
        "quick": quick,
        "seeds": SEEDS,
        "seed": 7,
        "folds": dict.fromkeys(protocols, FOLDS),
        "software": "emodict 0, torch 2",
        "started": "2026-01-02T03:04:05+00:00",
        "seconds": 83.0,
    }
    inner = {protocol: _latents(study) for protocol in protocols if latents}
    return Results(study, found, inner, {**said, **(about or {})})


def folds_of(study: StudyData, protocol: str) -> np.ndarray:
    """(rows,) the fold that holds a row out."""
    if protocol == "subjects":
        return np.unique(study.subject, return_inverse=True)[1]
    return (study.trial if protocol == "trials" else np.arange(len(study.D))) % FOLDS


def _predictions(
    study: StudyData, name: str, protocol: str, spread: float, *, seed: int
) -> Predictions:
    rng = np.random.default_rng(seed)
    # As a study has them: fold by fold, not in the order of the data.
    fold = folds_of(study, protocol)
    rows = np.argsort(fold, kind="stable")
    seeds = SEEDS if name in _NETWORKS or ": " in name else 1
    noise = rng.normal(size=(seeds, len(rows), study.D.shape[1]))
    raw = study.D[rows] * np.exp(spread * noise)
    chosen = tuple({"strength": 0.1, "epochs": 5} for _ in np.unique(fold))
    return Predictions(
        name, protocol, rows, fold[rows], raw / raw.sum(axis=-1, keepdims=True), chosen, 1.5
    )


def _latents(study: StudyData) -> Latents:
    """Weights near a centre of their trial, and h = Dic w with orthonormal columns."""
    rng = np.random.default_rng(11)
    centres = rng.normal(size=(int(study.trial.max()) + 1, ELEMENTS))
    weights = centres[study.trial] + 0.4 * rng.normal(size=(len(study.D), ELEMENTS))
    dictionary = np.linalg.qr(rng.normal(size=(128, ELEMENTS)))[0]
    return Latents(np.arange(len(study.D)), weights @ dictionary.T, weights)
