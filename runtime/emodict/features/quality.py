"""Is a window fit to be used, and how clean is it? One answer per modality
and window, from 0 to 1.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from emodict.features.products import product
from emodict.features.spec import ModalitySpec
from emodict.recording.modalities import modality_of

Float64Array = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

# A constant that was resampled still moves by its rounding.
CONSTANT_SHARE = 1e-12
# A signal that spends most of its time within 1 % of its own extremes is clipped,
# or dwarfed by one spike.
RAIL_SHARE_OF_RANGE = 0.01
SATURATED_SHARE = 0.5
# A person's pulse lies between 42 and 180 a minute.
PULSE_HZ = (0.7, 3.0)
PULSE_BAND_HZ = (0.5, 8.0)

_LARGEST, _SMALLEST = float(np.finfo(np.float64).max), 5e-324
# Up to so many samples of a single window are looked at side by side.
_BESIDE = 80


def without_unusable(
    modality: ModalitySpec, samples: Float64Array, *, unit: float = 1.0
) -> Float64Array:
    """The samples, NaN in place of what is infinite or out of the modality's range;
    a copy only if there is any.

    Done before any filter: one absurd sample would ring on through seconds that look well. `unit`
    is that of the samples in the spec's.
    """
    lower, upper = (limit / unit for limit in _limits(modality))
    if not samples.size or (lower <= samples.min() and samples.max() <= upper):
        return samples
    return np.where((samples >= lower) & (samples <= upper), samples, np.nan)


def assess(modality: ModalitySpec, windows: Float64Array) -> tuple[BoolArray, Float64Array]:
    """(windows, samples, channels) raw at the spec's rate,
    NaN where missing -> valid and quality (windows,).

    A window is invalid if any sample is missing or out of range, or any channel is constant, stuck
    for more than half of it, or saturated. Quality is 0 for an invalid window. Where the modality
    has it so (`constant_usable`), a constant window is valid.
    """
    reach = _reach(modality, windows)
    if modality.kind == "embedding":
        good = _all_channels(reach.ok)
        return good, good.astype(np.float64)
    moves = reach.swing > reach.still
    if every(moves):
        # The usual case, spared the copies.
        return _assess_moving(modality, windows, reach)
    moving = _all_channels(moves)
    valid, quality = moving.copy(), np.zeros(len(moving))
    at = np.flatnonzero(moving)
    valid[at], quality[at] = _assess_moving(modality, windows[at], reach.of(at))
    if modality.constant_usable:
        # Of a single channel: what is good and does not move is constant.
        constant = _all_channels(reach.ok) & ~moving
        valid |= constant
        quality[constant] = _constant_score(modality, windows)
    return valid, quality


def why_invalid(modality: ModalitySpec, windows: Float64Array) -> list[str]:
    """A reason for each of the windows (windows, samples, channels) that `assess` calls invalid.

    Several channels may be bad for several reasons; the first of them here is given.
    """
    suspects = windows[~assess(modality, windows)[0]]
    reach = _reach(modality, suspects)
    missing = np.isnan(reach.low)
    lower, upper = _limits(modality)
    usable = f"{lower:g} to {upper:g} {modality.unit}".strip()
    reasons = {
        "samples are missing": missing,
        f"out of range: usable is {usable}": ~reach.ok & ~missing,
        "it does not move": reach.ok & (reach.swing <= reach.still),
        "it stands still for half of the time": _stuck(suspects, reach.still),
        "clipped: most samples lie at its extremes": _saturated(suspects, reach),
    }
    each = np.stack([bad.any(axis=1) for bad in reasons.values()])
    return [list(reasons)[i] for i in each.argmax(axis=0)]


def without_bad_channels(
    modality: ModalitySpec, windows: Float64Array, valid: BoolArray
) -> Float64Array:
    """The windows, NaN throughout each channel for which `assess` found one not valid;
    a copy only if there is any.

    Done before a filter that carries its state: a saturated second would ring on through the next.
    """
    if every(valid):
        return windows
    at = np.flatnonzero(~valid)
    suspects = windows[at]
    reach = _reach(modality, suspects)
    still = ~reach.ok | (reach.swing <= reach.still) | _stuck(suspects, reach.still)
    bad = still | _saturated(suspects, reach)
    cleaned = windows.copy(order="K")
    cleaned[at] = np.where(bad[:, None], np.nan, suspects)
    return cleaned


class _Reach(NamedTuple):
    """How far each channel of each window reaches, all (windows, channels).

    `ok`: every sample is there and in range; elsewhere `swing`, from the lowest to the highest
    sample, and `still`, what rounding moves a constant by, are 0.
    """

    low: Float64Array
    high: Float64Array
    ok: BoolArray
    swing: Float64Array
    still: Float64Array

    def of(self, windows: NDArray[np.intp]) -> _Reach:
        """The same of some of the windows."""
        low, high, ok, swing, still = self
        return _Reach(low[windows], high[windows], ok[windows], swing[windows], still[windows])


def _reach(modality: ModalitySpec, windows: Float64Array) -> _Reach:
    low, high = fold(np.minimum, windows), fold(np.maximum, windows)
    lower, upper = _limits(modality)
    # NaN compares false, so a window that touches a gap is out of every range.
    ok: BoolArray = (low >= lower) & (high <= upper)
    # The larger of the two is that of their sizes, for high is not below low.
    still = CONSTANT_SHARE * np.maximum(high, -low)
    if every(ok):
        return _Reach(low, high, ok, high - low, still)
    swing = np.subtract(high, low, out=np.zeros_like(low), where=ok)
    return _Reach(low, high, ok, swing, np.where(ok, still, 0.0))


def _assess_moving(
    modality: ModalitySpec, windows: Float64Array, reach: _Reach
) -> tuple[BoolArray, Float64Array]:
    """The same for windows in which every sample is there, in range, and not constant."""
    quality = _score(modality)(modality, windows, reach.swing)
    good = np.ones(len(windows), dtype=bool)
    if modality_of(modality.name).coarse:
        # It may well sit at its extremes for five seconds.
        return good, quality
    maybe = _maybe_saturated(windows, reach)
    if len(maybe):
        good[maybe] = _all_channels(~_saturated(windows[maybe], reach.of(maybe)))
    middle = windows.shape[1] // 2
    # A stuck channel's run covers the middle and the sample before it, in an odd window perhaps the
    # one after it: their differences clear most windows.
    beside = windows[:, middle - 1 : middle + 1 + windows.shape[1] % 2 : 2]
    if np.count_nonzero(np.abs(beside - windows[:, middle, None]) <= reach.still[:, None]):
        good &= _all_channels(~_stuck(windows, reach.still))
    return good, quality if every(good) else np.where(good, quality, 0.0)


def _limits(modality: ModalitySpec) -> tuple[float, float]:
    """The range of usable samples; beyond the largest number lies only infinity."""
    lower, upper = modality.valid_range
    return -_LARGEST if lower is None else lower, _LARGEST if upper is None else upper


def every(flags: BoolArray) -> bool:
    """flags.all(), which costs three times as much of a few."""
    return np.count_nonzero(flags) == flags.size


def _all_channels(each: BoolArray) -> BoolArray:
    good: BoolArray = each[:, 0] if each.shape[1] == 1 else np.logical_and.reduce(each, axis=1)
    return good


# Of a channel that is not in range, whose samples may be infinite, what they say does not matter.
@np.errstate(invalid="ignore", over="ignore")
def _stuck(windows: Float64Array, still: Float64Array) -> BoolArray:
    """(windows, channels): the same sample again and again for more than half of the window.

    Such a run covers the window's middle, and one of the two samples half of the window apart that
    lie a quarter from its ends: what differs there is looked at no further. `still` is what
    rounding moves a constant by.
    """
    samples = windows.shape[1]
    apart = np.abs(windows[:, samples // 4 :: samples // 2][:, :2] - windows[:, samples // 2, None])
    stuck: BoolArray = np.logical_or.reduce(apart <= still[:, None], axis=1)
    window, channel = np.nonzero(stuck)
    run = windows[window, :, channel]
    middle = run.shape[1] // 2
    moved = np.abs(run - run[:, middle, None]) > still[window, channel, None]
    # A step on either side, at the ends if nowhere before: how far the middle's run reaches.
    ends = np.ones((len(run), 1), dtype=bool)
    after = np.concatenate([moved[:, middle:], ends], axis=1).argmax(axis=1)
    before = np.concatenate([moved[:, middle::-1], ends], axis=1).argmax(axis=1)
    stuck[window, channel] = 2 * (after + before - 1) > run.shape[1]
    return stuck


def _maybe_saturated(windows: Float64Array, reach: _Reach) -> NDArray[np.intp]:
    """The windows in which a channel may be saturated; it overlooks none, for it counts further in.

    Two comparisons and a count, where `_saturated` takes four passes.
    """
    margin = 1.001 * RAIL_SHARE_OF_RANGE * reach.swing + reach.still
    near = windows >= (reach.high - margin)[:, None]
    near |= windows <= (reach.low + margin)[:, None]
    most = SATURATED_SHARE * windows.shape[1]
    # All of a single window's are seldom so many.
    if np.count_nonzero(near) <= most:
        return np.empty(0, dtype=np.intp)
    return np.flatnonzero((_count(near) > most).any(axis=1))


@np.errstate(invalid="ignore", over="ignore")
def _saturated(windows: Float64Array, reach: _Reach) -> BoolArray:
    """(windows, channels): more than half of the samples at an extreme."""
    half = reach.swing / 2
    centred = np.abs(windows - (reach.low + half)[:, None])
    at_rail = centred >= (half - RAIL_SHARE_OF_RANGE * reach.swing)[:, None]
    over: BoolArray = _count(at_rail) > SATURATED_SHARE * windows.shape[1]
    return over


def _count(flags: BoolArray) -> NDArray[np.intp]:
    """How many of each channel: (windows, samples, channels) -> (windows, channels)."""
    count = np.zeros((len(flags), flags.shape[2]), dtype=np.intp)
    # As many as a byte can count at a time: sums of bytes are far quicker than of wide integers.
    for at in range(0, flags.shape[1], 255):
        part = flags[:, at : at + 255].view(np.uint8)
        count += np.add.reduce(part, axis=1, dtype=np.uint8)
    return count


def fold(operation: np.ufunc, windows: Float64Array) -> Float64Array:
    """operation.reduce over axis 1; of a single window with several samples side by side first.

    numpy's inner loop runs over the channels alone, and costs more to enter than to run.
    """
    count, samples, channels = windows.shape
    beside = math.gcd(samples, _BESIDE)
    if count == 1 and 1 < channels < _BESIDE and beside > 1:
        rows = windows.reshape(1, samples // beside, beside * channels)
        windows = operation.reduce(rows, axis=1).reshape(1, beside, channels)
    return np.asarray(operation.reduce(windows, axis=1))


def _swing_score(
    modality: ModalitySpec, windows: Float64Array, swing: Float64Array
) -> Float64Array:
    """Mean over channels of min(1, clean / peak-to-peak)."""
    clean = modality_of(modality.name).clean
    mean: Float64Array = np.add.reduce(clean / np.maximum(swing, clean), axis=1) / swing.shape[1]
    return mean


@functools.cache
def pulse_bins(samples: int, rate_hz: float) -> tuple[slice, slice, Float64Array]:
    """Which DFT bins tell a pulse, which of these it may be at, and what is summed for each.

    (bins, pulse bins + 1): 1 for the bins at a pulse frequency and its first overtone, one to each
    side; in the last column, for those between 0.5 and 8 Hz.
    """
    hz = np.fft.rfftfreq(samples, 1 / rate_hz)
    band = np.flatnonzero((hz >= PULSE_BAND_HZ[0]) & (hz <= PULSE_BAND_HZ[1]))
    pulse = np.flatnonzero((hz >= PULSE_HZ[0]) & (hz <= PULSE_HZ[1]))
    around = np.add.outer(np.multiply.outer(pulse, (1, 2)), (-1, 0, 1)).reshape(len(pulse), 6)
    first, last = min(band[0], around.min()), min(max(band[-1], around.max()), len(hz) - 1)
    summed = [np.isin(np.arange(first, last + 1), row) for row in (*around, band)]
    return (
        slice(first, last + 1),
        slice(pulse[0] - first, pulse[-1] + 1 - first),
        np.stack(summed, axis=1).astype(np.float64),
    )


def pulse_share(windows: Float64Array, rate_hz: float) -> Float64Array:
    """(windows, samples, 1) -> the share of the 0.5-8 Hz power that lies at one
    pulse and its first overtone.
    """
    samples = windows.shape[1]
    bins, pulse, summed = pulse_bins(samples, rate_hz)
    mean = np.add.reduce(windows, axis=1) / samples
    spectrum = np.fft.rfft((windows[:, :, 0] - mean) * _hanning(samples))[:, bins]
    power = np.square(spectrum.real) + np.square(spectrum.imag)
    sums = product(power, summed)
    near = sums[np.arange(len(sums)), power[:, pulse].argmax(axis=1)]
    # Without power there is none near a pulse: 0 of the smallest number.
    share: Float64Array = near / np.maximum(sums[:, -1], _SMALLEST)
    return np.minimum(share, 1.0)


_hanning = functools.cache(np.hanning)


def _step_score(modality: ModalitySpec, windows: Float64Array, swing: Float64Array) -> Float64Array:
    """min(1, clean / steepest step), both in the unit a second."""
    clean = modality_of(modality.name).clean
    steps = np.abs(windows[:, 1:] - windows[:, :-1])
    steepest = np.maximum.reduce(steps, axis=(1, 2)) * modality.rate_hz
    score: Float64Array = clean / np.maximum(steepest, clean)
    return score


def _constant_score(modality: ModalitySpec, windows: Float64Array) -> float:
    """What the formula gives a constant, whatever its level: 0 without a pulse, 1 without a step.

    Of zeros, for the rounding of a level would pass for the power of a pulse.
    """
    still = np.zeros_like(windows[:1])
    return float(_score(modality)(modality, still, still[:, 0])[0])


_Score = Callable[[ModalitySpec, Float64Array, Float64Array], Float64Array]
_SCORES: dict[str, _Score] = {
    "": lambda modality, windows, swing: np.ones(len(windows)),
    "swing": _swing_score,
    "pulse": lambda modality, windows, swing: pulse_share(windows, modality.rate_hz),
    "step": _step_score,
}


def _score(modality: ModalitySpec) -> _Score:
    return _SCORES[modality_of(modality.name).score]
