"""Polyphase resampling of a stream to the rate a feature spec asks for."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from emodict.errors import InputError

Float64Array = NDArray[np.float64]

# The design of scipy.signal.resample_poly: a Kaiser window (beta 5)
# over ten periods of the lower rate.
_KAISER_BETA = 5.0
_PERIODS = 10
_MAX_FACTOR = 1000
# How well the whole numbers up / down give the ratio of the rates,
# and how large they may be for it.
_RATIO_ERROR = 1e-6
_DENOMINATORS = (1_000, 3_000, 10_000, 30_000, 100_000, 300_000, 1_000_000, 3_000_000)
# Numbers in a block matrix, 8 MB.
_LARGEST_MATRIX = 1_000_000
# Weights at once where each output has its own.
_WEIGHTS_AT_ONCE = 100_000


class Resampler:
    """Resample (samples, channels) pushed in chunks of any size from one rate to another.

    Output sample m lies at input time m * down / up, which is m * from_hz / to_hz to 1e-6: 4 ms in
    an hour. NaN reaches as far as the filter does, no further. The ends of the stream are continued
    by their first and last sample.

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
        self.up, self.down = _ratio(from_hz, to_hz)
        self._from_hz = from_hz
        self._half = _PERIODS * max(self.up, self.down)
        self._reach = self._half // self.up
        # The outputs of `down` inputs as one matrix;
        # one by one where that is too large (and its block too long).
        self._blockwise = self.up * (self.down + 2 * self._reach + 1) <= _LARGEST_MATRIX
        if self._blockwise:
            self._matrix = _block_matrix(self.up, self.down, self._half, self._reach)
            self._footprint = (self._matrix != 0).astype(np.float64)
        # The first of the pending samples is `reach` before the one at or before the next output.
        self._channels = channels
        self.restart()

    def restart(self) -> None:
        """Forget what came before: the next sample is the first."""
        self._pending: Float64Array = np.empty((0, self._channels))
        self._received = self._sent = 0

    def push(self, samples: Float64Array) -> Float64Array:
        """Take samples, return those that are ready; they lag by the filter's half length."""
        if not len(samples):
            return samples
        self._received += len(samples)
        before = (
            self._pending if len(self._pending) else np.repeat(samples[:1], self._reach, axis=0)
        )
        pending = np.concatenate([before, samples])
        whole = len(pending) - 2 * self._reach - 1
        if self._blockwise:
            count = max(0, whole // self.down) * self.up
        else:
            count = max(0, -(-(self._base + whole) * self.up // self.down) - self._sent)
        first = self._base
        out = self._apply(pending, count)
        self._pending = pending[self._base - first :].copy()
        return out

    def finish(self) -> Float64Array:
        """The rest, up to the end of the last input sample."""
        rest = -(-self._received * self.up // self.down) - self._sent
        count = -(-rest // self.up) * self.up if self._blockwise else rest
        width = -(-count * self.down // self.up) + 2 * self._reach + 2
        tail = np.repeat(self._pending[-1:], max(0, width - len(self._pending)), axis=0)
        return self._apply(np.concatenate([self._pending, tail]), count)[:rest]

    @property
    def ahead_s(self) -> float:
        """How far beyond its own time an output needs samples:
        the filter's reach and the rest of its block.
        """
        return (self._reach + 1 + (self.down if self._blockwise else 0)) / self._from_hz

    @property
    def _base(self) -> int:
        """The input sample at or before the next output."""
        return self._sent * self.down // self.up

    def _apply(self, pending: Float64Array, count: int) -> Float64Array:
        """The next `count` outputs."""
        missing = np.isnan(pending)
        known = np.where(missing, 0.0, pending) if missing.any() else pending
        parts: list[Float64Array] = [np.empty((0, pending.shape[1]))]
        first, last = self._base, self._sent + count
        # One by one, every output has weights of its own: a few at a time bound the memory.
        step = count if self._blockwise else max(1, _WEIGHTS_AT_ONCE // (2 * self._reach + 2))
        while self._sent < last:
            now = min(step, last - self._sent)
            start = self._base - first
            out = self._outputs(known[start:], now)
            if known is not pending:
                out[
                    self._outputs(missing[start:].astype(np.float64), now, footprint=True) > 0.5
                ] = np.nan
            parts.append(out)
            self._sent += now
        return np.concatenate(parts) if len(parts) > 2 else parts[-1]

    def _outputs(
        self, pending: Float64Array, count: int, *, footprint: bool = False
    ) -> Float64Array:
        if self._blockwise:
            matrix = self._footprint if footprint else self._matrix
            windows = sliding_window_view(pending, matrix.shape[1], axis=0)[:: self.down][
                : count // self.up
            ]
            product: Float64Array = matrix @ windows.swapaxes(1, 2)
            return product.reshape(count, pending.shape[1])
        position = np.arange(self._sent, self._sent + count, dtype=np.int64) * self.down
        inputs = np.arange(-self._reach, self._reach + 2)
        weights = _weights(
            (position % self.up)[:, None] - inputs * self.up, self.up, self.down, self._half
        )
        if footprint:
            weights = (weights != 0).astype(np.float64)
        base = position // self.up - self._base
        windows = sliding_window_view(pending, 2 * self._reach + 2, axis=0)[base]
        single: Float64Array = np.matmul(windows, weights[:, :, None])[:, :, 0]
        return single


def _ratio(from_hz: float, to_hz: float) -> tuple[int, int]:
    """(up, down), as small as they may be: their ratio is that of the rates to 1e-6.

    A denominator of at most n comes within 1 / n of any number,
    so the last of the limits always does.
    """
    exact = Fraction(to_hz) / Fraction(from_hz)
    large = max(exact, 1 / exact)
    ratios = (large.limit_denominator(limit) for limit in _DENOMINATORS)
    near = next(ratio for ratio in ratios if abs(ratio / large - 1) < _RATIO_ERROR)
    return (near.numerator, near.denominator) if exact >= 1 else (near.denominator, near.numerator)


def _weights(distance: NDArray[np.int64], up: int, down: int, half: int) -> Float64Array:
    """Windowed sinc at `distance` steps of the upper rate,
    cut off at the lower of the two Nyquist rates.

    Each row is divided by its sum, so that a constant stays one: the offset of a raw PPG is a
    hundred times its pulse, and its ripple (1e-3) would fall into the pulse's band.
    """
    inside = np.clip(1 - np.square(distance / half), 0.0, None)
    kaiser = np.i0(_KAISER_BETA * np.sqrt(inside))
    weights = np.where(np.abs(distance) <= half, np.sinc(distance / max(up, down)) * kaiser, 0.0)
    normalised: Float64Array = weights / weights.sum(axis=1, keepdims=True)
    return normalised


def _block_matrix(up: int, down: int, half: int, reach: int) -> Float64Array:
    """(up, inputs): `up` outputs from inputs -reach .. down + reach;
    h[m down - k up] as in the books.
    """
    inputs = np.arange(-reach, down + reach + 1)
    return _weights(np.arange(up)[:, None] * down - inputs * up, up, down, half)
