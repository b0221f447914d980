"""Log band power (differential entropy and its relatives)
as one matrix product over all windows and channels.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from emodict.errors import SpecError
from emodict.features.filters import BlockForm, StateSpace, state_space
from emodict.features.products import product
from emodict.features.spec import ModalitySpec, SpectrumSpec

Float64Array = NDArray[np.float64]


class BandPower:
    """Band powers of windows: sum_k weight_k |DFT_k(taper x)|^2 is the squared
    norm of a few rows times x.

    The rows of all bands are one `analysis` matrix (rows, window samples);
    `membership` (bands, rows) adds the squares up again.
    """

    def __init__(self, modality: ModalitySpec) -> None:
        if modality.spectrum is None:
            raise SpecError(
                f"{modality.name}: band power needs a spectrum",
                fix="Add its spectrum to the feature spec",
            )
        self._spectrum = modality.spectrum
        self._band_major = modality.band_major
        self.analysis, self.membership = _analysis(self._spectrum, modality.window_samples)

    def values(self, windows: Float64Array) -> Float64Array:
        """(windows, samples, channels) -> (windows, *shape); NaN where a band holds no power."""
        return self.from_analysis(_product(self.analysis, windows))

    def from_analysis(self, rows: Float64Array) -> Float64Array:
        """(rows, windows, channels), the analysis times each window, overwritten
        -> (windows, *shape).
        """
        count, windows, channels = rows.shape
        squares = np.square(rows, out=rows).reshape(count, windows * channels)
        bands = len(self.membership)
        power = product(self.membership, squares).reshape(bands, windows, channels)
        log = np.log(power, out=np.full_like(power, np.nan), where=power > 0)
        values: Float64Array = self._spectrum.log_scale * log + self._spectrum.log_offset
        return values.transpose(1, 0, 2) if self._band_major else values.transpose(1, 2, 0)


class CausalBandPower:
    """Band powers of a causally filtered stream, the filter folded into the analysis matrix.

    One product over [new samples, filter state] gives what filtering, tapering, DFT and bands
    would; the states (states, channels) are carried from window to window. After a window with NaN
    a channel starts anew, from the state in which its next first sample has always been there.
    """

    def __init__(self, modality: ModalitySpec) -> None:
        if modality.filter is None:
            raise SpecError(
                f"{modality.name}: a causal filter is missing",
                fix="Add its filter to the feature spec",
            )
        self._bands = BandPower(modality)
        self._system: StateSpace = state_space(modality.filter.sos)
        form: BlockForm = self._system.block_form(modality.window_samples)
        self._carry = form.carry
        self._rows = len(self._bands.analysis)
        filtered = product(self._bands.analysis, form.toeplitz)
        self._from_samples = np.concatenate([filtered, form.reach])
        self._from_state = product(self._bands.analysis, form.observe)
        self._settle_windows = math.ceil(modality.settle_s / modality.window_s)
        channels = len(modality.channel_names)
        self._state: Float64Array = np.zeros((self._system.order, channels))
        # Windows since each channel's filter started, counted up to where all have settled.
        self._age: NDArray[np.intp] = np.zeros(channels, dtype=np.intp)
        self._settled = False

    def values(self, windows: Float64Array) -> Float64Array:
        """(windows, samples, channels), the stream's next windows -> (windows, *shape).

        NaN for a channel with a NaN in the window,
        and until its filter has settled after that or the start.
        """
        pushed = _product(self._from_samples, windows)
        rows, reached = pushed[: self._rows], pushed[self._rows :]
        broken = ~np.isfinite(reached[0])
        if self._settled and not np.count_nonzero(broken):
            # The usual case: nothing starts, and nothing has to settle.
            states = self._run_states(reached, windows, None)
        else:
            age = self._count_ages(broken)
            states = self._run_states(reached, windows, age == 0)
            rows[:, age < self._settle_windows] = np.nan
        rows += product(self._from_state, states).reshape(rows.shape)
        return self._bands.from_analysis(rows)

    def restart(self) -> None:
        """Forget what came before: the next window begins a stream."""
        self._age, self._settled = np.zeros_like(self._age), False

    def _count_ages(self, broken: NDArray[np.bool_]) -> NDArray[np.intp]:
        """(windows, channels): for how many windows the filter has run at the start of
        each; `broken` ends a run.
        """
        window = np.arange(1, len(broken) + 1)[:, None]
        ends = np.concatenate([-self._age[None], np.where(broken, window, -self._age)])
        started = np.maximum.accumulate(ends, axis=0)
        self._age = len(broken) - started[-1]
        self._settled = bool(self._age.min() >= self._settle_windows)
        age: NDArray[np.intp] = window - 1 - started[:-1]
        return age

    def _run_states(
        self, reached: Float64Array, windows: Float64Array, fresh: NDArray[np.bool_] | None
    ) -> Float64Array:
        """(states, windows * channels): where the filter stands at the start of each window."""
        order, count, channels = reached.shape
        states = np.empty((count + 1, order, channels))
        states[0] = self._state
        for i, pushed in enumerate(reached.swapaxes(0, 1)):
            if fresh is not None and fresh[i].any():
                settled = np.outer(self._system.step_state, windows[i, 0])
                states[i] = np.where(fresh[i], settled, states[i])
            np.matmul(self._carry, states[i], out=states[i + 1])
            states[i + 1] += pushed
        self._state = states[-1]
        return states[:-1].swapaxes(0, 1).reshape(order, count * channels)


def _product(matrix: Float64Array, windows: Float64Array) -> Float64Array:
    """(rows, samples) times (windows, samples, channels)
    -> (rows, windows, channels), as one large product.
    """
    count, samples, channels = windows.shape
    columns = windows.transpose(1, 0, 2).reshape(samples, count * channels)
    return product(matrix, columns).reshape(len(matrix), count, channels)


def _analysis(spectrum: SpectrumSpec, samples: int) -> tuple[Float64Array, Float64Array]:
    """(rows, samples) whose squared products with x, times (bands, rows), are the bands' powers."""
    taper = np.asarray(spectrum.taper)[: spectrum.n_fft]
    ends = [band.first_bin + len(band.weights) for band in spectrum.bands]
    weights = np.zeros((len(ends), max(ends)))
    for row, band, end in zip(weights, spectrum.bands, ends, strict=True):
        row[band.first_bin : end] = band.weights
    # A bin at the edge of two bands is computed once.
    bins = np.flatnonzero(weights.any(axis=0))
    rows = _waves(bins, spectrum.n_fft, len(taper)) * taper
    membership = np.tile(weights[:, bins], 2)
    if len(rows) > len(taper):
        parts = [_fewer(np.sqrt(each)[each > 0, None] * rows[each > 0]) for each in membership]
        rows, lengths = np.concatenate(parts), [len(part) for part in parts]
        membership = np.repeat(np.eye(len(parts)), lengths, axis=1)
    kept = np.arange(len(taper)) * spectrum.decimation
    if len(kept) and kept[-1] >= samples:
        raise SpecError(
            "The taper is longer than the window",
            expected=f"{samples} samples",
            got=kept[-1] + 1,
            fix="Shorten the taper in the feature spec",
        )
    full = np.zeros((len(rows), samples))
    full[:, kept] = rows
    return full, membership


def _waves(bins: NDArray[np.intp], n_fft: int, count: int) -> Float64Array:
    """(2 bins, count): cosines and sines of these bins of a DFT of length n_fft."""
    # The phase is reduced in integers: sin(2 pi k t / n) of a large k t would lose digits.
    angle = 2 * np.pi / n_fft * (np.outer(bins, np.arange(count)) % n_fft)
    return np.concatenate([np.cos(angle), np.sin(angle)])


def _fewer(rows: Float64Array) -> Float64Array:
    """No more rows than samples: R of a QR has the same norm of its product with every x."""
    if len(rows) <= rows.shape[1]:
        return rows
    return np.asarray(np.linalg.qr(rows, mode="r"))
