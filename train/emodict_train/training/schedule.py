"""What changes over a training run: the share of the learning rate,
the memory of the weights' running average.
"""

from __future__ import annotations

import math


def cosine(step: int, steps: int) -> float:
    """The share of the learning rate after so many of all steps: 1 at first,
    0 at the end (Loshchilov, Hutter 2017).
    """
    return 0.5 * (1 + math.cos(math.pi * min(1.0, step / steps)))


def average_decay(most: float, step: int) -> float:
    """Decay of an exponential moving average, whose memory grows to `most` over the first steps."""
    return min(most, (1 + step) / (10 + step))
