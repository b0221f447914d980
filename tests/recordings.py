"""Recordings that the tests are tried on: noise, with all that a session can hold."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from emodict.features.spec import load_spec
from emodict.recording.recording import FaceVideo, Recording, Signal, Trials
from emodict_desk.tables.table import DMER_EMOTIONS

EEG_CHANNELS = load_spec("emodict-1").modality("eeg").channel_names


def noise_recording(
    seconds: int = 30, *, seed: int = 0, eeg_channels: Sequence[str] = EEG_CHANNELS
) -> Recording:
    """All four modalities, one trial with truth from second 2 to second 22."""
    rng = np.random.default_rng(seed)
    time_s = np.arange(seconds * 100)[:, None] / 100
    signals = {
        "eeg": Signal(
            "eeg",
            300.0,
            "uV",
            tuple(eeg_channels),
            20 * rng.standard_normal((seconds * 300, len(eeg_channels))),
        ),
        "ppg": Signal(
            "ppg",
            100.0,
            "a.u.",
            ("ppg",),
            np.sin(2 * np.pi * 1.2 * time_s) + 0.05 * rng.standard_normal(time_s.shape),
        ),
        "gsr": Signal(
            "gsr",
            4.0,
            "uS",
            ("gsr",),
            5 + 0.01 * np.cumsum(rng.standard_normal((seconds * 4, 1)), axis=0),
        ),
    }
    truth = np.arange(1.0, 11.0)[None] / 55
    return Recording(
        session_id=f"noise-{seed}",
        subject_id="nobody",
        signals=signals,
        face=FaceVideo(
            np.arange(seconds) + 0.5,
            embedding=rng.standard_normal((seconds, 32)).astype(np.float32),
        ),
        trials=Trials(np.array([2.0]), np.array([22.0]), ("t1",), truth, DMER_EMOTIONS),
    )
