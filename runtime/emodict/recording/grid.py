"""Signals on one even clock: samples from the recording's start on,
NaN wherever nothing was recorded.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from emodict.errors import RecordingError
from emodict.recording.modalities import modality_of
from emodict.recording.recording import FaceVideo, Signal

Float64Array = NDArray[np.float64]
Usable = Callable[[Float64Array], Float64Array]
logger = logging.getLogger(__name__)

# A step between neighbours that is this many periods long means that samples are missing.
GAP_PERIODS = 1.5
# Timestamps this close to the even clock, in periods, are taken as lying on it.
ON_GRID_PERIODS = 0.01
# A cubic through samples closer than this swings wildly between them:
# packets stamped as they arrive.
CROWDED_PERIODS = 0.5
# Sums of sample periods are rounded:
# a sample half-way between two ticks always goes to the later one.
ROUNDING_PERIODS = 1e-6
# A clock that drifts past the middle between two ticks wavers there: a sample that follows another
# by a period, as near as smoothed times are even, follows it in its ticks, too, until it is this
# far beyond the middle.
WAVER_PERIODS = 0.1
EVEN_PERIODS = 0.05


def signal_blocks(
    signal: Signal,
    channels: Sequence[str],
    *,
    block_s: float,
    usable: Usable = lambda samples: samples,
) -> Iterator[Float64Array]:
    """Yield (samples, channels) at the signal's own rate, sample n at n / rate_hz after the start.

    A late start, a jump of the sequence counter and a hole in the timestamps become NaN.
    Samples whose timestamps lie off the even clock are interpolated (cubic, four neighbours),
    never across a gap, and that is logged. A coarse modality, whose ties matter, is not
    interpolated but moved to the nearest tick. `usable` puts NaN in place of samples that are
    none before interpolation would spread them over their neighbours; where nothing is
    interpolated they are left as they are.
    """
    columns = signal.channel_columns(channels)
    block = max(1, round(block_s * signal.rate_hz))
    if signal.timestamps_s is not None:
        if modality_of(signal.modality).coarse:
            yield from _snapped_blocks(signal, columns, block)
        else:
            yield from _timed_blocks(signal, columns, block, usable)
    else:
        yield from _counted_blocks(signal, columns, block)


def face_rows(face: FaceVideo) -> Float64Array:
    """(seconds, dims): the last embedding of each second, NaN for a second without one.

    Raises:
        RecordingError: the face is held as pictures, from which nothing is computed here.
    """
    if face.embedding is None:
        raise RecordingError(
            f"video: the face is held as '{face.form}'",
            expected="embeddings, (frames, 32)",
            got=face.form,
            fix="emodict-session faces computes its features (docs/faces.md); "
            "or use a model without video",
        )
    embedding = np.asarray(face.embedding[:], dtype=np.float64)
    second = np.floor(np.asarray(face.timestamps_s)).astype(np.int64)
    rows = np.full((int(second.max(initial=-1)) + 1, embedding.shape[1]), np.nan)
    kept = second >= 0
    rows[second[kept]] = embedding[kept]
    return rows


def _counted_blocks(signal: Signal, columns: list[int], block: int) -> Iterator[Float64Array]:
    """Samples placed by their number, or by their sequence counter where there is one."""
    offset = round(signal.start_offset_s * signal.rate_hz)
    count = signal.sample_count
    if signal.sequence is None:
        first, total = offset, count
        position = None
    else:
        position = np.asarray(signal.sequence, dtype=np.int64) - int(
            signal.sequence[0] if count else 0
        )
        first, total = offset, int(position[-1]) + 1 if count else 0
    for start in range(0, first + total, block):
        stop = min(start + block, first + total)
        if position is None:
            yield _padded_slice(signal, columns, start - first, stop - first)
        else:
            low, high = np.searchsorted(position, (start - first, stop - first))
            out = np.full((stop - start, len(columns)), np.nan)
            out[position[low:high] + first - start] = _read(signal, columns, int(low), int(high))
            yield out


def _padded_slice(signal: Signal, columns: list[int], start: int, stop: int) -> Float64Array:
    """samples[start:stop], NaN where that reaches before the first sample."""
    missing = min(max(0, -start), stop - start)
    values = _read(signal, columns, max(0, start), max(0, stop))
    if not missing:
        return values
    return np.concatenate([np.full((missing, len(columns)), np.nan), values])


def _snapped_blocks(signal: Signal, columns: list[int], block: int) -> Iterator[Float64Array]:
    """Each sample at the tick nearest to its timestamp, NaN at a tick without one;
    of several, the nearest.
    """
    if not signal.sample_count:
        return
    times = np.asarray(signal.timestamps_s, dtype=np.float64) * signal.rate_hz
    ticks = nearest_ticks(times, None)
    off = np.abs(times - ticks)
    if off.max() > ON_GRID_PERIODS:
        logger.warning(
            "%s: timestamps lie off the even clock, moved to its nearest tick", signal.modality
        )
    total = int(ticks[-1]) + 1
    for start in range(0, total, block):
        stop = min(start + block, total)
        low, high = np.searchsorted(ticks, (start, stop))
        values, at = _read(signal, columns, int(low), int(high)), ticks[low:high]
        # Sorted by tick, then by distance: the first of each tick is its nearest.
        order = np.lexsort((off[low:high], at))
        nearest = order[np.unique(at[order], return_index=True)[1]]
        out = np.full((stop - start, len(columns)), np.nan)
        out[at[nearest] - start] = values[nearest]
        yield out


def nearest_ticks(times: Float64Array, before: tuple[float, int] | None) -> NDArray[np.int64]:
    """(samples,) in periods -> the tick of each;
    `before` are the time and the tick of the sample before them.

    Without WAVER_PERIODS, a sensor that is 50 ppm fast would lose five rows every 80
    minutes: two samples on one tick and none on the next, for as long as its times are
    uncertain by more than they drift.
    """
    ticks = np.floor(times + 0.5 + ROUNDING_PERIODS).astype(np.int64)
    for at in np.flatnonzero(np.abs(times - ticks) >= 0.5 - WAVER_PERIODS):
        last = (times[at - 1], ticks[at - 1]) if at else before
        if last is None or abs(times[at] - last[0] - 1) > EVEN_PERIODS:
            continue
        if abs(times[at] - (last[1] + 1)) <= 0.5 + WAVER_PERIODS:
            ticks[at] = last[1] + 1
    return ticks


def _timed_blocks(
    signal: Signal, columns: list[int], block: int, usable: Usable
) -> Iterator[Float64Array]:
    """Samples placed by their timestamps, interpolated where these lie off the even clock."""
    if not signal.sample_count:
        return
    times = np.asarray(signal.timestamps_s, dtype=np.float64) * signal.rate_hz
    if np.abs(times - np.rint(times)).max() > ON_GRID_PERIODS:
        logger.warning("%s: timestamps lie off the even clock, interpolated", signal.modality)
    total = int(np.floor(times[-1] + ON_GRID_PERIODS)) + 1
    for start in range(0, total, block):
        wanted = np.arange(start, min(start + block, total), dtype=np.float64)
        # Two neighbours on each side are all that a cubic looks at.
        low = max(0, int(np.searchsorted(times, wanted[0])) - 2)
        high = min(len(times), int(np.searchsorted(times, wanted[-1])) + 3)
        yield interpolate(wanted, times[low:high], usable(_read(signal, columns, low, high)))


def interpolate(wanted: Float64Array, times: Float64Array, values: Float64Array) -> Float64Array:
    """Values at `wanted` (both in periods): exact hits copied,
    the rest cubic inside gapless stretches.
    """
    out = np.full((len(wanted), values.shape[1]), np.nan)
    if not len(times):
        return out
    nearest = np.clip(np.searchsorted(times, wanted), 1, max(1, len(times) - 1))
    nearest = np.minimum(nearest, len(times) - 1)
    before = np.maximum(nearest - 1, 0)
    nearest = np.where(
        np.abs(times[before] - wanted) < np.abs(times[nearest] - wanted), before, nearest
    )
    hit = np.abs(times[nearest] - wanted) <= ON_GRID_PERIODS
    out[hit] = values[nearest[hit]]
    right = np.searchsorted(times, wanted, side="right")
    inside = ~hit & (right > 0) & (right < len(times))
    inside[inside] &= np.diff(times)[right[inside] - 1] <= GAP_PERIODS
    if inside.any():
        out[inside] = _cubic(wanted[inside], times, values, right[inside])
    return out


def _cubic(
    wanted: Float64Array, times: Float64Array, values: Float64Array, right: NDArray[np.intp]
) -> Float64Array:
    """Lagrange through two samples on each side; linear beside a gap,
    an end or a crowd of samples.
    """
    steps = np.concatenate([[np.inf], np.diff(times), [np.inf]])
    even = (steps >= CROWDED_PERIODS) & (steps <= GAP_PERIODS)
    cubic = even[right - 1] & even[right] & even[right + 1]
    out = np.empty((len(wanted), values.shape[1]))
    for mask, reach in ((cubic, (-2, -1, 0, 1)), (~cubic, (-1, 0))):
        nodes = right[mask, None] + np.array(reach)
        x, at = times[nodes], wanted[mask, None]
        weights = np.ones_like(x)
        for i in range(x.shape[1]):
            for j in range(x.shape[1]):
                if i != j:
                    weights[:, i] *= (at[:, 0] - x[:, j]) / (x[:, i] - x[:, j])
        out[mask] = np.einsum("nk,nkc->nc", weights, values[nodes])
    return out


def _read(signal: Signal, columns: list[int], start: int, stop: int) -> Float64Array:
    raw = signal.read(start, stop)
    if columns != list(range(raw.shape[1])):
        raw = raw[:, columns]
    return raw.astype(np.float64)
