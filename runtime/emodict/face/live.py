"""LiveFaces: a camera in a thread of its own, opened again when it drops out;
rows for whoever asks, never a wait.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Generator
from contextlib import closing
from types import TracebackType

from emodict.errors import EmodictError
from emodict.face.stream import FaceRows, FaceStream, join_face_rows
from emodict.face.video import TimedFrame, Wants, camera_frames

logger = logging.getLogger(__name__)

# A camera that was pulled out is looked for this often.
RETRY_S = 1.0
# Cameras take a second or two to warm up; one that has given nothing by then is as good as none.
FIRST_FRAME_S = 15.0
# A camera may hang in a read that nothing ends: the thread is then left behind.
STOP_S = 2.0
Open = Callable[[Wants], Generator[TimedFrame, None, None]]


class LiveFaces:
    """The face before a camera, second by second; a context manager.

    Entering waits for the first frame and raises what keeps it from coming. After that a camera
    that fails is opened again and again; its seconds are invalid until it is back.

    Args:
        stream: what turns frames into rows; from then on only to be used through this.
        open_frames: opens the source, given which frames are wanted.
        retry_s: how long to wait before a source that failed is opened again.
    """

    def __init__(self, stream: FaceStream, open_frames: Open, *, retry_s: float = RETRY_S) -> None:
        self._stream, self._open, self._retry_s = stream, open_frames, retry_s
        self._rows: deque[FaceRows] = deque()
        self._busy = threading.Lock()
        self._started, self._stopping = threading.Event(), threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="emodict-faces", daemon=True)

    def take(self, time_s: float) -> FaceRows:
        """All rows known at `time_s` that were not taken before; at once,
        even while a face is being described.
        """
        if self._error is not None:
            raise self._error
        if self._busy.acquire(blocking=False):
            try:
                self._rows.append(self._stream.advance(time_s))
            finally:
                self._busy.release()
        return join_face_rows(
            [self._rows.popleft() for _ in range(len(self._rows))], dims=self._stream.dims
        )

    def __enter__(self) -> LiveFaces:
        self._thread.start()
        in_time = self._started.wait(FIRST_FRAME_S)
        if self._error is not None or not in_time:
            self._stop()
            raise self._error or EmodictError(
                f"The camera has given no picture for {FIRST_FRAME_S:g} s",
                fix="Plug it in again, or use another one",
            )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop()

    def _stop(self) -> None:
        self._stopping.set()
        self._thread.join(STOP_S)

    def _run(self) -> None:
        said = ""
        while not self._stopping.is_set():
            try:
                self._read()
                said = ""
            except EmodictError as error:
                if not self._started.is_set():
                    self._fail(error)
                    return
                if str(error) != said:
                    # Once, not every second.
                    logger.warning("%s Trying again until it is back.", error)
                said = str(error)
            except BaseException as error:
                self._fail(error)
                return
            self._stopping.wait(self._retry_s)

    def _read(self) -> None:
        """Rows from the source until it ends or this is to stop."""
        with closing(self._open(self._stream.wants)) as frames:
            for frame, time_s in frames:
                if self._stopping.is_set():
                    return
                with self._busy:
                    self._rows.append(self._stream.push(frame, time_s))
                self._started.set()

    def _fail(self, error: BaseException) -> None:
        """Kept for whoever waits or asks: a thread has nobody to raise it to."""
        self._error = error
        self._started.set()


def live_camera(index: int, stream: FaceStream, clock: Callable[[], float]) -> LiveFaces:
    """Faces of a camera, `clock` being the time since the recording's start."""
    return LiveFaces(stream, lambda wants: camera_frames(index, wants=wants, clock=clock))
