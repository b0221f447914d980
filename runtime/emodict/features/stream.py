"""FeatureStream: samples in, in chunks of any size; one row of features out per second."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from emodict.errors import InputError, SpecError
from emodict.features.band_power import BandPower, CausalBandPower
from emodict.features.quality import assess, every, without_bad_channels, without_unusable
from emodict.features.resample import Resampler
from emodict.features.spec import FeatureSpec, ModalitySpec
from emodict.features.statistics import WindowStatistics
from emodict.features.windows import FeatureWindows, ModalityRows, assemble, numeric_rows
from emodict.recording.modalities import EEG, modality_of

Float64Array = NDArray[np.float64]


class FeatureStream:
    """Features of a recording or a live stream; batch is the same code with larger chunks.

    Args:
        spec: a streaming spec.
        rates_hz: the rate at which each modality's samples will be pushed. EEG and PPG
            are resampled to the spec's rate, GSR only downwards. A modality without a
            rate is invalid in every row.
        unmixing: (channels, channels) that the EEG is multiplied by,
            in the spec's order of channels.
    """

    def __init__(
        self,
        spec: FeatureSpec,
        rates_hz: Mapping[str, float],
        *,
        unmixing: Float64Array | None = None,
    ) -> None:
        if not spec.streaming:
            raise SpecError(
                f"Feature spec {spec.id} cannot stream: its filters need whole trials",
                fix="Use extract_features, or a model trained on emodict-1",
            )
        self.spec = spec
        self._sources = {
            m.name: _Source(m, rates_hz[m.name], unmixing)
            for m in spec.modalities
            if m.name in rates_hz
        }
        unknown = set(rates_hz) - set(self._sources)
        if unknown or not self._sources:
            raise InputError(
                "The stream's modalities are not the spec's",
                expected=f"some of {', '.join(spec.modality_names)}",
                got=", ".join(rates_hz) or "none",
                fix="Give the sampling rates of these",
            )
        self._next_row = spec.first_row_s
        self._ended: set[str] = set()
        self._nothing = assemble(spec, np.empty(0), {})

    def push(self, modality: str, samples: NDArray[np.floating[Any]]) -> FeatureWindows:
        """Take (samples, channels), NaN where missing; return the rows that are now complete.

        The samples are copied where they are kept, so the caller may reuse its buffer.

        Raises:
            InputError: a modality without a rate, the wrong number of channels,
                or the stream is finished.
        """
        self._open_source(modality).push(samples)
        return self._collect_complete()

    def restart(
        self, modality: str, second: int, *, rate_hz: float | None = None
    ) -> FeatureWindows:
        """Give up what came of a modality before `second`:
        the next sample pushed lies at its start.

        Its rows before are invalid, but for those that were complete, and so are those
        whose windows reach before it. For a sensor that has stalled, or comes late, or
        comes back at another rate.

        Raises:
            InputError: as `push`, or the second lies before `earliest_restart`.
        """
        source = self._open_source(modality)
        if second < source.earliest_restart:
            raise InputError(
                f"{modality}: cannot start again in the past",
                expected=f"second {source.earliest_restart} or later",
                got=second,
            )
        source.restart(second, rate_hz)
        return self._collect_complete()

    def earliest_restart(self, modality: str) -> int:
        """The first second at which `restart` can let it begin."""
        return self._open_source(modality).earliest_restart

    def ahead_s(self, modality: str) -> float:
        """How far beyond a second samples must come before its row is
        complete: resampling looks ahead.
        """
        return self._sources[modality].ahead_s

    @property
    def next_second(self) -> int:
        """The second of the next row."""
        return self._next_row

    def missing(self, second: int) -> list[str]:
        """The modalities without which the row of this second cannot go out."""
        names = [name for name in self._sources if name not in self._ended]
        return [name for name in names if self._sources[name].complete_s <= second]

    def end(self, modality: str) -> FeatureWindows:
        """No more samples of this modality will come: it is invalid from here on,
        and the others go on without it.
        """
        self._open_source(modality).finish()
        self._ended.add(modality)
        return self._collect_complete()

    def finish(self) -> FeatureWindows:
        """The rest: up to the last whole second of the longest modality,
        the others being invalid there.
        """
        for name, source in self._sources.items():
            if name not in self._ended:
                source.finish()
        self._ended.update(self._sources)
        return self._collect(max(source.complete_s for source in self._sources.values()))

    def _open_source(self, modality: str) -> _Source:
        if len(self._ended) == len(self._sources):
            raise InputError(
                "This stream is finished", fix="Start a new FeatureStream for more samples"
            )
        if modality not in self._sources or modality in self._ended:
            told = [name for name in self._sources if name not in self._ended]
            raise InputError(
                f"This stream was not told of '{modality}', or it has ended",
                expected=", ".join(told),
                fix="Give its sampling rate when the FeatureStream is made",
            )
        return self._sources[modality]

    def _collect_complete(self) -> FeatureWindows:
        open_s = [
            source.complete_s for name, source in self._sources.items() if name not in self._ended
        ]
        return self._collect(min(open_s)) if open_s else self._nothing

    def _collect(self, complete_s: int) -> FeatureWindows:
        """Rows for the seconds before `complete_s` that were not handed out yet."""
        count = complete_s - self._next_row
        if count <= 0:
            return self._nothing
        for name in self._ended:
            self._sources[name].pad_to(complete_s)
        start_s = self._next_row + np.arange(count, dtype=np.float64)
        rows = {name: source.take(self._next_row, count) for name, source in self._sources.items()}
        self._next_row += count
        return assemble(self.spec, start_s, rows)


class _Source:
    """One modality: samples at any rate in, its own rows out."""

    def __init__(
        self, modality: ModalitySpec, rate_hz: float, unmixing: Float64Array | None
    ) -> None:
        self._modality, self._rate_hz = modality, rate_hz
        self._resampler = resampler_for(modality, rate_hz)
        self._kernel = kernel_for(modality, unmixing)
        inner = self._kernel.kernel if isinstance(self._kernel, Unmixed) else self._kernel
        self._filter = inner if isinstance(inner, CausalBandPower) else None
        self._samples: Float64Array = np.empty((0, channel_count(modality)))
        self._rows: list[ModalityRows] = []
        # The second of the first row that is still held, and the one after the last.
        self._first_held = math.ceil(modality.window_s) - 1
        self.complete_s = self._first_held

    @property
    def earliest_restart(self) -> int:
        """Samples from before this second could only belong to rows that are complete."""
        return max(0, self.complete_s + 1 - math.ceil(self._modality.window_s))

    @property
    def ahead_s(self) -> float:
        return 0.0 if self._resampler is None else self._resampler.ahead_s

    def restart(self, second: int, rate_hz: float | None) -> None:
        if rate_hz is not None and rate_hz != self._rate_hz:
            self._rate_hz, self._resampler = rate_hz, resampler_for(self._modality, rate_hz)
        elif self._resampler is not None:
            self._resampler.restart()
        if self._filter is not None:
            self._filter.restart()
        self.pad_to(second)
        # What came before is missing: windows that reach back to it are invalid,
        # and complete in their own time.
        missing_s = second - (self.complete_s + 1 - self._modality.window_s)
        missing = round(missing_s * self._modality.rate_hz)
        self._samples = np.full((missing, self._samples.shape[1]), np.nan)

    def push(self, samples: NDArray[np.floating[Any]]) -> None:
        fresh = np.asarray(samples, dtype=np.float64)
        channels = self._samples.shape[1]
        if fresh.ndim != 2 or fresh.shape[1] != channels:
            raise InputError(
                f"{self._modality.name}: the samples have the wrong shape",
                expected=f"(samples, {channels})",
                got=fresh.shape,
                fix="Push (samples, channels), time first, "
                "with the channels of the spec in its order",
            )
        if self._resampler is not None:
            # It would spread what is no sample over those beside it; else the windows are judged.
            fresh = self._resampler.push(without_unusable(self._modality, fresh))
        self._append(fresh)

    def finish(self) -> None:
        if self._resampler is not None:
            self._append(self._resampler.finish())

    def pad_to(self, second: int) -> None:
        """Invalid rows up to the end of a second: there are not samples enough for them."""
        missing = second - self.complete_s
        if missing > 0:
            self._hold(invalid_rows(self._modality, missing))

    def take(self, first_row: int, count: int) -> ModalityRows:
        """`count` rows from the second `first_row` on, all of them held;
        they and earlier ones are let go.
        """
        rows, skip = join_rows(self._rows), first_row - self._first_held
        self._first_held += skip + count
        if not skip and count == len(rows):
            self._rows = []
            return rows
        rest = rows.slice(slice(skip + count, None))
        self._rows = [rest] if len(rest) else []
        return rows.slice(slice(skip, skip + count))

    def _append(self, samples: Float64Array) -> None:
        window, hop = self._modality.window_samples, self._modality.hop_samples
        if len(self._samples):
            samples = np.concatenate([self._samples, samples])
        count = max(0, (len(samples) - window) // hop + 1)
        if count:
            self._hold(self._describe(sliding_windows(samples, window=window, hop=hop)))
        # A copy: a view would hold on to the whole block, which may be the caller's.
        self._samples = samples[count * hop :].copy()

    def _hold(self, rows: ModalityRows) -> None:
        self._rows.append(rows)
        self.complete_s += len(rows)

    def _describe(self, windows: Float64Array) -> ModalityRows:
        valid, quality = assess(self._modality, windows)
        if self._filter is not None:
            # The filter must see every window, usable or not; what is not usable starts it again.
            cleaned = without_bad_channels(self._modality, windows, valid)
            return checked_rows(_window_values(self._kernel, cleaned), valid, quality)
        return rows_of_usable(self._modality, self._kernel, windows, valid, quality)


class Unmixed:
    """Band power of EEG that a fixed matrix has freed of artefacts.

    Windows are judged as they were recorded and only then multiplied: a bad channel would hide
    among the others. A sample that misses one channel misses all of them afterwards.
    """

    def __init__(self, kernel: BandPower | CausalBandPower, matrix: Float64Array) -> None:
        self.kernel, self._transposed = kernel, np.ascontiguousarray(matrix.T)

    def values(self, windows: Float64Array) -> Float64Array:
        """(windows, samples, channels) -> the kernel's features of M x for each sample x."""
        # One product per window, always of the same layout:
        # the same numbers whatever the size of the block.
        clean = np.ascontiguousarray(windows) @ self._transposed
        clean[np.isnan(windows).any(axis=2)] = np.nan
        return self.kernel.values(clean)


