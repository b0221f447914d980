"""Features of a whole recording, block by block; those of the offline specs from the desk."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from emodict.errors import RecordingError
from emodict.features.source import TIME_ATOL_S, check_source, source_blocks, source_rate_hz
from emodict.features.spec import FeatureSpec, ModalitySpec
from emodict.features.stream import FeatureStream
from emodict.features.windows import FeatureWindows, concatenate
from emodict.recording.recording import Recording

Float64Array = NDArray[np.float64]


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
        # Recipes of released data, which only a desk reproduces.
        from emodict_desk.by_trial import rows_by_trial

        yield from rows_by_trial(recording, spec, present, unmixing)


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
    if recording.duration_s < shortest_s - TIME_ATOL_S:
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
