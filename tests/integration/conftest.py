"""Commands, run as a user runs them."""

from __future__ import annotations

import dataclasses
import subprocess
import sysconfig
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from benchmarks.fixtures import untrained_checkpoint
from tests import forkserver
from tests.recordings import noise_recording

from emodict.recording.recording import Recording
from emodict.recording.session import write_session
from emodict_export.export import export_onnx
from emodict_export.raw.export import export_raw

WRIST, ALL = ("gsr", "ppg"), ("eeg", "gsr", "ppg", "video")
Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def run() -> Run:
    """Run one of our commands as a user does, in a process of its own."""

    def run_command(
        name: str, *arguments: object, **options: object
    ) -> subprocess.CompletedProcess[str]:
        if name in forkserver.SLOW_TO_START:
            return forkserver.run_forked(name, list(map(str, arguments)), **options)
        command = [str(Path(sysconfig.get_path("scripts")) / name), *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, timeout=300, **options)

    return run_command


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """wrist.onnx, wrist.raw.onnx, all.onnx and all.raw.onnx of the same random weights."""
    folder = tmp_path_factory.mktemp("raw")
    for name, modalities in (("wrist", WRIST), ("all", ALL)):
        checkpoint = untrained_checkpoint(modalities)
        export_onnx(checkpoint, folder / f"{name}.onnx")
        export_raw(checkpoint, folder / f"{name}.raw.onnx")
    return folder


def broken_recording() -> Recording:
    """Noise with gaps and a channel at its end stop; PPG and GSR at other rates than the spec's."""
    recording = noise_recording(seconds=70, seed=3)
    rng, signals = np.random.default_rng(3), dict(recording.signals)
    for name, rate_hz in (("eeg", 300.0), ("ppg", 64.0), ("gsr", 8.0)):
        data = np.array(signals[name].read(0, signals[name].sample_count), dtype=np.float32)
        data = np.resize(data, (int(70 * rate_hz), data.shape[1]))
        for _ in range(3):
            first = int(rng.uniform(0, len(data)))
            data[first : first + int(rng.uniform(0.1, 3) * rate_hz)] = np.nan
        signals[name] = dataclasses.replace(signals[name], rate_hz=rate_hz, samples=data)
    eeg = np.array(signals["eeg"].samples)
    eeg[6000:6400, 3] = 5000.0
    signals["eeg"] = dataclasses.replace(signals["eeg"], samples=eeg)
    return dataclasses.replace(recording, signals=signals)


@pytest.fixture(scope="session")
def broken_session(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("raw-session") / "broken.h5"
    write_session(broken_recording(), path)
    return path
