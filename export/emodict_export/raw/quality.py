"""The rules of features/quality.py, said in operators.

Samples are float32 here. Two of them that differ do so by 6e-8 of the larger, far more than the
1e-12 that quality.py allows a constant for rounding: equal is equal.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emodict.features.quality import RAIL_SHARE_OF_RANGE, SATURATED_SHARE, pulse_bins
from emodict.features.spec import ModalitySpec
from emodict.features.windows import LARGEST_FEATURE
from emodict.recording.modalities import modality_of
from emodict_export.raw.builder import RawBuilder

# A share of no power is 0, and its logarithm infinite; any pulse and any brain wave has far more.
LEAST_POWER = 1e-30


@dataclass(frozen=True)
class Spread:
    """The range of each window, time being the last axis and kept: names of tensors.

    Attributes:
        low: the least sample.
        above: how far the samples are above it. float32 keeps all that moves, whatever the level:
            the difference of two of its numbers that are near one another is exact.
    """

    swing: str
    low: str
    above: str


def inside(b: RawBuilder, modality: ModalitySpec, samples: str, name: str) -> str:
    """Where a sample is there and in range; NaN compares false."""
    lower, upper = modality.valid_range
    lower = -LARGEST_FEATURE if lower is None else lower
    upper = LARGEST_FEATURE if upper is None else upper
    if lower == -upper:
        size = b.add("Abs", [samples], f"{name}/size")
        return b.add("LessOrEqual", [size, b.scalar(upper)], f"{name}/inside")
    above = b.add("GreaterOrEqual", [samples, b.scalar(lower)], f"{name}/not_below")
    below = b.add("LessOrEqual", [samples, b.scalar(upper)], f"{name}/not_above")
    return b.add("And", [above, below], f"{name}/inside")


def spread(b: RawBuilder, window: str, name: str, *, low: str = "") -> Spread:
    """The range of (batch, ..., samples), all of them finite; its least may be given a name."""
    low = b.reduce("ReduceMin", window, -1, low or f"{name}/low")
    high = b.reduce("ReduceMax", window, -1, f"{name}/high")
    swing = b.add("Sub", [high, low], f"{name}/swing")
    return Spread(swing, low, b.add("Sub", [window, low], f"{name}/above"))


def moving(b: RawBuilder, extent: Spread, name: str) -> str:
    """Where a window is not constant: all that is asked of a coarse signal."""
    return b.as_bool(extent.swing, f"{name}/moving")


def lively(b: RawBuilder, window: str, extent: Spread, shape: tuple[int, ...], name: str) -> str:
    """Where a window, (batch, *shape), is neither constant nor saturated nor stuck.

    A constant is at its rails throughout; so is, where a huge number stands for a sample that is
    missing, any window that misses one.
    """
    half = b.add("Mul", [extent.swing, b.scalar(0.5)], f"{name}/half_swing")
    far = b.add("Sub", [extent.above, half], f"{name}/from_middle")
    far = b.add("Abs", [far], f"{name}/far")
    rail = b.add("Mul", [extent.swing, b.scalar(0.5 - RAIL_SHARE_OF_RANGE)], f"{name}/rail")
    at_rail = b.add("GreaterOrEqual", [far, rail], f"{name}/at_rail")
    count = b.reduce("ReduceSum", b.as_float(at_rail, f"{name}/ones"), -1, f"{name}/rail_count")
    free = b.add("LessOrEqual", [count, b.scalar(SATURATED_SHARE * shape[-1])], f"{name}/free")
    return b.add("And", [free, _loose(b, window, shape, name)], f"{name}/lively")


def _loose(b: RawBuilder, window: str, shape: tuple[int, ...], name: str) -> str:
    """Where the run of equal samples through the middle is not longer than half of the window."""
    samples, middle = shape[-1], shape[-1] // 2
    at_middle = b.part(window, -1, middle, middle + 1, f"{name}/middle")
    same = b.add("Equal", [window, at_middle], f"{name}/same")
    # How far from the middle the first sample is that differs; without one on that side, the run
    # ends with the window.
    place = np.arange(samples)
    away = b.constant(f"{name}/away", np.abs(place - float(middle)))
    ends = b.constant(f"{name}/ends", np.where(place < middle, middle + 1.0, samples - middle))
    steps = b.add("Where", [same, ends, away], f"{name}/steps")
    sides = b.reshape(steps, (-1, *shape[:-1], 2, middle), f"{name}/sides")
    reach = b.reduce("ReduceMin", sides, -1, f"{name}/reach", keep=False)
    run = b.reduce("ReduceSum", reach, -1, f"{name}/run")
    # From one step to the other there is one sample less between them.
    return b.add("LessOrEqual", [run, b.scalar(samples / 2 + 1)], f"{name}/loose")


def swing_score(b: RawBuilder, modality: ModalitySpec, extent: Spread, name: str) -> str:
    """min(1, clean / peak-to-peak) of each channel."""
    return _share_of_clean(b, extent.swing, modality_of(modality.name).clean, name)


def step_score(b: RawBuilder, modality: ModalitySpec, steepest: str, name: str) -> str:
    """min(1, clean / steepest step); `steepest` is from sample to sample."""
    return _share_of_clean(b, steepest, modality_of(modality.name).clean / modality.rate_hz, name)


def _share_of_clean(b: RawBuilder, size: str, clean: float, name: str) -> str:
    larger = b.add("Max", [size, b.scalar(clean)], f"{name}/unclean")
    return b.add("Div", [b.scalar(clean), larger], f"{name}/score")


def pulse_score(b: RawBuilder, modality: ModalitySpec, extent: Spread, name: str) -> str:
    """The share of the power that lies at one pulse and its first overtone, (batch, 1)."""
    bins, pulse, summed = pulse_bins(modality.window_samples, modality.rate_hz)
    pulses = summed.shape[1] - 1
    sums = np.concatenate([summed[:, -1:], np.eye(len(summed))[:, pulse], summed[:, :-1]], axis=1)
    dft = _tapered_dft(modality.window_samples, np.arange(bins.start, bins.stop))
    parts = b.product(extent.above, dft, f"{name}/pulse_parts")
    squares = b.add("Mul", [parts, parts], f"{name}/pulse_squares")
    # Real and imaginary parts stand side by side.
    powers = b.product(squares, np.concatenate([sums, sums]), f"{name}/pulse_powers")
    total, peaks, near = b.split(powers, (1, pulses, pulses), f"{name}/pulse_sums")
    best = b.add("ArgMax", [peaks], f"{name}/pulse_best", axis=1, keepdims=1)
    at_best = b.add("GatherElements", [near, best], f"{name}/pulse_at_best", axis=1)
    total = b.add("Max", [total, b.scalar(LEAST_POWER)], f"{name}/pulse_power")
    share = b.add("Div", [at_best, total], f"{name}/pulse_share")
    return b.add("Min", [share, b.scalar(1.0)], f"{name}/score")


def _tapered_dft(samples: int, bins: NDArray[np.intp]) -> NDArray[np.float64]:
    """(samples, 2 bins): real and imaginary parts of a DFT, behind mean removal and Hann taper."""
    angle = 2 * np.pi / samples * (np.outer(np.arange(samples), bins) % samples)
    tapered = np.hanning(samples)[:, None] * np.concatenate([np.cos(angle), np.sin(angle)], axis=1)
    return np.asarray(tapered - tapered.mean(axis=0))
