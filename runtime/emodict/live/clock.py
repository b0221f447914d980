"""Clocks of live streams: even times from stamps that jitter, come in bursts or are late,
and from sample counters.
"""

from __future__ import annotations

import itertools
import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Float64Array = NDArray[np.float64]

# Stamps are condensed to one value per block,
# and a line is fitted through the blocks of the last HISTORY_S.
BLOCK_S = 0.25
# A block of a stream that comes in bursts has to hold the end of one.
BURST_BLOCK_S = 1.0
HISTORY_S = 30.0
# How far from its nominal rate a device's clock may run before the stamps have to prove it.
RATE_TOLERANCE = 1e-3
# A line that has moved is approached over such a time, not jumped to;
# beyond LEAP_S it is jumped to.
APPROACH_S = 0.5
LEAP_S = 0.3
# Blocks in a row that must lie beside the line before samples are held to have been
# lost among jittering stamps.
_BESIDE_BLOCKS = 4
# Steps below this share of a period make a burst; more than half of them, a stream of bursts.
_BURST_STEP = 0.1
_BURST_SHARE = 0.5
_RECENT_S = 5.0
# Before so much is known of a stream's jitter, only gaps beyond FIRST_GAP_S are believed.
_KNOWN_S = 2.0
_FIRST_GAP_S = 0.25
# A gap longer than this need not be a whole number of periods: the device has begun again.
_WHOLE_GAP_S = 2.0
_WHOLE_PERIODS = 0.25
_COUNTER_TURNS = (1 << 8, 1 << 16, 1 << 24, 1 << 32)
_COUNTER_SHARE = 0.5


class _Part(NamedTuple):
    """(samples,) the numbers of samples that came together,
    and by how much their stamps lie off number / rate.
    """

    numbers: Float64Array
    offsets_s: Float64Array


class _Block(NamedTuple):
    """What is kept of BLOCK_S of samples: the middle one's number, and one offset for all."""

    number: float
    offset_s: float


class _Line:
    """time = index / rate + offset, the offset a line fitted robustly through stamps.

    Args:
        first_s: the stamp of index 0.
    """

    def __init__(self, rate_hz: float, first_s: float) -> None:
        self.rate_hz = rate_hz
        self._first_s = first_s
        self._level_s, self._slope, self._pivot = 0.0, 0.0, 0.0
        # What is still between the times given out and the line, at index _pivot.
        self._lag_s = 0.0
        self._blocks: list[_Block] = []
        self._open: list[_Part] = []
        self._started = False

    def late_s(self, index: Float64Array, stamps_s: Float64Array) -> Float64Array:
        """(samples,) how much later than its index says each stamp is."""
        return stamps_s - self.times_s(index)

    def _offset_s(self, index: float) -> float:
        ahead_s = (index - self._pivot) / self.rate_hz
        return (
            self._level_s
            + self._slope * ahead_s
            + self._lag_s * math.exp(-max(0.0, ahead_s) / APPROACH_S)
        )

    def times_s(self, index: Float64Array) -> Float64Array:
        """(samples,) of time."""
        ahead_s = (index - self._pivot) / self.rate_hz
        offset_s = self._level_s + self._slope * ahead_s
        if self._lag_s:
            # Before it, where stamps that were set back may lie, the lag does not grow.
            offset_s += self._lag_s * np.exp(-np.maximum(0.0, ahead_s) / APPROACH_S)
        times: Float64Array = index / self.rate_hz + (offset_s + self._first_s)
        return times

    def add(self, index: Float64Array, stamps_s: Float64Array, *, bursts: bool) -> None:
        """Learn from samples; index must grow from call to call."""
        self._open.append(_Part(index, stamps_s - index / self.rate_hz - self._first_s))
        span_s = (index[-1] - self._open[0].numbers[0] + 1) / self.rate_hz
        full = span_s >= (BURST_BLOCK_S if bursts else BLOCK_S)
        if not (full or self._few):
            return
        at = np.concatenate([part.numbers for part in self._open])
        offsets_s = np.concatenate([part.offsets_s for part in self._open])
        # Nothing arrives before it was taken:
        # the earliest of a burst is its last sample, and the least late.
        value_s = float(offsets_s.min()) if bursts else _median(offsets_s)
        block = _Block(float(at.mean()), value_s)
        # From the first of these samples on,
        # so that the times given out before go on without a step.
        self._fit([*self._blocks, block], float(index[0]))
        if full:
            self._blocks.append(block)
            self._open.clear()
            self._blocks = [
                b for b in self._blocks if at[-1] - b.number <= HISTORY_S * self.rate_hz
            ]

    @property
    def _few(self) -> bool:
        """A line through so little is better fitted at every call."""
        return len(self._blocks) < _BESIDE_BLOCKS

    def restart(self) -> None:
        """Forget where the line lay, but not how the device's clock runs:
        it begins again after a gap.
        """
        self._blocks.clear()
        self._open.clear()

    def _fit(self, blocks: list[_Block], now: float) -> None:
        before_s = self._offset_s(now)
        x = (np.array([block.number for block in blocks]) - now) / self.rate_hz
        y = np.array([block.offset_s for block in blocks])
        level_s, slope, scale_s = _robust_line(x, y, self._slope)
        recent_s = (y - level_s - slope * x)[-_BESIDE_BLOCKS:]
        limit_s = max(0.5 / self.rate_hz, 3 * scale_s)
        if len(blocks) > 2 * _BESIDE_BLOCKS and (
            (recent_s > limit_s).all() or (recent_s < -limit_s).all()
        ):
            del self._blocks[: -_BESIDE_BLOCKS + 1]
            level_s, slope = _median((y - self._slope * x)[-_BESIDE_BLOCKS:]), self._slope
        self._level_s, self._slope, self._pivot, self._lag_s = level_s, slope, now, 0.0
        if self._started and abs(before_s - level_s) < LEAP_S:
            self._lag_s = before_s - level_s
        self._started = True


