"""Polyphase resampling of a stream to the rate a feature spec asks for."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from emodict.errors import InputError

Float64Array = NDArray[np.float64]

# The design of scipy.signal.resample_poly: a Kaiser window (beta 5) over ten periods of the lower rate.
_KAISER_BETA = 5.0
_PERIODS = 10
_MAX_FACTOR = 1000


class Resampler:
    """Resample (samples, channels) pushed in chunks of any size from one rate to another.

    Output sample m lies at input time m * down / up. NaN reaches as far as the filter does, no further.
    The ends of the stream are continued by their first and last sample.

    Raises:
        InputError: the rates are not rates, or lie more than a factor of 1000 apart.
    """

    def __init__(self, from_hz: float, to_hz: float, *, channels: int) -> None:
        if not (from_hz > 0 and to_hz > 0 and 1 / _MAX_FACTOR <= to_hz / from_hz <= _MAX_FACTOR):
            raise InputError(
                f"{from_hz:g} Hz cannot be resampled to {to_hz:g} Hz",
                expected=f"rates within a factor of {_MAX_FACTOR}",
                fix="Check the sampling rate",
            )
        ratio = Fraction(to_hz / from_hz).limit_denominator(_MAX_FACTOR)
        self.up, self.down = ratio.numerator, ratio.denominator
        taps = _lowpass(self.up, self.down)
        half = len(taps) // 2
        self._reach = half // self.up
        self._matrix = _block_matrix(taps, self.up, self.down, self._reach)
        self._footprint = (self._matrix != 0).astype(np.float64)
        self._pending: Float64Array = np.empty((0, channels))
        self._received = self._sent = 0

    def push(self, samples: Float64Array) -> Float64Array:
        """Take samples, return those that are ready; they lag by the filter's half length."""
        if not len(samples):
            return samples
        self._received += len(samples)
        before = self._pending if len(self._pending) else np.repeat(samples[:1], self._reach, axis=0)
        pending = np.concatenate([before, samples])
        blocks = max(0, (len(pending) - 2 * self._reach - 1) // self.down)
        self._pending = pending[blocks * self.down :].copy()
        return self._apply(pending, blocks)

    def finish(self) -> Float64Array:
        """The rest, up to the end of the last input sample."""
        rest = -(-self._received * self.up // self.down) - self._sent
        blocks = -(-rest // self.up)
        width = blocks * self.down + 2 * self._reach + 1
        tail = np.repeat(self._pending[-1:], max(0, width - len(self._pending)), axis=0)
        return self._apply(np.concatenate([self._pending, tail]), blocks)[:rest]

    def _apply(self, pending: Float64Array, blocks: int) -> Float64Array:
        if not blocks:
            return np.empty((0, pending.shape[1]))
        self._sent += blocks * self.up
        missing = np.isnan(pending)
        if not missing.any():
            return self._product(self._matrix, pending, blocks)
        out = self._product(self._matrix, np.where(missing, 0.0, pending), blocks)
        out[self._product(self._footprint, missing.astype(np.float64), blocks) > 0.5] = np.nan
        return out

    def _product(self, matrix: Float64Array, pending: Float64Array, blocks: int) -> Float64Array:
        windows = sliding_window_view(pending, matrix.shape[1], axis=0)[:: self.down][:blocks].swapaxes(1, 2)
        product: Float64Array = matrix @ windows
        return product.reshape(blocks * self.up, pending.shape[1])


def _lowpass(up: int, down: int) -> Float64Array:
    """Windowed sinc at the upper rate, gain `up`, cut off at the lower of the two Nyquist rates."""
    cutoff = 1.0 / max(up, down)
    half = _PERIODS * max(up, down)
    taps = np.sinc(cutoff * np.arange(-half, half + 1)) * np.kaiser(2 * half + 1, _KAISER_BETA)
    scaled: Float64Array = taps * (up / taps.sum())
    return scaled


def _block_matrix(taps: Float64Array, up: int, down: int, reach: int) -> Float64Array:
    """(up, inputs): `up` outputs from inputs -reach .. down + reach; h[m down - k up + half] as in the books.

    Each row is divided by its sum (1 but for 1e-3), so that a constant stays one: the offset of a raw
    PPG is a hundred times its pulse, and its ripple would fall into the pulse's band.
    """
    half = len(taps) // 2
    inputs = np.arange(-reach, down + reach + 1)
    index = np.arange(up)[:, None] * down - inputs[None, :] * up + half
    inside = (index >= 0) & (index < len(taps))
    matrix = np.where(inside, taps[np.clip(index, 0, len(taps) - 1)], 0.0)
    normalised: Float64Array = matrix / matrix.sum(axis=1, keepdims=True)
    return normalised
