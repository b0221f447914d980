"""Marks: short stretches of samples, known by what is in them wherever a cut moved them to."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from emodict.recording.recording import Recording, Signal

# Numbers are compared to 10 bits: what is saved again in float32 or float64 differs in the 20th.
KEPT_BITS = 10
# A flat signal has the same few numbers whoever wears the sensor.
LEAST_DISTINCT = 5
# Of so many samples no two people's are equal, though each is only known to one part in a thousand.
STRETCH = 64
# All channels of so many samples are held at once.
BLOCK_SAMPLES = 1 << 17
# About one mark a second is kept; the samples decide where, so a copy has the same ones.
_SPREAD = np.uint32(2654435761)


def rounded(numbers: NDArray[np.floating]) -> NDArray[np.int32]:
    """The bits of float32, rounded to KEPT_BITS of the mantissa: equal for equal numbers."""
    dropped = 23 - KEPT_BITS
    # Adding 0 turns -0 into 0.
    bits = (np.asarray(numbers, dtype=np.float32) + np.float32(0)).view(np.int32)
    return (bits + (1 << (dropped - 1))) >> dropped


def telling(rows: NDArray[np.int32]) -> NDArray[np.bool_]:
    """(rows, numbers) -> (rows,) whether a row has enough different numbers to be known by."""
    steps: NDArray[np.int_] = (np.diff(np.sort(rows, axis=1), axis=1) != 0).sum(axis=1)
    return steps + 1 >= LEAST_DISTINCT


def marks_of(
    recording: Recording, start_s: NDArray[np.float64], modalities: Sequence[str]
) -> dict[bytes, int]:
    """What stretches of the signals hold -> the row that each begins in.

    Args:
        start_s: (rows,) of the windows.
        modalities: no other signal is read.
    """
    marks: dict[bytes, int] = {}
    if not len(start_s):
        return marks
    for name, signal in recording.signals.items():
        if name not in modalities:
            continue
        for content, time_s in _stretches(signal):
            row = int(np.searchsorted(start_s, time_s, side="right")) - 1
            marks[name.encode() + content] = max(row, 0)
    return marks


def _stretches(signal: Signal) -> Iterator[tuple[bytes, float]]:
    """Content and time of a signal's marks, of the channel whose name comes first."""
    channel = signal.channel_names.index(min(signal.channel_names))
    blocks = (
        signal.read(i, i + BLOCK_SAMPLES)[:, channel]
        for i in range(0, signal.sample_count, BLOCK_SAMPLES)
    )
    bits = np.concatenate([np.empty(0, dtype=np.int32), *map(rounded, blocks)])
    every = max(1, round(signal.rate_hz))
    chosen = ((bits.view(np.uint32) * _SPREAD) >> np.uint32(16)) % np.uint32(every) == 0
    # Of a run of equal numbers only the first: a flat signal would be marked everywhere.
    chosen[1:] &= bits[1:] != bits[:-1]
    starts = np.flatnonzero(chosen[: max(0, len(bits) - STRETCH + 1)])
    if not len(starts):
        return
    stretches = bits[starts[:, None] + np.arange(STRETCH)]
    kept, times_s = telling(stretches), _times_s(signal, starts)
    for stretch, time_s in zip(stretches[kept], times_s[kept].tolist(), strict=True):
        yield hashlib.blake2b(stretch.tobytes(), digest_size=16).digest(), time_s


def _times_s(signal: Signal, samples: NDArray[np.intp]) -> NDArray[np.float64]:
    """When these samples were taken: by their times,
    or else their counter, or else their number.
    """
    if signal.timestamps_s is not None:
        return np.asarray(signal.timestamps_s, dtype=np.float64)[samples]
    counted = (
        samples
        if signal.sequence is None
        else np.asarray(signal.sequence)[samples] - int(signal.sequence[0])
    )
    return np.asarray(signal.start_s + counted / signal.rate_hz, dtype=np.float64)
