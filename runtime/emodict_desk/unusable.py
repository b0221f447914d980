"""What is wrong with a sensor of which no row has a usable window."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from emodict.features.quality import why_invalid
from emodict.features.source import TIME_ATOL_S, source_blocks, source_rate_hz
from emodict.features.spec import ModalitySpec
from emodict.recording.recording import Recording
from emodict.recording.units import unit_factor

Float64Array = NDArray[np.float64]


_BLOCK_S = 60.0


def why_no_window(
    recording: Recording, modality: ModalitySpec, *, first_row_s: int, looked_at_s: float
) -> str:
    """The reason, as most windows of the first stretch have it; of too little for any row, that."""
    if too_little := _too_little(recording, modality, first_row_s):
        return too_little
    reasons: Counter[str] = Counter()
    size = max(2, round(modality.window_s * source_rate_hz(recording, modality)))
    blocks = _as_recorded(recording, modality)
    for block in itertools.islice(blocks, round(looked_at_s / _BLOCK_S)):
        whole = len(block) // size * size
        windows = block[:whole].reshape(-1, size, block.shape[1])
        reasons.update(why_invalid(modality, windows))
    # On the even clock no window is whole, and as they were recorded all of them are: what is
    # missing between them is what there is to say.
    return reasons.most_common(1)[0][0] if reasons else "gaps in every window"


def _too_little(recording: Recording, modality: ModalitySpec, first_row_s: int) -> str:
    """Why no window of a row lies between the first sample and the last; "" where one does."""
    start_s, stop_s = _extent_s(recording, modality)
    if math.floor(stop_s + TIME_ATOL_S) - modality.window_s < start_s - TIME_ATOL_S:
        needed = f"a row takes {modality.window_s:g} s from a whole second on"
        return f"too short: {stop_s - start_s:.3g} s, and {needed}"
    if stop_s + TIME_ATOL_S < first_row_s + 1:
        return f"it ends at {stop_s:.1f} s, before the first row does, at {first_row_s + 1} s"
    return ""


def _extent_s(recording: Recording, modality: ModalitySpec) -> tuple[float, float]:
    """Where it starts and stops; a face lasts for the second that it was seen in."""
    if modality.name == "video":
        assert recording.face is not None
        times_s = np.asarray(recording.face.timestamps_s)
        return math.floor(times_s[0]), math.floor(times_s[-1]) + 1
    signal = recording.signals[modality.name]
    return signal.start_s, signal.stop_s


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
