"""Is there a window of a sensor that a row can use? If not, the desk says why."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from emodict.features.quality import assess
from emodict.features.source import source_blocks, source_rate_hz
from emodict.features.spec import FeatureSpec, ModalitySpec
from emodict.features.stream import resampler_for, sliding_windows
from emodict.recording.recording import Recording

Float64Array = NDArray[np.float64]

_BLOCK_S = 60.0
# What holds for a quarter of an hour is taken to be the reason.
_LOOKED_AT_S = 900.0


def why_unusable(recording: Recording, spec: FeatureSpec) -> dict[str, str]:
    """Modality -> why no row can use it, for those of which that is so for a quarter of an hour.

    Judged are windows of the rows; of a recording whose first one is fit for use, hardly more
    than that is read.
    """
    reasons = {m.name: _why(recording, m, spec.first_row_s) for m in spec.modalities}
    return {name: why for name, why in reasons.items() if why}


def _why(recording: Recording, modality: ModalitySpec, first_row_s: int) -> str:
    if modality.name not in recording.modality_names:
        return recording.unusable.get(modality.name, "not in this recording")
    even = _at_rate_of_rows(recording, modality)
    before = first_row_s + 1 - math.ceil(modality.window_s)
    for windows in _windows(even, modality.window_samples, modality.hop_samples):
        if assess(modality, windows[before:])[0].any():
            return ""
        before = max(0, before - len(windows))
    from emodict_desk.unusable import why_no_window

    return why_no_window(recording, modality, first_row_s=first_row_s, looked_at_s=_LOOKED_AT_S)


def _at_rate_of_rows(recording: Recording, modality: ModalitySpec) -> Iterator[Float64Array]:
    """Blocks on the even clock at the spec's rate: what the rows are made of."""
    resampler = resampler_for(modality, source_rate_hz(recording, modality))
    for block in source_blocks(recording, modality, block_s=_BLOCK_S):
        yield block if resampler is None else resampler.push(block)
    if resampler is not None:
        yield resampler.finish()


def _windows(blocks: Iterator[Float64Array], size: int, hop: int) -> Iterator[Float64Array]:
    """Whole windows (windows, size, channels), a hop apart, of the first stretch."""
    rest: Float64Array | None = None
    for block in itertools.islice(blocks, round(_LOOKED_AT_S / _BLOCK_S)):
        rest = block if rest is None else np.concatenate([rest, block])
        windows = sliding_windows(rest, window=size, hop=hop)
        yield windows
        rest = rest[len(windows) * hop :]
