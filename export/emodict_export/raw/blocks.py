"""A large matrix whose far parts are of low rank, as a few small products.

A zero-phase filter inside a window is a full matrix, 500 x 500 for the pulse, and yet what one
stretch of the window does to another goes through the few states of the filter. So each stretch is
multiplied by itself, and the others reach it through some numbers each: exact to float64's rounding,
a fifth of the numbers.
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
    """y = x matrix.T for the rows of several matrices, taken block by block.

    With x as (blocks, 1, length): z = x shrink, (blocks, 1, rank); z' = z exchange over all blocks;
    y = [x, z'] grow, (blocks, 1, series length).

    Attributes:
        shrink: (blocks, length, rank); exchange: (blocks rank, blocks rank);
        grow: (blocks, length + rank, series length).
    """

    shrink: Float64Array
    exchange: Float64Array
    grow: Float64Array

    @property
    def count(self) -> int:
        return len(self.shrink)

    @property
    def rank(self) -> int:
        return self.shrink.shape[2]


def block_length(samples: int) -> int:
    """The largest divisor that is at most LONGEST_BLOCK."""
    return max(n for n in range(1, LONGEST_BLOCK + 1) if samples % n == 0)


def in_blocks(matrices: Sequence[Float64Array]) -> Blocks:
    """Split square matrices (samples, samples) of one size, the series of the result in their order."""
    samples, length = len(matrices[0]), block_length(len(matrices[0]))
    count, series = samples // length, len(matrices)
    scale = np.array([np.linalg.norm(matrix) for matrix in matrices])
    # (blocks out, series length, blocks in, length), each series as large as any other: its small
    # numbers are not rounding.
    parts = np.stack(matrices) / scale[:, None, None]
    parts = parts.reshape(series, count, length, count, length).transpose(1, 0, 2, 3, 4)
    parts = parts.reshape(count, series * length, count, length)
    shrink = [_basis(np.delete(parts[:, :, j], j, 0).reshape(-1, length)) for j in range(count)]
    spread = [_basis(np.delete(parts[i], i, 1).reshape(series * length, -1).T) for i in range(count)]
    rank = max(basis.shape[1] for basis in [*shrink, *spread])
    shrinking, spreading = _padded(shrink, rank), _padded(spread, rank)
    exchange = np.einsum("ier,iejl,jls->jsir", spreading, parts, shrinking)
    for block in range(count):
        exchange[block, :, block] = 0.0
    itself = np.stack([parts[i, :, i].T for i in range(count)])
    grow = np.concatenate([itself, spreading.transpose(0, 2, 1)], axis=1)
    grow *= np.repeat(scale, length)
    return Blocks(shrinking, exchange.reshape(count * rank, count * rank), grow)


def _basis(rows: Float64Array) -> Float64Array:
    """(rows, columns) -> (columns, rank), an orthonormal basis of what the rows take from a vector."""
    if not rows.size:
        return np.zeros((rows.shape[1], 0))
    _, values, basis = np.linalg.svd(rows, full_matrices=False)
    kept = values > RANK_TOLERANCE * max(values[0], np.finfo(float).tiny)
    return np.ascontiguousarray(basis[kept].T)


def _padded(bases: Sequence[Float64Array], rank: int) -> Float64Array:
    return np.stack([np.pad(basis, ((0, 0), (0, rank - basis.shape[1]))) for basis in bases])
