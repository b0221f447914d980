"""Frames and their times from files, cameras and sessions;
what finds the face in them; the acceptance videos.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from tests.stand_in.face_pictures import MarkFinder, picture

from emodict.errors import InputError, MissingDependencyError, ModelError, RecordingError
from emodict.face import detect
from emodict.face.detect import HaarCascade, YuNet, open_finder
from emodict.face.embed import HogEmbedder
from emodict.face.opencv import opencv
from emodict.face.video import camera_frames, face_frames, video_frames, video_length_s
from emodict.recording.recording import FaceVideo
from emodict_desk.faces import faces_of_video

# Before any other use of it: FFmpeg is told once how much it may say.
cv2 = opencv()
RATE_HZ = 10
needs_cascade = pytest.mark.skipif(
    not hasattr(cv2, "CascadeClassifier"), reason="this OpenCV ships no detector"
)
YUNET = Path("yunet") / "face_detection_yunet_2023mar.onnx"


def write_video(path: Path, frames: list[np.ndarray], rate_hz: int = RATE_HZ) -> Path:
    height, width = frames[0].shape[:2]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), rate_hz, (width, height))
    assert writer.isOpened()
    for frame in frames:
        writer.write(frame)
    writer.release()
    return path


def face_for(seconds: int, *, without: range | tuple[Any, ...] = ()) -> list[np.ndarray]:
    count = seconds * RATE_HZ
    return [
        picture(None if i // RATE_HZ in without else (20 + i % 7, 10), seed=0) for i in range(count)
    ]


@pytest.fixture
def video(tmp_path: Path) -> Path:
    return write_video(tmp_path / "face.avi", face_for(3))


@pytest.fixture
def no_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user who has installed none."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.delenv("EMODICT_FACE_MODEL", raising=False)
    return tmp_path / "emodict"


# Files


def test_a_video_gives_its_frames_at_their_times(video: Path) -> None:
    frames = list(video_frames(video))
    np.testing.assert_allclose([time_s for _, time_s in frames], np.arange(30) / RATE_HZ, atol=1e-6)
    # JPEG keeps smooth parts within a few grey levels.
    assert np.abs(frames[0][0][60:, 80:].astype(int) - 120).max() < 8
    assert video_length_s(video) == pytest.approx(3.0)


def test_only_the_frames_that_are_wanted_are_handed_out(video: Path) -> None:
    asked = []

    def wants(time_s: float) -> bool:
        asked.append(time_s)
        return round(time_s, 3) in (0.5, 2.0)

    assert [round(time_s, 3) for _, time_s in video_frames(video, wants=wants)] == [0.5, 2.0]
    assert len(asked) == 30


def test_a_video_becomes_one_row_a_second_on_the_sessions_clock(tmp_path: Path) -> None:
    path = write_video(tmp_path / "face.avi", face_for(9, without=(2, 3, 4, 5)))
    face, report = faces_of_video(path, MarkFinder(), HogEmbedder(), offset_s=100.25)
    np.testing.assert_allclose(face.timestamps_s[[0, 1, -1]], [100.25, 101.05, 109.05], atol=1e-6)
    # Second 102 begins 1.8 s into the video, with a face; 103 to 106 begin without one.
    assert np.isnan(face.embedding[:, 0]).tolist() == [False] * 5 + [True] * 2 + [False] * 3
    assert (report.found, report.held, report.without) == (6, 2, 2)


def test_a_damaged_video_and_one_of_another_kind_are_said_to_be_so(
    tmp_path: Path, video: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    content = video.read_bytes()
    for name, bad in {
        "empty.avi": b"",
        "text.mp4": b"no video at all\n" * 100,
        "head.avi": content[:300],
    }.items():
        (tmp_path / name).write_bytes(bad)
        with pytest.raises(RecordingError, match=rf"{name} cannot be read as a video.*ffmpeg"):
            list(video_frames(tmp_path / name))
    with pytest.raises(RecordingError, match="There is no video"):
        next(video_frames(tmp_path / "nowhere.mp4"))
    assert capfd.readouterr().err == ""


def test_a_video_that_is_cut_off_is_read_as_far_as_it_goes_and_said_to_be_cut(
    tmp_path: Path, video: Path, caplog: pytest.LogCaptureFixture
) -> None:
    content = video.read_bytes()
    cut = tmp_path / "cut.avi"
    cut.write_bytes(content[: len(content) // 2])
    frames = list(video_frames(cut))
    assert 5 < len(frames) < 25
    assert "cut off or damaged" in caplog.text


def test_without_opencv_the_extra_to_install_is_named(
    monkeypatch: pytest.MonkeyPatch, video: Path
) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)
    for start in (lambda: next(video_frames(video)), lambda: next(camera_frames(0)), open_finder):
        with pytest.raises(
            MissingDependencyError, match=r"opencv-python-headless.*pip install 'emodict\[face\]'"
        ):
            start()


def test_a_camera_that_is_not_there_is_the_users_to_plug_in(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(InputError, match=r"Camera 97 cannot be opened.*--camera") as refused:
        next(camera_frames(97))
    assert refused.value.exit_code == 2
    assert capfd.readouterr().err == ""


# Pictures of a session


def test_frames_of_a_session_come_out_blue_first_whatever_order_they_were_kept_in() -> None:
    frames = np.random.default_rng(0).integers(0, 256, (3, 6, 8, 3), dtype=np.uint8)
    times_s = np.array([0.5, 1.5, 2.5])
    for order, kept in (("BGR", frames), ("RGB", frames[..., ::-1])):
        back = list(face_frames(FaceVideo(times_s, frames=kept, color_order=order)))
        assert [time_s for _, time_s in back] == times_s.tolist()
        np.testing.assert_array_equal([frame for frame, _ in back], frames)


def test_jpegs_of_a_session_are_decoded_and_a_broken_one_is_named() -> None:
    red = np.zeros((16, 16, 3), np.uint8)
    red[..., 2] = 200
    coded = cv2.imencode(".jpg", red)[1]
    jpegs = np.empty(3, dtype=object)
    jpegs[:] = [coded, np.empty(0, np.uint8), coded[:30]]
    face = FaceVideo(np.arange(3.0), jpeg=jpegs)
    frame, time_s = next(face_frames(face))
    assert time_s == 0.0
    # JPEG rounds colours by a few levels.
    np.testing.assert_allclose(frame, red, atol=5)
    for at in (1, 2):
        with pytest.raises(RecordingError, match=f"picture {at} of /video/face cannot be read"):
            list(face_frames(face, wants=lambda t, at=at: t == at))


def test_a_video_beside_a_session_goes_by_the_sessions_times_where_it_has_them(video: Path) -> None:
    free = list(face_frames(FaceVideo(np.empty(0), external_file=str(video))))
    assert len(free) == 30
    times_s = 50 + 2 * np.arange(12.0)
    timed = list(face_frames(FaceVideo(times_s, external_file=str(video)), wants=lambda t: t > 60))
    # Frames beyond the last timestamp have no place in the session.
    assert [time_s for _, time_s in timed] == times_s[6:].tolist()
    np.testing.assert_array_equal(timed[0][0], free[6][0])


def test_features_are_no_pictures() -> None:
    with pytest.raises(RecordingError, match="face features, not pictures"):
        next(face_frames(FaceVideo(np.zeros(1), embedding=np.zeros((1, 32)))))


# Detectors


@needs_cascade
def test_without_a_model_the_detector_of_opencv_4_is_taken_and_named(no_models: Path) -> None:
    finder = open_finder()
    assert isinstance(finder, HaarCascade)
    assert (
        finder.description
        == f"OpenCV {cv2.__version__}'s own Haar cascade (haarcascade_frontalface_default.xml)"
    )
    assert finder.find(np.full((240, 320, 3), 128, np.uint8)) is None


def test_an_opencv_without_a_detector_says_what_to_do(
    no_models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As in OpenCV 5.
    monkeypatch.delattr(cv2, "CascadeClassifier", raising=False)
    with pytest.raises(ModelError, match=r"ships no face detector.*--face-model"):
        open_finder()


def test_a_model_that_is_installed_or_named_wins_and_a_missing_one_is_said_to_be_missing(
    no_models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_models.mkdir()
    (no_models / "face_detection_yunet_2022mar.onnx").touch()
    newest = no_models / "face_detection_yunet_2023mar.onnx"
    newest.touch()
    assert detect.installed_model() == newest
    monkeypatch.setenv("EMODICT_FACE_MODEL", str(no_models / "face_detection_yunet_2022mar.onnx"))
    assert detect.installed_model() == no_models / "face_detection_yunet_2022mar.onnx"
    monkeypatch.setenv("EMODICT_FACE_MODEL", "/nowhere/yunet.onnx")
    with pytest.raises(
        InputError, match="EMODICT_FACE_MODEL names a face detector that is not there"
    ):
        open_finder()
    with pytest.raises(ModelError, match="There is no face detector /nowhere/other"):
        open_finder(Path("/nowhere/other.onnx"))


def test_a_model_that_finds_no_faces_is_refused_with_a_sentence(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "text.onnx").write_text("not a model")
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 8, 8])
    out = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 3, 8, 8])
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "other", [value], [out])
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8),
        tmp_path / "other.onnx",
    )
    for name in ("text.onnx", "other.onnx"):
        with pytest.raises(ModelError, match=rf"{name} is not a face detector that OpenCV"):
            YuNet(tmp_path / name)
    assert capfd.readouterr().err == ""


# The acceptance videos


@pytest.fixture
def yunet(shared_data: Path) -> YuNet:
    return open_finder(shared_data / YUNET)


def has_face(finder: YuNet, path: Path) -> tuple[Any, ...]:
    """(frames,) whether a face is found in each, and the boxes."""
    boxes = [finder.find(frame) for frame, _ in video_frames(path)]
    return np.array([box is not None for box in boxes]), boxes


def test_every_frame_of_a_filmed_face_has_one_and_no_frame_of_an_empty_scene(
    shared_data: Path, yunet: YuNet
) -> None:
    found, boxes = has_face(yunet, shared_data / "face_video" / "WolfgangLanger_Pexels.mp4")
    assert (len(found), found.all()) == (472, True)
    # One person who sits still: the face is a good part of 360 pixels high, and never jumps.
    assert all(80 < box.height < 360 for box in boxes)
    assert np.abs(np.diff([box.left + box.width / 2 for box in boxes])).max() < 30
    found, _ = has_face(yunet, shared_data / "face_video" / "no_face.mp4")
    assert len(found) > 90
    assert not found.any()


@pytest.mark.parametrize(
    ("name", "seconds"), [("face_noface.mov", "fffhh.."), ("noface_face.mov", "....fff")]
)
def test_a_real_face_that_leaves_or_enters_turns_the_rows_invalid_or_valid(
    shared_data: Path, yunet: YuNet, name: str, seconds: str
) -> None:
    face, report = faces_of_video(shared_data / "face_video" / name, yunet, HogEmbedder())
    valid = np.isfinite(face.embedding).all(axis=1)
    assert valid.tolist() == [letter != "." for letter in seconds]
    assert (report.found, report.held) == (seconds.count("f"), seconds.count("h"))
    assert report.detector == "YuNet (face_detection_yunet_2023mar.onnx)"


def test_a_face_that_leaves_and_one_that_enters_later_are_invalid_in_between(
    shared_data: Path, yunet: YuNet, tmp_path: Path
) -> None:
    folder = shared_data / "face_video"
    joined = [
        cv2.resize(f, (480, 270))
        for name in ("face_noface.mov", "noface_face.mov")
        for f, _ in video_frames(folder / name)
    ]
    path = write_video(tmp_path / "joined.avi", joined[::2], rate_hz=13)
    face, _ = faces_of_video(path, yunet, HogEmbedder())
    text = "".join("x" if row else "." for row in np.isfinite(face.embedding).all(axis=1))
    assert text.strip("x").strip(".") == ""
    assert text.startswith("xxx")
    assert text.endswith("xx")
    assert "...." in text


def test_the_largest_of_five_faces_is_taken(shared_data: Path, yunet: YuNet) -> None:
    frame = cv2.imread(str(shared_data / "face_video" / "multi_face.jpg"))
    boxes = yunet._detect(detect.shrink(frame)[0])
    assert len(boxes) == 5
    scale = 320 / max(frame.shape)
    assert yunet.find(frame).area == pytest.approx(max(b[2] * b[3] for b in boxes) / scale**2)


@needs_cascade
def test_opencvs_own_detector_finds_most_of_a_filmed_face_and_nothing_in_an_empty_scene(
    shared_data: Path, no_models: Path
) -> None:
    finder = open_finder()
    face, report = faces_of_video(
        shared_data / "face_video" / "WolfgangLanger_Pexels.mp4", finder, HogEmbedder()
    )
    # The cascade is known to miss tilted heads: the held box bridges them.
    assert report.found >= 17
    assert np.isfinite(face.embedding).all()
    _, report = faces_of_video(shared_data / "face_video" / "no_face.mp4", finder, HogEmbedder())
    assert (report.found, report.held) == (0, 0)
