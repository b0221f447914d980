"""Matrix products in pieces that BLAS does not divide among threads.

A second thread saves no time on products as small as these, and where the cores are busy it costs
several times as much: both wait for each other. A user's Python has as many threads as cores.
"""

from __future__ import annotations

import os

import numpy as np
from numpy.typing import NDArray

Float64Array = NDArray[np.float64]

# Up to so many multiplications OpenBLAS keeps to one thread, whatever it may have (interface/gemm.c
# and gemv.c: GEMM_MULTITHREAD_THRESHOLD is 4).
_MATRICES, _VECTOR = 4 * 65_536, 4 * 2_304 - 1
# As the commands have it: pieces cost the kernels for AVX2 up to half as much again as the whole.
_ONE_THREAD = os.environ.get("OPENBLAS_NUM_THREADS") == "1"
# Pieces of so many rows cost least: 24 x 300 x 36 for EEG.
_ROWS = 24


def product(a: Float64Array, b: Float64Array) -> Float64Array:
    """Of a (rows, inner) and b (inner, columns), a @ b."""
    rows, inner, columns = *a.shape, b.shape[1]
    most = _VECTOR if 1 in (rows, columns) else _MATRICES
    if _ONE_THREAD or rows * inner * columns <= most:
        return a @ b
    out = np.empty((rows, columns))
    wide = _even(columns, most // (min(rows, _ROWS) * inner))
    tall = _even(rows, most // (wide * inner))
    # All pieces of the same size in one call; what is left of rows and columns after it.
    whole, all_wide = rows - rows % tall, columns - columns % wide
    np.matmul(
        a[:whole].reshape(-1, 1, tall, inner),
        b[:, :all_wide].reshape(inner, -1, wide).swapaxes(0, 1),
        out=out[:whole, :all_wide].reshape(-1, tall, all_wide // wide, wide).swapaxes(1, 2),
    )
    if whole < rows:
        out[whole:] = product(a[whole:], b)
    if all_wide < columns:
        out[:whole, all_wide:] = product(a[:whole], b[:, all_wide:])
    return out


def _even(count: int, most: int) -> int:
    """The size of the fewest pieces of at most `most`, as even as they can be."""
    pieces = -(-count // max(1, most))
    return -(-count // pieces)
