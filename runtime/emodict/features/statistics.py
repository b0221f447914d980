"""The 27 statistics of a PPG window and the 28 of a GSR window, for all windows at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from emodict.errors import SpecError
from emodict.filters import zero_phase
from emodict.spec import ModalitySpec

Float64Array = NDArray[np.float64]

_WELCH_SEGMENT = 256
STATISTICS = 27


class WindowStatistics:
    """Statistics of windows (windows, samples), after the spec's zero-phase filter inside each window."""

    def __init__(self, modality: ModalitySpec) -> None:
        self._rate_hz = modality.rate_hz
        self._with_psd = modality.dims == STATISTICS + 1
        if self._with_psd and modality.window_samples > _WELCH_SEGMENT:
            raise SpecError(
                f"{modality.name}: psd_mean is defined for one Welch segment",
                expected=f"a window of at most {_WELCH_SEGMENT} samples",
                got=modality.window_samples,
            )
        self._filter: Float64Array | None = None
        if modality.filter is not None and modality.filter.mode == "zero-phase-window":
            identity = np.eye(modality.window_samples)
            # A zero-phase filter over a fixed window is a fixed matrix: its answer to each unit sample.
            padding = modality.filter.padding_samples
            self._filter = zero_phase(modality.filter.sos, identity, padding=padding).T.copy()

    def values(self, windows: Float64Array) -> Float64Array:
        """(windows, samples) -> (windows, 27 or 28)."""
        # A copy: overlapping windows are views, and a matrix product over those is done without BLAS.
        x = np.ascontiguousarray(windows)
        if self._filter is not None:
            x = x @ self._filter
        columns = [*_moments(x), *_moments(np.diff(x, axis=1)), *_moments(np.diff(x, n=2, axis=1))]
        columns += _fft_statistics(x)
        if self._with_psd:
            columns.append(_welch_mean(x, self._rate_hz))
        return np.stack(columns, axis=1)


def _moments(x: Float64Array) -> list[Float64Array]:
    """Median mean std min max minratio maxratio of each row; the ratios are shares of EQUAL samples."""
    low, high = x.min(axis=1), x.max(axis=1)
    return [
        _median(x),
        x.mean(axis=1),
        x.std(axis=1),
        low,
        high,
        (x == low[:, None]).mean(axis=1),
        (x == high[:, None]).mean(axis=1),
    ]


def _fft_statistics(x: Float64Array) -> list[Float64Array]:
    """Median mean std min max range of the full complex spectrum, real parts only.

    numpy orders complex numbers by real, then imaginary part, so median, min and max have the real parts'
    own. The mean of the spectrum is x[0]; by Parseval its variance is sum x^2 - x[0]^2.
    """
    half = np.fft.rfft(x, axis=1).real
    mirrored = half[:, 1 : (x.shape[1] + 1) // 2]
    spectrum = np.concatenate([half, mirrored], axis=1)
    low, high, first = half.min(axis=1), half.max(axis=1), x[:, 0]
    variance = np.square(x[:, 1:]).sum(axis=1)
    return [_median(spectrum), first, np.sqrt(variance), low, high, high - low]


def _median(x: Float64Array) -> Float64Array:
    """np.median along rows, without its detour for NaN, which is not let in here."""
    middle = x.shape[1] // 2
    if x.shape[1] % 2:
        odd: Float64Array = np.partition(x, middle, axis=1)[:, middle]
        return odd
    parted = np.partition(x, (middle - 1, middle), axis=1)
    even: Float64Array = 0.5 * (parted[:, middle - 1] + parted[:, middle])
    return even


def _welch_mean(x: Float64Array, rate_hz: float) -> Float64Array:
    """Mean of the Welch density of each row: one Hann segment, mean removed; scipy.signal.welch's defaults."""
    samples = x.shape[1]
    taper = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(samples) / samples)
    spectrum = np.fft.rfft((x - x.mean(axis=1, keepdims=True)) * taper, axis=1)
    density = np.square(np.abs(spectrum)) / (rate_hz * np.sum(taper**2))
    # One-sided: every bin stands for two, but for the mean and, with even length, the Nyquist bin.
    density[:, 1 : (samples + 1) // 2] *= 2
    mean: Float64Array = density.mean(axis=1)
    return mean
