"""Features of a whole recording: block by block for streaming specs, trial by trial for the offline ones."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from emodict.errors import RecordingError
from emodict.features.quality import assess
from emodict.features.stream import FeatureStream, checked_rows, kernel_for, resampler_for, window_values
from emodict.features.windows import FeatureWindows, ModalityRows, assemble, concatenate
from emodict.filters import zero_phase
from emodict.grid import face_rows, signal_blocks
from emodict.recording import Recording, unit_factor
from emodict.spec import FeatureSpec, FilterSpec, ModalitySpec

Float64Array = NDArray[np.float64]
logger = logging.getLogger(__name__)

# Enough windows for one efficient matrix product, few enough to stay small.
BLOCK_S = 64.0
MIN_DURATION_S = 5.0


def extract_features(recording: Recording, spec: FeatureSpec) -> FeatureWindows:
    """All rows of a recording; a modality of the spec that was not recorded is invalid throughout.

    Raises:
        RecordingError: too short, wrong units, a missing channel, or none of the spec's modalities.
    """
    return concatenate(spec, list(iter_features(recording, spec)))


def iter_features(recording: Recording, spec: FeatureSpec) -> Iterator[FeatureWindows]:
    """The rows of `extract_features` in blocks, in memory that does not grow with the recording."""
    present = [m for m in spec.modalities if m.name in recording.modality_names]
    if not present:
        raise RecordingError(
            f"Session '{recording.session_id}' holds nothing the model can use",
            expected=f"at least one of {', '.join(spec.modality_names)}",
            got=", ".join(recording.modality_names) or "no signals",
        )
    if recording.duration_s < MIN_DURATION_S:
        raise RecordingError(
            f"Session '{recording.session_id}' is too short",
            expected=f"at least {MIN_DURATION_S:g} s (PPG and GSR windows are 5 s long)",
            got=f"{recording.duration_s:.1f} s",
        )
    for modality in present:
        _announce_conversion(recording, modality)
    if spec.streaming:
        yield from _stream(recording, spec, present)
    else:
        yield from _by_trial(recording, spec, present)


def _stream(recording: Recording, spec: FeatureSpec, present: list[ModalitySpec]) -> Iterator[FeatureWindows]:
    stream = FeatureStream(spec, {m.name: _rate_hz(recording, m) for m in present})
    blocks = {m.name: _blocks(recording, m) for m in present}
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


def _by_trial(recording: Recording, spec: FeatureSpec, present: list[ModalitySpec]) -> Iterator[FeatureWindows]:
    """Rows aligned at the END of each trial, a recording without trials being one trial."""
    signals = {m.name: _whole(recording, m) for m in present}
    for start_s, stop_s in _trial_bounds(recording):
        parts = {m.name: _trial_rows(m, signals[m.name], start_s, stop_s) for m in present}
        count = int(stop_s - start_s) - spec.first_row_s
        if count < 1:
            logger.warning("The trial at %.1f s is too short for a row", start_s)
            continue
        rows = {name: _last(part, count) for name, part in parts.items()}
        yield assemble(spec, stop_s - count + np.arange(count, dtype=np.float64), rows)


def _whole(recording: Recording, modality: ModalitySpec) -> Float64Array:
    """(samples, channels) of the whole recording at the spec's rate, filtered where the filter spans it all."""
    samples = np.concatenate(list(_blocks(recording, modality)))
    resampler = resampler_for(modality, _rate_hz(recording, modality))
    if resampler is not None:
        samples = np.concatenate([resampler.push(samples), resampler.finish()])
    return _filtered(samples, modality.filter, "zero-phase-recording")


