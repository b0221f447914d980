"""Raw seconds with faults, and the rows that Python makes of them: what others are held to."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from emodict.features import FeatureStream, FeatureWindows
from emodict.features.spec import FeatureSpec, ModalitySpec
from emodict.features.stream import channel_count, require_raw
from emodict.features.windows import concatenate
from emodict.predict.person import Adaptation
from emodict.predict.scoring import answerable, with_missing_filled
from emodict.recording.modalities import modality_of
from emodict_export.export import missing_value
from emodict_train.model.checkpoint import Checkpoint, predict
from emodict_train.simulate.noise import coloured_noise

Float32Array = NDArray[np.float32]
Float64Array = NDArray[np.float64]
Seconds = Mapping[str, Float32Array]

# Every fault comes at least once, and once more for each further stretch of this length.
FAULTS_EVERY_S = 60
# Electrodes stand at up to this much against one another: amplifiers without a high-pass show it.
ELECTRODE_OFFSET_UV = 30_000.0
# The resolution of a wrist's skin conductance: neighbours are often equal.
COARSE_STEP = 0.00128
EEG_END_STOP_UV = 60_000.0


@dataclass(frozen=True)
class Rows:
    """What Python answers, a row a second from the very first on.

    Attributes:
        windows: the features, and for each modality whether it is valid, and its quality.
        distribution: (rows, emotions); weights: (rows, elements); NaN where there is no answer.
    """

    windows: FeatureWindows
    distribution: Float64Array
    weights: Float64Array

    @property
    def answered(self) -> NDArray[np.bool_]:
        return np.isfinite(self.distribution[:, 0])


def fault_seconds(features: FeatureSpec, seconds: int, *, seed: int = 0) -> dict[str, Float32Array]:
    """Made-up signals at the spec's rates, a NaN in place of each sample that is missing.

    By modality: (seconds, samples a second, channels), of an embedding (seconds, dims). In each
    there are gaps, a lost sensor, end stops, constants, stuck samples and absurd ones; in the EEG
    electrodes stand at up to 30 mV, drift and jump.
    """
    made = {}
    for modality, rng in _generators(features, seed):
        samples = _signal(modality, rng, seconds)
        add_faults(modality, rng, samples)
        made[modality.name] = in_seconds(modality, samples)
    return made


def clean_seconds(features: FeatureSpec, seconds: int, *, seed: int = 0) -> dict[str, Float32Array]:
    """The same signals without a fault."""
    return {
        modality.name: in_seconds(modality, _signal(modality, rng, seconds))
        for modality, rng in _generators(features, seed)
    }


def _generators(
    features: FeatureSpec, seed: int
) -> Iterator[tuple[ModalitySpec, np.random.Generator]]:
    """A stream of randomness for each modality."""
    for modality in features.modalities:
        require_raw(modality)
    generators = np.random.default_rng(seed).spawn(len(features.modalities))
    return zip(features.modalities, generators, strict=True)


def add_faults(modality: ModalitySpec, rng: np.random.Generator, samples: Float64Array) -> None:
    """Break (samples, channels) in place: every fault at least once, at random times."""
    faults = _EMBEDDING_FAULTS if modality.kind == "embedding" else _FAULTS
    for _ in range(-(-len(samples) // (FAULTS_EVERY_S * modality.hop_samples))):
        for fault in faults:
            fault(modality, rng, samples)


def in_seconds(modality: ModalitySpec, samples: NDArray[np.floating[Any]]) -> Float32Array:
    """(samples, channels) -> a second at a time, as the graph and the C code take it."""
    shape = (
        (modality.dims,)
        if modality.kind == "embedding"
        else (modality.hop_samples, channel_count(modality))
    )
    return np.ascontiguousarray(samples, dtype=np.float32).reshape(-1, *shape)


def expected_rows(
    checkpoint: Checkpoint, seconds: Seconds, *, adaptation: Adaptation | None = None
) -> Rows:
    """What FeatureStream and the torch model make of them; a modality left out is missing."""
    windows = stream_windows(
        checkpoint.features, seconds, unmixing=adaptation.unmixing if adaptation else None
    )
    ready = answerable(windows, checkpoint.model.required_modalities)
    shift = adaptation.shift if adaptation else None
    model = checkpoint.model
    distribution = np.full((len(windows), len(model.emotions)), np.nan)
    weights = np.full((len(windows), model.elements * model.members), np.nan)
    if ready.any():
        tokens = with_missing_filled(windows.slice(ready), missing_value(checkpoint), shift=shift)
        answers = predict(checkpoint.networks(), torch.from_numpy(tokens))
        distribution[ready], weights[ready] = (answer.numpy() for answer in answers)
    return Rows(windows, distribution, weights)


def stream_windows(
    features: FeatureSpec, seconds: Seconds, *, unmixing: Float64Array | None = None
) -> FeatureWindows:
    """The features of every second from the first on: before it lie seconds of nothing."""
    stream = FeatureStream(
        features, {m.name: m.rate_hz for m in features.modalities}, unmixing=unmixing
    )
    count, before = len(next(iter(seconds.values()))), features.first_row_s
    parts = []
    for modality in features.modalities:
        channels = channel_count(modality)
        samples = np.full(((before + count) * modality.hop_samples, channels), np.nan)
        if modality.name in seconds:
            samples[before * modality.hop_samples :] = seconds[modality.name].reshape(-1, channels)
        parts.append(stream.push(modality.name, samples))
    windows = concatenate(features, [*parts, stream.finish()])
    return dataclasses.replace(windows, start_s=windows.start_s - before)


def _signal(modality: ModalitySpec, rng: np.random.Generator, seconds: int) -> Float64Array:
    """(samples, channels) as a clean sensor of this kind would give them."""
    count, channels = seconds * modality.hop_samples, channel_count(modality)
    known = modality_of(modality.name)
    if modality.kind == "embedding":
        return rng.normal(0, 1.3, (count, channels))
    if known.placed:
        waves = coloured_noise(
            rng, count, modality.rate_hz, lambda f: np.maximum(f, 1.0) ** -0.6, rows=channels
        )
        drift = np.linspace(0, rng.uniform(-3000, 3000, channels), count)
        return (
            25 * waves.T * rng.lognormal(0, 0.5, channels)
            + drift
            + electrode_offsets(rng, channels)
        )
    if known.coarse:
        low, high = known.usual_level or (1.0, 10.0)
        level = low + 0.1 * (high - low) * (1 + rng.uniform())
        walk = np.cumsum(0.01 * rng.standard_t(2, (count, channels)), axis=0)
        return np.asarray(np.rint((level + walk) / COARSE_STEP) * COARSE_STEP)
    time_s = np.arange(count)[:, None] / modality.rate_hz
    beats = 2 * np.pi * (1.2 * time_s + 0.3 * np.sin(2 * np.pi * 0.03 * time_s))
    pulse = (
        20
        * (np.sin(beats) + 0.4 * np.sin(2 * beats + 1))
        * (1 + 0.3 * np.sin(2 * np.pi * 0.05 * time_s))
    )
    return np.asarray(rng.uniform(-500, 500) + pulse + rng.normal(0, 0.3, (count, channels)))


def electrode_offsets(rng: np.random.Generator, channels: int) -> Float64Array:
    """A third of the electrodes far away from their reference."""
    far = rng.uniform(size=channels) < 1 / 3
    return np.where(
        far, rng.uniform(-1, 1, channels) * ELECTRODE_OFFSET_UV, rng.normal(0, 20, channels)
    )


def _stretch(
    modality: ModalitySpec, rng: np.random.Generator, count: int, length_s: tuple[float, float]
) -> slice:
    length = max(1, round(rng.uniform(*length_s) * modality.rate_hz))
    start = int(rng.uniform(0, max(1, count - length)))
    return slice(start, start + length)


def _gap(modality: ModalitySpec, rng: np.random.Generator, samples: Float64Array) -> None:
    samples[_stretch(modality, rng, len(samples), (0.0, 2.0))] = np.nan


def _lost(modality: ModalitySpec, rng: np.random.Generator, samples: Float64Array) -> None:
    """The whole sensor, for a few whole seconds and a bit."""
    samples[_stretch(modality, rng, len(samples), (3.0, 7.0))] = np.nan


def _lost_channel(modality: ModalitySpec, rng: np.random.Generator, samples: Float64Array) -> None:
    channel = rng.integers(samples.shape[1])
    samples[_stretch(modality, rng, len(samples), (0.0, 4.0)), channel] = np.nan


def _end_stop(modality: ModalitySpec, rng: np.random.Generator, samples: Float64Array) -> None:
    """An amplifier at its end stop for between a third and all of a window, and a little more."""
    window = modality.window_s
    channel, part = (
        rng.integers(samples.shape[1]),
        _stretch(modality, rng, len(samples), (window / 3, 1.2 * window)),
    )
    top = EEG_END_STOP_UV if modality_of(modality.name).placed else np.nanmax(samples)
    samples[part, channel] = np.where(np.isnan(samples[part, channel]), np.nan, top)


def _constant(modality: ModalitySpec, rng: np.random.Generator, samples: Float64Array) -> None:
    channel, part = (
        rng.integers(samples.shape[1]),
        _stretch(modality, rng, len(samples), (1.0, 2 * modality.window_s)),
    )
    samples[part, channel] = samples[part.start, channel]


def _stuck(modality: ModalitySpec, rng: np.random.Generator, samples: Float64Array) -> None:
    """One and the same sample for about half of a window, not at an extreme."""
    window = modality.window_s
    channel, part = (
        rng.integers(samples.shape[1]),
        _stretch(modality, rng, len(samples), (0.4 * window, 0.65 * window)),
    )
    samples[part, channel] = samples[part.start, channel]


def _absurd(modality: ModalitySpec, rng: np.random.Generator, samples: Float64Array) -> None:
    """A number beyond every sensor; the larger of them is infinite."""
    at = rng.integers(len(samples)), rng.integers(samples.shape[1])
    samples[at] = rng.choice((-1e12, 1e12, np.inf, -np.inf))


def _jump(modality: ModalitySpec, rng: np.random.Generator, samples: Float64Array) -> None:
    """An electrode that is touched stands elsewhere from then on."""
    if modality_of(modality.name).placed:
        samples[rng.integers(len(samples)) :, rng.integers(samples.shape[1])] += (
            rng.uniform(-1, 1) * 5000
        )


Fault = Callable[[ModalitySpec, np.random.Generator, Float64Array], None]
_FAULTS: tuple[Fault, ...] = (
    _jump,
    _gap,
    _gap,
    _lost,
    _lost_channel,
    _end_stop,
    _constant,
    _stuck,
    _absurd,
)
_EMBEDDING_FAULTS: tuple[Fault, ...] = (_lost, _lost_channel, _absurd)
