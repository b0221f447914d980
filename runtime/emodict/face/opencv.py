"""OpenCV where it is installed, and without its chatter."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any

from emodict.errors import MissingDependencyError

_SILENT = 0


def opencv(purpose: str = "Finding a face") -> Any:
    """The module cv2.

    Raises:
        MissingDependencyError: it is not installed, or a library that it needs is not.
    """
    # FFmpeg writes to standard error on its own; what it has to say, a sentence of emodict's says.
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    try:
        import cv2
    except ImportError as error:
        raise MissingDependencyError(
            "opencv-python-headless", extra="face", purpose=purpose
        ) from error
    return cv2


@contextlib.contextmanager
def without_chatter(cv2: Any) -> Iterator[None]:
    """OpenCV warns on standard error of what it then does all the same;
    errors arrive as exceptions or None.
    """
    # Before OpenCV 4.12 the two functions stood in cv2 itself.
    logging = getattr(cv2.utils, "logging", cv2)
    before = logging.getLogLevel()
    logging.setLogLevel(_SILENT)
    try:
        yield
    finally:
        logging.setLogLevel(before)
