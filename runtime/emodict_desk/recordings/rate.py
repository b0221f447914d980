"""The rate at which samples come, by their times."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from emodict.recording.grid import GAP_PERIODS

# Crystals are right to 100 ppm; a mean over seconds to a little less.
WHOLE_RATE_TOLERANCE = 0.0005


def usual_rate_hz(times_s: NDArray[np.float64]) -> float:
    """Samples a second between the gaps, 0 for fewer than two;
    a whole number where it is within 0.05 % of one.

    Times rounded to milliseconds have a median step that is rounded too, but a true mean.
    """
    steps = np.diff(times_s)
    near = steps[steps <= GAP_PERIODS * np.median(steps)] if len(steps) else steps
    if not len(near) or near.sum() <= 0:
        return 0.0
    rate_hz = len(near) / float(near.sum())
    whole = round(rate_hz)
    return float(whole) if whole and abs(rate_hz / whole - 1) < WHOLE_RATE_TOLERANCE else rate_hz
