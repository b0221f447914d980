"""The 27 statistics of a PPG window and the 28 of a GSR window, for all windows at once."""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from emodict.errors import SpecError
from emodict.features.filters import WindowFilter, zero_phase
from emodict.features.spec import FilterSpec, ModalitySpec

Float64Array = NDArray[np.float64]

_WELCH_SEGMENT = 256
STATISTICS = 27
# Up to so many numbers numpy sorts by a network; beyond, AVX-512 on AMD takes eight times as long
# for twice as many.
_NETWORK = 256


class WindowStatistics:
    """Statistics of windows (windows, samples),
    after the spec's zero-phase filter inside each window.
    """

    def __init__(self, modality: ModalitySpec) -> None:
        self._rate_hz = modality.rate_hz
        self._with_psd = modality.dims == STATISTICS + 1
        if self._with_psd and modality.window_samples > _WELCH_SEGMENT:
            raise SpecError(
                f"{modality.name}: psd_mean is defined for one Welch segment",
                expected=f"a window of at most {_WELCH_SEGMENT} samples",
                got=modality.window_samples,
                fix="Shorten the window in the feature spec",
            )
        self._filter: Callable[[Float64Array], Float64Array] = np.ascontiguousarray
        if modality.filter is not None and modality.filter.mode == "zero-phase-window":
            self._filter = window_filter(modality.filter, modality.window_samples)

    def values(self, windows: Float64Array) -> Float64Array:
        """(windows, samples) -> (windows, 27 or 28)."""
        x = self._filter(windows)
        count, samples = x.shape
        out, series = np.empty((count, STATISTICS + self._with_psd)), _side_by_side(x)
        lengths, moments = _places(samples)[0], out[:, :21].reshape(count, 3, 7)
        mean = np.divide(np.add.reduce(series[:, :3], axis=2), lengths, out=moments[:, :, 1])
        centred = _centred(series[:, :3], mean)
        np.sqrt(_squares(centred) / lengths, out=moments[:, :, 2])
        if self._with_psd:
            out[:, STATISTICS] = _welch_mean(centred[:, 0], self._rate_hz)
        # Of the full complex spectrum, real parts only: numpy orders complex numbers by real, then
        # imaginary part. Its mean is x[0]; by Parseval its variance is sum x^2 - x[0]^2.
        out[:, 22] = x[:, 0]
        np.sqrt(_squares(x[:, 1:]), out=out[:, 23])
        out[:, 21], out[:, 24:26] = _fill_by_order(series, moments)
        np.subtract(out[:, 25], out[:, 24], out=out[:, 26])
        return out


def window_filter(spec: FilterSpec, samples: int) -> Callable[[Float64Array], Float64Array]:
    """(windows, samples) -> the same shape."""
    if spec.padding_samples:
        return WindowFilter(spec.sos, samples, padding=spec.padding_samples)
    return lambda windows: zero_phase(spec.sos, windows.T, padding=0).T.copy()


def _side_by_side(x: Float64Array) -> Float64Array:
    """x, its first and second difference and the real part of its spectrum, (windows, 4, samples).

    So one call serves all four. The two shorter ones are padded with zeros at their end.
    """
    count, samples = x.shape
    series = np.zeros((count, 4, samples))
    series[:, 0] = x
    np.subtract(x[:, 1:], x[:, :-1], out=series[:, 1, :-1])
    np.subtract(series[:, 1, 1:-1], series[:, 1, :-2], out=series[:, 2, :-2])
    # Of the full spectrum: the half, and once more what mirrors it.
    half = np.fft.rfft(x, axis=1).real
    series[:, 3, : half.shape[1]] = half
    series[:, 3, half.shape[1] :] = half[:, 1 : (samples + 1) // 2]
    return series


@functools.cache
def _places(samples: int) -> tuple[Float64Array, NDArray[np.intp]]:
    """Lengths of x and its differences; where lie, of the four series sorted and end to end, the
    lowest, the highest, their neighbours, and the two in the middle: (6, series).
    """
    n = samples - np.array([0, 1, 2, 0])
    rows = np.stack([0 * n, n - 1, 0 * n + 1, n - 2, (n - 1) // 2, n // 2])
    return n[:3].astype(np.float64), rows + samples * np.arange(4)


def _centred(series: Float64Array, mean: Float64Array) -> Float64Array:
    """(windows, 3, samples) without their means; of series i the last i values are 0."""
    centred: Float64Array = series - mean[:, :, None]
    centred[:, 1, -1:] = centred[:, 2, -2:] = 0.0
    return centred


def _squares(values: Float64Array) -> Float64Array:
    """The sum of squares over the last axis."""
    squares: Float64Array = np.einsum("...s,...s->...", values, values)
    return squares


def _fill_by_order(series: Float64Array, out: Float64Array) -> tuple[Float64Array, Float64Array]:
    """Median, min, max, minratio and maxratio of x and its differences into (windows, 3, 7).

    Sorts the series; returns the median (windows,) and the ends (windows, 2) of the spectrum.
    """
    count, _, samples = series.shape
    lengths, places = _places(samples)
    # Infinity sorts behind everything, where no statistic of the shorter series looks.
    series[:, 1, -1:] = series[:, 2, -2:] = np.inf
    _sort(series)
    found = series.reshape(count, 4 * samples).take(places, axis=1)
    ends, median = found[:, :2], 0.5 * (found[:, 4] + found[:, 5])
    out[:, :, 0], out[:, :, 3:5] = median[:, :3], ends[:, :, :3].swapaxes(1, 2)
    out[:, :, 5:] = 1.0 / lengths[:, None]
    # A filtered signal has no ties: its extremes are there once.
    if np.count_nonzero((ends == found[:, 2:4])[:, :, :3]):
        equal = series[:, None, :3] == ends[:, :, :3, None]
        out[:, :, 5:] = (np.add.reduce(equal, axis=3, dtype=np.float64) / lengths).swapaxes(1, 2)
    return median[:, 3], ends[:, :, 3]


def _sort(series: Float64Array) -> None:
    """Along the last axis, in place: two halves, the smaller numbers of both, the larger ones."""
    *shape, samples = series.shape
    if samples <= _NETWORK or samples % 2:
        series.sort(axis=-1)
        return
    halves = series.reshape(*shape, 2, samples // 2)
    halves.sort(axis=-1)
    # Of a pair from the one's beginning and the other's end, the smaller is of the smaller half.
    one, other = halves[..., 0, :], halves[..., 1, ::-1]
    halves[..., 0, :], halves[..., 1, :] = np.minimum(one, other), np.maximum(one, other)
    halves.sort(axis=-1)


def _welch_mean(centred: Float64Array, rate_hz: float) -> Float64Array:
    """Mean of the Welch density of each row, mean removed: one Hann segment, as scipy's default.

    The one-sided density adds up to the two-sided one, and that, by Parseval, to the row's squares.
    """
    samples = centred.shape[1]
    taper = hann(samples)
    scale = samples / (rate_hz * (taper @ taper) * (samples // 2 + 1))
    return _squares(centred * taper) * scale


@functools.cache
def hann(samples: int) -> Float64Array:
    """The periodic Hann window."""
    return 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(samples) / samples)
