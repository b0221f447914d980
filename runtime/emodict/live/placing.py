"""Placer: samples as they come, each with its time,
onto an even clock that starts at a whole second.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from emodict.recording.grid import ON_GRID_PERIODS, interpolate, nearest_ticks

Float64Array = NDArray[np.float64]


class Placer:
    """`emodict.recording.grid`, live: tick k lies k / rate_hz after the anchor,
    NaN where nothing was measured.

    Samples on a tick are copied. Between ticks they are interpolated (cubic, two neighbours on
    each side, never across a gap), so that a tick waits for two samples more; with `snapped` each
    goes to its nearest tick at once, of several on one tick the first stays: for skin
    conductance, whose ties matter.

    `late` counts the samples that were left out since what they belong to had been given already;
    with `missed_before` that is true of all from before the anchor, too.
    """

    def __init__(
        self,
        rate_hz: float,
        channels: int,
        *,
        anchor_s: float,
        snapped: bool = False,
        missed_before: bool = False,
    ) -> None:
        self._rate_hz, self._anchor_s, self._snapped = rate_hz, anchor_s, snapped
        self._missed_before = missed_before
        self._next = 0
        # Time in periods, and tick, of the newest sample that was snapped.
        self._last: tuple[float, int] | None = None
        # What may still be a neighbour of the next tick:
        # times in periods since the anchor, and the samples.
        self._times: Float64Array = np.empty(0)
        self._values: Float64Array = np.empty((0, channels))
        self.late = 0

    def place(self, samples: NDArray[np.floating], times_s: Float64Array) -> Float64Array:
        """The next ticks that are known, (ticks, channels),
        once these samples (samples, channels) have come.

        Samples that belong to ticks already given are left out.
        """
        times = (np.asarray(times_s, dtype=np.float64) - self._anchor_s) * self._rate_hz
        values = np.asarray(samples, dtype=np.float64)
        if self._missed_before:
            self.late += int((times < -0.5).sum())
        return self._snap(times, values) if self._snapped else self._interpolate(times, values)

    def _interpolate(self, times: Float64Array, values: Float64Array) -> Float64Array:
        ticks = np.arange(self._next, self._next + len(times))
        if len(times) > 1 and np.abs(times - ticks).max() <= ON_GRID_PERIODS:
            # Nothing lies between the ticks, as in a replay:
            # the same numbers with a tenth of the work.
            self._next += len(times)
            self._times, self._values = times[-2:].copy(), values[-2:].copy()
            return values
        last = self._times[-1] if len(self._times) else -np.inf
        fresh = times > np.maximum.accumulate(np.concatenate([[last], times[:-1]]))
        self.late += int((times[~fresh] >= -0.5).sum())
        self._times = np.concatenate([self._times, times[fresh]])
        self._values = np.concatenate([self._values, values[fresh]])
        if not len(self._times):
            return np.empty((0, values.shape[1]))
        wanted = np.arange(self._next, np.floor(self._times[-1] + ON_GRID_PERIODS) + 1)
        wanted = wanted[: self._known(wanted)]
        out = interpolate(wanted, self._times, self._values)
        self._next += len(wanted)
        keep = max(0, int(np.searchsorted(self._times, self._next)) - 2)
        self._times, self._values = self._times[keep:], self._values[keep:]
        return out

    def _known(self, wanted: Float64Array) -> int:
        """How many of the ticks, from the first on, no later sample can change."""
        after = len(self._times) - np.searchsorted(self._times, wanted, side="right")
        nearest = np.clip(np.searchsorted(self._times, wanted), 0, len(self._times) - 1)
        before = np.maximum(nearest - 1, 0)
        off = np.minimum(
            np.abs(self._times[nearest] - wanted), np.abs(self._times[before] - wanted)
        )
        unknown = np.flatnonzero((after < 2) & (off > ON_GRID_PERIODS))
        return int(unknown[0]) if len(unknown) else len(wanted)

    def _snap(self, times: Float64Array, values: Float64Array) -> Float64Array:
        ticks = nearest_ticks(times, self._last)
        if len(ticks):
            self._last = float(times[-1]), int(ticks[-1])
        self.late += int(((ticks < self._next) & (ticks >= 0)).sum())
        ahead = ticks >= self._next
        ticks, values = ticks[ahead], values[ahead]
        if not len(ticks):
            return np.empty((0, values.shape[1]))
        out = np.full((int(ticks.max()) + 1 - self._next, values.shape[1]), np.nan)
        first, index = np.unique(ticks, return_index=True)
        out[first - self._next] = values[index]
        self._next += len(out)
        return out
