"""A video file as the camera: its face joins the other sensors,
and a run of it alone ends with it.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("cv2", reason="needs the extra 'face'")

import cv2

from emodict.errors import InputError, StreamError
from emodict.face.embed import HogEmbedder
from emodict.features.spec import load_spec
from emodict.live.camera import NoSensors, WithCamera
from emodict.live.pipeline import LivePipeline

SPEC = load_spec("emodict-1-hog").with_modalities(["video"])


@pytest.fixture
def grey_video(tmp_path: Path) -> Path:
    """Two seconds in which nobody is to be seen."""
    path = tmp_path / "grey.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 10.0, (160, 120))
    for _ in range(20):
        writer.write(np.full((120, 160, 3), 128, np.uint8))
    writer.release()
    return path


def test_a_run_of_a_video_alone_ends_when_the_video_is_through(grey_video: Path) -> None:
    pipeline = LivePipeline(SPEC)
    with WithCamera(NoSensors(), str(grey_video), SPEC) as source:
        assert source.name == f"camera {grey_video}"
        # The last frame is shown at 1.9 s;
        # a run that does not end would stand still here for a minute.
        while not source.finished and source.now_s() - source._start_s < 60:
            for event in source.poll(0.05):
                pipeline.push(event)
            pipeline.flush(source.now_s())
        assert source.finished
    pipeline.finish()
    rows = pipeline.take()
    assert rows is not None
    assert rows.start_s.tolist()[:2] == [0.0, 1.0]
    assert not rows.valid.any()


def test_a_camera_that_is_no_file_is_refused() -> None:
    with pytest.raises(InputError, match="There is no video nobody\\.mp4"):
        WithCamera(NoSensors(), "nobody.mp4", SPEC)


class Unplugged(NoSensors):
    def __enter__(self) -> NoSensors:
        raise StreamError("no sensor there")


def test_what_describes_faces_is_closed_where_the_other_sensors_do_not_come(
    grey_video: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed: list[bool] = []
    monkeypatch.setattr(HogEmbedder, "close", lambda self: closed.append(True))
    with (
        pytest.raises(StreamError, match="no sensor there"),
        WithCamera(Unplugged(), str(grey_video), SPEC),
    ):
        raise AssertionError("it was entered")
    assert closed == [True]
