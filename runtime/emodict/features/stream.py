"""FeatureStream: samples in, in chunks of any size; one row of features out per second."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from emodict.errors import InputError, SpecError
from emodict.features.band_power import BandPower, CausalBandPower
from emodict.features.quality import assess
from emodict.features.resample import Resampler
from emodict.features.statistics import WindowStatistics
from emodict.features.windows import FeatureWindows, ModalityRows, assemble
from emodict.spec import FeatureSpec, ModalitySpec

Float64Array = NDArray[np.float64]


class FeatureStream:
    """Features of a recording or a live stream; batch is the same code with larger chunks.

    Args:
        spec: a streaming spec.
        rates_hz: the rate at which each modality's samples will be pushed. EEG and PPG are resampled
            to the spec's rate, GSR only downwards. A modality without a rate is invalid in every row.
    """

    def __init__(self, spec: FeatureSpec, rates_hz: Mapping[str, float]) -> None:
        if not spec.streaming:
            raise SpecError(
                f"Feature spec {spec.id} cannot stream: its filters need whole trials",
                fix="Use extract_features, or a model trained on emodict-1",
            )
        self.spec = spec
        self._sources = {m.name: _Source(m, rates_hz[m.name]) for m in spec.modalities if m.name in rates_hz}
        unknown = set(rates_hz) - set(self._sources)
        if unknown or not self._sources:
            raise InputError(
                "The stream's modalities are not the spec's",
                expected=f"some of {', '.join(spec.modality_names)}",
                got=", ".join(rates_hz) or "none",
            )
        self._next_row = spec.first_row_s

    def push(self, modality: str, samples: NDArray[np.floating]) -> FeatureWindows:
        """Take (samples, channels), NaN where missing; return the rows that are now complete."""
        if modality not in self._sources:
            raise InputError(f"This stream was not told of '{modality}'", expected=", ".join(self._sources))
        self._sources[modality].push(samples)
        return self._collect(min(source.complete_s for source in self._sources.values()))

    def finish(self) -> FeatureWindows:
        """The rest: up to the last whole second of the longest modality, the others being invalid there."""
        for source in self._sources.values():
            source.finish()
        end = max(source.complete_s for source in self._sources.values())
        for source in self._sources.values():
            source.pad_to(end)
        return self._collect(end)

    def _collect(self, complete_s: int) -> FeatureWindows:
        """Rows for the seconds before `complete_s` that were not handed out yet."""
        count = max(0, complete_s - self._next_row)
        start_s = self._next_row + np.arange(count, dtype=np.float64)
        rows = {name: source.take(self._next_row, count) for name, source in self._sources.items()}
        self._next_row += count
        return assemble(self.spec, start_s, rows)


class _Source:
    """One modality: samples at any rate in, its own rows out."""

    def __init__(self, modality: ModalitySpec, rate_hz: float) -> None:
        self._modality = modality
        self._resampler = resampler_for(modality, rate_hz)
        self._kernel = kernel_for(modality)
        self._samples = np.empty((0, channel_count(modality)))
        self._first_row = math.ceil(modality.window_s) - 1
        self._rows: list[ModalityRows] = []
        self._taken = 0
        self._settling = False

    @property
    def complete_s(self) -> int:
        """Every second before this one has its row."""
        return self._first_row + self._taken + sum(map(len, self._rows))

    def push(self, samples: NDArray[np.floating]) -> None:
        samples = np.array(samples, dtype=np.float64, ndmin=2)
        if samples.shape[1] != self._samples.shape[1]:
            raise InputError(
                f"{self._modality.name}: the samples have the wrong shape",
                expected=f"(samples, {self._samples.shape[1]})",
                got=samples.shape,
            )
        samples[~np.isfinite(samples)] = np.nan
        self._append(samples if self._resampler is None else self._resampler.push(samples))

    def finish(self) -> None:
        if self._resampler is not None:
            rest = self._resampler.finish()
            if rest.size:
                self._append(rest)

    def pad_to(self, second: int) -> None:
        """Missing samples up to the end of a second."""
        missing = second - self.complete_s
        if missing > 0:
            needed = self._modality.window_samples + (missing - 1) * self._modality.hop_samples
            count = needed - len(self._samples)
            self._append(np.full((count, self._samples.shape[1]), np.nan))

    def take(self, first_row: int, count: int) -> ModalityRows:
        """`count` rows from the second `first_row` on; earlier ones are dropped."""
        rows = _join(self._rows, self._modality)
        skip = first_row - self._first_row - self._taken
        dropped = min(len(rows), skip + count)
        self._rows = [_rows_slice(rows, slice(dropped, None))]
        self._taken += dropped
        return _rows_slice(rows, slice(skip, skip + count))

    def _append(self, samples: Float64Array) -> None:
        window, hop = self._modality.window_samples, self._modality.hop_samples
        self._samples = np.concatenate([self._samples, samples])
        count = (len(self._samples) - window) // hop + 1
        if count < 1:
            return
        used = window + (count - 1) * hop
        windows = self._windows(self._samples[:used], count)
        self._rows.append(self._describe(windows))
        self._samples = self._samples[count * hop :]

    def _windows(self, samples: Float64Array, count: int) -> Float64Array:
        window, hop = self._modality.window_samples, self._modality.hop_samples
        if window == hop:
            return samples.reshape(count, window, -1)
        return sliding_window_view(samples, window, axis=0)[::hop].swapaxes(1, 2)

    def _describe(self, windows: Float64Array) -> ModalityRows:
        valid, quality = assess(self._modality, windows)
        if isinstance(self._kernel, CausalBandPower):
            # The filter must see every window, usable or not.
            values = self._kernel.values(windows)
            valid &= self._settled(windows)
        else:
            values = np.full((len(windows), *self._modality.shape), np.nan)
            values[valid] = window_values(self._kernel, windows[valid])
        return checked_rows(values, valid, quality)

    def _settled(self, windows: Float64Array) -> NDArray[np.bool_]:
        """False for the seconds after a gap in which the filter still rings."""
        gaps = np.isnan(windows).any(axis=(1, 2))
        after = np.concatenate([[self._settling], gaps[:-1]])
        self._settling = bool(gaps[-1]) and self._modality.settle_s > 0
        return ~after if self._modality.settle_s > 0 else np.ones_like(gaps)


Kernel = BandPower | CausalBandPower | WindowStatistics | None


def kernel_for(modality: ModalitySpec) -> Kernel:
    """What turns a modality's windows into features; None for an embedding, which is passed on."""
    if modality.kind == "band_power":
        causal = modality.filter is not None and modality.filter.mode == "causal"
        return CausalBandPower(modality) if causal else BandPower(modality)
    if modality.kind == "statistics":
        return WindowStatistics(modality)
    if modality.kind == "embedding":
        return None
    raise SpecError(
        f"{modality.name}: these features only exist ready-made",
        fix="Use a feature table, or a model trained on emodict-1",
    )