Kernel = BandPower | CausalBandPower | Unmixed | WindowStatistics | None


def kernel_for(modality: ModalitySpec, unmixing: Float64Array | None = None) -> Kernel:
    """What turns a modality's windows into features; None for an embedding, which is passed on.

    Raises:
        InputError: the unmixing matrix does not fit the EEG.
    """
    require_raw(modality)
    if modality.kind == "band_power":
        causal = modality.filter is not None and modality.filter.mode == "causal"
        kernel = CausalBandPower(modality) if causal else BandPower(modality)
        if unmixing is None or modality.name != EEG:
            return kernel
        size = channel_count(modality)
        if unmixing.shape != (size, size):
            raise InputError(
                "The unmixing matrix does not fit the EEG",
                expected=(size, size),
                got=unmixing.shape,
            )
        return Unmixed(kernel, unmixing)
    return WindowStatistics(modality) if modality.kind == "statistics" else None


def require_raw(modality: ModalitySpec) -> None:
    """Refuse a modality whose features cannot be computed here.

    Raises:
        SpecError: they only exist as a table.
    """
    if modality.kind == "table":
        raise SpecError(
            f"{modality.name}: these features only exist ready-made",
            fix="Use a feature table, or a model trained on emodict-1",
        )


def sliding_windows(samples: Float64Array, *, window: int, hop: int) -> Float64Array:
    """All whole windows of (samples, channels), from the first sample on.

    (windows, window, channels), a view; of several channels a copy that lies sample by sample, all
    windows side by side: sums over the samples then run along memory, four times as fast, and the
    matrix product of band powers takes it as it is.
    """
    count = (len(samples) - window) // hop + 1
    if count < 1:
        return np.empty((0, window, samples.shape[1]))
    if count == 1:
        return samples[None, :window]
    views: Float64Array = sliding_window_view(samples, window, axis=0)[::hop].swapaxes(1, 2)
    return views if samples.shape[1] == 1 else views.swapaxes(0, 1).copy().swapaxes(0, 1)


