"""Write the feature specs in runtime/emodict/features/specs: scipy designs the filters once,
the runtime reads numbers.

Run from the repository root: python tools/make_specs.py.
A test checks that the files are what this writes.
"""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import scipy.signal as ss

from emodict.features.hog import hog_names
from emodict.features.spec import (
    VGG_CLEAN,
    VGG_REFERENCE,
    Band,
    FeatureSpec,
    FilterSpec,
    ModalitySpec,
    SpectrumSpec,
)

SPECS = Path(__file__).parent.parent / "runtime" / "emodict" / "features" / "specs"

# DSI-24 order without its reference and auxiliary inputs (Yang et al.,
# Scientific Data 11:847, 2024).
EEG_CHANNELS = (
    "P3",
    "C3",
    "F3",
    "Fz",
    "F4",
    "C4",
    "P4",
    "Cz",
    "Fp1",
    "Fp2",
    "T3",
    "T5",
    "O1",
    "O2",
    "F7",
    "F8",
    "T6",
    "T4",
)
EEG_HZ, PPG_HZ, GSR_HZ = 300.0, 100.0, 4.0
PAPER_BANDS = (
    ("delta", 1, 4),
    ("theta", 4, 8),
    ("alpha", 8, 14),
    ("beta", 14, 31),
    ("gamma", 31, 45),
)
LOG_2PIE = math.log(2 * math.pi * math.e)
STATISTICS = ("median", "mean", "std", "min", "max", "minratio", "maxratio")
FFT_STATISTICS = ("median", "mean", "std", "min", "max", "range")
PPG_FEATURES = (
    *(f"{series}_{s}" for series in ("x", "d1", "d2") for s in STATISTICS),
    *(f"fft_{s}" for s in FFT_STATISTICS),
)
GSR_FEATURES = (*PPG_FEATURES, "psd_mean")
# Amplifiers end far below 100 mV; no skin conducts above 100 uS, and a sensor off the skin reads 0.
EEG_RANGE_UV, GSR_RANGE_US, PPG_RANGE = (-1e5, 1e5), (0.001, 100.0), (-1e9, 1e9)


def sos(order: int, low_hz: float, high_hz: float, rate_hz: float) -> np.ndarray:
    return ss.butter(order, [low_hz, high_hz], btype="bandpass", fs=rate_hz, output="sos")


def as_rows(sections: np.ndarray) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(float(v) for v in row) for row in sections)


def default_padding(sections: np.ndarray) -> int:
    """What scipy.signal.sosfiltfilt pads by default."""
    taps = 2 * len(sections) + 1
    taps -= min((sections[:, 2] == 0).sum(), (sections[:, 5] == 0).sum())
    return int(3 * taps)


def zero_phase(mode: str, sections: np.ndarray) -> FilterSpec:
    return FilterSpec(mode, as_rows(sections), default_padding(sections))


def parseval_bands(samples: int, rate_hz: float, taper: np.ndarray) -> tuple[Band, ...]:
    """Variance in each band: the trapezoidal integral of the tapered
    periodogram from low to high.
    """
    bin_hz = rate_hz / samples
    # One-sided (2), Parseval (1 / samples), and the taper's mean square,
    # so that white noise keeps its variance.
    scale = 2.0 / (samples * np.sum(taper**2))
    bands = []
    for name, low, high in PAPER_BANDS:
        first, last = round(low / bin_hz), round(high / bin_hz)
        weights = np.full(last - first + 1, scale)
        weights[[0, -1]] /= 2
        bands.append(Band(name, low, high, first, tuple(weights.tolist())))
    return tuple(bands)


def mean_bands(edges: list[tuple[str, float, float, int, int]]) -> tuple[Band, ...]:
    """The mean over bins first..last, last included."""
    return tuple(
        Band(name, low, high, first, (1.0 / (last - first + 1),) * (last - first + 1))
        for name, low, high, first, last in edges
    )