def window_values(kernel: Kernel, windows: Float64Array) -> Float64Array:
    """Features of usable windows (windows, samples, channels) -> (windows, *shape)."""
    if kernel is None:
        return windows[:, 0]
    return kernel.values(windows[:, :, 0] if isinstance(kernel, WindowStatistics) else windows)


def checked_rows(values: Float64Array, valid: NDArray[np.bool_], quality: Float64Array) -> ModalityRows:
    """A row whose features are not all numbers is invalid, and an invalid row holds NaN and quality 0."""
    valid = valid & np.isfinite(values.reshape(len(values), -1)).all(axis=1)
    values[~valid] = np.nan
    return ModalityRows(values, valid, np.where(valid, quality, 0.0))


def channel_count(modality: ModalitySpec) -> int:
    """Columns of the samples that a modality takes; an embedding has one per feature."""
    return modality.dims if modality.kind == "embedding" else len(modality.channel_names)


def resampler_for(modality: ModalitySpec, rate_hz: float) -> Resampler | None:
    """What brings a device's rate to the spec's, None where they agree.

    Raises:
        InputError: GSR slower than the spec's rate; its tie ratios would be made up.
    """
    if rate_hz == modality.rate_hz:
        return None
    if modality.name == "gsr" and rate_hz < modality.rate_hz:
        raise InputError(
            "gsr: recorded too slowly, and never resampled upwards",
            expected=f"at least {modality.rate_hz:g} Hz",
            got=f"{rate_hz:g} Hz",
            fix="Record faster, or use a model without gsr",
        )
    return Resampler(rate_hz, modality.rate_hz)


def _rows_slice(rows: ModalityRows, part: slice) -> ModalityRows:
    return ModalityRows(rows.values[part], rows.valid[part], rows.quality[part])


def _join(parts: list[ModalityRows], modality: ModalitySpec) -> ModalityRows:
    if len(parts) == 1:
        return parts[0]
    if not parts:
        return ModalityRows(np.empty((0, *modality.shape)), np.empty(0, bool), np.empty(0))
    return ModalityRows(
        np.concatenate([p.values for p in parts]),
        np.concatenate([p.valid for p in parts]),
        np.concatenate([p.quality for p in parts]),
    )
