"""Is a window fit to be used, and how clean is it? One answer per modality
and window, from 0 to 1.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

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

_LARGEST = float(np.finfo(np.float64).max)
# Below this many windows, short cuts for many windows cost more than they save.
_FEW = 8


def without_unusable(
    modality: ModalitySpec, samples: Float64Array, *, unit: float = 1.0
) -> Float64Array:
    """The samples, NaN in place of what is infinite or out of the modality's range;
    a copy only if there is any.

    Done before any filter: one absurd sample would ring on through seconds that look well. `unit`
    is that of the samples in the spec's.
    """
    lower, upper = (limit / unit for limit in _limits(modality))
    # No sample is larger than the root of the sum of squares:
    # one dot product clears most blocks. NaN compares false.
    flat = samples.reshape(-1)
    # dot, not @: where the squares overflow, it says infinity without a warning.
    if lower < 0 < upper and np.dot(flat, flat) <= min(-lower, upper, 1e150) ** 2:
        return samples
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
    low, high = fold(np.minimum, windows), fold(np.maximum, windows)
    lower, upper = _limits(modality)
    # NaN compares false, so a window that touches a gap is out of every range.
    ok: BoolArray = (low >= lower) & (high <= upper)
    good = _all_channels(ok)
    if modality.kind == "embedding":
        return good, good.astype(np.float64)
    swing = np.subtract(high, low, out=np.zeros_like(low), where=ok)
    still = CONSTANT_SHARE * np.maximum(np.abs(low), np.abs(high))
    moving = good & _all_channels(swing > still)
    if moving.all():
        # The usual case, spared the copies.
        return _assess_moving(modality, windows, low, swing, still)
    valid, quality = moving.copy(), np.zeros(len(moving))
    at = np.flatnonzero(moving)
    valid[at], quality[at] = _assess_moving(modality, windows[at], low[at], swing[at], still[at])
    if modality.constant_usable:
        # Of a single channel: what is good and does not move is constant.
        constant = good & ~moving
        valid |= constant
        quality[constant] = _constant_score(modality, windows)
    return valid, quality


def why_invalid(modality: ModalitySpec, windows: Float64Array) -> list[str]:
    """A reason for each of the windows (windows, samples, channels) that `assess` calls invalid.

    Several channels may be bad for several reasons; the first of them here is given.
    """
    suspects = windows[~assess(modality, windows)[0]]
    low, high = suspects.min(axis=1), suspects.max(axis=1)
    lower, upper = _limits(modality)
    missing = np.isnan(low)
    ok = (low >= lower) & (high <= upper)
    swing = np.subtract(high, low, out=np.zeros_like(low), where=ok)
    still = np.where(ok, CONSTANT_SHARE * np.maximum(np.abs(low), np.abs(high)), 0.0)
    usable = f"{lower:g} to {upper:g} {modality.unit}".strip()
    reasons = {
        "samples are missing": missing,
        f"out of range: usable is {usable}": ~ok & ~missing,
        "it does not move": ok & (swing <= still),
        "it stands still for half of the time": _stuck(suspects, still),
        "clipped: most samples lie at its extremes": _saturated(suspects, low, swing),
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
    if valid.all():
        return windows
    at = np.flatnonzero(~valid)
    suspects = windows[at]
    low, high = suspects.min(axis=1), suspects.max(axis=1)
    lower, upper = _limits(modality)
    ok = (low >= lower) & (high <= upper)
    swing = np.subtract(high, low, out=np.zeros_like(low), where=ok)
    still = np.where(ok, CONSTANT_SHARE * np.maximum(np.abs(low), np.abs(high)), 0.0)
    bad = ~ok | (swing <= still) | _stuck(suspects, still) | _saturated(suspects, low, swing)
    cleaned = windows.copy()
    cleaned[at] = np.where(bad[:, None], np.nan, suspects)
    return cleaned


def _assess_moving(
    modality: ModalitySpec,
    windows: Float64Array,
    low: Float64Array,
    swing: Float64Array,
    still: Float64Array,
) -> tuple[BoolArray, Float64Array]:
    """The same for windows in which every sample is there, in range, and not constant."""
    quality = _score(modality)(modality, windows, swing)
    if modality_of(modality.name).coarse:
        # It may well sit at its extremes for five seconds.
        return np.ones(len(windows), dtype=bool), quality
    if len(windows) < _FEW:
        good = _all_channels(~_saturated(windows, low, swing))
    else:
        good = np.ones(len(windows), dtype=bool)
        maybe = np.flatnonzero(_far_from_centre(windows, low, swing).any(axis=1))
        good[maybe] = _all_channels(~_saturated(windows[maybe], low[maybe], swing[maybe]))
    middle = windows.shape[1] // 2
    # A stuck channel's run covers its middle: one difference clears most windows.
    if np.count_nonzero(np.abs(windows[:, middle] - windows[:, middle - 1]) <= still):
        good &= _all_channels(~_stuck(windows, still))
    return good, np.where(good, quality, 0.0)


def _limits(modality: ModalitySpec) -> tuple[float, float]:
    """The range of usable samples; beyond the largest number lies only infinity."""
    lower, upper = modality.valid_range
    return -_LARGEST if lower is None else lower, _LARGEST if upper is None else upper


def _all_channels(each: BoolArray) -> BoolArray:
    every: BoolArray = each[:, 0] if each.shape[1] == 1 else np.logical_and.reduce(each, axis=1)
    return every


def _maybe_stuck(windows: Float64Array, still: Float64Array) -> BoolArray:
    """(windows, channels): three samples agree that agree in every stuck channel.

    A run longer than half of the window covers its middle, and one of the two samples half of the
    window apart that lie a quarter from its ends. `still` is what rounding moves a constant by.
    """
    samples = windows.shape[1]
    apart = np.abs(windows[:, samples // 4 :: samples // 2][:, :2] - windows[:, samples // 2, None])
    maybe: BoolArray = np.logical_or.reduce(apart <= still[:, None], axis=1)
    return maybe


def _stuck(windows: Float64Array, still: Float64Array) -> BoolArray:
    """(windows, channels): the same sample again and again for more than half of the window."""
    stuck = _maybe_stuck(windows, still)
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


def _far_from_centre(windows: Float64Array, low: Float64Array, swing: Float64Array) -> BoolArray:
    """(windows, channels): the mean square distance from the centre is so large
    that it may be saturated.

    Half of the samples within 1 % of the extremes alone make it (0.49 swing)^2 / 2. One sum instead
    of counting; it overlooks nothing, for the rounding of the sums is allowed for.
    """
    samples = windows.shape[1]
    centre = low + swing / 2
    square = np.einsum("wsc,wsc->wc", windows, windows)
    distance = square - centre * (2 * windows.sum(axis=1) - samples * centre)
    least = SATURATED_SHARE * samples * np.square((0.5 - RAIL_SHARE_OF_RANGE) * swing)
    far: BoolArray = distance >= 0.999 * least - 1e-12 * (square + samples * np.square(centre))
    return far


def _saturated(windows: Float64Array, low: Float64Array, swing: Float64Array) -> BoolArray:
    """(windows, channels): more than half of the samples at an extreme."""
    margin = RAIL_SHARE_OF_RANGE * swing
    centred = np.abs(windows - (low + swing / 2)[:, None])
    at_rail = (centred >= (swing / 2 - margin)[:, None]).view(np.uint8)
    # At most 4 ones are folded into one byte before the sum is taken in wide integers.
    count = fold(np.add, at_rail, folds=2)
    over: BoolArray = count > SATURATED_SHARE * windows.shape[1]
    return over


def fold(operation: np.ufunc, windows: NDArray[Any], *, folds: int = 8) -> NDArray[Any]:
    """operation.reduce over axis 1, four times as fast on a few (not one) channels:
    halves are combined first.
    """
    for _ in range(folds):
        length = windows.shape[1]
        if length < 2 or length % 2 or windows.shape[2] == 1:
            break
        windows = operation(windows[:, : length // 2], windows[:, length // 2 :])
    return np.asarray(operation.reduce(windows, axis=1))


def _swing_score(
    modality: ModalitySpec, windows: Float64Array, swing: Float64Array
) -> Float64Array:
    """Mean over channels of min(1, clean / peak-to-peak)."""
    clean = modality_of(modality.name).clean
    mean: Float64Array = (clean / np.maximum(swing, clean)).mean(axis=1)
    return mean


@dataclass(frozen=True)
class PulseBins:
    """The few DFT bins that tell a pulse, as matrices.

    Attributes:
        dft: (samples, 2 bins) real and imaginary parts, mean removal and Hann taper included.
        pulse: which of the bins a pulse frequency may be.
        in_band: (bins,) 1 for those between 0.5 and 8 Hz.
        near: (bins, pulse bins) 1 for the bins at a pulse frequency and its first
            overtone, one to each side.
    """

    dft: Float64Array
    pulse: slice
    in_band: Float64Array
    near: Float64Array


@functools.cache
def pulse_bins(samples: int, rate_hz: float) -> PulseBins:
    """Those of a window of so many samples."""
    hz = np.fft.rfftfreq(samples, 1 / rate_hz)
    band = np.flatnonzero((hz >= PULSE_BAND_HZ[0]) & (hz <= PULSE_BAND_HZ[1]))
    pulse = np.flatnonzero((hz >= PULSE_HZ[0]) & (hz <= PULSE_HZ[1]))
    around = np.add.outer(np.multiply.outer(pulse, (1, 2)), (-1, 0, 1)).reshape(len(pulse), 6)
    highest = min(max(band[-1], around.max()), len(hz) - 1)
    bins = np.arange(min(band[0], around.min()), highest + 1)
    angle = 2 * np.pi / samples * (np.outer(np.arange(samples), bins) % samples)
    tapered = np.hanning(samples)[:, None] * np.concatenate([np.cos(angle), np.sin(angle)], axis=1)
    return PulseBins(
        dft=tapered - tapered.mean(axis=0),
        pulse=slice(pulse[0] - bins[0], pulse[-1] + 1 - bins[0]),
        in_band=np.isin(bins, band).astype(np.float64),
        near=np.stack([np.isin(bins, row) for row in around], axis=1).astype(np.float64),
    )


def _pulse_score(
    modality: ModalitySpec, windows: Float64Array, swing: Float64Array
) -> Float64Array:
    return pulse_share(windows, modality.rate_hz)


def pulse_share(windows: Float64Array, rate_hz: float) -> Float64Array:
    """(windows, samples, 1) -> the share of the 0.5-8 Hz power that lies at one
    pulse and its first overtone.
    """
    bins = pulse_bins(windows.shape[1], rate_hz)
    parts = np.square(np.ascontiguousarray(windows[:, :, 0]) @ bins.dft)
    power = parts[:, : len(bins.in_band)] + parts[:, len(bins.in_band) :]
    total = power @ bins.in_band
    peak = power[:, bins.pulse].argmax(axis=1)
    near = (power @ bins.near)[np.arange(len(power)), peak]
    share: Float64Array = np.divide(near, total, out=np.zeros(len(windows)), where=total > 0)
    return np.minimum(share, 1.0)


def _step_score(modality: ModalitySpec, windows: Float64Array, swing: Float64Array) -> Float64Array:
    """min(1, clean / steepest step), both in the unit a second."""
    clean = modality_of(modality.name).clean
    steepest = np.abs(np.diff(windows, axis=1)).max(axis=(1, 2)) * modality.rate_hz
    score: Float64Array = clean / np.maximum(steepest, clean)
    return score


def _no_score(modality: ModalitySpec, windows: Float64Array, swing: Float64Array) -> Float64Array:
    return np.ones(len(windows))


def _constant_score(modality: ModalitySpec, windows: Float64Array) -> float:
    """What the formula gives a constant, whatever its level: 0 without a pulse, 1 without a step.

    Of zeros, for the rounding of a level would pass for the power of a pulse.
    """
    still = np.zeros_like(windows[:1])
    return float(_score(modality)(modality, still, still[:, 0])[0])


_Score = Callable[[ModalitySpec, Float64Array, Float64Array], Float64Array]
_SCORES: dict[str, _Score] = {
    "": _no_score,
    "swing": _swing_score,
    "pulse": _pulse_score,
    "step": _step_score,
}


def _score(modality: ModalitySpec) -> _Score:
    return _SCORES[modality_of(modality.name).score]
