"""The 27 statistics of a PPG window and the 28 of a GSR window, for all windows at once."""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

from emodict.errors import SpecError
from emodict.features.filters import zero_phase
from emodict.features.spec import FilterSpec, ModalitySpec

Float64Array = NDArray[np.float64]

_WELCH_SEGMENT = 256
_UNITS_AT_ONCE = 512
STATISTICS = 27


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
        self._filter: Float64Array | None = None
        if modality.filter is not None and modality.filter.mode == "zero-phase-window":
            self._filter = filter_matrix(modality.filter, modality.window_samples)

    def values(self, windows: Float64Array) -> Float64Array:
        """(windows, samples) -> (windows, 27 or 28)."""
        # A copy: overlapping windows are views,
        # and a matrix product over those is done without BLAS.
        x = np.ascontiguousarray(windows)
        if self._filter is not None:
            x = x @ self._filter
        out = np.empty((len(x), STATISTICS + self._with_psd))
        _fill_moments(x, out)
        if self._with_psd:
            out[:, STATISTICS] = _welch_mean(x, self._rate_hz)
        return out


def filter_matrix(spec: FilterSpec, samples: int) -> Float64Array:
    """(samples, samples): a zero-phase filter over a fixed window is a fixed matrix,
    its answer to each unit sample.
    """
    units = np.eye(samples)
    matrix = np.empty((samples, samples))
    # Some at a time: the filter's own arrays are several times as large as what it is given.
    for start in range(0, samples, _UNITS_AT_ONCE):
        some = slice(start, start + _UNITS_AT_ONCE)
        matrix[some] = zero_phase(spec.sos, units[:, some], padding=spec.padding_samples).T
    return matrix


def _fill_moments(x: Float64Array, out: Float64Array) -> None:
    """The 27 statistics of each row of x into out[:, :27].

    x, its first and second difference and the real part of its spectrum stand side by side,
    (windows, 4, samples), so that one sort gives the median, minimum and maximum of all; the two
    shorter ones are padded at their end.
    """
    count, samples = x.shape
    series = np.zeros((count, 4, samples))
    series[:, 0] = x
    np.subtract(x[:, 1:], x[:, :-1], out=series[:, 1, :-1])
    np.subtract(series[:, 1, 1:-1], series[:, 1, :-2], out=series[:, 2, :-2])
    lengths, which, places = _places(samples)
    mean = np.add.reduce(series[:, :3], axis=2) / lengths
    std = _std(series[:, :3], mean, lengths)
    _fill_spectrum(x, series[:, 3])
    # Infinity sorts behind everything, where no statistic of the shorter series looks.
    series[:, 1, -1:] = series[:, 2, -2:] = np.inf
    series.sort(axis=2)
    low, above, middle1, middle2, below, high = series[:, which, places].swapaxes(0, 1)
    median = 0.5 * (middle1 + middle2)
    moments = np.empty((count, 3, 7))
    moments[:, :, 5:] = 1.0 / lengths[:, None]
    for column, values in enumerate((median, mean, std, low, high)):
        moments[:, :, column] = values[:, :3]
    # A filtered signal has no ties: its extremes are there once.
    if ((low == above) | (high == below))[:, :3].any():
        for column, end in ((5, low), (6, high)):
            equal = series[:, :3] == end[:, :3, None]
            moments[:, :, column] = np.add.reduce(equal, axis=2, dtype=np.float64) / lengths
    out[:, :21] = moments.reshape(count, 21)
    _fill_fft_statistics(x, median[:, 3], low[:, 3], high[:, 3], out[:, 21:27])


@functools.cache
def _places(samples: int) -> tuple[Float64Array, NDArray[np.intp], NDArray[np.intp]]:
    """Lengths of x and its differences; where the ends,
    their neighbours and middles of the four sorted series lie.
    """
    lengths = samples - np.array([0, 1, 2, 0])
    rows = (
        0 * lengths,
        0 * lengths + 1,
        (lengths - 1) // 2,
        lengths // 2,
        lengths - 2,
        lengths - 1,
    )
    return lengths[:3].astype(np.float64), np.arange(4), np.stack(rows)


def _std(series: Float64Array, mean: Float64Array, lengths: Float64Array) -> Float64Array:
    """Population standard deviation of (windows, 3, samples),
    of which series i has samples - i values.
    """
    centred = series - mean[:, :, None]
    centred[:, 1, -1:] = centred[:, 2, -2:] = 0.0
    std: Float64Array = np.sqrt(np.add.reduce(np.square(centred, out=centred), axis=2) / lengths)
    return std


def _fill_spectrum(x: Float64Array, out: Float64Array) -> None:
    """The real part of the full spectrum: that of the half spectrum,
    and once more what mirrors it.
    """
    half = np.fft.rfft(x, axis=1).real
    out[:, : half.shape[1]] = half
    out[:, half.shape[1] :] = half[:, 1 : (x.shape[1] + 1) // 2]


def _fill_fft_statistics(
    x: Float64Array, median: Float64Array, low: Float64Array, high: Float64Array, out: Float64Array
) -> None:
    """Median mean std min max range of the full complex spectrum, real parts only.

    numpy orders complex numbers by real, then imaginary part, so median, min and max have the real
    parts' own. The mean of the spectrum is x[0]; by Parseval its variance is sum x^2 - x[0]^2.
    """
    rest = x[:, 1:]
    out[:, 0], out[:, 1] = median, x[:, 0]
    out[:, 2] = np.sqrt(np.add.reduce(np.square(rest), axis=1))
    out[:, 3], out[:, 4], out[:, 5] = low, high, high - low


def _welch_mean(x: Float64Array, rate_hz: float) -> Float64Array:
    """Mean of the Welch density of each row: one Hann segment, mean removed;
    scipy.signal.welch's defaults.

    The one-sided density adds up to the two-sided one, and that, by Parseval,
    to the tapered row's own squares.
    """
    samples = x.shape[1]
    taper = hann(samples)
    tapered = (x - np.add.reduce(x, axis=1)[:, None] / samples) * taper
    total = samples * np.add.reduce(np.square(tapered), axis=1) / (rate_hz * (taper @ taper))
    mean: Float64Array = total / (samples // 2 + 1)
    return mean


@functools.cache
def hann(samples: int) -> Float64Array:
    """The periodic Hann window."""
    return 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(samples) / samples)
