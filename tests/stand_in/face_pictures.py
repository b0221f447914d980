"""Synthetic pictures of "faces": a framed pattern on a plain wall,
and a detector that finds the frame.
"""

from __future__ import annotations

import numpy as np

from emodict.face.crop import FaceBox

# No wall and no pattern has this colour.
MARK = (0, 255, 0)
SIDE = 40


def picture(
    at: tuple[int, int] | None, *, seed: int = 0, height: int = 90, width: int = 120
) -> np.ndarray:
    """A wall with, at (left, top), a square of smooth pattern inside a green
    line; None: nobody there.
    """
    frame = np.full((height, width, 3), 120, np.uint8)
    if at is not None:
        left, top = at
        rng = np.random.default_rng(seed)
        coarse = rng.integers(30, 200, (5, 5, 3))
        frame[top : top + SIDE, left : left + SIDE] = MARK
        inner = np.kron(coarse, np.ones((6, 6, 1)))[: SIDE - 10, : SIDE - 10].astype(np.uint8)
        frame[top + 5 : top + SIDE - 5, left + 5 : left + SIDE - 5] = inner
    return frame


class MarkFinder:
    """Finds the green line; counts how often it was asked."""

    description = "green line"

    def __init__(self) -> None:
        self.looks = 0

    def find(self, frame: np.ndarray) -> FaceBox | None:
        self.looks += 1
        # Video compression moves colours a little.
        green = (frame[:, :, 1] > 200) & (frame[:, :, 0] < 90) & (frame[:, :, 2] < 90)
        rows, columns = np.flatnonzero(green.any(axis=1)), np.flatnonzero(green.any(axis=0))
        if not len(rows):
            return None
        return FaceBox(columns[0], rows[0], columns[-1] + 1 - columns[0], rows[-1] + 1 - rows[0])
