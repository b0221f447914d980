"""How fast the features are: against plain loops,
and against NeuroKit2 + MNE doing the comparable work.
"""

from __future__ import annotations

import os
import statistics as summary
import subprocess
import sys
import warnings
from collections.abc import Iterator

import numpy as np

from benchmarks.loops import BANDS, WINDOW_S, LoopFeatures, statistics
from benchmarks.recordings import EEG_HZ, GSR_HZ, PPG_HZ, Raw, noise
from benchmarks.result import Result
from benchmarks.timing import interleaved
from emodict.features import FeatureStream, extract_features
from emodict.features.spec import load_spec

HOUR_S = 3600
# Of an hour's features in a Python of its own, the first call left out; prints CPU seconds.
_ALONE = """
import time
from benchmarks.recordings import noise
from emodict.features import extract_features, load_spec
recording, spec = noise(3600).recording(), load_spec("emodict-1")
extract_features(recording, spec)
started = time.process_time()
extract_features(recording, spec)
print(time.process_time() - started)
"""


def measure() -> Iterator[Result]:
    spec = load_spec("emodict-1")
    hour = noise(HOUR_S)
    recording = hour.recording()
    jobs = {
        "ours": lambda: extract_features(recording, spec),
        "loops": lambda: LoopFeatures().recording(hour),
        "peers": lambda: peers(hour),
    }
    cpu = interleaved(jobs, rounds=2, repeats={"ours": 3})
    yield Result(
        "features of one hour, against plain loops", cpu["loops"], cpu["ours"], at_least=33
    )
    yield Result(
        "features of one hour, against NeuroKit2 + MNE", cpu["peers"], cpu["ours"], at_least=25
    )
    yield _threads()
    yield from _streaming_second()


def _threads() -> Result:
    """BLAS as a user's Python has it, with a thread a core, against BLAS with one."""
    plain = {k: v for k, v in os.environ.items() if not k.endswith("_NUM_THREADS")}
    one = {**plain, "OPENBLAS_NUM_THREADS": "1"}
    cpu: dict[str, list[float]] = {"as it comes": [], "one": []}
    for _ in range(3):
        for name, environment in (("as it comes", plain), ("one", one)):
            command = [sys.executable, "-c", _ALONE]
            said = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE)
            cpu[name].append(float(said.stdout))
    return Result(
        "features of one hour, BLAS as it comes, against one thread",
        summary.median(cpu["one"]),
        summary.median(cpu["as it comes"]),
        at_most=1.5,
    )


def _streaming_second() -> Iterator[Result]:
    raw = noise(20)
    stream = FeatureStream(load_spec("emodict-1"), {"eeg": EEG_HZ, "ppg": PPG_HZ, "gsr": GSR_HZ})
    loops = LoopFeatures()
    eeg, ppg, gsr = raw.eeg[:EEG_HZ], raw.ppg[:PPG_HZ], raw.gsr[:GSR_HZ]
    window = (
        raw.ppg[: WINDOW_S * PPG_HZ, 0].astype(np.float64),
        raw.gsr[: WINDOW_S * GSR_HZ, 0].astype(np.float64),
    )

    def ours() -> None:
        stream.push("eeg", eeg)
        stream.push("ppg", ppg)
        stream.push("gsr", gsr)

    def plain() -> None:
        loops.eeg_second(eeg)
        loops.ppg_window(window[0])
        loops.gsr_window(window[1])

    cpu = interleaved({"ours": ours, "loops": plain}, rounds=15, repeats={"ours": 50, "loops": 20})
    yield Result(
        "one streaming second, against plain loops", cpu["loops"], cpu["ours"], at_least=6.5
    )


def peers(raw: Raw) -> None:
    """The same features with the field's libraries: MNE filters and estimates spectra,
    NeuroKit2 the periphery.
    """
    import mne
    import neurokit2 as nk

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        eeg = mne.filter.filter_data(raw.eeg.T.astype(np.float64), EEG_HZ, 1, 50, verbose="error")
        eeg = mne.filter.notch_filter(eeg, EEG_HZ, 50, verbose="error")
        epochs = eeg.reshape(len(eeg), -1, EEG_HZ).swapaxes(0, 1)
        density, hz = mne.time_frequency.psd_array_welch(
            epochs, EEG_HZ, n_fft=EEG_HZ, verbose="error"
        )
        for low, high in BANDS:
            band = (hz >= low) & (hz <= high)
            0.5 * np.log(2 * np.pi * np.e * np.trapezoid(density[..., band], hz[band], axis=-1))
        for second in range(WINDOW_S - 1, len(raw.gsr) // GSR_HZ):
            first = second - WINDOW_S + 1
            ppg = raw.ppg[first * PPG_HZ : (second + 1) * PPG_HZ, 0].astype(np.float64)
            gsr = raw.gsr[first * GSR_HZ : (second + 1) * GSR_HZ, 0].astype(np.float64)
            statistics(
                nk.signal_filter(ppg, PPG_HZ, lowcut=0.5, highcut=8, method="butterworth", order=3)
            )
            statistics(gsr)
            nk.signal_psd(gsr, GSR_HZ, method="welch", silent=True)
