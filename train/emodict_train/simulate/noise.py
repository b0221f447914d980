"""Noise of a given spectrum, and faults at random times."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft, next_fast_len

FloatArray = NDArray[np.float64]


def coloured_noise(
    rng: np.random.Generator,
    count: int,
    rate_hz: float,
    amplitude: Callable[[FloatArray], NDArray[Any]],
    *,
    rows: int = 1,
) -> FloatArray:
    """(rows, count) of Gaussian noise, variance 1,
    whose spectrum is `amplitude` of the frequency in Hz.
    """
    length = next_fast_len(max(count, 8), real=True)
    shape = np.asarray(amplitude(np.arange(length // 2 + 1) * (rate_hz / length)), dtype=np.float64)
    shape[0] = 0.0
    if not shape.any():
        # Too short for what was asked: the slowest wave that fits.
        shape[1] = 1.0
    spectrum = rng.standard_normal((rows, len(shape), 2)).view(np.complex128)[..., 0] * shape
    # Parseval: two bins, of positive and negative frequency, with two unit normals in each.
    scale = length / math.sqrt(4 * float(np.sum(shape**2)))
    return np.asarray(irfft(spectrum, length, axis=1)[:, :count] * scale)


def bump(peak_hz: float, width_hz: float) -> Callable[[FloatArray], FloatArray]:
    """An amplitude for `coloured_noise`: a bell around one frequency."""
    return lambda f: np.asarray(np.exp(-0.5 * ((f - peak_hz) / width_hz) ** 2))


def bursts(
    rng: np.random.Generator,
    count: int,
    rate_hz: float,
    *,
    per_min: float,
    length_s: tuple[float, float],
    at_least: int = 0,
) -> list[slice]:
    """Stretches of samples at random times."""
    number = max(at_least, int(rng.poisson(per_min * count / rate_hz / 60)))
    lengths = np.maximum(1, np.rint(rng.uniform(*length_s, number) * rate_hz)).astype(int)
    starts = (rng.uniform(0, 1, number) * np.maximum(1, count - lengths)).astype(int)
    return [slice(int(a), min(count, int(a + n))) for a, n in zip(starts, lengths, strict=True)]


def faults(
    rng: np.random.Generator,
    count: int,
    rate_hz: float,
    *,
    per_min: float,
    length_s: tuple[float, float],
) -> list[slice]:
    """Stretches of samples in which something fails: at least one,
    or none where none are wanted.
    """
    if per_min == 0:
        return []
    return bursts(rng, count, rate_hz, per_min=per_min, length_s=length_s, at_least=1)


def drop_out(
    rng: np.random.Generator, samples: FloatArray, rate_hz: float, *, per_min: float
) -> None:
    """The radio loses the sensor for a few seconds."""
    for part in faults(rng, len(samples), rate_hz, per_min=per_min, length_s=(1.5, 5.0)):
        samples[part] = np.nan