def _median(values: Float64Array) -> float:
    """np.median looks for NaN and axes first,
    which takes ten times as long for a few dozen values.
    """
    ordered, count = np.sort(values), len(values)
    return float(ordered[(count - 1) // 2] + ordered[count // 2]) / 2


def _robust_line(x: Float64Array, y: Float64Array, slope: float) -> tuple[float, float, float]:
    """(level at x = 0, slope, scale of the rest): Huber's weights,
    and a slope that is small until proven large.
    """
    level = _median(y - slope * x)
    for _ in range(3):
        rest = y - level - slope * x
        scale = max(1.4826 * _median(np.abs(rest)), 1e-6)
        weights = np.minimum(1.0, 1.5 * scale / np.maximum(np.abs(rest), 1e-12)) / scale**2
        total = weights.sum()
        mean_x, mean_y = float((weights * x).sum() / total), float((weights * y).sum() / total)
        spread = float((weights * (x - mean_x) ** 2).sum()) + 1 / RATE_TOLERANCE**2
        slope = float((weights * (x - mean_x) * (y - mean_y)).sum()) / spread
        level = mean_y - slope * mean_x
    return level, slope, scale


class SmoothClock:
    """Even times from stamps: jitter is smoothed, bursts are spread, gaps stay gaps.

    Stamps are on one clock, such as the device's after LSL's correction; the times are too.
    A sample that is late is not a lost one: what counts is whether the stamps that come
    with it are late as well.
    """

    def __init__(self, rate_hz: float) -> None:
        self._rate_hz = rate_hz
        self._next = 0.0
        self._line: _Line | None = None
        self._last_s = -math.inf
        self._recent = _Recent(rate_hz)

    def times_s(self, stamps_s: Float64Array) -> Float64Array:
        """(samples,) stamps that came together -> (samples,) times;
        NaN for one that is not after those before it.
        """
        stamps_s = np.asarray(stamps_s, dtype=np.float64)
        if not len(stamps_s):
            return stamps_s
        if self._line is None:
            self._line = _Line(self._rate_hz, float(stamps_s[0]))
        index, late_s = self._indexed(self._line, stamps_s)
        self._next = float(index[-1]) + 1
        return self._placed(self._line, index, stamps_s, late_s)

    def restart(self) -> None:
        """Forget where the line lay:
        the stamps that come next are of a clock that was taken over.
        """
        if self._line is not None:
            self._line.restart()

    def _placed(
        self, line: _Line, index: Float64Array, stamps_s: Float64Array, late_s: Float64Array
    ) -> Float64Array:
        self._recent.add(stamps_s, late_s)
        line.add(index, stamps_s, bursts=self._recent.bursts)
        times_s = line.times_s(index)
        if times_s[0] <= self._last_s:
            times_s = np.where(times_s > self._last_s, times_s, np.nan)
        if not math.isnan(times_s[-1]):
            self._last_s = float(times_s[-1])
        return times_s

    def _indexed(self, line: _Line, stamps_s: Float64Array) -> tuple[Float64Array, Float64Array]:
        """((samples,) the number of each, more than one apart where samples are missing;
        (samples,) how late it is).
        """
        index = self._next + np.arange(len(stamps_s), dtype=np.float64)
        late_s = line.late_s(index, stamps_s)
        # Every pass accounts for one gap.
        for _ in range(len(stamps_s)):
            shift_s, first = self._shift(late_s)
            if not shift_s:
                break
            periods = shift_s * self._rate_hz
            whole = round(periods)
            if (
                self._recent.bursts
                or abs(periods - whole) > _WHOLE_PERIODS
                or abs(shift_s) > _WHOLE_GAP_S
            ):
                # How long the gap was is known better once a whole burst has come.
                line.restart()
            else:
                periods = float(whole)
            index[first:] += periods
            late_s = line.late_s(index, stamps_s)
        return index, late_s

    def _shift(self, late_s: Float64Array) -> tuple[float, int]:
        """(by how much the samples from one on are off, which one); (0, 0) if none is."""
        limit_s = self._recent.gap_s
        if late_s[-1] > limit_s:
            late = np.minimum.accumulate(late_s[::-1])[::-1] > limit_s
            # The first of those after which nothing is in time again.
            first = int(np.argmax(late))
            rest_s = late_s[first:]
            # A second gap further on is found the next time round.
            jumps = np.flatnonzero(np.diff(rest_s) > limit_s)
            rest_s = rest_s[: int(jumps[0]) + 1] if len(jumps) else rest_s
            return float(rest_s.min()) if self._recent.bursts else _median(rest_s), first
        if late_s.max() < -limit_s:
            return _median(late_s), 0
        return 0.0, 0


class _Stretch(NamedTuple):
    """What the stamps of a few seconds were like; none yet."""

    samples: int = 0
    small_steps: int = 0
    least_late_s: float = math.inf
    most_late_s: float = -math.inf

    def joined(self, other: _Stretch) -> _Stretch:
        return _Stretch(
            self.samples + other.samples,
            self.small_steps + other.small_steps,
            min(self.least_late_s, other.least_late_s),
            max(self.most_late_s, other.most_late_s),
        )


class _Recent:
    """How a stream's stamps have behaved in the last seconds:
    in this stretch and the one before it.
    """

    def __init__(self, rate_hz: float) -> None:
        self._rate_hz = rate_hz
        self._stretch = max(8, round(_RECENT_S / 2 * rate_hz))
        self._known = max(4, round(_KNOWN_S * rate_hz))
        self._count = 0
        self._now = self._before = _Stretch()
        self._last_stamp_s = -math.inf
        self.bursts = False
        # How late all stamps that come together must be for samples to have been lost.
        self.gap_s = max(_FIRST_GAP_S, 1.5 / rate_hz)

    def add(self, stamps_s: Float64Array, late_s: Float64Array) -> None:
        small = int(
            np.count_nonzero(np.abs(stamps_s[1:] - stamps_s[:-1]) * self._rate_hz < _BURST_STEP)
        )
        small += abs(float(stamps_s[0]) - self._last_stamp_s) * self._rate_hz < _BURST_STEP
        self._last_stamp_s = float(stamps_s[-1])
        self._count += len(stamps_s)
        self._now = self._now.joined(
            _Stretch(len(stamps_s), small, float(late_s.min()), float(late_s.max()))
        )
        self._judge(self._before.joined(self._now))
        if self._now.samples >= self._stretch:
            self._before, self._now = self._now, _Stretch()

    def _judge(self, seen: _Stretch) -> None:
        if self._count >= 8:
            self.bursts = seen.small_steps > _BURST_SHARE * seen.samples
        if self._count >= self._known:
            self.gap_s = 0.5 / self._rate_hz + 1.25 * (seen.most_late_s - seen.least_late_s)


class CounterClock(SmoothClock):
    """Times from a counter of samples:
    what the stamps say of single samples is ignored, their trend is kept.

    The counter may wrap at 8, 16, 24 or 32 bits, or at any other value, and during a gap more than
    once. Samples that are lost leave a gap, repeated and overtaken ones are marked, and a counter
    that begins again is taken up where the stamps say.
    """

    def __init__(self, rate_hz: float) -> None:
        super().__init__(rate_hz)
        self._value: int | None = None
        self._turn: int | None = None
        # The number after that of the newest sample; `_next` follows the last one that came,
        # which may be an old one.
        self._newest = 0.0

    def counted_times_s(self, stamps_s: Float64Array, counter: NDArray[Any]) -> Float64Array:
        """((samples,), (samples,)) -> (samples,) times;
        NaN for a sample that came twice, or after later ones.
        """
        stamps_s = np.asarray(stamps_s, dtype=np.float64)
        if not len(stamps_s):
            return stamps_s
        values = np.rint(counter).astype(np.int64)
        if self._line is None or self._value is None:
            self._line = _Line(self._rate_hz, float(stamps_s[0]))
            self._value = int(values[0]) - 1
        steps = self._steps(self._line, stamps_s, np.diff(values, prepend=self._value), values)
        index = self._next - 1 + np.cumsum(steps)
        self._value, self._next = int(values[-1]), float(index[-1]) + 1
        times_s = np.full(len(index), math.nan)
        newest = np.maximum.accumulate(np.concatenate([[self._newest - 1], index]))
        fresh = index > newest[:-1]
        self._newest = float(newest[-1]) + 1
        if fresh.any():
            index, stamps_s = index[fresh], stamps_s[fresh]
            times_s[fresh] = self._placed(
                self._line, index, stamps_s, self._line.late_s(index, stamps_s)
            )
        return times_s

    def _steps(
        self,
        line: _Line,
        stamps_s: Float64Array,
        differences: NDArray[np.int64],
        values: NDArray[np.int64],
    ) -> Float64Array:
        """(samples,) how many periods each sample lies after the one before it."""
        steps = differences.astype(np.float64)
        doubtful = (differences != 0) & (differences != 1)
        # Before the first, whole turns may have been lost, after which the counter seems to go on.
        doubtful[0] = True
        for at, following in itertools.pairwise((*np.flatnonzero(doubtful), len(steps))):
            due_s = float(line.times_s(np.asarray([self._next - 1 + steps[:at].sum()]))[0])
            # By the least late of the samples that follow it:
            # what was held up comes at one go, its last in time.
            late = (
                (stamps_s[at:following] - due_s) * self._rate_hz
                - np.cumsum(steps[at:following])
                + steps[at]
            )
            steps[at] = self._step(int(differences[at]), int(values[at]), float(late.min()))
        return steps

    def _turns(self, before: int, value: int) -> tuple[int, ...]:
        """Where a counter that went from one value to another may have wrapped:
        that of 16 bits is not one of 8.
        """
        if self._turn is not None:
            return (self._turn,)
        return (*(turn for turn in _COUNTER_TURNS if turn > max(before, value)), before + 1)

    def _step(self, difference: int, value: int, elapsed: float) -> float:
        """Periods between two samples whose counters differ so,
        the stamps being that many periods apart.
        """
        slack = max(3.0, self._rate_hz * 1.25 * self._recent.gap_s)
        goes_on = difference in (0, 1)
        if goes_on and (self._turn is None or elapsed < self._turn - slack):
            return float(difference)
        if self._turn is None and (
            0 < difference <= elapsed + slack or abs(difference - elapsed) <= slack
        ):
            return float(difference)
        if (
            self._turn is not None
            and difference % self._turn
            and abs(difference % self._turn - elapsed) <= slack
        ):
            return float(difference % self._turn)
        turns = self._turns(value - difference, value)
        # Of all steps that end with this value the one that the stamps speak for: back,
        # too, to what came before.
        steps = [(difference + turn * round((elapsed - difference) / turn), turn) for turn in turns]
        off, step, turn = min((abs(step - elapsed), step, turn) for step, turn in steps)
        if off <= slack:
            self._turn = turn
            return float(step)
        if self._turn is not None and (
            goes_on or 0 < difference % self._turn <= elapsed < self._turn
        ):
            # Stamps may be late by more than they ever were; a counter that goes on has not.
            return float(difference % self._turn)
        self._turn = None
        line_step = max(1.0, elapsed)
        if self._line is not None and line_step > slack:
            self._line.restart()
        return line_step


def counts_samples(counter: NDArray[Any]) -> bool:
    """Whether a channel that calls itself a counter grows by one from most samples to the next."""
    values = np.asarray(counter, dtype=np.float64)
    if not np.isfinite(values).all():
        return False
    return bool(np.count_nonzero(np.diff(values) == 1) > _COUNTER_SHARE * (len(values) - 1))
