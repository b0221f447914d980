"""Checkpoints whose standardisation is that of the signals they are tried on."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from emodict_export.vectors import fault_seconds, stream_windows
from emodict_train.model.checkpoint import Checkpoint

MakeCheckpoint = Callable[..., Checkpoint]

FULL: dict[str, Any] = {}
WRIST: dict[str, Any] = {"modalities": ("ppg", "gsr")}
HEADBAND: dict[str, Any] = {"modalities": ("eeg",), "channels": ("TP9", "AF7", "AF8", "TP10")}
SENSORS = pytest.mark.parametrize(
    "sensors", [FULL, WRIST, HEADBAND], ids=["full", "wrist", "headband"]
)


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