def eeg(spectrum: SpectrumSpec, *, band_major: bool, **fields: object) -> ModalitySpec:
    names = [b.name for b in spectrum.bands]
    if band_major:
        shape = (len(names), len(EEG_CHANNELS))
        features = tuple(f"{b}_{c}" for b in names for c in EEG_CHANNELS)
    else:
        shape = (len(EEG_CHANNELS), len(names))
        features = tuple(f"{b}_{c}" for c in EEG_CHANNELS for b in names)
    return ModalitySpec(
        "eeg", "band_power", EEG_HZ, "uV", EEG_CHANNELS, 1.0, shape, features,
        spectrum=spectrum, valid_range=EEG_RANGE_UV, **fields,
    )  # fmt: skip


def video(
    dims: int = 32, kind: str = "embedding", *, face_features: tuple[str, ...] = ()
) -> ModalitySpec:
    return face(tuple(f"face{i:02d}" for i in range(dims)), kind, face_features=face_features)


def face(
    names: tuple[str, ...], kind: str = "embedding", *, face_features: tuple[str, ...] = ()
) -> ModalitySpec:
    return ModalitySpec(
        "video", kind, 1.0, "", (), 1.0, (len(names),), names, face_features=face_features
    )


def peripheral(
    name: str, *, filter_: FilterSpec | None, constant_usable: bool = False
) -> ModalitySpec:
    rate, unit, features, limits = {
        "ppg": (PPG_HZ, "a.u.", PPG_FEATURES, PPG_RANGE),
        "gsr": (GSR_HZ, "uS", GSR_FEATURES, GSR_RANGE_US),
    }[name]
    return ModalitySpec(
        name, "statistics", rate, unit, (name,), 5.0, (len(features),), features,
        filter=filter_, valid_range=limits, constant_usable=constant_usable,
    )  # fmt: skip


def emodict_1(mains_hz: int, *, hog: bool = False) -> FeatureSpec:
    notch = ss.tf2sos(*ss.iirnotch(mains_hz, Q=30, fs=EEG_HZ))
    causal = FilterSpec("causal", as_rows(np.vstack([sos(2, 1, 50, EEG_HZ), notch])))
    taper = ss.get_window("hann", int(EEG_HZ))
    spectrum = SpectrumSpec(
        1,
        tuple(taper.tolist()),
        int(EEG_HZ),
        parseval_bands(int(EEG_HZ), EEG_HZ, taper),
        0.5,
        LOG_2PIE / 2,
    )
    return FeatureSpec(
        id="emodict-1" + "-hog" * hog + f"-{mains_hz}hz" * (mains_hz != 50),
        description=f"Raw recordings, {mains_hz} Hz mains: "
        + ("face features that need no downloaded weights" if hog else "what a device runs"),
        token_width=18,
        streaming=True,
        modalities=(
            eeg(spectrum, band_major=True, filter=causal, settle_s=1.0),
            peripheral("gsr", filter_=None),
            peripheral("ppg", filter_=zero_phase("zero-phase-window", sos(3, 0.5, 8, PPG_HZ))),
            face(hog_names()) if hog else video(),
        ),
    )


def dmer_2024(*, lbptop: bool) -> FeatureSpec:
    taper = np.hanning(int(EEG_HZ))
    n_fft = 256
    bands = mean_bands(
        [
            (name, low, high, math.floor(low / EEG_HZ * n_fft), math.floor(high / EEG_HZ * n_fft))
            for name, low, high in (*PAPER_BANDS[:4], ("gamma", 31, 49))
        ]
    )
    # 300 tapered samples into an FFT of 256: the last 44 are cut off,
    # as in the data set's own extraction.
    spectrum = SpectrumSpec(1, tuple(taper.tolist()), n_fft, bands, 0.5, LOG_2PIE / 2)
    return FeatureSpec(
        id="dmer-2024-lbptop" if lbptop else "dmer-2024",
        description="The released DMER feature files"
        + (", with their 768-d LBP-TOP video" if lbptop else ""),
        token_width=18,
        streaming=False,
        modalities=(
            eeg(spectrum, band_major=True),
            peripheral("gsr", filter_=None, constant_usable=True),
            peripheral(
                "ppg",
                filter_=zero_phase("zero-phase-trial", sos(3, 0.5, 8, PPG_HZ)),
                constant_usable=True,
            ),
            # The released files do not say how the pixels went in.
            video(768, "table") if lbptop else video(face_features=(VGG_CLEAN, VGG_REFERENCE)),
        ),
    )


