"""Features of a whole recording: block by block for streaming specs,
trial by trial for the offline ones.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from emodict.errors import RecordingError
from emodict.features.face_kinds import require_face_features
from emodict.features.filters import zero_phase
from emodict.features.quality import assess, without_unusable
from emodict.features.spec import FeatureSpec, FilterSpec, ModalitySpec
from emodict.features.stream import (
    FeatureStream,
    Kernel,
    channel_count,
    kernel_for,
    require_raw,
    resampler_for,
    rows_of_usable,
    sliding_windows,
)
from emodict.features.windows import (
    FeatureWindows,
    ModalityRows,
    assemble,
    concatenate,
    finite_rows,
)
from emodict.recording.grid import face_rows, signal_blocks
from emodict.recording.modalities import modality_of
from emodict.recording.recording import Recording
from emodict.recording.units import unit_factor

Float64Array = NDArray[np.float64]
logger = logging.getLogger(__name__)

# Enough windows for one efficient matrix product, few enough to stay small.
BLOCK_S = 64.0
# Times in seconds are sums of sample periods: what is this close to a whole number is one.
_TIME_ATOL_S = 1e-6
# A sensor's clock may run slow by this much; slower,
# and the even clock has a hole every few windows.
LEAST_RATE_SHARE = 0.99
# What a filter makes of a signal that has long stood still is the rounding of its arithmetic
# (scipy's 0.01 Hz filter of the pulse: 1e-11 of the level), and no sensor resolves 1e-9 of its
# largest sample (24 bits: 6e-8).
FILTER_ROUNDING_SHARE = 1e-9


def extract_features(
    recording: Recording, spec: FeatureSpec, *, unmixing: Float64Array | None = None
) -> FeatureWindows:
    """All rows of a recording; a modality of the spec that was not recorded is invalid throughout.

    `unmixing` (channels, channels) multiplies the EEG, in the spec's order of channels.

    Raises:
        RecordingError: too short, wrong units, a missing channel, or none of the spec's modalities.
    """
    return concatenate(spec, list(iter_features(recording, spec, unmixing=unmixing)))


def iter_features(
    recording: Recording, spec: FeatureSpec, *, unmixing: Float64Array | None = None
) -> Iterator[FeatureWindows]:
    """The rows of `extract_features` in blocks, in memory that does not grow with the recording."""
    present = usable_modalities(recording, spec)
    if spec.streaming:
        yield from _stream(recording, spec, present, unmixing)
    else:
        yield from _by_trial(recording, spec, present, unmixing)


def usable_modalities(recording: Recording, spec: FeatureSpec) -> list[ModalitySpec]:
    """The modalities of the spec that were recorded.

    Raises:
        RecordingError: as `extract_features`.
    """
    recording.require_usable(spec.modality_names)
    present = [m for m in spec.modalities if m.name in recording.modality_names]
    if not present:
        raise RecordingError(
            f"Session '{recording.session_id}' holds nothing the model can use",
            expected=f"at least one of {', '.join(spec.modality_names)}",
            got=", ".join(recording.modality_names) or "no signals",
            fix="Record one of them, or use a model for what was recorded",
        )
    shortest_s = spec.first_row_s + 1
    if recording.duration_s < shortest_s - _TIME_ATOL_S:
        raise RecordingError(
            f"Session '{recording.session_id}' is too short",
            expected=f"at least {shortest_s} s, the model's longest window",
            got=f"{recording.duration_s:.1f} s",
            fix=f"Record at least {shortest_s} s",
        )
    for modality in present:
        check_source(recording, modality, spec)
    return present


def _stream(
    recording: Recording,
    spec: FeatureSpec,
    present: list[ModalitySpec],
    unmixing: Float64Array | None,
) -> Iterator[FeatureWindows]:
    stream = FeatureStream(
        spec, {m.name: source_rate_hz(recording, m) for m in present}, unmixing=unmixing
    )
    blocks = {m.name: source_blocks(recording, m) for m in present}
    while blocks:
        for name in list(blocks):
            block = next(blocks[name], None)
            if block is None:
                del blocks[name]
            else:
                rows = stream.push(name, block)
                if len(rows):
                    yield rows
    yield stream.finish()


def _by_trial(
    recording: Recording,
    spec: FeatureSpec,
    present: list[ModalitySpec],
    unmixing: Float64Array | None,
) -> Iterator[FeatureWindows]:
    """Rows aligned at the END of each trial, a recording without trials being one trial."""
    kernels = {m.name: kernel_for(m, unmixing) for m in present}
    signals = {m.name: _whole(recording, m) for m in present}
    for start_s, stop_s in _trial_bounds(recording):
        seconds = math.floor(stop_s - start_s + _TIME_ATOL_S)
        count = seconds - spec.first_row_s
        if count < 1:
            logger.warning("The trial at %.1f s is too short for a row", start_s)
            continue
        last = slice(-count, None)
        rows = {
            m.name: _trial_rows(m, kernels[m.name], signals[m.name], start_s, stop_s).slice(last)
            for m in present
        }
        yield assemble(spec, stop_s - count + np.arange(count, dtype=np.float64), rows)


@dataclass(frozen=True)
class _WholeSignal:
    """A modality from the recording's start on at the spec's rate: as recorded,
    and as its features see it.
    """

    raw: Float64Array
    filtered: Float64Array

    @cached_property
    def rounding(self) -> float:
        """Filtered samples no larger than this are not told from rounding."""
        return FILTER_ROUNDING_SHARE * float(
            np.fmax.reduce(np.abs(self.raw), axis=None, initial=0.0)
        )


def _whole(recording: Recording, modality: ModalitySpec) -> _WholeSignal:
    """(samples, channels) of the whole recording, filtered where the filter spans it all."""
    blocks = [without_unusable(modality, block) for block in source_blocks(recording, modality)]
    raw = np.concatenate([np.empty((0, channel_count(modality))), *blocks])
    resampler = resampler_for(modality, source_rate_hz(recording, modality))
    if resampler is not None:
        raw = np.concatenate([resampler.push(raw), resampler.finish()])
    return _WholeSignal(raw, _filtered(raw, modality.filter, "zero-phase-recording"))


def _trial_rows(
    modality: ModalitySpec, kernel: Kernel, signal: _WholeSignal, start_s: float, stop_s: float
) -> ModalityRows:
    """As many rows as whole windows lie between start and stop, the last one ending at stop."""
    window, hop = modality.window_samples, modality.hop_samples
    stop = round(stop_s * modality.rate_hz)
    # Rounding start by itself could cost a trial of whole seconds its first row.
    seconds = math.floor(stop_s - start_s + _TIME_ATOL_S)
    first = min(round(start_s * modality.rate_hz), stop - seconds * hop)
    aligned = (stop - first - window) % hop
    raw = _cut(signal.raw, first, stop)
    filtered = _filtered(_cut(signal.filtered, first, stop), modality.filter, "zero-phase-trial")
    usable, quality = assess(modality, sliding_windows(raw[aligned:], window=window, hop=hop))
    windows = sliding_windows(filtered[aligned:], window=window, hop=hop)
    usable &= finite_rows(windows)
    if modality.constant_usable and modality.filter is not None:
        # A constant window holds what the filter brings in from around it, and that may be nothing.
        usable &= np.abs(windows).max(axis=(1, 2)) > signal.rounding
    return rows_of_usable(modality, kernel, windows, usable, quality)


def _cut(samples: Float64Array, first: int, stop: int) -> Float64Array:
    """samples[first:stop], NaN where that reaches beyond either end."""
    before, after = max(0, -first), max(0, stop - len(samples))
    return np.pad(
        samples[max(0, first) : max(0, stop)], ((before, after), (0, 0)), constant_values=np.nan
    )


def _filtered(samples: Float64Array, spec: FilterSpec | None, mode: str) -> Float64Array:
    """Zero phase over each stretch without gaps;
    one too short for the filter's padding becomes NaN.
    """
    if spec is None or spec.mode != mode:
        return samples
    out = np.full_like(samples, np.nan)
    good = finite_rows(samples)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], good, [False]]).astype(np.int8)))
    for start, stop in edges.reshape(-1, 2):
        if stop - start > spec.padding_samples:
            out[start:stop] = zero_phase(
                spec.sos, samples[start:stop], padding=spec.padding_samples
            )
    return out


def _trial_bounds(recording: Recording) -> Iterator[tuple[float, float]]:
    """Start and stop of each trial, cut to what was recorded."""
    end_s = recording.duration_s
    trials = recording.trials
    if trials is None or not len(trials):
        yield 0.0, end_s
        return
    for start_s, stop_s in zip(
        np.asarray(trials.start_s).tolist(), np.asarray(trials.stop_s).tolist(), strict=True
    ):
        if not math.isfinite(stop_s):
            raise RecordingError(
                "trials: a trial has no end",
                expected="seconds",
                got=stop_s,
                fix="Write its end into /trials/stop, or leave the trial out",
            )
        # By whole seconds, so that the rows that are left stay where they would have been.
        beyond_s = max(0, math.ceil(stop_s - end_s - _TIME_ATOL_S))
        if beyond_s:
            logger.warning(
                "The trial at %.1f s ends %d s after the recording; it is cut there",
                start_s,
                beyond_s,
            )
        yield max(0.0, start_s), stop_s - beyond_s


def source_rate_hz(recording: Recording, modality: ModalitySpec) -> float:
    """The rate at which `source_blocks` gives its samples."""
    return (
        modality.rate_hz if modality.name == "video" else recording.signals[modality.name].rate_hz
    )


def source_blocks(
    recording: Recording, modality: ModalitySpec, *, block_s: float = BLOCK_S
) -> Iterator[Float64Array]:
    """Blocks of one modality in the spec's unit and channel order, at the recording's own rate."""
    if modality.name == "video":
        yield from _face_blocks(recording, modality, round(block_s))
        return
    signal = recording.signals[modality.name]
    scale = unit_factor(signal.unit, modality.unit, of=signal.modality)
    channels = modality.channel_names
    # A sensor without named places is its modality, whatever its one channel is called.
    if not _named_places(modality) and len(signal.channel_names) == 1:
        channels = signal.channel_names

    def usable(samples: Float64Array) -> Float64Array:
        return without_unusable(modality, samples, unit=scale)

    for block in signal_blocks(signal, channels, block_s=block_s, usable=usable):
        yield block if scale == 1.0 else block * scale


def _face_blocks(recording: Recording, modality: ModalitySpec, size: int) -> Iterator[Float64Array]:
    assert recording.face is not None
    rows = face_rows(recording.face)
    if rows.shape[1] != modality.dims:
        raise RecordingError(
            "video: the face embedding has the wrong size",
            expected=f"{modality.dims} numbers a frame",
            got=rows.shape[1],
            fix="Write the embedding with the face features the model was trained on",
        )
    for start in range(0, len(rows), size):
        yield rows[start : start + size]


def check_source(recording: Recording, modality: ModalitySpec, spec: FeatureSpec) -> None:
    """Say what is changed on the way in, and refuse what cannot be used, before any work."""
    require_raw(modality)
    signal = recording.signals.get(modality.name)
    if signal is None:
        if recording.face is not None:
            require_face_features(recording.face, spec)
        return
    unit_factor(signal.unit, modality.unit, of=signal.modality)
    if modality_of(modality.name).coarse and signal.timestamps_s is not None:
        _check_coarse_timestamps(np.asarray(signal.timestamps_s, dtype=np.float64), modality)
    if _named_places(modality):
        signal.channel_columns(modality.channel_names)
    if signal.rate_hz != modality.rate_hz:
        resampler_for(modality, signal.rate_hz)
        logger.info(
            "%s: resampled from %g to %g Hz", modality.name, signal.rate_hz, modality.rate_hz
        )


def _named_places(modality: ModalitySpec) -> bool:
    """Whether it matters which channel is which, even of a single one: O1 is not Fz."""
    return modality.channel_names not in ((), (modality.name,))


def _check_coarse_timestamps(times_s: Float64Array, modality: ModalitySpec) -> None:
    """Refuse samples that come more slowly than the features need them:
    these are never interpolated.
    """
    if len(times_s) < 2:
        return
    period_s = float(np.median(np.diff(times_s)))
    if period_s * modality.rate_hz * LEAST_RATE_SHARE > 1:
        raise RecordingError(
            f"{modality.name}: the timestamps are too far apart, "
            f"and {modality.name} is never interpolated",
            expected=f"at least {modality.rate_hz:g} Hz",
            got=f"{1 / period_s:.4g} Hz (median)",
            fix=f"Record faster, or use a model without {modality.name}",
        )
