"""The models that are measured, a few seconds of signals for them, and what was promised."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.fixtures import untrained_checkpoint
from emodict.features.spec import FeatureSpec
from emodict_train.model.checkpoint import Checkpoint

SECONDS = 16


@dataclass(frozen=True)
class Shape:
    """A device and its model.

    Attributes:
        flash: at most so many bytes, by precision.
        ram: at most so many bytes, the stack included.
        instructions: at most so many a second of signal, in fp32.
        times_python: at least so many times as fast as Python on a desk; None: not promised.
    """

    name: str
    modalities: tuple[str, ...]
    channels: tuple[str, ...]
    flash: Mapping[str, int]
    ram: int
    instructions: float
    times_python: float | None = None

    def checkpoint(self) -> Checkpoint:
        """Random weights: what is measured does not hang on them."""
        return untrained_checkpoint(self.modalities, channels=self.channels)


SHAPES = (
    Shape("wrist", ("gsr", "ppg"), (), {"fp32": 240_000, "int8": 80_000}, 8_192, 1.5e6, 11),
    Shape(
        "headband",
        ("eeg",),
        ("AF7", "AF8", "TP9", "TP10"),
        {"fp32": 240_000, "int8": 80_000},
        16_384,
        0.6e6,
    ),
    Shape(
        "full",
        ("eeg", "gsr", "ppg", "video"),
        (),
        {"fp32": 260_000, "int8": 90_000},
        32_768,
        3.5e6,
        6,
    ),
)


def clean_seconds(features: FeatureSpec, *, seed: int = 0) -> dict[str, NDArray[np.float32]]:
    """By modality (seconds, samples, channels): signals in which everything is valid."""
    rng = np.random.default_rng(seed)
    return {m.name: _signal(m.name, m.hop_samples, m.dims, len(m.channel_names), rng)
            for m in features.modalities}  # fmt: skip


def _signal(
    name: str, rate: int, dims: int, channels: int, rng: np.random.Generator
) -> NDArray[np.float32]:
    if name == "video":
        return rng.standard_normal((SECONDS, 1, dims)).astype(np.float32)
    noise = rng.standard_normal((SECONDS * rate, channels))
    time_s = np.arange(SECONDS * rate)[:, None] / rate
    made = {
        "eeg": 20 * noise,
        "ppg": 100 * np.sin(2 * np.pi * 1.2 * time_s) + noise,
        "gsr": 5 + np.cumsum(0.01 * noise, axis=0),
    }[name]
    return made.reshape(SECONDS, rate, channels).astype(np.float32)
