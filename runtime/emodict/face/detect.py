"""Where the face is in a picture: YuNet where its model file is at hand,
else the detector that OpenCV ships.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from emodict.errors import InputError, ModelError
from emodict.face.crop import FaceBox
from emodict.face.opencv import opencv, without_chatter

UInt8Array = NDArray[np.uint8]

# Faces are looked for in a picture of this size at most: who sits before a camera fills a good part
# of it, and the cost grows with the area.
LOOK_SIDE = 320
# YuNet's own score, 0..1: real faces of our test videos score 0.91 and more,
# empty rooms nothing at all.
YUNET_LEAST_SCORE = 0.6
HAAR_FILE = "haarcascade_frontalface_default.xml"
# How far the cascade's window grows from step to step, and how many hits must agree: OpenCV's usual
# numbers, with one hit more, for a false face costs more than a missed one.
HAAR_GROWTH, HAAR_AGREEING = 1.1, 6
# The cascade knows faces of 24 pixels and more;
# smaller than this share of the picture it mostly sees wallpaper.
HAAR_LEAST_SHARE = 0.15
MODEL_VARIABLE = "EMODICT_FACE_MODEL"
MODEL_PATTERN = "face_detection_yunet*.onnx"


class FaceFinder(Protocol):
    """Something that finds the largest face in a picture."""

    @property
    def description(self) -> str:
        """What it is, for people to read."""

    def find(self, frame: UInt8Array) -> FaceBox | None:
        """The largest face of (height, width, 3), None where there is none."""


class YuNet:
    """cv2.FaceDetectorYN with a model file."""

    def __init__(self, model: Path) -> None:
        cv2 = opencv()
        if not model.is_file():
            raise ModelError(
                f"There is no face detector {model}",
                expected=f"a YuNet model such as {MODEL_PATTERN.replace('*', '_2023mar')}",
                fix="Check the path; docs/faces.md says where the file is to be had",
            )
        try:
            with without_chatter(cv2):
                self._detector = cv2.FaceDetectorYN.create(
                    str(model), "", (LOOK_SIDE, LOOK_SIDE), YUNET_LEAST_SCORE
                )
                # A model of another kind opens well and fails at the first picture.
                self._detect(np.zeros((LOOK_SIDE, LOOK_SIDE, 3), np.uint8))
        except cv2.error as error:
            raise ModelError(
                f"{model} is not a face detector that OpenCV {cv2.__version__} can run",
                expected="a YuNet model for cv2.FaceDetectorYN",
                got=_reason(error),
                fix="docs/faces.md says where the file is to be had",
            ) from error
        self.description = f"YuNet ({model.name})"

    def find(self, frame: UInt8Array) -> FaceBox | None:
        small, scale = shrink(frame)
        return largest(FaceBox(*(float(n) / scale for n in row[:4])) for row in self._detect(small))

    def _detect(self, small: UInt8Array) -> Iterable[NDArray[np.float32]]:
        self._detector.setInputSize((small.shape[1], small.shape[0]))
        faces = self._detector.detect(small)[1]
        return () if faces is None else faces


class HaarCascade:
    """The detector of 2001 that OpenCV 4 brings along: frontal faces only,
    and now and then a false one.
    """

    def __init__(self, file: Path) -> None:
        cv2 = opencv()
        self._cascade = cv2.CascadeClassifier(str(file))
        self.description = f"OpenCV {cv2.__version__}'s own Haar cascade ({file.name})"

    def find(self, frame: UInt8Array) -> FaceBox | None:
        cv2 = opencv()
        small, scale = shrink(frame)
        grey = cv2.equalizeHist(cv2.cvtColor(small, cv2.COLOR_BGR2GRAY))
        least = round(HAAR_LEAST_SHARE * min(grey.shape))
        boxes = self._cascade.detectMultiScale(
            grey, HAAR_GROWTH, HAAR_AGREEING, minSize=(least, least)
        )
        return largest(FaceBox(*(float(n) / scale for n in box)) for box in boxes)


class WholePicture:
    """For pictures that are faces already: the box is the picture."""

    description = "none: each picture is a face"

    def find(self, frame: UInt8Array) -> FaceBox | None:
        return FaceBox(0.0, 0.0, float(frame.shape[1]), float(frame.shape[0]))


def open_finder(model: Path | None = None) -> FaceFinder:
    """The detector to use: the model given, else the one installed, else the one that OpenCV ships.

    Installed is the file that EMODICT_FACE_MODEL names, or a face_detection_yunet*.onnx in
    the folder `emodict` of the user's data ($XDG_DATA_HOME, or ~/.local/share). `description`
    says which one it became.

    Raises:
        ModelError: the file is missing or no detector, or there is none at all.
        MissingDependencyError: OpenCV is not installed.
    """
    chosen = model or installed_model()
    if chosen is not None:
        return YuNet(chosen)
    file = shipped_cascade()
    if file is None:
        cv2 = opencv()
        raise ModelError(
            f"OpenCV {cv2.__version__} ships no face detector, and none is installed",
            expected=f"a YuNet model file, given or in {model_folder()}",
            fix=f"Name one: --face-model {MODEL_PATTERN.replace('*', '_2023mar')} (docs/faces.md "
            f"says where it is to "
            "be had), or install OpenCV 4, which brings one: "
            "pip install 'opencv-python-headless<5'",
        )
    return HaarCascade(file)


def installed_model() -> Path | None:
    """The YuNet model that this user has installed, the newest by name; None where there is none.

    Raises:
        InputError: EMODICT_FACE_MODEL names a file that is not there.
    """
    named = os.environ.get(MODEL_VARIABLE)
    if named:
        if not Path(named).is_file():
            raise InputError(
                f"{MODEL_VARIABLE} names a face detector that is not there",
                expected="a file",
                got=named,
                fix=f"Correct or unset {MODEL_VARIABLE}",
            )
        return Path(named)
    return max(model_folder().glob(MODEL_PATTERN), default=None)


def model_folder() -> Path:
    """Where model files of the user lie."""
    data = os.environ.get("XDG_DATA_HOME")
    return (Path(data) if data else Path.home() / ".local" / "share") / "emodict"


def shipped_cascade() -> Path | None:
    """The frontal face cascade of the installed OpenCV;
    None from OpenCV 5 on, which has dropped it.
    """
    cv2 = opencv()
    folder = getattr(getattr(cv2, "data", None), "haarcascades", None)
    if folder is None or not hasattr(cv2, "CascadeClassifier"):
        return None
    file = Path(folder) / HAAR_FILE
    return file if file.is_file() else None


def largest(boxes: Iterable[FaceBox]) -> FaceBox | None:
    """The box of the largest area, of equal ones the first; None where there is none."""
    return max(boxes, key=lambda box: box.area, default=None)


def shrink(frame: UInt8Array) -> tuple[UInt8Array, float]:
    """The frame no longer than LOOK_SIDE on either side, and by what it was multiplied."""
    cv2 = opencv()
    height, width = frame.shape[:2]
    scale = LOOK_SIDE / max(height, width)
    if scale >= 1:
        return frame, 1.0
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return cv2.resize(frame, size, interpolation=cv2.INTER_AREA), scale


def _reason(error: Any) -> str:
    """What OpenCV says, without the place in its source."""
    text = str(error).strip().splitlines()[0]
    return text.rpartition("error: ")[2].partition(") ")[2].split(" in function")[0].strip() or text
