"""The faults of a soak run: what happens to which sensor when, and which rows may,
and which must, show it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emodict.live.pipeline import PATIENCE_S
from emodict.live.stamps import STAYS_S

BoolArray = NDArray[np.bool_]

# Seconds of signal that a row describes, up to its own second's end (docs/features.md).
WINDOW_S = {"eeg": 1.0, "gsr": 5.0, "ppg": 5.0, "video": 1.0}
# How far a sample may lie from its true time: a clock smoothed over 2 ms of jitter;
# half a tick where it is snapped.
PLACED_WITHIN_S = {"eeg": 0.02, "gsr": 0.15, "ppg": 0.02, "video": 0.0}
# What a missing sample takes with it: the resampler's ten periods of 64 Hz;
# the second in which EEG's filter settles.
REACH_S = {"eeg": 0.0, "gsr": 0.0, "ppg": 10 / 64, "video": 0.0}
SETTLE_S = {"eeg": 1.0, "gsr": 0.0, "ppg": 0.0, "video": 0.0}
# A row of resampled pulse waits for the filter and the rest of its block,
# 10 + 1 + 16 samples of 64 Hz beyond its end.
LOOKS_AHEAD_S = {"eeg": 0.0, "gsr": 0.0, "ppg": 27 / 64, "video": 0.0}
# A sensor that was given up begins anew with a whole second. The one face of a second comes when
# that is over, and nobody waits for the first one of a camera that was given up.
RESTART_S = {"eeg": 1.0, "gsr": 1.0, "ppg": 1.0, "video": 2.0}
# A clock that has jumped is doubted for STAYS_S, in which its samples are held, and then exact
# again; with what a packet of half a second takes to come.
CLOCK_SETTLES_S = STAYS_S + 1.0
SLOWEST_PERIOD_S = 0.25

# Every sample counts; more than half of a window must be so; all of it must.
NAN, INFINITE, ABSURD, SATURATED, STUCK, CONSTANT = (
    "NaN",
    "infinite",
    "out of range",
    "saturated",
    "stuck",
    "constant",
)
LOST, SILENT, AWAY = "samples lost", "silent for minutes", "disconnected for minutes"
HELD_BACK, TOO_LATE, TWICE, SWAPPED = (
    "late, within patience",
    "too late",
    "delivered twice",
    "delivered out of order",
)
AHEAD, BEHIND = "clock jumps ahead", "clock jumps back"
COVERING = {SATURATED: 0.6, STUCK: 0.6, CONSTANT: 1.0}
# By promise these cost not a row.
HARMLESS = (HELD_BACK, TWICE)

_VALUES = (NAN, INFINITE, ABSURD)
# Samples that come, in time and in order, but say nothing.
OF_VALUES = (*_VALUES, *COVERING)
_DELIVERY = (LOST, SILENT, HELD_BACK, TOO_LATE, TWICE)
KINDS = {
    "eeg": (*_VALUES, SATURATED, STUCK, *_DELIVERY, AWAY, SWAPPED),
    "gsr": (*_VALUES, CONSTANT, *_DELIVERY, AWAY, SWAPPED, AHEAD, BEHIND),
    "ppg": (*_VALUES, SATURATED, STUCK, *_DELIVERY, AWAY, SWAPPED, AHEAD, BEHIND),
    "video": (NAN, INFINITE, *_DELIVERY),
}
# From, to. Nothing shorter than what a clock can tell from jitter is lost.
_DURATION_S = {
    NAN: (0.0, 4.0),
    INFINITE: (0.0, 4.0),
    ABSURD: (0.0, 4.0),
    SATURATED: (4.0, 12.0),
    STUCK: (4.0, 12.0),
    CONSTANT: (7.0, 15.0),
    LOST: (0.3, 4.0),
    SILENT: (30.0, 240.0),
    AWAY: (30.0, 240.0),
    HELD_BACK: (0.3, 0.7),
    TOO_LATE: (3.5, 20.0),
    TWICE: (0.0, 2.0),
    SWAPPED: (0.0, 0.0),
    AHEAD: (20.0, 40.0),
    BEHIND: (20.0, 40.0),
}
_JUMP_S = (3.0, 8.0)
# So long all sensors are well at both ends, and each between two faults of its own;
# on average twice that more.
CALM_S = 20.0


@dataclass
class Fault:
    """One thing that happens to one sensor, in seconds of the run; `jump_s` is that of its clock.

    `first_s` and `last_s` are those of the samples that it befell, known once it is over.
    """

    kind: str
    modality: str
    start_s: float
    stop_s: float
    jump_s: float = 0.0
    first_s: float = math.inf
    last_s: float = -math.inf

    @property
    def happened(self) -> bool:
        return self.last_s >= self.first_s

    def befell(self, times_s: NDArray[np.float64]) -> None:
        """Remember the samples of these times."""
        if len(times_s):
            self.first_s, self.last_s = min(self.first_s, times_s[0]), max(self.last_s, times_s[-1])


def draw_faults(
    modality: str, seconds: int, rng: np.random.Generator, *, period_s: float
) -> Iterator[Fault]:
    """A sensor's faults, one after the other, each kind as often as the others."""
    kinds = KINDS[modality]
    start_s = CALM_S + rng.exponential(CALM_S)
    deck: list[str] = []
    while True:
        deck = deck or list(rng.permutation(kinds))
        kind = str(deck.pop())
        low, high = _DURATION_S[kind]
        # A fault of values lasts at least a sample.
        stop_s = start_s + 1.1 * period_s + rng.uniform(low, high)
        if stop_s > seconds - 2 * CALM_S:
            return
        jump_s = rng.uniform(*_JUMP_S) * {AHEAD: 1, BEHIND: -1}.get(kind, 0)
        yield Fault(kind, modality, start_s, stop_s, jump_s)
        start_s = stop_s + CALM_S + rng.exponential(2 * CALM_S)


