"""The features of emodict-1 as plain loops over windows,
channels and bands, each by its definition.
"""

from __future__ import annotations

import numpy as np
import scipy.signal as ss

from benchmarks.recordings import EEG_HZ, GSR_HZ, PPG_HZ, Raw
from emodict.features.spec import load_spec

BANDS = ((1, 4), (4, 8), (8, 14), (14, 31), (31, 45))
WINDOW_S = 5


class LoopFeatures:
    """One window, one channel, one band at a time;
    the EEG filter's state is carried between calls.
    """

    def __init__(self) -> None:
        spec = load_spec("emodict-1")
        self._eeg_sos = np.array(spec.modality("eeg").filter.sos)
        self._ppg_sos = np.array(spec.modality("ppg").filter.sos)
        self._hann = ss.get_window("hann", EEG_HZ)
        self._state: dict[int, np.ndarray] = {}

    def recording(self, raw: Raw) -> None:
        seconds = len(raw.gsr) // GSR_HZ
        for second in range(seconds):
            self.eeg_second(raw.eeg[second * EEG_HZ : (second + 1) * EEG_HZ])
            if second >= WINDOW_S - 1:
                first = second - WINDOW_S + 1
                self.ppg_window(raw.ppg[first * PPG_HZ : (second + 1) * PPG_HZ, 0])
                self.gsr_window(raw.gsr[first * GSR_HZ : (second + 1) * GSR_HZ, 0])

    def eeg_second(self, samples: np.ndarray) -> np.ndarray:
        out = np.empty((len(BANDS), samples.shape[1]))
        for channel in range(samples.shape[1]):
            x = samples[:, channel].astype(np.float64)
            state = self._state.get(channel)
            if state is None:
                state = ss.sosfilt_zi(self._eeg_sos) * x[0]
            filtered, self._state[channel] = ss.sosfilt(self._eeg_sos, x, zi=state)
            for band, (low, high) in enumerate(BANDS):
                out[band, channel] = self.differential_entropy(filtered, low, high)
        return out

    def differential_entropy(self, window: np.ndarray, low: int, high: int) -> float:
        """0.5 ln(2 pi e sigma^2), sigma^2 by Parseval from the Hann-windowed
        spectrum between two whole Hz.
        """
        power = np.abs(np.fft.fft(window * self._hann)) ** 2 * 2 / (EEG_HZ * np.sum(self._hann**2))
        variance = power[low : high + 1].sum() - (power[low] + power[high]) / 2
        return 0.5 * np.log(2 * np.pi * np.e * variance)

    def ppg_window(self, window: np.ndarray) -> list[float]:
        return statistics(ss.sosfiltfilt(self._ppg_sos, window))

    def gsr_window(self, window: np.ndarray) -> list[float]:
        density = ss.welch(window, GSR_HZ, nperseg=len(window))[1]
        return [*statistics(window), density.mean()]


def statistics(x: np.ndarray) -> list[float]:
    """The 27 statistics of FEATURES: of x, of its first and second difference,
    and of its complex spectrum.
    """
    out: list[float] = []
    for series in (x, np.diff(x), np.diff(np.diff(x))):
        low, high = np.min(series), np.max(series)
        out += [np.median(series), np.mean(series), np.std(series), low, high]
        out += [np.sum(series == low) / len(series), np.sum(series == high) / len(series)]
    spectrum = np.fft.fft(x)
    low, high = np.min(spectrum), np.max(spectrum)
    values = (np.median(spectrum), np.mean(spectrum), np.std(spectrum), low, high, high - low)
    return out + [float(np.real(v)) for v in values]
