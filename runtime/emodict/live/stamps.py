"""SampleClock: times for a stream's samples, though its stamps glitch, step,
are another clock's or of another rate.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emodict.live.clock import CounterClock, SmoothClock
from emodict.live.rarely import RarelyLogger

Float64Array = NDArray[np.float64]

logger = logging.getLogger(__name__)

# Between two samples: a stamp that moves by more, and by more than has passed, is doubted.
JUMP_S, JUMP_PERIODS = 1.0, 4
# So many stamps in a row say that samples were lost; one may be a glitch.
CONFIRMED_BY = 3
# A clock that seems to have stepped must stay where it is for so long.
STAYS_S = 2.0
# By when samples come, a step is known to so much.
KNOWN_TO_S = 0.2
# What the first samples of a stream may be late by: a buffer that was full. More is another clock.
FIRST_LATE_S = 10.0
# By how much a second the usual delay may grow; it may shrink at once.
DELAY_GROWS = 0.02
# Another clock drifts, and LSL does not know it:
# its samples are moved by so much a second to come when they used to.
FOLLOWS = 1e-4
# Stamps this near to the time of day are Unix time.
_DAY_S = 86_400.0
# A rate is measured over the last RATE_FROM_S,
# and over the last RATE_OVER_S (or the time of so many samples).
RATE_FROM_S, RATE_OVER_S = 3.0, 10.0
LOOK_EVERY_S = 0.5
_RATE_SAMPLES = 80
# It is taken where it is this far from the announced one,
# and the same to a share of that in each third of the time.
RATE_OFF = 0.005
_THIRDS = 3
_HOLDS = 0.1
# Lost samples move the line but leave most steps as they are: the middle one, of neighbours and
# over a few samples, agrees with another rate to this share.
_MIDDLE = 0.3
_LAGS = 1, 4
# Stamps that lie on the announced rate's ticks (1: exactly, 0: anywhere)
# are of that rate, with samples lost.
_ON_TICKS = 0.5
_BURST_STEP = 0.1
_CRYSTAL = 5e-4
# A counter that goes further at once has begun again.
_COUNTED_STEP = 256


@dataclass(frozen=True)
class Stamped:
    """(samples, columns) and (samples,) the stamps that came with them."""

    values: NDArray[Any]
    stamps_s: Float64Array

    def __len__(self) -> int:
        return len(self.stamps_s)

    def joined(self, other: Stamped) -> Stamped:
        return Stamped(
            np.concatenate([self.values, other.values]),
            np.concatenate([self.stamps_s, other.stamps_s]),
        )

    def later(self, by_s: float) -> Stamped:
        return Stamped(self.values, self.stamps_s + by_s)

    def runs(self, longest_step_s: float) -> Iterator[Stamped]:
        """The parts between steps that are longer, or go back further."""
        cuts = np.flatnonzero(np.abs(np.diff(self.stamps_s)) > longest_step_s) + 1
        for values, stamps_s in zip(
            np.split(self.values, cuts), np.split(self.stamps_s, cuts), strict=True
        ):
            yield Stamped(values, stamps_s)


@dataclass
class _Doubtful:
    """Samples that wait for others to confirm their stamps.

    Attributes:
        since_s: when the first came.
        delay_s: the least from a stamp to its sample's arrival.
    """

    samples: Stamped
    since_s: float
    delay_s: float


def longest_step_s(rate_hz: float) -> float:
    """Between two samples of one stretch; a slow stream may lack a few."""
    return max(JUMP_S, JUMP_PERIODS / rate_hz)


class TrustedStamps:
    """Lets samples through whose stamps can be,
    and holds those that must be confirmed by the next ones.

    One stamp that cannot be costs its sample. A clock that steps and stays, or is another one from
    the start, is taken over: `shift_s` is added to its stamps, so that samples take as long to
    arrive as they did before.

    Args:
        of: whose stamps these are, for the log.
    """

    def __init__(self, rate_hz: float, *, of: str, log: RarelyLogger) -> None:
        self._jump_s = longest_step_s(rate_hz)
        self._of, self._log = of, log
        self._last_s: float | None = None
        self._last_came_s = math.nan
        # The usual one of late, and what it was when the clock was taken over.
        self._delay_s = self._taken_over_delay_s = 0.0
        self._doubtful: _Doubtful | None = None
        self.shift_s = 0.0
        # The part that comes next is of a clock that was taken over.
        self.begins_again = False

    def take(self, came: Stamped, now_s: float) -> Iterator[Stamped]:
        """What can be placed of what has come, in order;
        a new start of the clock begins a part of its own.
        """
        numbers = np.isfinite(came.stamps_s)
        if not numbers.all():
            self._say_left_out(int((~numbers).sum()))
            came = Stamped(came.values[numbers], came.stamps_s[numbers])
        if len(came):
            for run in came.later(self.shift_s).runs(self._jump_s):
                yield from self._judged(run, now_s)

    def _judged(self, run: Stamped, now_s: float) -> Iterator[Stamped]:
        if self._follows(run, now_s):
            self._drop()
            self._trust(run, now_s)
            yield run
            return
        self._doubt(run, now_s)
        doubtful = self._doubtful
        assert doubtful is not None
        if self._can_be(doubtful):
            self._doubtful = None
            self._trust(doubtful.samples, now_s)
            yield doubtful.samples
        elif len(doubtful.samples) >= CONFIRMED_BY and now_s - doubtful.since_s >= STAYS_S:
            yield self._taken_over(doubtful, now_s)

    def _follows(self, run: Stamped, now_s: float) -> bool:
        """Is this where the last that was trusted, and what has passed since, lead to?"""
        if self._last_s is None:
            return False
        first_s, passed_s = float(run.stamps_s[0]), now_s - self._last_came_s
        if self._doubtful is not None:
            off_s = abs(first_s - float(self._doubtful.samples.stamps_s[-1]))
            if off_s < abs(first_s - self._last_s - passed_s):
                return False
        return -self._jump_s <= first_s - self._last_s <= passed_s + self._jump_s

    def _doubt(self, run: Stamped, now_s: float) -> None:
        delay_s = now_s - float(run.stamps_s[-1])
        doubtful = self._doubtful
        if doubtful is not None:
            step_s = float(run.stamps_s[0] - doubtful.samples.stamps_s[-1])
            if abs(step_s) <= self._jump_s:
                doubtful.samples = doubtful.samples.joined(run)
                doubtful.delay_s = min(doubtful.delay_s, delay_s)
                return
        self._drop()
        self._doubtful = _Doubtful(run, now_s, delay_s)

    def _can_be(self, doubtful: _Doubtful) -> bool:
        """In the past, and after all that was trusted: samples were lost, or the stream begins."""
        if doubtful.delay_s < -self._jump_s:
            return False
        if self._last_s is None:
            return doubtful.delay_s <= FIRST_LATE_S
        return (
            bool(doubtful.samples.stamps_s[0] > self._last_s)
            and len(doubtful.samples) >= CONFIRMED_BY
        )

    def _taken_over(self, doubtful: _Doubtful, now_s: float) -> Stamped:
        by_s = doubtful.delay_s - self._delay_s
        if abs(self.shift_s + by_s) < KNOWN_TO_S:
            # It has stepped back to the clock that it was on.
            by_s = -self.shift_s
        if self._last_s is not None:
            self._log.warning(
                "%s: its clock has stepped by %+.1f s, which is taken out again", self._of, -by_s
            )
        elif abs(float(doubtful.samples.stamps_s[-1]) - time.time()) < _DAY_S:
            self._log.warning(
                "%s: its stamps are Unix time; its samples are placed by their time of arrival",
                self._of,
            )
        else:
            off = (
                "%s: its stamps are %+.1f s off this clock; "
                "its samples are placed by their time of arrival"
            )
            self._log.warning(off, self._of, -by_s)
        self.shift_s += by_s
        self._doubtful, self.begins_again = None, True
        samples = doubtful.samples.later(by_s)
        self._trust(samples, now_s)
        self._taken_over_delay_s = self._delay_s
        return samples

    def _trust(self, run: Stamped, now_s: float) -> None:
        passed_s, self._last_came_s = now_s - self._last_came_s, now_s
        delay_s = now_s - float(run.stamps_s[-1])
        known = self._last_s is not None
        self._delay_s = min(delay_s, self._delay_s + DELAY_GROWS * passed_s) if known else delay_s
        self._last_s = float(run.stamps_s[-1])
        drift_s = self._delay_s - self._taken_over_delay_s
        if self.shift_s and abs(drift_s) > KNOWN_TO_S:
            self.shift_s += math.copysign(FOLLOWS * passed_s, drift_s)

    def _drop(self) -> None:
        if self._doubtful is not None:
            self._say_left_out(len(self._doubtful.samples))
            self._doubtful = None

    def _say_left_out(self, count: int) -> None:
        self._log.warning(
            "%s: samples with impossible time stamps are left out", self._of, count=count
        )


class RateWatch:
    """Measures at which rate samples come, by their stamps:
    `rate_hz` is the announced one until another is proved.
    """

    def __init__(self, rate_hz: float) -> None:
        self.rate_hz = rate_hz
        self._off = RATE_OFF
        self.restart()

    def restart(self) -> None:
        """Samples were lost, or the clock has begun again."""
        self._numbers: Float64Array = np.empty(0)
        self._stamps: Float64Array = np.empty(0)
        self._next_s = -np.inf

    def add(self, stamps_s: Float64Array, steps: Float64Array) -> bool:
        """(samples,) stamps, and by how many samples each is later than the one before;
        is the rate another one now?
        """
        if len(self._stamps) and not 0 <= stamps_s[0] - self._stamps[-1] <= longest_step_s(
            self.rate_hz
        ):
            self.restart()
        last = self._numbers[-1] if len(self._numbers) else 0.0
        self._numbers = np.concatenate([self._numbers, last + np.cumsum(steps)])
        self._stamps = np.concatenate([self._stamps, stamps_s])
        if self._stamps[-1] < self._next_s:
            return False
        self._next_s = self._stamps[-1] + LOOK_EVERY_S
        kept = self._stamps >= self._stamps[-1] - max(RATE_OVER_S, _RATE_SAMPLES / self.rate_hz)
        self._numbers, self._stamps = self._numbers[kept], self._stamps[kept]
        # A change shows in the newest seconds first, and a small one in many.
        newest = self._stamps >= self._stamps[-1] - RATE_FROM_S
        measured_hz = None if newest.all() else self._measured(newest) or self._measured(kept[kept])
        if measured_hz is not None:
            self.rate_hz = measured_hz
            # A rate that seems to change again and again is samples that are lost again and again.
            self._off *= 2
            self.restart()
        return measured_hz is not None

    def _measured(self, part: NDArray[np.bool_]) -> float | None:
        """The rate of a line through the ends of bursts, where it is surely another one."""
        numbers, stamps_s = self._numbers[part], self._stamps[part]
        # Whether the last is one, the next will say.
        ends = np.append(np.diff(stamps_s) * self.rate_hz > _BURST_STEP, False)
        x, y = numbers[ends], stamps_s[ends] - stamps_s[0]
        if len(x) < 3 * _THIRDS:
            return None
        slope = _slope(x, y)
        off = abs(1 / (slope * self.rate_hz) - 1)
        thirds = zip(np.array_split(x, _THIRDS), np.array_split(y, _THIRDS), strict=True)
        holds = all(abs(_slope(*third) / slope - 1) < _HOLDS * off for third in thirds)
        agrees = all(abs(_middle_step(x, y, lag) / slope - 1) < _MIDDLE * off for lag in _LAGS)
        on_ticks = abs(np.exp(2j * np.pi * y * self.rate_hz).mean())
        proved = off > self._off and holds and agrees and on_ticks < _ON_TICKS
        return _plain_hz(1 / slope) if proved else None


def _plain_hz(rate_hz: float) -> float:
    """The nearest half, which devices mostly have,
    where it is as near as crystals are; else four digits.
    """
    half = round(2 * rate_hz) / 2
    return half if abs(rate_hz - half) < _CRYSTAL * rate_hz else float(f"{rate_hz:.4g}")


def _slope(x: Float64Array, y: Float64Array) -> float:
    x = x - x.mean()
    return float(x @ y / (x @ x))


def _middle_step(x: Float64Array, y: Float64Array, lag: int) -> float:
    return float(np.median((y[lag:] - y[:-lag]) / (x[lag:] - x[:-lag])))


class SampleClock:
    """From samples with stamps to samples with even times, on this machine's clock.

    Args:
        rate_hz: as the stream announces it; the attribute is what is measured.
        counter: the column that counts samples, if one does.
        of: whose samples these are, for the log.
    """

    def __init__(
        self, rate_hz: float, *, counter: int | None, of: str, log: RarelyLogger | None = None
    ) -> None:
        self._counter, self._of = counter, of
        self._log = RarelyLogger(logger) if log is None else log
        self._trusted = TrustedStamps(rate_hz, of=of, log=self._log)
        self._watch = RateWatch(rate_hz)
        self._clock = self._new_clock()
        self._counted = math.nan

    @property
    def rate_hz(self) -> float:
        return self._watch.rate_hz

    def _new_clock(self) -> SmoothClock:
        return SmoothClock(self.rate_hz) if self._counter is None else CounterClock(self.rate_hz)

    def place(
        self, values: NDArray[Any], stamps_s: Float64Array, now_s: float
    ) -> tuple[NDArray[Any], Float64Array]:
        """((samples, columns), (samples,)) that have come -> the same, with times,
        of those that can be placed now.
        """
        placed: list[tuple[NDArray[Any], Float64Array]] = [(values[:0], np.empty(0))]
        for run in self._trusted.take(Stamped(values, stamps_s), now_s):
            if self._trusted.begins_again:
                # A line through both clocks would creep from one to the other for half a minute.
                self._clock.restart()
                self._trusted.begins_again = False
            placed.append(self._placed(run))
        kept, times_s = (np.concatenate(parts) for parts in zip(*placed, strict=True))
        return kept, times_s

    def _placed(self, run: Stamped) -> tuple[NDArray[Any], Float64Array]:
        announced_hz = self.rate_hz
        if self._watch.add(run.stamps_s, self._steps(run)):
            self._log.warning(
                "%s: %.4g Hz come where %.4g Hz were announced",
                self._of,
                self.rate_hz,
                announced_hz,
            )
            self._clock = self._new_clock()
        if isinstance(self._clock, CounterClock):
            times_s = self._clock.counted_times_s(run.stamps_s, run.values[:, self._counter])
        else:
            times_s = self._clock.times_s(run.stamps_s)
        timed = np.isfinite(times_s)
        if not timed.all():
            left_out = int((~timed).sum())
            self._log.warning(
                "%s: samples that came twice or out of order are left out", self._of, count=left_out
            )
        return run.values[timed], times_s[timed]

    def _steps(self, run: Stamped) -> Float64Array:
        """(samples,) by how many samples each is later than the one before;
        where a counter wraps, by one.
        """
        if self._counter is None:
            return np.ones(len(run))
        counter = run.values[:, self._counter].astype(np.float64)
        steps = np.diff(counter, prepend=self._counted)
        self._counted = float(counter[-1])
        return np.where(steps < _COUNTED_STEP, np.maximum(steps, 1.0), 1.0)
