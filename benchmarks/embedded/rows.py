"""Raw seconds in files and rows out of them, as source/rows.c reads and writes them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from emodict.engine.model_spec import ModelSpec
from emodict.features.spec import FeatureSpec

# By modality: (seconds, samples a second, channels), NaN where a sample is missing.
Seconds = Mapping[str, NDArray[np.float32]]


@dataclass(frozen=True)
class Rows:
    """A row a second, from the first one on."""

    answered: NDArray[np.bool_]
    valid: NDArray[np.bool_]
    quality: NDArray[np.float32]
    distribution: NDArray[np.float32]
    weights: NDArray[np.float32]


def write_seconds(folder: Path, features: FeatureSpec, seconds: Seconds) -> None:
    """seconds.bin; a modality of which a second holds nothing is told to be missing."""
    with (folder / "seconds.bin").open("wb") as file:
        for second in range(len(next(iter(seconds.values())))):
            for name in features.modality_names:
                samples = seconds[name][second].astype(np.float32)
                np.float32(not np.isnan(samples).all()).tofile(file)
                samples.tofile(file)


def read_rows(folder: Path, model: ModelSpec) -> Rows:
    """rows.bin."""
    modalities, emotions = len(model.modalities), len(model.emotions)
    sizes = (1, modalities, modalities, emotions, model.elements * model.members)
    numbers = np.fromfile(folder / "rows.bin", np.float32).reshape(-1, sum(sizes))
    parts = np.split(numbers, np.cumsum(sizes)[:-1], axis=1)
    answered, valid, quality, distribution, weights = parts
    return Rows(answered[:, 0] > 0, valid > 0, quality, distribution, weights)
