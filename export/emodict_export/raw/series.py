"""A window and what is made of it before any figure is taken: differences, spectrum, density."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from emodict.features.spec import ModalitySpec
from emodict.features.statistics import STATISTICS, hann, window_filter
from emodict_desk.raw import NEXT, STATE
from emodict_export.raw import many, quality
from emodict_export.raw.blocks import Blocks, in_blocks
from emodict_export.raw.builder import RawBuilder

Float64Array = NDArray[np.float64]

# Windows of so few samples are multiplied by one matrix.
SHORT = 64


def window_of(b: RawBuilder, modality: ModalitySpec) -> tuple[str, str]:
    """The samples (batch, samples), 0 where one is missing, and whether all are there, (batch, 1).

    The state starts as zeros: seconds of which nothing is there.
    """
    name, hop = modality.name, modality.hop_samples
    fresh = b.reshape(name, (-1, hop), f"{name}/fresh")
    there = quality.inside(b, modality, fresh, name)
    fresh = b.add("Where", [there, fresh, b.scalar(0.0)], f"{name}/present")
    usable = b.reduce("ReduceMin", b.as_float(there, f"{name}/there"), 1, f"{name}/usable")
    seconds = round(modality.window_s)
    if seconds == 1:
        return fresh, usable
    window = _joined(b, f"{name}_samples", fresh, hop, modality.window_samples)
    usable = _joined(b, f"{name}_usable", usable, 1, seconds)
    return window, b.reduce("ReduceMin", usable, 1, f"{name}/whole")


def _joined(b: RawBuilder, state: str, fresh: str, step: int, length: int) -> str:
    """The state with what is new behind it; the next one has moved on by as much."""
    if b.many:
        return many.windows(b, state, fresh, step, length)
    whole = b.add("Concat", [f"{STATE}{state}", fresh], f"{state}/joined", axis=1)
    b.part(whole, 1, step, length, f"{NEXT}{state}")
    return whole


def series_of(b: RawBuilder, modality: ModalitySpec, window: str, extent: quality.Spread) -> str:
    """(batch, series, samples): x, its differences, their taper for the density, the spectrum.

    The differences are padded at their end with zeros; the level is in none of them.
    """
    if modality.filter is None:
        return _unfiltered(b, modality, window, extent)
    name, samples = modality.name, modality.window_samples
    matrices, spectrum = _matrices(modality)
    if samples <= SHORT:
        whole = np.concatenate([*matrices, spectrum]).T
        rows = b.product(extent.above, whole, f"{name}/rows")
        return b.reshape(rows, (-1, len(matrices) + 1, samples), f"{name}/series")
    rows = _by_blocks(b, extent.above, in_blocks(matrices), len(matrices), name)
    x = b.part(rows, 1, 0, 1, f"{name}/x")
    # Of the spectrum's real part one half mirrors the other.
    half = samples // 2 + 1
    cosines = np.cos(2 * np.pi / samples * np.outer(np.arange(samples), np.arange(half)))
    bins = b.product(x, cosines, f"{name}/half_spectrum")
    mirror = np.minimum(np.arange(samples), samples - np.arange(samples))
    bins = b.add("Gather", [bins, b.constant(f"{name}/mirror", mirror)], f"{name}/spectrum", axis=2)
    return b.add("Concat", [rows, bins], f"{name}/series", axis=1)


def _unfiltered(b: RawBuilder, modality: ModalitySpec, window: str, extent: quality.Spread) -> str:
    """The differences are those of the samples themselves, for some features count equal ones.

    How far a sample is above the least is rounded once it is more than twice as large, and
    differences of it that were equal are not any more.
    """
    name, samples = modality.name, modality.window_samples
    d1 = differences(b, window, samples, f"{name}/d1")
    d2 = differences(b, d1, samples - 1, f"{name}/d2")
    padded = [
        b.add("Pad", [d, b.whole(0, 0, 0, length)], f"{d}_padded")
        for length, d in enumerate((d1, d2), start=1)
    ]
    matrices, spectrum = _matrices(modality)
    others = np.concatenate([*matrices[3:], spectrum]).T
    rows = b.product(extent.above, others, f"{name}/rows")
    joined = b.join([extent.above, *padded, rows], f"{name}/joined")
    return b.reshape(joined, (-1, len(matrices) + 1, samples), f"{name}/series")


def differences(b: RawBuilder, x: str, samples: int, output: str) -> str:
    """(batch, samples) -> (batch, samples - 1), each rounded once."""
    later = b.part(x, 1, 1, samples, f"{output}/later")
    earlier = b.part(x, 1, 0, samples - 1, f"{output}/earlier")
    return b.add("Sub", [later, earlier], output)


def _matrices(modality: ModalitySpec) -> tuple[list[Float64Array], Float64Array]:
    """x, d1, d2 and, for a density, the tapered x as matrices of the window; and the spectrum's."""
    samples = modality.window_samples
    x = np.eye(samples)
    if modality.filter is not None:
        x = window_filter(modality.filter, samples)(np.eye(samples)).T
    d1, d2 = np.zeros_like(x), np.zeros_like(x)
    d1[:-1] = np.diff(x, axis=0)
    d2[:-2] = np.diff(d1[:-1], axis=0)
    made = [x, d1, d2]
    if modality.dims > STATISTICS:
        made.append(hann(samples)[:, None] * (x - x.mean(axis=0)))
    time = np.arange(samples)
    return made, np.cos(2 * np.pi / samples * (np.outer(time, time) % samples)) @ x


def _by_blocks(b: RawBuilder, window: str, blocks: Blocks, series: int, name: str) -> str:
    """(batch, samples) -> (batch, series, samples)."""
    count, length = blocks.count, blocks.length
    told, heard = blocks.exchange.shape
    pieces = b.reshape(window, (-1, count, length), f"{name}/pieces")
    shrunk = b.product(pieces, blocks.shrink, f"{name}/shrunk")
    shrunk = b.reshape(shrunk, (-1, told), f"{name}/shrunk_flat")
    others = b.product(shrunk, blocks.exchange, f"{name}/exchanged")
    others = b.reshape(others, (-1, count, heard // count), f"{name}/others")
    known = b.add("Concat", [pieces, others], f"{name}/known", axis=2)
    grown = b.product(known, blocks.grow, f"{name}/grown")
    grown = b.reshape(grown, (-1, count, series, length), f"{name}/by_piece")
    grown = b.add("Transpose", [grown], f"{name}/by_series", perm=[0, 2, 1, 3])
    return b.reshape(grown, (-1, series, count * length), f"{name}/filtered")
