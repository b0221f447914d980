"""A large matrix that does the same to every stretch of a window, as three small products.

A zero-phase filter inside a window is a full matrix, 500 x 500 for the pulse. But each stretch of
50 samples is filtered like any other, and what the stretches do to one another goes through the few
states of the filter: through some numbers each. What the window's two ends add are some more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Float64Array = NDArray[np.float64]

# Singular values below this share of the largest are rounding; float32 keeps 6e-8.
RANK_TOLERANCE = 1e-10
LONGEST_BLOCK = 64


@dataclass(frozen=True)
class Blocks:
    """The rows of several matrices times x, x as (blocks, length).

    z = x shrink, (blocks, told); z' = z exchange over all blocks, (blocks, heard);
    y = [x, z'] grow, (blocks, series length).

    Attributes:
        shrink: (length, told); exchange: (blocks told, blocks heard);
        grow: (length + heard, series length).
    """

    shrink: Float64Array
    exchange: Float64Array
    grow: Float64Array

    @property
    def length(self) -> int:
        return len(self.shrink)

    @property
    def count(self) -> int:
        return len(self.exchange) // self.shrink.shape[1]


def block_length(samples: int) -> int:
    """The largest divisor that is at most LONGEST_BLOCK."""
    return max(n for n in range(1, LONGEST_BLOCK + 1) if samples % n == 0)


def in_blocks(matrices: Sequence[Float64Array]) -> Blocks:
    """Split matrices (samples, samples); the series of the result are in their order."""
    samples, series = len(matrices[0]), len(matrices)
    length = block_length(samples)
    count = samples // length
    scale = np.array([np.linalg.norm(matrix) for matrix in matrices])
    # (blocks out, blocks in, series length, length), each series as large as any other: a small
    # one is not taken for rounding.
    parts = (np.stack(matrices) / scale[:, None, None]).reshape(
        series, count, length, count, length
    )
    parts = parts.transpose(1, 3, 0, 2, 4).reshape(count, count, series * length, length)
    itself = parts[count // 2, count // 2]
    rest = parts.copy()
    rest[np.arange(count), np.arange(count)] -= itself
    shrink = _basis(rest.reshape(-1, length))
    spread = _basis(rest.transpose(0, 1, 3, 2).reshape(-1, series * length))
    exchange = np.einsum("eh,ijel,lt->jtih", spread, rest, shrink, optimize=True)
    grow = np.concatenate([itself.T, spread.T]) * np.repeat(scale, length)
    return Blocks(shrink, exchange.reshape(count * shrink.shape[1], -1), grow)


def _basis(rows: Float64Array) -> Float64Array:
    """(rows, columns) -> (columns, rank), an orthonormal basis of what rows take of a vector."""
    # R of a QR has the same rows' span in far fewer rows.
    _, values, basis = np.linalg.svd(np.linalg.qr(rows, mode="r"))
    return np.ascontiguousarray(basis[values > RANK_TOLERANCE * values[0]].T)
