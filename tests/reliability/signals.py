"""SIMULATED people for tests of numbers: signals of every modality at any rates,
and all of them through a stream.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from emodict.features import FeatureStream
from emodict.features.spec import load_spec
from emodict.features.stream import channel_count
from emodict.features.windows import FeatureWindows, concatenate

SPEC = load_spec("emodict-1")
SPEC_RATES = {"eeg": 300.0, "gsr": 4.0, "ppg": 100.0, "video": 1.0}
# A headband, a wristband.
OTHER_RATES = {"eeg": 256.0, "gsr": 8.0, "ppg": 64.0, "video": 1.0}

Signals = dict[str, NDArray[np.float64]]


def simulated(seconds: int, rates: Mapping[str, float] = SPEC_RATES, *, seed: int = 0) -> Signals:
    """Noise for EEG and face, a pulse, skin that drifts: (samples, channels) of each."""
    rng = np.random.default_rng(seed)
    signals = {}
    for name, rate_hz in rates.items():
        shape = (round(seconds * rate_hz), channel_count(SPEC.modality(name)))
        if name == "gsr":
            signals[name] = 3 + np.cumsum(0.01 * rng.standard_normal(shape), axis=0)
        elif name == "ppg":
            times_s = np.arange(shape[0])[:, None] / rate_hz
            signals[name] = np.sin(2 * np.pi * 1.2 * times_s) + 0.05 * rng.standard_normal(shape)
        else:
            signals[name] = (20.0 if name == "eeg" else 1.0) * rng.standard_normal(shape)
    return signals


def features(
    signals: Mapping[str, NDArray[np.number]], rates: Mapping[str, float] = SPEC_RATES
) -> FeatureWindows:
    """All rows, each modality pushed at one go; only the modalities that are given."""
    spec = SPEC.with_modalities([name for name in SPEC.modality_names if name in signals])
    stream = FeatureStream(spec, {name: rates[name] for name in signals})
    return concatenate(
        spec, [*(stream.push(name, block) for name, block in signals.items()), stream.finish()]
    )
