"""Frames with their times, one generator per source: a camera, a video file,
the pictures of a session.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emodict.errors import InputError, RecordingError
from emodict.face.opencv import opencv, without_chatter
from emodict.recording.recording import MOST_PIXELS, FaceVideo

logger = logging.getLogger(__name__)

UInt8Array = NDArray[np.uint8]
# A frame, (height, width, 3) blue, green, red, and its time in seconds.
TimedFrame = tuple[UInt8Array, float]
Wants = Callable[[float], bool]

# Containers promise a frame or a few more than they hold;
# less than this share of them is a file cut short.
WHOLE_SHARE = 0.9
# Without a rate in the file and without times, 30 frames a second is what cameras do.
USUAL_RATE_HZ = 30.0
# Of a JPEG: SOF0 to SOF15, without DHT, JPG and DAC;
# and what stands without a length: TEM, RST0 to EOI.
_FRAME_HEADERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_BARE_MARKERS = frozenset({0x01, *range(0xD0, 0xDA)})


def every_frame(_: float) -> bool:
    """The `wants` that takes all frames."""
    return True


def video_frames(path: Path, *, wants: Wants = every_frame) -> Generator[TimedFrame, None, None]:
    """The frames of a video file, timed from its start;
    those whose time is not wanted are not decoded to pictures.

    Raises:
        RecordingError: no such file, no video, or none of its frames can be read.
    """
    cv2 = opencv("Reading a video")
    if not path.is_file():
        raise RecordingError(
            f"There is no video {path}", expected="a video file", fix="Check the path"
        )
    capture = _open_file(cv2, path)
    try:
        if not capture.isOpened():
            raise _unreadable(path)
        read = yield from _frames(cv2, capture, wants)
        promised = capture.get(cv2.CAP_PROP_FRAME_COUNT)
    finally:
        capture.release()
    if not read:
        raise _unreadable(path)
    if read < WHOLE_SHARE * promised:
        logger.warning(
            "%s is cut off or damaged: %d of its %d frames can be read", path, read, promised
        )


def video_length_s(path: Path) -> float:
    """How long the file says that it is; 0 where it does not say, or is not a video."""
    cv2 = opencv("Reading a video")
    capture = _open_file(cv2, path)
    frames, rate_hz = capture.get(cv2.CAP_PROP_FRAME_COUNT), capture.get(cv2.CAP_PROP_FPS)
    capture.release()
    return float(max(0.0, frames / rate_hz)) if rate_hz > 0 else 0.0


def camera_frames(
    index: int, *, wants: Wants = every_frame, clock: Callable[[], float] = time.monotonic
) -> Generator[TimedFrame, None, None]:
    """The frames of a camera until it stops giving any, timed by `clock` as they arrive;
    closing the iterator frees it.

    Raises:
        InputError: there is no such camera, or it gives no picture.
    """
    cv2 = opencv("A camera")
    with without_chatter(cv2):
        capture = cv2.VideoCapture(index)
    try:
        if not capture.isOpened():
            raise InputError(
                f"Camera {index} cannot be opened",
                expected=f"a camera with the number {index} that no other program uses",
                fix="Plug it in, allow its use (on Linux, the group video), close what uses it, "
                "or name another one: "
                f"--camera {index + 1}",
            )
        started = False
        while capture.grab():
            time_s = clock()
            if wants(time_s):
                taken, frame = capture.retrieve()
                if taken:
                    yield frame, time_s
            started = True
    finally:
        capture.release()
    if not started:
        raise InputError(
            f"Camera {index} gives no picture",
            fix="Close other programs that use it, or plug it in again",
        )
    logger.warning("Camera %d has stopped giving pictures", index)


def face_frames(
    face: FaceVideo, *, wants: Wants = every_frame
) -> Generator[TimedFrame, None, None]:
    """The pictures of a session's /video/face, be they frames, JPEGs or a video file beside it.

    Raises:
        RecordingError: they are embeddings, or a picture cannot be read.
    """
    if face.external_file is not None:
        yield from _external(face, face.external_file, wants)
        return
    if face.frames is None and face.jpeg is None:
        raise RecordingError(
            "video: the session holds face features, not pictures",
            expected="frames, jpeg or external_file in /video/face",
            got=face.form,
            fix="Use it as it is: its features are computed",
        )
    for at, time_s in enumerate(np.asarray(face.timestamps_s, dtype=np.float64).tolist()):
        if wants(time_s):
            yield _picture(face, at), time_s


def _open_file(cv2: Any, path: Path) -> Any:
    """By FFmpeg where this OpenCV has it: other readers chatter,
    and take a name with digits for many pictures.
    """
    reader = cv2.CAP_FFMPEG if cv2.videoio_registry.hasBackend(cv2.CAP_FFMPEG) else cv2.CAP_ANY
    with without_chatter(cv2):
        return cv2.VideoCapture(str(path), reader)


def _frames(cv2: Any, capture: Any, wants: Wants) -> Generator[TimedFrame, None, int]:
    """Yield what is wanted of an open file; return how many frames it had.

    Times are the file's own, which may be uneven; where it has none, they are counted at its rate.
    """
    rate_hz = capture.get(cv2.CAP_PROP_FPS)
    period_s = 1 / (rate_hz if math.isfinite(rate_hz) and rate_hz > 0 else USUAL_RATE_HZ)
    read, last_s = 0, -math.inf
    while capture.grab():
        time_s = capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
        if not (math.isfinite(time_s) and time_s > last_s):
            time_s = last_s + period_s if read else 0.0
        read, last_s = read + 1, time_s
        if wants(time_s):
            taken, frame = capture.retrieve()
            if taken:
                yield frame, time_s
    return read


def _external(face: FaceVideo, file: str, wants: Wants) -> Generator[TimedFrame, None, None]:
    """A video beside the session: on the session's clock by its timestamps,
    where there are any, else from 0.
    """
    times_s = np.asarray(face.timestamps_s, dtype=np.float64)
    if not len(times_s):
        yield from video_frames(Path(file), wants=wants)
        return
    own = iter(times_s.tolist())
    placed: list[float] = [0.0]

    def wanted(_: float) -> bool:
        placed[0] = next(own, math.nan)
        return math.isfinite(placed[0]) and wants(placed[0])

    for frame, _ in video_frames(Path(file), wants=wanted):
        yield frame, placed[0]


def _picture(face: FaceVideo, at: int) -> UInt8Array:
    """Picture number `at` as blue, green, red."""
    try:
        if face.frames is not None:
            frame = np.asarray(face.frames[at], dtype=np.uint8)
            return frame if face.color_order == "BGR" else np.ascontiguousarray(frame[:, :, ::-1])
        assert face.jpeg is not None
        cv2 = opencv("Reading pictures")
        # A JPEG says itself which colour is which, whatever color_order says of arrays.
        coded = np.asarray(face.jpeg[at], dtype=np.uint8)
        _require_jpeg(coded.tobytes(), at)
        decoded = cv2.imdecode(coded, cv2.IMREAD_COLOR)
    except (OSError, ValueError, TypeError) as error:
        raise _damaged(at, str(error)) from error
    if decoded is None:
        raise _damaged(at, "not a JPEG")
    return np.asarray(decoded)


def _require_jpeg(coded: bytes, at: int) -> None:
    """Refuse what is not a JPEG, or claims a picture too large, before a decoder makes room for it.

    Its parts (ITU-T T.81, B.1) begin with 0xFF, a marker and their length;
    a frame header says height and width.
    """
    place = 2
    while coded.startswith(b"\xff\xd8") and place + 9 <= len(coded) and coded[place] == 0xFF:
        marker, size = coded[place + 1], int.from_bytes(coded[place + 2 : place + 4], "big")
        if marker == 0xFF:
            place += 1
        elif marker in _FRAME_HEADERS:
            height, width = (
                int.from_bytes(coded[i : i + 2], "big") for i in (place + 5, place + 7)
            )
            if height * width <= MOST_PIXELS:
                return
            raise _damaged(at, f"it claims {width} x {height} pixels")
        else:
            place += 2 + (0 if marker in _BARE_MARKERS else size)
    raise _damaged(at, "not a JPEG")


def _damaged(at: int, reason: str) -> RecordingError:
    return RecordingError(
        f"video: picture {at} of /video/face cannot be read: {reason}",
        fix="Copy or record the session again",
    )


def _unreadable(path: Path) -> RecordingError:
    return RecordingError(
        f"{path} cannot be read as a video: damaged, cut off, or of another kind",
        expected="a video that FFmpeg can read, such as .mp4, .mov, .avi",
        fix="Copy it again, or convert it: ffmpeg -i IN -c:v libx264 OUT.mp4",
    )
