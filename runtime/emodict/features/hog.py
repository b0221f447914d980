"""Face features that need no network: which way the edges run in eight parts of the face.

A histogram of oriented gradients (Dalal and Triggs, CVPR 2005) with cells so large that it says
which way brows, eyes, nose and mouth lie, and how strongly; nothing finer. Nobody has shown how
well emotions can be told from it.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

Float64Array = NDArray[np.float64]

# Four rows (brows, eyes, nose, mouth of a face that fills its box)
# by the picture's left and right half.
ROWS, COLUMNS = 4, 2
DIRECTIONS = 9
HOG_DIMS = ROWS * COLUMNS * DIRECTIONS
# ITU-R BT.601 luma, for blue, green, red.
LUMA_BGR = (0.114, 0.587, 0.299)
# Where the picture holds no edges, their direction is noise:
# what is below one grey level counts little.
FLOOR_GREY_LEVELS = 1.0


def hog_names() -> tuple[str, ...]:
    """One name per feature: row, side,
    and the direction in degrees in which the grey rises or falls.
    """
    width = 180 / DIRECTIONS
    return tuple(
        f"hog_row{row}_{side}_{round((i + 0.5) * width):03d}deg"
        for row in range(ROWS)
        for side in ("left", "right")
        for i in range(DIRECTIONS)
    )


def hog_features(crop: NDArray[Any]) -> Float64Array:
    """(128, 128, 3) blue, green, red -> (72,), row by row, left before right,
    then directions 10, 30, ... 170 degrees.

    h[cell, k] = mean over the cell's pixels of m w_k(a), with m and a the length and direction
    (modulo 180 degrees) of the gradient by central differences (0 on the border), and w_k falling
    linearly from 1 at direction k's centre to 0 at its neighbours'. Features = h / sqrt(sum h^2 +
    1): contrast does not matter, a flat picture gives zeros.
    """
    grey = crop.astype(np.float64) @ np.array(LUMA_BGR)
    across, down = np.zeros_like(grey), np.zeros_like(grey)
    across[:, 1:-1] = grey[:, 2:] - grey[:, :-2]
    down[1:-1] = grey[2:] - grey[:-2]
    length = np.hypot(across, down)
    position = np.arctan2(down, across) % math.pi * (DIRECTIONS / math.pi) - 0.5
    below = np.floor(position)
    share_above = position - below
    below = below.astype(np.intp)
    first = _cells(*grey.shape) * DIRECTIONS
    histogram: Float64Array = np.zeros(HOG_DIMS)
    for direction, share in ((below, 1 - share_above), (below + 1, share_above)):
        bins = first + direction % DIRECTIONS
        histogram += np.bincount(bins.ravel(), (length * share).ravel(), HOG_DIMS)
    histogram /= grey.size / (ROWS * COLUMNS)
    return histogram / math.sqrt(float(histogram @ histogram) + FLOOR_GREY_LEVELS**2)


def _cells(height: int, width: int) -> NDArray[np.intp]:
    """(height, width): the number of the cell that each pixel lies in."""
    rows = np.arange(height) * ROWS // height
    columns = np.arange(width) * COLUMNS // width
    return np.asarray(rows[:, None] * COLUMNS + columns, dtype=np.intp)
