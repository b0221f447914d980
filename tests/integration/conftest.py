"""Small real models and recordings: an untrained EmotionDict, exported, and sessions of noise."""

from __future__ import annotations

import subprocess
import sysconfig
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from benchmarks.fixtures import untrained_model
from tests import forkserver

from emodict.recording import FaceVideo, Recording, Signal, Trials
from emodict.session import write_session
from emodict.spec import load_spec
from emodict.table import DMER_EMOTIONS

EEG_CHANNELS = load_spec("emodict-1").modality("eeg").channel_names
Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def run() -> Run:
    """Run one of our commands as a user does, in a process of its own."""

    def run_command(name: str, *arguments: object, **options: object) -> subprocess.CompletedProcess[str]:
        if name in forkserver.SLOW_TO_START:
            return forkserver.run_forked(name, list(map(str, arguments)), **options)
        command = [str(Path(sysconfig.get_path("scripts")) / name), *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, timeout=300, **options)

    return run_command


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of all four modalities that can do without any of them."""
    path = tmp_path_factory.mktemp("model") / "model.onnx"
    return untrained_model(path, spec_id="emodict-1", modalities=("eeg", "gsr", "ppg", "video"))


@pytest.fixture(scope="session")
def wrist_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of PPG and GSR that needs both."""
    path = tmp_path_factory.mktemp("model") / "wrist.onnx"
    return untrained_model(path, spec_id="emodict-1", modalities=("gsr", "ppg"), required=("gsr", "ppg"))


def noise_recording(seconds: int = 30, *, seed: int = 0, eeg_channels: Sequence[str] = EEG_CHANNELS) -> Recording:
    """All four modalities, one trial with truth from second 2 to second 22."""
    rng = np.random.default_rng(seed)
    time_s = np.arange(seconds * 100)[:, None] / 100
    signals = {
        "eeg": Signal(
            "eeg", 300.0, "uV", tuple(eeg_channels), 20 * rng.standard_normal((seconds * 300, len(eeg_channels)))
        ),
        "ppg": Signal(
            "ppg", 100.0, "a.u.", ("ppg",), np.sin(2 * np.pi * 1.2 * time_s) + 0.05 * rng.standard_normal(time_s.shape)
        ),
        "gsr": Signal("gsr", 4.0, "uS", ("gsr",), 5 + 0.01 * np.cumsum(rng.standard_normal((seconds * 4, 1)), axis=0)),
    }
    truth = np.arange(1.0, 11.0)[None] / 55
    return Recording(
        session_id=f"noise-{seed}",
        subject_id="nobody",
        signals=signals,
        face=FaceVideo(np.arange(seconds) + 0.5, embedding=rng.standard_normal((seconds, 32)).astype(np.float32)),
        trials=Trials(np.array([2.0]), np.array([22.0]), ("t1",), truth, DMER_EMOTIONS),
    )


@pytest.fixture
def session(tmp_path: Path) -> Path:
    path = tmp_path / "session.h5"
    write_session(noise_recording(), path)
    return path
