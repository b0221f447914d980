"""Samples with stamps as the tests of live clocks send them."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field

import numpy as np

from emodict.live.rarely import RarelyLogger
from emodict.live.stamps import SampleClock

LOGGER = logging.getLogger("emodict.test")
RATE_HZ = 64.0
START_S = 1000.0
# Streams are read so often; samples arrive when they were taken.
POLL_S = 0.125


def even(seconds: float, rate_hz: float = RATE_HZ) -> np.ndarray:
    return START_S + np.arange(round(seconds * rate_hz)) / rate_hz


@dataclass
class Placed:
    """(samples,) which were placed, at what times, and when they were."""

    numbers: np.ndarray
    times_s: np.ndarray
    at_s: np.ndarray
    clock: SampleClock = field(repr=False)


def place(
    stamps_s: np.ndarray, taken_s: np.ndarray, rate_hz: float = RATE_HZ, *, counter: bool = False
) -> Placed:
    """Samples that arrive when they are taken, read eight times a second."""
    now_s = 0.0
    log = RarelyLogger(LOGGER, clock=lambda: now_s)
    clock = SampleClock(rate_hz, counter=0 if counter else None, of="ppg", log=log)
    numbers = np.arange(len(stamps_s), dtype=np.float64)[:, None]
    parts, first = [], 0
    for now_s in np.arange(taken_s[0], taken_s[-1] + 2 * POLL_S, POLL_S).tolist():
        stop = int(np.searchsorted(taken_s, now_s, side="right"))
        if stop > first:
            kept, times_s = clock.place(numbers[first:stop], stamps_s[first:stop], now_s)
            parts.append((kept[:, 0].astype(int), times_s, np.full(len(kept), now_s)))
            first = stop
    return Placed(*(np.concatenate(part) for part in zip(*parts, strict=True)), clock)
