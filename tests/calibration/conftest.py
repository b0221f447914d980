"""Small trained checkpoints, as the export's tests have them, and tables of rows for them."""

from __future__ import annotations

import numpy as np
import pytest
from tests.export.conftest import MakeCheckpoint, one_thread, trained

from emodict.features.windows import FeatureWindows
from emodict_desk.tables.table import FeatureTable
from emodict_train.model.checkpoint import Checkpoint

__all__ = ["MakeCheckpoint", "one_thread", "plausible_table", "trained"]


def plausible_table(
    checkpoint: Checkpoint,
    rows: int = 96,
    *,
    seed: int = 1,
    labels: bool = True,
    simulated: bool = False,
) -> FeatureTable:
    """Rows with the mean and spread that the checkpoint's training rows
    had, all modalities valid.
    """
    rng = np.random.default_rng(seed)
    state, spec = checkpoint.states[0], checkpoint.features
    mean, scale = state["standardise.mean"].numpy(), state["standardise.scale"].numpy()
    tokens = np.float64(mean) + rng.standard_normal((rows, *mean.shape)) * scale
    valid = np.ones((rows, len(spec.modalities)), dtype=bool)
    emotions = checkpoint.model.emotions
    return FeatureTable(
        windows=FeatureWindows(
            spec, np.arange(rows, dtype=np.float64), tokens, valid, valid.astype(np.float64)
        ),
        emotions=emotions,
        labels=rng.dirichlet(np.ones(len(emotions)), rows) if labels else None,
        subject=np.full(rows, "s"),
        trial=np.full(rows, "t"),
        source="random.npz",
        simulated=simulated,
    )


@pytest.fixture
def small(trained: MakeCheckpoint) -> Checkpoint:
    """One member, PPG and GSR: the quickest model there is."""
    return trained("emodict-1", modalities=("ppg", "gsr"), layers=2)