def sample_spectrum(
    samples: int, n_fft: int, rate_hz: float, bands: list[tuple[str, float, float]], decimation: int
) -> SpectrumSpec:
    """The released code's recipe: bins int(low b) .. int(high b - 1) EXCLUSIVE,
    value log2(100 mean |X|^2).

    b is a whole number of bins a hertz: the code cuts the 10.24 of EEG and PPG to 10.
    """
    per_hz = int(n_fft / rate_hz)
    edges = [(n, lo, hi, int(lo * per_hz), int(hi * per_hz - 1) - 1) for n, lo, hi in bands]
    return SpectrumSpec(
        decimation,
        tuple(np.hanning(samples).tolist()),
        n_fft,
        mean_bands(edges),
        1 / math.log(2),
        math.log2(100),
    )


def sample_signal(name: str, spectrum: SpectrumSpec, sections: np.ndarray) -> ModalitySpec:
    rate, unit, limits = {"ppg": (PPG_HZ, "a.u.", PPG_RANGE), "gsr": (GSR_HZ, "uS", GSR_RANGE_US)}[
        name
    ]
    features = tuple(f"{b.name}_{name}" for b in spectrum.bands)
    return ModalitySpec(
        name, "band_power", rate, unit, (name,), 1.0, (1, len(features)), features,
        filter=zero_phase("zero-phase-recording", sections), spectrum=spectrum, valid_range=limits,
        constant_usable=True,
    )  # fmt: skip


def dmer_sample() -> FeatureSpec:
    bands = [(n, float(lo), float(hi)) for n, lo, hi in PAPER_BANDS[1:]]
    slow = [("slow1", 0.0, 0.6), ("slow2", 0.6, 1.2), ("slow3", 1.2, 1.8), ("slow4", 1.8, 2.0)]
    return FeatureSpec(
        id="dmer-sample",
        description="The released code's one-subject sample",
        token_width=4,
        streaming=False,
        modalities=(
            eeg(sample_spectrum(100, 1024, 100.0, bands, 3), band_major=False),
            sample_signal(
                "gsr", sample_spectrum(4, 64, GSR_HZ, slow, 1), sos(2, 0.01, 1.9, GSR_HZ)
            ),
            sample_signal(
                "ppg", sample_spectrum(100, 1024, PPG_HZ, bands, 1), sos(2, 0.01, 49, PPG_HZ)
            ),
            video(face_features=(VGG_REFERENCE,)),
        ),
    )


def edl_89() -> FeatureSpec:
    """The EDL data set's table (Shu et al. 2022):
    89 ready-made features, no EEG, one token each.
    """
    sizes = {"gsr": 39, "skt": 4, "ecg": 39, "hr": 7}
    modalities = tuple(
        ModalitySpec(m, "table", 1.0, "", (), 1.0, (n,), tuple(f"{m}{i:02d}" for i in range(n)))
        for m, n in sizes.items()
    )
    return FeatureSpec("edl-89", "The EDL data set's 89 peripheral features", 1, False, modalities)


def all_specs() -> list[FeatureSpec]:
    return [
        *(emodict_1(mains_hz, hog=hog) for hog in (False, True) for mains_hz in (50, 60)),
        *(dmer_2024(lbptop=lbptop) for lbptop in (False, True)),
        dmer_sample(),
        edl_89(),
    ]


def main() -> None:
    SPECS.mkdir(exist_ok=True)
    for spec in all_specs():
        path = SPECS / f"{spec.id}.json"
        path.write_text(json.dumps(spec.to_dict(), separators=(",", ":")) + "\n", encoding="utf-8")
        print(
            f"{path.name}: {spec.tokens} tokens of {spec.token_width}, "
            f"fingerprint {spec.fingerprint}"
        )


if __name__ == "__main__":
    main()
