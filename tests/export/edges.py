"""Windows at the very edges of the rules of features/quality.py."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

WALK = np.random.default_rng(0)


def noise(samples: int, channels: int = 1) -> np.ndarray:
    """Multiples of 2^-10 around a level: every difference is exact in float32."""
    return 20 + np.rint(WALK.normal(0, 2, (samples, channels)) * 1024) / 1024


def edges(samples: int) -> Iterator[np.ndarray]:
    """Windows of one channel that are just, and just not, stuck, saturated or constant."""
    half = samples // 2
    for length in (half - 1, half, half + 1, half + 2):
        for start in (0, 1, half - 1, samples - length - 1, samples - length):
            window = noise(samples)
            window[start : start + length] = 20.5
            yield window
        for extreme in (10.0, 40.0):
            window = noise(samples)
            window[WALK.permutation(samples)[:length]] = extreme
            yield window
            # Within a hundredth of the range of an extreme, and just outside.
            for share in (0.0095, 0.0105):
                close = window.copy()
                close[WALK.permutation(samples)[:length]] = extreme + share * (25 - extreme)
                yield close
    still = np.full((samples, 1), 20.0)
    yield still
    for at in (0, half, samples - 1):
        moved = still.copy()
        moved[at] += 1e-5
        yield moved
        gap = noise(samples)
        gap[at] = np.nan
        yield gap