def _trial_rows(modality: ModalitySpec, samples: Float64Array, start_s: float, stop_s: float) -> ModalityRows:
    first, stop = round(start_s * modality.rate_hz), round(stop_s * modality.rate_hz)
    raw = samples[max(0, first) : stop]
    raw = np.concatenate([raw, np.full((max(0, stop - first - len(raw)), raw.shape[1]), np.nan)])
    window, hop = modality.window_samples, modality.hop_samples
    count = (len(raw) - window) // hop + 1
    if count < 1:
        return checked_rows(np.empty((0, *modality.shape)), np.empty(0, bool), np.empty(0))
    aligned = slice(len(raw) - window - (count - 1) * hop, None)
    raw_windows, windows = (
        sliding_window_view(x[aligned], window, axis=0)[::hop].swapaxes(1, 2)
        for x in (raw, _filtered(raw, modality.filter, "zero-phase-trial"))
    )
    valid, quality = assess(modality, raw_windows)
    valid &= np.isfinite(windows).all(axis=(1, 2))
    values = np.full((count, *modality.shape), np.nan)
    values[valid] = window_values(kernel_for(modality), windows[valid])
    return checked_rows(values, valid, quality)


def _filtered(samples: Float64Array, spec: FilterSpec | None, mode: str) -> Float64Array:
    """Zero phase over each stretch without gaps; one too short for the filter's padding becomes NaN."""
    if spec is None or spec.mode != mode:
        return samples
    out = np.full_like(samples, np.nan)
    good = np.isfinite(samples).all(axis=1)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], good, [False]]).astype(np.int8)))
    for start, stop in edges.reshape(-1, 2):
        if stop - start > spec.padding_samples:
            out[start:stop] = zero_phase(spec.sos, samples[start:stop], padding=spec.padding_samples)
    return out


def _last(rows: ModalityRows, count: int) -> ModalityRows:
    """The last `count` rows; where there are fewer, the ones before are invalid."""
    short = count - len(rows)
    if short > 0:
        pad = np.full((short, *rows.values.shape[1:]), np.nan)
        return ModalityRows(
            np.concatenate([pad, rows.values]),
            np.concatenate([np.zeros(short, bool), rows.valid]),
            np.concatenate([np.zeros(short), rows.quality]),
        )
    return ModalityRows(rows.values[-count:], rows.valid[-count:], rows.quality[-count:])


def _trial_bounds(recording: Recording) -> list[tuple[float, float]]:
    trials = recording.trials
    if trials is None or not len(trials):
        return [(0.0, recording.duration_s)]
    return [(float(a), float(b)) for a, b in zip(trials.start_s, trials.stop_s, strict=True)]


def _rate_hz(recording: Recording, modality: ModalitySpec) -> float:
    return modality.rate_hz if modality.name == "video" else recording.signals[modality.name].rate_hz


def _blocks(recording: Recording, modality: ModalitySpec) -> Iterator[Float64Array]:
    """Blocks of one modality in the spec's unit and channel order, at the recording's own rate."""
    if modality.name == "video":
        yield from _face_blocks(recording, modality)
        return
    signal = recording.signals[modality.name]
    scale = unit_factor(signal.unit, modality.unit, of=signal.modality)
    channels = modality.channel_names
    # A one-channel sensor is its modality, whatever its channel is called.
    if len(channels) == 1 and len(signal.channel_names) == 1:
        channels = signal.channel_names
    for block in signal_blocks(signal, channels, block_s=BLOCK_S):
        yield block if scale == 1.0 else block * scale


def _face_blocks(recording: Recording, modality: ModalitySpec) -> Iterator[Float64Array]:
    assert recording.face is not None
    rows = face_rows(recording.face)
    if rows.shape[1] != modality.dims:
        raise RecordingError(
            "video: the face embedding has the wrong size",
            expected=f"{modality.dims} numbers a frame",
            got=rows.shape[1],
            fix="Write the embedding with the face features the model was trained on",
        )
    size = int(BLOCK_S)
    for start in range(0, len(rows), size):
        yield rows[start : start + size]


def _announce_conversion(recording: Recording, modality: ModalitySpec) -> None:
    """Say what is changed on the way in, and refuse what cannot be, before any work."""
    signal = recording.signals.get(modality.name)
    if signal is None:
        return
    unit_factor(signal.unit, modality.unit, of=signal.modality)
    if len(modality.channel_names) > 1:
        signal.channel_columns(modality.channel_names)
    if signal.rate_hz != modality.rate_hz:
        resampler_for(modality, signal.rate_hz)
        logger.info("%s: resampled from %g to %g Hz", modality.name, signal.rate_hz, modality.rate_hz)