def rows_of_usable(
    modality: ModalitySpec,
    kernel: Kernel,
    windows: Float64Array,
    usable: NDArray[np.bool_],
    quality: Float64Array,
) -> ModalityRows:
    """Features of the usable windows (windows, samples, channels); the others are invalid."""
    if every(usable):
        # Most of the time all are, and need not be copied.
        return checked_rows(_window_values(kernel, windows), usable, quality)
    values = np.full((len(windows), *modality.shape), np.nan)
    values[usable] = _window_values(kernel, windows[usable])
    return checked_rows(values, usable, quality)


def _window_values(kernel: Kernel, windows: Float64Array) -> Float64Array:
    if kernel is None:
        # A copy: the windows may be the caller's buffer.
        return windows[:, 0].copy()
    return kernel.values(windows[:, :, 0] if isinstance(kernel, WindowStatistics) else windows)


def checked_rows(
    values: Float64Array, valid: NDArray[np.bool_], quality: Float64Array
) -> ModalityRows:
    """A row whose features are not all usable is invalid,
    and an invalid row holds NaN and quality 0.
    """
    valid = valid & numeric_rows(values)
    if every(valid):
        return ModalityRows(values, valid, quality)
    values[~valid] = np.nan
    return ModalityRows(values, valid, np.where(valid, quality, 0.0))


