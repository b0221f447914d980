"""Mean 0 and variance 1 for each feature, from the training rows alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# A feature whose spread is this small against its size is constant;
# dividing by it would blow up rounding.
CONSTANT_RELATIVE = 1e-9


@dataclass(frozen=True)
class Standardisation:
    """Mean and scale of each feature over the training rows, (tokens, width);
    a constant feature has scale 1.
    """

    mean: NDArray[np.float64]
    scale: NDArray[np.float64]

    def apply(self, tokens: NDArray[np.float64]) -> NDArray[np.float64]:
        """z-scores, 0 where a modality is missing."""
        return np.nan_to_num((tokens - self.mean) / self.scale, nan=0.0)


def fit_standardisation(tokens: NDArray[np.float64]) -> Standardisation:
    """From (rows, tokens, width) with NaN for what is missing;
    a feature never seen has mean 0, scale infinity.
    """
    present = ~np.isnan(tokens)
    seen = present.any(axis=0)
    count = np.maximum(present.sum(axis=0), 1)
    mean = np.where(present, tokens, 0.0).sum(axis=0) / count
    variance = np.where(present, np.square(tokens - mean), 0.0).sum(axis=0) / count
    scale = np.sqrt(variance)
    scale[scale <= CONSTANT_RELATIVE * np.maximum(np.abs(mean), 1.0)] = 1.0
    # Nothing is known of what was never seen: whatever comes later,
    # it must not reach untrained weights.
    scale[~seen] = np.inf
    return Standardisation(mean, scale)
