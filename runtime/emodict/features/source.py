"""A recording's samples as a feature spec wants them: units, channels, and what must be refused."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from emodict.errors import RecordingError
from emodict.features.face_kinds import require_face_features
from emodict.features.quality import without_unusable
from emodict.features.spec import FeatureSpec, ModalitySpec
from emodict.features.stream import require_raw, resampler_for
from emodict.recording.grid import face_rows, signal_blocks
from emodict.recording.modalities import modality_of
from emodict.recording.recording import Recording
from emodict.recording.units import unit_factor

Float64Array = NDArray[np.float64]
logger = logging.getLogger(__name__)

# Enough windows for one efficient matrix product, few enough to stay small.
BLOCK_S = 64.0
# Times in seconds are sums of sample periods: what is this close to a whole number is one.
TIME_ATOL_S = 1e-6
# A sensor's clock may run slow by this much; slower,
# and the even clock has a hole every few windows.
LEAST_RATE_SHARE = 0.99


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
        yield block if scale == 1.0 else _scaled(modality, block, scale)


def _scaled(modality: ModalitySpec, block: Float64Array, scale: float) -> Float64Array:
    if not modality_of(modality.name).coarse:
        return block * scale
    # Steps that are equal are counted: of the same samples as if they were stored in the spec's
    # unit, float32, as a raw graph takes them. What that cannot hold is infinite: unusable.
    with np.errstate(over="ignore"):
        return (block * scale).astype(np.float32).astype(np.float64)


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
