"""The models that are measured, and what was promised of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from benchmarks.fixtures import untrained_checkpoint
from emodict_train.model.checkpoint import Checkpoint


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
    Shape("wrist", ("gsr", "ppg"), (), {"fp32": 240_000, "int8": 80_000}, 8_192, 1.5e6, 8),
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
        4.5,
    ),
)
