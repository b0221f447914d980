"""Features of the offline specs: whole trials are filtered, and rows aligned at their ends.

They reproduce the recipes of released data and are not for a device.
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
from emodict.features.filters import zero_phase
from emodict.features.quality import assess, without_unusable
from emodict.features.source import TIME_ATOL_S, source_blocks, source_rate_hz
from emodict.features.spec import FeatureSpec, FilterSpec, ModalitySpec
from emodict.features.stream import (
    Kernel,
    channel_count,
    kernel_for,
    resampler_for,
    rows_of_usable,
    sliding_windows,
)
from emodict.features.windows import FeatureWindows, ModalityRows, assemble
from emodict.recording.recording import Recording

Float64Array = NDArray[np.float64]
# Beside the other features': what is logged there comes from the processes of --jobs as well.
logger = logging.getLogger("emodict.features.by_trial")

# What a filter makes of a signal that has long stood still is the rounding of its arithmetic
# (scipy's 0.01 Hz filter of the pulse: 1e-11 of the level), and no sensor resolves 1e-9 of its
# largest sample (24 bits: 6e-8).
FILTER_ROUNDING_SHARE = 1e-9


def rows_by_trial(
    recording: Recording,
    spec: FeatureSpec,
    present: list[ModalitySpec],
    unmixing: Float64Array | None,
) -> Iterator[FeatureWindows]:
    """Rows aligned at the END of each trial, a recording without trials being one trial."""
    kernels = {m.name: kernel_for(m, unmixing) for m in present}
    signals = {m.name: _whole(recording, m) for m in present}
    for start_s, stop_s in _trial_bounds(recording):
        seconds = math.floor(stop_s - start_s + TIME_ATOL_S)
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
    seconds = math.floor(stop_s - start_s + TIME_ATOL_S)
    first = min(round(start_s * modality.rate_hz), stop - seconds * hop)
    aligned = (stop - first - window) % hop
    raw = _cut(signal.raw, first, stop)
    filtered = _filtered(_cut(signal.filtered, first, stop), modality.filter, "zero-phase-trial")
    usable, quality = assess(modality, sliding_windows(raw[aligned:], window=window, hop=hop))
    windows = sliding_windows(filtered[aligned:], window=window, hop=hop)
    usable &= np.isfinite(windows).all(axis=(1, 2))
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
    good = np.isfinite(samples).all(axis=1)
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
        beyond_s = max(0, math.ceil(stop_s - end_s - TIME_ATOL_S))
        if beyond_s:
            logger.warning(
                "The trial at %.1f s ends %d s after the recording; it is cut there",
                start_s,
                beyond_s,
            )
        yield max(0.0, start_s), stop_s - beyond_s
