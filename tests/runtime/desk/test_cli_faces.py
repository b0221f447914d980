"""`emodict-session faces`: from a video to a session, into one, and out of one's pictures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import h5py
import numpy as np
import pytest
from tests.runtime.face.test_face_video import face_for, write_video
from tests.stand_in.face_pictures import picture

from emodict.cli.app import run_app
from emodict.face.crop import FaceBox, crop_face
from emodict.face.embed import HogEmbedder
from emodict.recording.recording import FaceVideo, Recording, Signal
from emodict.recording.session import open_session, write_session
from emodict_desk.cli import session as session_cli
from emodict_desk.cli.faces import add_faces_command
from emodict_desk.recordings.validate import validate_session


def build() -> Any:
    app = session_cli.build()
    if "faces" not in {
        command.name or command.callback.__name__ for command in app.registered_commands
    }:
        add_faces_command(app)
    return app


COMMAND = SimpleNamespace(NAME=session_cli.NAME, main=lambda: run_app(build, session_cli.NAME))


@pytest.fixture
def run(run_in_process: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *words: run_in_process(COMMAND, "faces", *words)


@pytest.fixture
def video(tmp_path: Path) -> Path:
    return write_video(tmp_path / "anna.avi", face_for(3))


def gsr_only(path: Path) -> Path:
    samples = np.random.default_rng(0).normal(5, 1, (80, 1)).astype(np.float32)
    signals = {"gsr": Signal("gsr", 4.0, "uS", ("gsr",), samples)}
    write_session(Recording("s1", "anna", signals, start_time="2024-05-01T09:30:00Z"), path)
    return path


def test_a_video_becomes_a_session_of_its_own(
    run: Callable[..., Any], video: Path, tmp_path: Path
) -> None:
    out = tmp_path / "face.h5"
    code, said, _ = run(video, "--face", "hog", "--cropped", "-o", out, "--subject", "Anna")
    assert code == 0
    assert said == (
        "3 s of video: a face in 3, held over 0, none in 0; detector: none: "
        "each picture is a face; features: hog\n"
        f"Wrote {out}\n"
    )
    assert validate_session(out) == []
    with open_session(out) as recording:
        assert (recording.subject_id, recording.session_id, recording.face.features) == (
            "Anna",
            "anna",
            "hog",
        )
        assert np.asarray(recording.face.embedding).shape == (3, 72)
        assert np.isfinite(recording.face.embedding[:]).all()


def test_faces_join_a_session_in_place_or_in_a_copy_and_nothing_else_changes(
    run: Callable[..., Any], video: Path, tmp_path: Path
) -> None:
    session = gsr_only(tmp_path / "s.h5")
    with h5py.File(session, "r+") as file:
        file["something/else"] = np.arange(3)
    before = session.read_bytes()
    copy = tmp_path / "copy.h5"
    assert (
        run(video, "--face", "hog", "--cropped", "--into", session, "--offset", 4.5, "-o", copy)[0]
        == 0
    )
    assert session.read_bytes() == before
    assert run(video, "--face", "hog", "--cropped", "--into", session, "--offset", 4.5)[0] == 0
    for path in (session, copy):
        with h5py.File(path) as file:
            assert file["something/else"][:].tolist() == [0, 1, 2]
            # Seconds 4 to 7; the first frame of each, 10 frames a second from 4.5 s on.
            np.testing.assert_allclose(
                file["video/face/timestamps"][:], [4.5, 5.0, 6.0, 7.0], atol=1e-6
            )
            assert file["video/face"].attrs["features"] == "hog"
        with open_session(path) as recording:
            assert recording.subject_id == "anna"
    code, _, err = run(video, "--face", "hog", "--cropped", "--into", session)
    assert code == 2
    assert "has a face already" in err


def test_pictures_of_a_session_become_features(run: Callable[..., Any], tmp_path: Path) -> None:
    frames = np.stack([picture((3 * i, i), seed=i) for i in range(4)])
    face = FaceVideo(np.arange(4) + 0.25, frames=frames)
    write_session(Recording("s", "p", {}, face=face), tmp_path / "pictures.h5")
    code, said, _ = run(
        tmp_path / "pictures.h5", "--face", "hog", "--cropped", "-o", tmp_path / "out.h5"
    )
    assert (code, said.splitlines()[-1]) == (0, f"Wrote {tmp_path / 'out.h5'}")
    with open_session(tmp_path / "out.h5") as recording:
        whole = HogEmbedder().embed(crop_face(frames[2], FaceBox(0, 0, 120, 90)))
        np.testing.assert_array_equal(recording.face.embedding[2], whole)


def test_wrong_use_is_refused_before_any_work(
    run: Callable[..., Any], video: Path, tmp_path: Path
) -> None:
    session = gsr_only(tmp_path / "s.h5")
    out = tmp_path / "out.h5"
    for words, said in (
        ((video, "--face", "hog"), "Nothing says where the face features go"),
        ((video, "--face", "hog", "-o", tmp_path / "out.txt"), "ending in .h5"),
        ((video, "--face", "hog", "--into", tmp_path / "none.h5"), "There is no session"),
        (
            (video, "--face", tmp_path / "none.onnx", "--cropped", "-o", out),
            "There is no face engine",
        ),
        (
            (video, "--face", "hog", "-o", out, "--face-model", tmp_path / "none.onnx"),
            "There is no face detector",
        ),
        (
            (video, "--face", "hog", "-o", out, "--cropped", "--face-model", "x"),
            "--cropped looks for no face",
        ),
        ((tmp_path / "none.mp4", "--face", "hog", "--cropped", "-o", out), "There is no video"),
        ((session, "--face", "hog", "--cropped", "-o", out, "--offset", 1), "it has its own clock"),
        ((session, "--face", "hog", "--cropped", "-o", out), "has no face"),
        ((session, "--face", "hog", "--cropped", "-o", session), "it is what is read"),
        ((video, "--cropped", "-o", out), "--face"),
    ):
        code, _, err = run(*words)
        assert (code, said in err) == (2, True), (words, err)
    assert not out.exists()


def test_a_real_video_goes_through_with_the_detector_named(
    run: Callable[..., Any], shared_data: Path, tmp_path: Path
) -> None:
    model = shared_data / "yunet" / "face_detection_yunet_2023mar.onnx"
    source = shared_data / "face_video" / "face_noface.mov"
    code, said, _ = run(source, "--face", "hog", "--face-model", model, "-o", tmp_path / "s.h5")
    assert (code, said.splitlines()[0]) == (
        0,
        "7 s of video: a face in 3, held over 2, none in 2; detector: "
        "YuNet (face_detection_yunet_2023mar.onnx); "
        "features: hog",
    )
