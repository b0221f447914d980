"""A film of a face, joined to the other sensors, is scored by a model of its own features;
another kind is refused.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from benchmarks.fixtures import untrained_model
from tests.recordings import noise_recording
from tests.runtime.face.test_face_video import face_for, write_video
from tests.stand_in.face_pictures import MarkFinder

from emodict.engine import open_engine
from emodict.errors import EmodictError
from emodict.face.embed import HogEmbedder, open_embedder
from emodict.predict.scoring import predict
from emodict.recording.session import write_session
from emodict_desk.cli.faces import add_video
from emodict_export.face import Vgg16Faces, export_face_model

SENSORS = ("eeg", "gsr", "ppg", "video")


@pytest.fixture
def without_face(tmp_path: Path) -> Path:
    write_session(dataclasses.replace(noise_recording(20), face=None), tmp_path / "session.h5")
    return tmp_path / "session.h5"


@pytest.fixture
def video(tmp_path: Path) -> Path:
    """14 s; nobody there from 6 to 11 s."""
    return write_video(tmp_path / "face.avi", face_for(14, without=range(6, 11)))


def test_a_filmed_face_is_valid_where_it_was_seen_and_the_other_sensors_go_on(
    without_face: Path, video: Path, tmp_path: Path
) -> None:
    add_video(video, without_face, MarkFinder(), HogEmbedder(), into=without_face, offset_s=2.0)
    model = untrained_model(tmp_path / "model.onnx", spec_id="emodict-1-hog", modalities=SENSORS)
    with open_engine(model) as engine:
        prediction = predict(engine, without_face)
    # Rows begin at second 4. The video is there from 2 to 16 s; at 8 s and 9 s the face is held.
    seconds = np.arange(4, 20)
    assert prediction.start_s.tolist() == seconds.tolist()
    valid = dict(zip(SENSORS, prediction.valid.T, strict=True))
    assert valid["video"].tolist() == [second < 10 or 13 <= second < 16 for second in seconds]
    assert valid["gsr"].all()
    np.testing.assert_allclose(prediction.distribution.sum(axis=1), 1, atol=1e-6)  # float32 softmax


def test_a_model_of_the_network_takes_the_networks_features_and_refuses_the_edges(
    without_face: Path, video: Path, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    torch.save(Vgg16Faces("clean").state_dict(), tmp_path / "vgg16.pth")
    export_face_model(tmp_path / "vgg16.pth", tmp_path / "face.onnx")
    embedder = open_embedder(str(tmp_path / "face.onnx"))
    model = untrained_model(tmp_path / "model.onnx", spec_id="emodict-1", modalities=SENSORS)
    add_video(video, tmp_path / "net.h5", MarkFinder(), embedder, into=without_face)
    add_video(video, tmp_path / "edges.h5", MarkFinder(), HogEmbedder(), into=without_face)
    with open_engine(model) as engine:
        prediction = predict(engine, tmp_path / "net.h5")
        assert prediction.valid[:2, SENSORS.index("video")].tolist() == [True, True]
        with pytest.raises(EmodictError, match="video: the face"):
            predict(engine, tmp_path / "edges.h5")