@dataclass(frozen=True)
class Expected:
    """Of one fault, (rows,) by second: which rows must be invalid,
    of which one at least, which may be.
    """

    must: BoolArray
    one_of: BoolArray
    may: BoolArray


def expected(fault: Fault, seconds: int) -> Expected:
    """What a fault that happened may do to the rows of its modality."""
    rows = np.arange(seconds, dtype=np.float64)
    nothing = np.zeros(seconds, dtype=bool)
    if fault.kind in HARMLESS:
        return Expected(nothing, nothing, nothing)
    if fault.jump_s:
        return _of_a_jump(fault, rows)
    begin_s, end_s = _unusable(fault)
    near_s = PLACED_WITHIN_S[fault.modality]
    low_s, high_s = rows + 1 - WINDOW_S[fault.modality], rows + 1
    around = (low_s < end_s + near_s + 1e-6) & (high_s > begin_s - near_s - 1e-6)
    reach_s = near_s + REACH_S[fault.modality]
    before_s = reach_s if fault.kind in OF_VALUES else near_s + LOOKS_AHEAD_S[fault.modality]
    after_s = (
        reach_s
        + SETTLE_S[fault.modality]
        + (0.0 if fault.kind in OF_VALUES else RESTART_S[fault.modality])
    )
    # The one face of a second lies at its very beginning.
    may = (low_s <= end_s + after_s) & (high_s > min(begin_s, fault.first_s) - before_s)
    covered_s = np.minimum(end_s, high_s) - np.maximum(begin_s, low_s)
    if fault.kind in COVERING:
        must = covered_s >= COVERING[fault.kind] * WINDOW_S[fault.modality] - 1e-6
        return Expected(must, nothing, may)
    sure_low, sure_high = low_s + near_s, high_s - near_s
    first = (sure_low <= begin_s) & (begin_s < sure_high)
    last = (sure_low <= end_s) & (end_s < sure_high)
    inside = (begin_s <= sure_low) & (sure_high <= end_s)
    return Expected(first | last | inside, around, may)


def _of_a_jump(fault: Fault, rows: NDArray[np.float64]) -> Expected:
    """There and back, samples are held until the clock has stayed where it is:
    a row that ends meanwhile lacks them.
    """
    name = fault.modality
    must, may = np.zeros(len(rows), dtype=bool), np.zeros(len(rows), dtype=bool)
    before_s = PLACED_WITHIN_S[name] + LOOKS_AHEAD_S[name]
    after_s = CLOCK_SETTLES_S + RESTART_S[name] + REACH_S[name]
    for jump_s in (fault.first_s, fault.last_s):
        may |= (rows + 1 - WINDOW_S[name] <= jump_s + after_s) & (rows + 1 > jump_s - before_s)
        # From the last sample before the jump to when the first of what is held
        # can no longer be in time.
        held = (
            jump_s + SLOWEST_PERIOD_S + PLACED_WITHIN_S[name],
            jump_s + STAYS_S - PATIENCE_S - 0.1,
        )
        must |= (rows + 1 > held[0]) & (rows + 1 < held[1])
    return Expected(must, np.zeros(len(rows), dtype=bool), may)


def _unusable(fault: Fault) -> tuple[float, float]:
    """From when to when, on the rows' clock, nothing usable is there."""
    if fault.kind == TOO_LATE:
        # All comes at `stop_s`. The first rows are waited for, and go out without;
        # those after them are not.
        return fault.first_s, math.floor(fault.stop_s) - PATIENCE_S - 1e-3
    return fault.first_s, fault.last_s
