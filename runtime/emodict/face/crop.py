"""The face as a small picture: the part of a frame inside a box, 128 x 128,
colours in the order blue, green, red.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emodict.errors import InputError, ModelError
from emodict.face.opencv import opencv

UInt8Array = NDArray[np.uint8]

# The paper resizes faces to 128 x 128 (section 4.2).
CROP_SIDE = 128
# What a face engine calls the crop, and what it makes of it.
INPUT, OUTPUT = "crop", "embedding"
# A face this small in the picture has no expression left to see.
SMALLEST_SIDE = 8


@dataclass(frozen=True)
class FaceBox:
    """Where a face is, in pixels of the frame; it may reach beyond the frame's borders."""

    left: float
    top: float
    width: float
    height: float

    @property
    def area(self) -> float:
        return self.width * self.height


def clamp(box: FaceBox, *, width: int, height: int) -> tuple[int, int, int, int] | None:
    """(left, top, right, bottom), whole pixels inside the frame;
    None where too little of the box is inside.
    """
    edges = (box.left, box.top, box.left + box.width, box.top + box.height)
    if not all(map(math.isfinite, edges)):
        return None
    left, right = (min(max(round(edge), 0), width) for edge in (edges[0], edges[2]))
    top, bottom = (min(max(round(edge), 0), height) for edge in (edges[1], edges[3]))
    if min(right - left, bottom - top) < SMALLEST_SIDE:
        return None
    return left, top, right, bottom


def crop_face(frame: UInt8Array, box: FaceBox) -> UInt8Array | None:
    """(height, width, 3) and a box -> (128, 128, 3), stretched where the box is not square; a copy.

    None where too little of the box lies inside the frame.
    """
    cv2 = opencv()
    inside = clamp(box, width=frame.shape[1], height=frame.shape[0])
    if inside is None:
        return None
    left, top, right, bottom = inside
    face = frame[top:bottom, left:right]
    # Averaging over areas is right when shrinking; when growing it would repeat pixels.
    shrinking = min(face.shape[:2]) > CROP_SIDE
    way = cv2.INTER_AREA if shrinking else cv2.INTER_LINEAR
    return np.ascontiguousarray(cv2.resize(face, (CROP_SIDE, CROP_SIDE), interpolation=way))


def require_frame(frame: NDArray[Any]) -> UInt8Array:
    """Refuse what is not a colour picture.

    Raises:
        InputError: another shape or type.
    """
    if frame.ndim != 3 or frame.shape[2] != 3 or frame.dtype != np.uint8 or not frame.size:
        raise InputError(
            "This is not a picture that a face can be looked for in",
            expected="uint8 (height, width, 3), blue, green, red",
            got=f"{frame.dtype} {frame.shape}",
            fix="Hand over colour frames as OpenCV reads them",
        )
    return frame


def require_crop(crop: UInt8Array) -> UInt8Array:
    """The crop, if it is one.

    Raises:
        ModelError: another shape or type.
    """
    shape = (CROP_SIDE, CROP_SIDE, 3)
    if crop.shape != shape or crop.dtype != np.uint8:
        raise ModelError(
            "The cropped face has the wrong form",
            expected=f"uint8 {shape}",
            got=f"{crop.dtype} {crop.shape}",
            fix="Cut it out with emodict.face.crop",
        )
    return crop
