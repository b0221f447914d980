"""Small trained checkpoints for the export tests, which run on one thread:
everything in them is small.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch

from emodict.engine.model_spec import ModelSpec
from emodict.features.spec import load_spec
from emodict.features.windows import FeatureWindows
from emodict_desk.tables.table import FeatureTable
from emodict_export.vectors import fault_seconds, stream_windows
from emodict_train.model.checkpoint import Checkpoint
from emodict_train.training.emotion_dict import (
    TrainedEmotionDict,
    multi_modal_state,
    start_at_mean_label,
    table_ensemble,
)
from emodict_train.training.ensemble import Member, standardised
from emodict_train.training.plan import TrainingPlan

EMOTIONS = tuple(f"emotion{i}" for i in range(10))
MakeCheckpoint = Callable[..., Checkpoint]


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def _train(
    spec_id: str,
    *,
    members: int = 1,
    offset: float = 5.0,
    modalities: tuple[str, ...] | None = None,
    channels: tuple[str, ...] | None = None,
    **sizes: Any,
) -> Checkpoint:
    """A few real training steps on random rows,
    so that no weight and no BatchNorm statistic is at its default.
    """
    features = load_spec(spec_id)
    if modalities:
        features = features.with_modalities(modalities)
    if channels:
        features = features.with_channels(channels)
    rng = np.random.default_rng(0)
    shape = (64, features.tokens, features.token_width)
    tokens = offset + rng.standard_normal(shape) * rng.uniform(0.5, 2, shape[1:])
    labels = rng.dirichlet(np.ones(len(EMOTIONS)), 64)
    model = ModelSpec(EMOTIONS, features.modality_names, members=members, **sizes)
    plan = TrainingPlan(epochs=4, batch_size=16, learning_rate=1e-2, average=0.5)
    rows = np.arange(64)
    seeds = standardised(tokens, [Member(rows, seed) for seed in range(members)])

    def build(_: Member) -> TrainedEmotionDict:
        network = TrainedEmotionDict(model, features, plan)
        start_at_mean_label(network.emotion_dict, torch.from_numpy(labels).float().mean(dim=0))
        return network

    valid = np.ones((64, len(features.modalities)), dtype=bool)
    windows = FeatureWindows(features, rows.astype(float), tokens, valid, np.ones(valid.shape))
    names = rows.astype(str)
    table = FeatureTable(windows, EMOTIONS, labels, names, names, "random")
    ensemble = table_ensemble(build, table, seeds, plan)
    for _ in range(4):
        ensemble.run_epoch()
    states = tuple(multi_modal_state(*own) for own in zip(ensemble.states(), seeds, strict=True))
    metrics = {"model": {"kl": 0.1}, "mean_label": {"kl": 0.2}}
    return Checkpoint(
        features, model, states, labels.mean(axis=0), metrics, {"data": "random", "rows": 64}
    )


@pytest.fixture(scope="session")
def trained() -> MakeCheckpoint:
    """Checkpoints by spec id and ModelSpec sizes; each is trained once a session."""
    made: dict[str, Checkpoint] = {}

    def get(spec_id: str = "emodict-1", **options: Any) -> Checkpoint:
        key = repr((spec_id, sorted(options.items())))
        if key not in made:
            made[key] = _train(spec_id, **options)
        return made[key]

    return get


@pytest.fixture(scope="session")
def fitted(trained: MakeCheckpoint) -> MakeCheckpoint:
    """Trained for a few steps, then told of the mean and spread of the made-up signals."""
    made: dict[str, Checkpoint] = {}

    def get(spec_id: str = "emodict-1", **options: Any) -> Checkpoint:
        key = repr((spec_id, sorted(options.items())))
        if key not in made:
            made[key] = _standardised(trained(spec_id, **options))
        return made[key]

    return get


def _standardised(checkpoint: Checkpoint) -> Checkpoint:
    features = checkpoint.features
    windows = stream_windows(features, fault_seconds(features, 300, seed=5))
    whole = windows.tokens[windows.valid.all(axis=1)]
    scale = whole.std(axis=0)
    scale[scale < 1e-9] = 1.0
    states = [dict(state) for state in checkpoint.states]
    for state in states:
        for name, value in (("mean", whole.mean(axis=0)), ("scale", scale)):
            old = state[f"standardise.{name}"]
            state[f"standardise.{name}"] = torch.from_numpy(value).to(old).reshape(old.shape)
    assert np.isfinite(scale).all()
    return dataclasses.replace(checkpoint, states=tuple(states))
