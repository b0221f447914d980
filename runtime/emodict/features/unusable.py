"""Why no window of a sensor can be used: not there, missing, out of range, still, or clipped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from emodict.features.quality import assess, why_invalid
from emodict.features.source import source_blocks, source_rate_hz
from emodict.features.spec import FeatureSpec, ModalitySpec
from emodict.recording.recording import Recording
from emodict.recording.units import unit_factor

Float64Array = NDArray[np.float64]

_BLOCK_S = 60.0
# What holds for a quarter of an hour is taken to be the reason.
_LOOKED_AT_S = 900.0


def why_unusable(recording: Recording, spec: FeatureSpec) -> dict[str, str]:
    """Modality -> why none of its windows can be used, for those of which that is so.

    Windows are judged at the recording's own rate; of a recording whose first window is fit for
    use, hardly more than that is read.
    """
    reasons = {m.name: _why(recording, m) for m in spec.modalities}
    return {name: why for name, why in reasons.items() if why}


def _why(recording: Recording, modality: ModalitySpec) -> str:
    if modality.name not in recording.modality_names:
        return recording.unusable.get(modality.name, "not in this recording")
    size = max(2, round(modality.window_s * source_rate_hz(recording, modality)))
    even = source_blocks(recording, modality, block_s=_BLOCK_S)
    if any(assess(modality, windows)[0].any() for windows in _windows(even, size)):
        return ""
    reasons: Counter[str] = Counter()
    for windows in _windows(_as_recorded(recording, modality), size):
        reasons.update(why_invalid(modality, windows))
    # On the even clock no window is whole, and as they were recorded all of them are: what is
    # missing between them is what there is to say.
    return reasons.most_common(1)[0][0] if reasons else "gaps in every window"


def _windows(blocks: Iterator[Float64Array], size: int) -> Iterator[Float64Array]:
    """Whole windows (windows, size, channels), one after the other, of the first stretch."""
    at_most = round(_LOOKED_AT_S / _BLOCK_S)
    for _, block in zip(range(at_most), blocks, strict=False):
        whole = len(block) // size * size
        yield block[:whole].reshape(-1, size, block.shape[1])


def _as_recorded(recording: Recording, modality: ModalitySpec) -> Iterator[Float64Array]:
    """Blocks in the spec's unit; samples out of range are still there, unlike on the even clock."""
    if modality.name == "video":
        yield from source_blocks(recording, modality, block_s=_BLOCK_S)
        return
    signal = recording.signals[modality.name]
    scale = unit_factor(signal.unit, modality.unit, of=signal.modality)
    block = round(_BLOCK_S * signal.rate_hz)
    for first in range(0, signal.sample_count, block):
        yield np.asarray(signal.read(first, first + block), dtype=np.float64) * scale