def invalid_rows(modality: ModalitySpec, count: int) -> ModalityRows:
    """Rows of which nothing is known."""
    return ModalityRows(
        np.full((count, *modality.shape), np.nan), np.zeros(count, bool), np.zeros(count)
    )


def join_rows(parts: Sequence[ModalityRows]) -> ModalityRows:
    """Rows of one modality, one part after the other."""
    if len(parts) == 1:
        return parts[0]
    return ModalityRows(
        np.concatenate([p.values for p in parts]),
        np.concatenate([p.valid for p in parts]),
        np.concatenate([p.quality for p in parts]),
    )


def channel_count(modality: ModalitySpec) -> int:
    """Columns of the samples that a modality takes; an embedding has one per feature."""
    return modality.dims if modality.kind == "embedding" else len(modality.channel_names)


def resampler_for(modality: ModalitySpec, rate_hz: float) -> Resampler | None:
    """What brings a device's rate to the spec's, None where they agree.

    Raises:
        InputError: a coarse modality slower than the spec's rate; its tie ratios would be made up.
    """
    if rate_hz == modality.rate_hz:
        return None
    if modality_of(modality.name).coarse and rate_hz < modality.rate_hz:
        raise InputError(
            f"{modality.name}: recorded too slowly, and never resampled upwards",
            expected=f"at least {modality.rate_hz:g} Hz",
            got=f"{rate_hz:g} Hz",
            fix=f"Record faster, or use a model without {modality.name}",
        )
    return Resampler(rate_hz, modality.rate_hz, channels=channel_count(modality))
