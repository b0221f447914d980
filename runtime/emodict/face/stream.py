"""FaceStream: frames in as they come, one row of face features out per second;
a video file is the same, only faster.

One frame a second is looked at, the first of each: what the paper does,
and a row is there long before its second ends.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emodict.errors import InputError
from emodict.face.crop import crop_face, require_frame
from emodict.face.detect import FaceFinder
from emodict.face.embed import FaceEmbedder
from emodict.face.track import HOLD_S, LastBox
from emodict.recording.recording import LONGEST_S

Float32Array = NDArray[np.float32]
Float64Array = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

# Where in its second a row without a frame is said to lie.
_MIDDLE_S = 0.5


@dataclass(frozen=True)
class FaceRows:
    """Face features of consecutive seconds.

    Attributes:
        start_s: (rows,) the seconds.
        frame_s: (rows,) time of the frame that was looked at; NaN where there was none.
        embedding: (rows, dims), NaN where there was no face:
            what FeatureStream.push("video", ...) takes.
        found: (rows,) a face was seen in this very frame.
        held: (rows,) none was, and the features are of the place where it was last seen.
    """

    start_s: Float64Array
    frame_s: Float64Array
    embedding: Float32Array
    found: BoolArray
    held: BoolArray

    @property
    def valid(self) -> BoolArray:
        """(rows,) whether there are features."""
        return self.found | self.held

    @property
    def time_s(self) -> Float64Array:
        """(rows,) a time within each second: its frame's where there was one."""
        return np.where(np.isnan(self.frame_s), self.start_s + _MIDDLE_S, self.frame_s)

    def __len__(self) -> int:
        return len(self.start_s)


class FaceStream:
    """The face of one person, second by second.

    Args:
        finder, embedder: what finds the face and what describes it.
        hold_s: how long a lost face is taken to be where it was last seen.
        first_second: the second of the recording that the first row is for.
    """

    def __init__(
        self,
        finder: FaceFinder,
        embedder: FaceEmbedder,
        *,
        hold_s: float = HOLD_S,
        first_second: int = 0,
    ) -> None:
        self._finder, self._embedder = finder, embedder
        self._last = LastBox(hold_s)
        self._next_second = first_second

    @property
    def dims(self) -> int:
        """How many numbers a row holds."""
        return self._embedder.dims

    def wants(self, time_s: float) -> bool:
        """Whether a frame of this time would be looked at; the others need not even be decoded."""
        return math.floor(time_s) >= self._next_second

    def push(self, frame: NDArray[Any], time_s: float) -> FaceRows:
        """Take a frame, (height, width, 3) blue, green, red,
        and its time after the recording's start.

        Returns the rows that are now complete: the frame's own second, and before it those that had
        no frame. Empty for every further frame of a second, and for one that comes late. The rows
        are the caller's to keep.

        Raises:
            InputError: not a colour picture, or not a time.
        """
        _check_time(time_s)
        picture = require_frame(frame)
        if not self.wants(time_s):
            return self._rows(0)
        skipped = math.floor(time_s) - self._next_second
        rows = self._rows(skipped + 1)
        self._describe(picture, time_s, rows)
        return rows

    def advance(self, time_s: float) -> FaceRows:
        """The camera may have stalled:
        rows without a face for all seconds over at `time_s` that had no frame.
        """
        _check_time(time_s)
        return self._rows(max(0, math.floor(time_s) - self._next_second))

    def _describe(self, picture: NDArray[np.uint8], time_s: float, rows: FaceRows) -> None:
        """Fill the last row from this frame."""
        rows.frame_s[-1] = time_s
        place = self._last.update(self._finder.find(picture), time_s)
        crop = None if place is None else crop_face(picture, place.box)
        if place is not None and crop is not None:
            rows.embedding[-1] = self._embedder.embed(crop)
            rows.found[-1], rows.held[-1] = not place.held, place.held

    def _rows(self, count: int) -> FaceRows:
        """The next `count` seconds, without a face so far."""
        start_s = self._next_second + np.arange(count, dtype=np.float64)
        self._next_second += count
        return FaceRows(
            start_s=start_s,
            frame_s=np.full(count, np.nan),
            embedding=np.full((count, self._embedder.dims), np.nan, np.float32),
            found=np.zeros(count, bool),
            held=np.zeros(count, bool),
        )


def join_face_rows(parts: Sequence[FaceRows], *, dims: int) -> FaceRows:
    """Rows one part after the other; of `dims` numbers, should there be none."""
    return FaceRows(
        start_s=np.concatenate([np.empty(0), *(part.start_s for part in parts)]),
        frame_s=np.concatenate([np.empty(0), *(part.frame_s for part in parts)]),
        embedding=np.concatenate(
            [np.empty((0, dims), np.float32), *(part.embedding for part in parts)]
        ),
        found=np.concatenate([np.empty(0, bool), *(part.found for part in parts)]),
        held=np.concatenate([np.empty(0, bool), *(part.held for part in parts)]),
    )


def _check_time(time_s: float) -> None:
    if not (math.isfinite(time_s) and time_s <= LONGEST_S):
        raise InputError(
            "A frame's time cannot be used",
            expected=f"seconds after the recording's start, at most {LONGEST_S / 86400:.0f} days",
            got=time_s,
            fix="Count times from the start of the recording (not Unix time)",
        )
