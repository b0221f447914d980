"""Time stamps that jitter: even again within each stretch, and apart where samples were lost."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from emodict.recording.grid import GAP_PERIODS
from emodict_desk.importers.clock import start_and_times

Float64Array = NDArray[np.float64]

# Longer steps are pauses, shorter ones jitter; of a slow stream, steps of more than two samples.
PAUSE_S, PAUSE_SAMPLES = 0.5, 2
# A stream is steady where most steps are this near to the nominal one,
# and their middle nearly is it.
_NEAR, _MOST, _NOMINAL = 0.25, 0.5, 0.05
# It is a loss where no sample within so long after it catches up to less than this.
_LOOK_S, _LOST_PERIODS = 2.0, 0.75
_OWN_RATE_S = 10.0
# One stamp this far from both of its neighbours, which follow one another, is wrong.
_GLITCH_S = 1.0
# What times are rounded to, and how near to a whole number of it floats of a day's seconds are.
_TICK_S, _TICK_TOLERANCE = 1e-3, 1e-3


def mended_glitches(times_s: Float64Array, rate_hz: float) -> tuple[Float64Array, int]:
    """Times with single wrong ones between their neighbours, and how many those were."""
    if len(times_s) < 3 or not rate_hz > 0:
        return times_s, 0
    around_s, middle_s = times_s[2:] - times_s[:-2], (times_s[2:] + times_s[:-2]) / 2
    follow = (around_s > 0) & (around_s < 2 * GAP_PERIODS / rate_hz)
    wrong = (
        np.flatnonzero(
            follow & (np.abs(times_s[1:-1] - middle_s) > max(_GLITCH_S, PAUSE_SAMPLES / rate_hz))
        )
        + 1
    )
    mended = times_s.copy()
    mended[wrong] = middle_s[wrong - 1]
    return mended, len(wrong)


def even_times(times_s: Float64Array, rate_hz: float) -> tuple[Float64Array, int]:
    """Times that are even within each stretch, and how many samples were lost in between.

    Args:
        times_s: (samples,) in the order in which they were taken; they may jitter.
        rate_hz: nominal.

    Where most samples come at the nominal rate they stay at it: what was lost is a gap,
    never spread over the rest. Elsewhere (bursts, another rate) only pauses are gaps,
    and losses not known: 0.
    """
    if len(times_s) < 2:
        return times_s, 0
    steps_s = np.diff(times_s)
    pauses = np.abs(steps_s) > max(PAUSE_S, PAUSE_SAMPLES / rate_hz)
    losses = (
        _losses(times_s, pauses, rate_hz)
        if _is_steady(steps_s, rate_hz)
        else np.zeros(len(steps_s), dtype=bool)
    )
    edges = [0, *(np.flatnonzero(pauses | losses) + 1).tolist(), len(times_s)]
    stretches = [times_s[start:stop] for start, stop in itertools.pairwise(edges)]
    if not losses.any():
        even_s = np.concatenate([_line(stretch_s) for stretch_s in stretches])
    else:
        even_s = _laid_apart(stretches, rate_hz)
    gaps = np.rint(np.diff(even_s)[pauses | losses] * rate_hz) - 1
    return even_s, int(gaps[gaps > 0].sum()) if _is_steady(steps_s, rate_hz) else 0


def unrounded(times_s: Float64Array, rate_hz: float) -> Float64Array:
    """Times that were rounded to milliseconds, as even as the samples were taken.

    Others, and those that even steps do not explain, stay as they are.
    """
    ticks = times_s / _TICK_S
    whole = np.abs(ticks - np.rint(ticks)).max(initial=0.0) < _TICK_TOLERANCE
    if not whole or start_and_times(times_s, rate_hz)[1] is None:
        return times_s
    even_s, _ = even_times(times_s, rate_hz)
    return even_s if np.abs(even_s - times_s).max() <= _TICK_S else times_s


def _is_steady(steps_s: Float64Array, rate_hz: float) -> bool:
    """Does each sample bear its own time, most of them at the nominal rate?"""
    near = np.abs(steps_s * rate_hz - 1) < _NEAR
    return bool(near.mean() >= _MOST and abs(np.median(steps_s[near]) * rate_hz - 1) < _NOMINAL)


def _losses(times_s: Float64Array, pauses: NDArray[np.bool_], rate_hz: float) -> NDArray[np.bool_]:
    """(steps,) True where samples were lost: a long step after which none catches up.

    A late packet makes a long step, too, and the next one, on time, a short one or one back.
    """
    steps_s = np.diff(times_s)
    lost = np.zeros(len(steps_s), dtype=bool)
    look = max(2, round(_LOOK_S * rate_hz))
    late_s = times_s - np.arange(len(times_s)) / rate_hz
    start = 0
    for at in np.flatnonzero(pauses | (steps_s * rate_hz > GAP_PERIODS)):
        if not pauses[at]:
            before_s, after_s = (
                late_s[max(start, at + 1 - look) : at + 1],
                late_s[at + 1 : at + 1 + look],
            )
            # Of the last few samples of a file the earliest may be late, too.
            level_s = before_s.min() if len(after_s) == look else before_s.max()
            lost[at] = (after_s.min() - level_s) * rate_hz > _LOST_PERIODS
        if lost[at] or pauses[at]:
            start = at + 1
    return lost


def _line(times_s: Float64Array) -> Float64Array:
    """The straight line through the times of one stretch."""
    if len(times_s) < 2:
        return times_s
    number = np.arange(len(times_s))
    slope, offset = np.polyfit(number, times_s - times_s[0], 1)
    return np.asarray(times_s[0] + offset + slope * number)


def _laid_apart(stretches: Sequence[Float64Array], rate_hz: float) -> Float64Array:
    """Stretches at the nominal rate, each as late as its earliest sample: none precedes its taking.

    One of more than _OWN_RATE_S has its own rate: crystals differ, and that is long enough to see
    it. None begins before the one before it is over.
    """
    laid: list[Float64Array] = []
    for times_s in stretches:
        number = np.arange(len(times_s))
        line_s = _line(times_s) if times_s[-1] - times_s[0] > _OWN_RATE_S else number / rate_hz
        line_s = line_s + (times_s - line_s).min()
        if laid and 0 < laid[-1][-1] + 1 / rate_hz - line_s[0] < PAUSE_S:
            line_s += laid[-1][-1] + 1 / rate_hz - line_s[0]
        laid.append(line_s)
    return np.concatenate(laid)
