"""Noise shaped like recordings: for timing, where content does not matter."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from emodict.features.spec import load_spec
from emodict.recording.recording import Recording, Signal

EEG_HZ, PPG_HZ, GSR_HZ = 300, 100, 4


@dataclass(frozen=True)
class Raw:
    """(samples, channels) of each modality."""

    eeg: np.ndarray
    ppg: np.ndarray
    gsr: np.ndarray

    def recording(self) -> Recording:
        channels = load_spec("emodict-1").modality("eeg").channel_names
        signals = {
            "eeg": Signal("eeg", EEG_HZ, "uV", channels, self.eeg),
            "ppg": Signal("ppg", PPG_HZ, "a.u.", ("ppg",), self.ppg),
            "gsr": Signal("gsr", GSR_HZ, "uS", ("gsr",), self.gsr),
        }
        return Recording("bench", "noise", signals)


def noise(seconds: int, seed: int = 0) -> Raw:
    rng = np.random.default_rng(seed)
    eeg = (20 * rng.standard_normal((seconds * EEG_HZ, 18))).astype(np.float32)
    time_s = np.arange(seconds * PPG_HZ)[:, None] / PPG_HZ
    ppg = np.sin(2 * np.pi * 1.2 * time_s) + 0.1 * rng.standard_normal(time_s.shape)
    gsr = 5 + np.cumsum(0.001 * rng.standard_normal((seconds * GSR_HZ, 1)), axis=0)
    return Raw(eeg, ppg.astype(np.float32), gsr.astype(np.float32))
