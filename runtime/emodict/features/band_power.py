"""Log band power (differential entropy and its relatives)
as one matrix product over all windows and channels.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from emodict.errors import SpecError
from emodict.features.filters import BlockForm, StateSpace, state_space
from emodict.features.spec import Band, ModalitySpec, SpectrumSpec

Float64Array = NDArray[np.float64]


class BandPower:
    """Band powers of windows: sum_k weight_k |DFT_k(taper x)|^2 is the squared
    norm of a few rows times x.

    The rows of all bands are stacked into one `analysis` matrix (rows, window samples);
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
        rows = [
            _band_rows(self._spectrum, band, modality.window_samples)
            for band in self._spectrum.bands
        ]
        self.analysis = np.concatenate(rows)
        owner = np.repeat(np.arange(len(rows)), [len(r) for r in rows])
        self.membership = (owner == np.arange(len(rows))[:, None]).astype(np.float64)

    def values(self, windows: Float64Array) -> Float64Array:
        """(windows, samples, channels) -> (windows, *shape); NaN where a band holds no power."""
        return self.from_analysis(_product(self.analysis, windows))

    def from_analysis(self, rows: Float64Array) -> Float64Array:
        """(rows, windows, channels), the analysis times each window -> (windows, *shape)."""
        count, windows, channels = rows.shape
        power = self.membership @ np.square(rows).reshape(count, windows * channels)
        power = power.reshape(len(self.membership), windows, channels)
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
        self._from_samples = np.concatenate([self._bands.analysis @ form.toeplitz, form.reach])
        self._from_state = self._bands.analysis @ form.observe
        self._settle_windows = math.ceil(modality.settle_s / modality.window_s)
        channels = len(modality.channel_names)
        self._state: Float64Array = np.zeros((self._system.order, channels))
        # Windows since each channel's filter started.
        self._age: NDArray[np.intp] = np.zeros(channels, dtype=np.intp)

    def values(self, windows: Float64Array) -> Float64Array:
        """(windows, samples, channels), the stream's next windows -> (windows, *shape).

        NaN for a channel with a NaN in the window,
        and until its filter has settled after that or the start.
        """
        pushed = _product(self._from_samples, windows)
        rows, reached = pushed[: self._rows], pushed[self._rows :]
        age = self._count_ages(~np.isfinite(reached[0]))
        states = self._run_states(reached, windows[:, 0], age == 0)
        rows += (self._from_state @ states.reshape(len(states), -1)).reshape(rows.shape)
        unsettled = age < self._settle_windows
        if unsettled.any():
            rows[:, unsettled] = np.nan
        return self._bands.from_analysis(rows)

    def restart(self) -> None:
        """Forget what came before: the next window begins a stream."""
        self._age = np.zeros_like(self._age)

    def _count_ages(self, broken: NDArray[np.bool_]) -> NDArray[np.intp]:
        """(windows, channels): for how many windows the filter has run at the start of
        each; `broken` ends a run.
        """
        window = np.arange(1, len(broken) + 1)[:, None]
        ends = np.concatenate([-self._age[None], np.where(broken, window, -self._age)])
        started = np.maximum.accumulate(ends, axis=0)
        self._age = len(broken) - started[-1]
        age: NDArray[np.intp] = window - 1 - started[:-1]
        return age

    def _run_states(
        self, reached: Float64Array, first: Float64Array, fresh: NDArray[np.bool_]
    ) -> Float64Array:
        """(states, windows, channels): where the filter stands at the start of each window."""
        states = np.empty_like(reached)
        state, starts = self._state, set(np.flatnonzero(fresh.any(axis=1)).tolist())
        for i in range(len(first)):
            if i in starts:
                state = np.where(fresh[i], np.outer(self._system.step_state, first[i]), state)
            states[:, i] = state
            state = self._carry @ state + reached[:, i]
        self._state = state
        return states


def _product(matrix: Float64Array, windows: Float64Array) -> Float64Array:
    """(rows, samples) times (windows, samples, channels)
    -> (rows, windows, channels), as one large product.
    """
    count, samples, channels = windows.shape
    product: Float64Array = matrix @ windows.transpose(1, 0, 2).reshape(samples, count * channels)
    return product.reshape(len(matrix), count, channels)


def _band_rows(spectrum: SpectrumSpec, band: Band, samples: int) -> Float64Array:
    """Rows (r, samples) whose squared products with x sum up to the band's weighted power."""
    taper = np.asarray(spectrum.taper)[: spectrum.n_fft]
    time = np.arange(len(taper))
    bins = band.first_bin + np.arange(len(band.weights))
    # The phase is reduced in integers: sin(2 pi k t / n) of a large k t would lose digits.
    angle = 2 * np.pi / spectrum.n_fft * (np.outer(bins, time) % spectrum.n_fft)
    scaled = np.sqrt(band.weights)[:, None] * taper
    rows = np.concatenate([scaled * np.cos(angle), scaled * np.sin(angle)])
    if len(rows) > len(time):
        # More rows than samples: R of a QR has the same norm for every x.
        rows = np.linalg.qr(rows, mode="r")
    kept = time * spectrum.decimation
    if len(kept) and kept[-1] >= samples:
        raise SpecError(
            "The taper is longer than the window",
            expected=f"{samples} samples",
            got=kept[-1] + 1,
            fix="Shorten the taper in the feature spec",
        )
    full = np.zeros((len(rows), samples))
    full[:, kept] = rows
    return full
