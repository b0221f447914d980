"""A camera in a thread: rows without waiting, a camera that fails and comes back,
one that was never there.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.runtime.face.test_face_video import face_for, write_video
from tests.stand_in.face_pictures import MarkFinder, picture

from emodict.errors import EmodictError, InputError
from emodict.face.crop import FaceBox
from emodict.face.detect import FaceFinder
from emodict.face.embed import HogEmbedder
from emodict.face.live import LiveFaces, live_camera
from emodict.face.opencv import opencv
from emodict.face.stream import FaceStream
from emodict.face.video import camera_frames

cv2 = opencv()
PATIENCE_S = 60.0


class Camera:
    """A camera that shows what a test puts into it; None pulls it out."""

    def __init__(self, times: list[Any]) -> None:
        self.frames = queue.Queue()
        self.there = True
        self.show(*times)

    def show(self, *times: Any) -> None:
        for time_s in times:
            self.frames.put((picture((10, 10)), time_s))

    def pull_out(self) -> None:
        self.there = False
        self.frames.put(None)

    def open(self, wants: Callable[..., Any]) -> Iterator[Any]:
        if not self.there:
            raise InputError("The camera cannot be opened")
        while (item := self.frames.get(timeout=PATIENCE_S)) is not None:
            if wants(item[1]):
                yield item


def faces_of(camera: Camera, finder: FaceFinder | None = None) -> LiveFaces:
    return LiveFaces(FaceStream(finder or MarkFinder(), HogEmbedder()), camera.open, retry_s=0.01)


def wait_for(condition: Callable[..., Any]) -> None:
    until = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.005)


def take_until(faces: LiveFaces, time_s: float, count: int) -> list[tuple[float, bool]]:
    """(start, valid) of the next rows, asked for until there are enough."""
    taken = []

    def enough() -> bool:
        rows = faces.take(time_s)
        taken.extend(zip(rows.start_s.tolist(), rows.valid.tolist(), strict=True))
        return len(taken) >= count

    wait_for(enough)
    return taken


def test_rows_come_as_the_frames_do_and_each_once() -> None:
    camera = Camera([0.1, 0.2, 1.1])
    with faces_of(camera) as faces:
        assert take_until(faces, 1.5, 2) == [(0.0, True), (1.0, True)]
        assert len(faces.take(1.9)) == 0
        assert faces.take(1.9).embedding.shape == (0, 72)
        camera.show(2.5)
        assert take_until(faces, 2.6, 1) == [(2.0, True)]
        camera.pull_out()


def test_a_camera_that_drops_out_is_invalid_until_it_is_back(
    caplog: pytest.LogCaptureFixture,
) -> None:
    camera = Camera([0.1])
    with faces_of(camera) as faces:
        assert take_until(faces, 0.5, 1) == [(0.0, True)]
        camera.pull_out()
        assert take_until(faces, 3.2, 2) == [(1.0, False), (2.0, False)]
        wait_for(lambda: "cannot be opened" in caplog.text)
        camera.there = True
        camera.show(3.5)
        assert take_until(faces, 3.6, 1) == [(3.0, True)]
        camera.pull_out()
    # Once, however often it was tried.
    assert caplog.text.count("Trying again until it is back") <= 2


def test_a_camera_that_was_never_there_is_said_so_on_entering() -> None:
    camera = Camera([])
    camera.there = False
    with pytest.raises(InputError, match="cannot be opened"), faces_of(camera):
        pytest.fail("entered")


def test_asking_does_not_wait_for_a_face_that_is_being_described() -> None:
    go, looking = threading.Event(), threading.Event()

    class SlowFinder(MarkFinder):
        def find(self, frame: np.ndarray) -> FaceBox:
            if self.looks:
                looking.set()
                assert go.wait(PATIENCE_S)
            return super().find(frame)

    camera = Camera([0.1, 1.1])
    with faces_of(camera, SlowFinder()) as faces:
        assert take_until(faces, 1.5, 1) == [(0.0, True)]
        assert looking.wait(PATIENCE_S)
        started = time.monotonic()
        assert len(faces.take(2.5)) == 0
        # Who waits for the face waits until it is found, which is after this.
        assert time.monotonic() - started < PATIENCE_S / 2
        go.set()
        # Its second is over by now, and still it counts: the frame came in time.
        assert take_until(faces, 2.5, 1) == [(1.0, True)]
        camera.pull_out()


def test_a_fault_in_the_thread_reaches_whoever_asks() -> None:
    class Broken(MarkFinder):
        def find(self, frame: np.ndarray) -> FaceBox:
            if self.looks:
                raise ZeroDivisionError("a fault")
            return super().find(frame)

    camera = Camera([0.1])
    with faces_of(camera, Broken()) as faces:
        camera.show(1.1)
        with pytest.raises(ZeroDivisionError, match="a fault"):
            take_until(faces, 1.5, 5)


@pytest.fixture
def camera_0(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Number 0 is a "camera" of 3 s: OpenCV reads it from a file."""
    path = write_video(tmp_path / "camera.avi", face_for(3))
    real = cv2.VideoCapture
    monkeypatch.setattr(cv2, "VideoCapture", lambda index: real(str(path), cv2.CAP_FFMPEG))
    return path


def test_a_cameras_frames_are_timed_as_they_arrive_and_its_end_is_said(
    camera_0: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ticks = iter(np.arange(40) * 0.25)
    frames = list(camera_frames(0, wants=lambda t: t == int(t), clock=lambda: float(next(ticks))))
    # 30 frames, four a second by this clock.
    assert [time_s for _, time_s in frames] == [float(s) for s in range(8)]
    assert frames[0][0].shape == (90, 120, 3)
    assert "Camera 0 has stopped giving pictures" in caplog.text


def test_a_camera_that_opens_but_shows_nothing_is_refused(
    camera_0: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exhausted = cv2.VideoCapture(0)
    while exhausted.grab():
        pass
    monkeypatch.setattr(cv2, "VideoCapture", lambda index: exhausted)
    with pytest.raises(InputError, match="Camera 0 gives no picture"):
        next(camera_frames(0))


def test_a_live_camera_gives_a_row_for_each_second_that_it_runs(camera_0: Path) -> None:
    ticks = iter(np.arange(10_000) * 0.1)
    stream = FaceStream(MarkFinder(), HogEmbedder())
    with live_camera(0, stream, lambda: float(next(ticks))) as faces:
        assert take_until(faces, 0.0, 3)[:3] == [(0.0, True), (1.0, True), (2.0, True)]


def test_a_camera_that_gives_no_picture_in_time_is_to_be_plugged_in_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("emodict.face.live.FIRST_FRAME_S", 0.01)
    # Its read hangs until it is pulled out: the thread is left behind.
    monkeypatch.setattr("emodict.face.live.STOP_S", 0.0)
    camera = Camera([])
    with pytest.raises(EmodictError, match=r"no picture for 0\.01 s.*Plug it in again"):
        faces_of(camera).__enter__()
    camera.pull_out()
