"""Simulated EEG: alpha and beta follow arousal and valence, artefacts lie on top."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from emodict.recording.recording import Signal
from emodict_train.simulate.course import Course, SimulationPlan
from emodict_train.simulate.noise import bump, bursts, coloured_noise, drop_out, faults
from emodict_train.simulate.scalp import HEADSET, REFERENCE, channels_to_simulate, places

FloatArray = NDArray[np.float64]

EEG_RATE_HZ = 300.0
SATURATION_UV = 5000.0
# What brains and muscles are made of stands where the headset's electrodes do,
# whichever electrodes look on.
_SOURCES = (*HEADSET, REFERENCE)
# How much of a blink arrives; the farther back, the less, and beyond these nothing.
_BLINK_REACH = {
    **{"Fp1": 1.0, "Fpz": 1.0, "Fp2": 1.0, "Nz": 1.0},
    **{
        "AF7": 0.6,
        "AF5": 0.6,
        "AF3": 0.6,
        "AF1": 0.6,
        "AFz": 0.6,
        "AF2": 0.6,
        "AF4": 0.6,
        "AF6": 0.6,
        "AF8": 0.6,
    },
    **{"F9": 0.35, "F7": 0.35, "F8": 0.35, "F10": 0.35, "F5": 0.3, "F3": 0.3, "F1": 0.3, "Fz": 0.3},
    **{"F2": 0.3, "F4": 0.3, "F6": 0.3},
}
# Electrodes above the muscles of jaw, temple and neck.
_ON_MUSCLE = (
    *("T3", "T4", "F7", "F8", "F9", "F10", "FT7", "FT8", "FT9", "FT10"),
    *("T9", "T10", "TP7", "TP8", "TP9", "TP10", "AF7", "AF8", "A1", "A2", "M1", "M2"),
)


def simulate_eeg(rng: np.random.Generator, course: Course, plan: SimulationPlan) -> Signal:
    """(samples, channels) in uV against Pz: background and rhythms, with blinks, muscle,
    mains, drift and faults.
    """
    channels = channels_to_simulate(plan.eeg_channels)
    electrodes = places((*channels, REFERENCE))
    potentials = _background(rng, course, electrodes) + _rhythms(rng, course, electrodes)
    potentials *= rng.lognormal(0, 0.2)
    samples = potentials[:, :-1] - potentials[:, -1:]
    _add_blinks(rng, samples, channels)
    _add_muscle(rng, samples, channels)
    _add_mains_and_drift(rng, samples)
    _saturate(rng, samples, plan)
    drop_out(rng, samples, EEG_RATE_HZ, per_min=plan.faults_per_min)
    return Signal(
        "eeg", EEG_RATE_HZ, "uV", channels, samples.astype(np.float32), reference=REFERENCE
    )


def _background(rng: np.random.Generator, course: Course, electrodes: FloatArray) -> FloatArray:
    """(samples, electrodes): 1/f noise that neighbours share."""
    slope = rng.normal(1.1, 0.12)
    count = round(course.duration_s * EEG_RATE_HZ)
    sources = coloured_noise(
        rng, count, EEG_RATE_HZ, lambda f: np.maximum(f, 0.5) ** (-slope / 2), rows=len(_SOURCES)
    )
    mixing = np.stack([_spread(place, electrodes, width=0.45) for place in places(_SOURCES)])
    mixing /= np.linalg.norm(mixing, axis=0)
    return np.asarray(9.0 * sources.T @ mixing)


def _rhythms(rng: np.random.Generator, course: Course, electrodes: FloatArray) -> FloatArray:
    """(samples, electrodes): alpha gives way to arousal,
    and shifts to the side that valence leaves idle.
    """
    arousal, valence = course.arousal(EEG_RATE_HZ), course.valence(EEG_RATE_HZ)
    answer_arousal, answer_valence = rng.lognormal(0, 0.2, 2)
    alpha_hz, beta_hz = rng.normal(10.2, 0.6), rng.normal(20.0, 1.5)
    # Each rhythm: where it sits, its peak and width, its amplitude in uV,
    # and its log power in time.
    rhythms = (
        # Two sources at the back and not one in the middle, which the reference Pz would cancel.
        ((-0.40, -0.90), 0.35, alpha_hz, 0.8, 12.0, -2.0 * answer_arousal * arousal),
        ((0.40, -0.90), 0.35, alpha_hz, 0.8, 12.0, -2.0 * answer_arousal * arousal),
        ((-0.60, 0.60), 0.30, alpha_hz, 0.8, 8.0, -1.3 * answer_valence * valence),
        ((0.60, 0.60), 0.30, alpha_hz, 0.8, 8.0, 1.3 * answer_valence * valence),
        ((0.0, 0.20), 0.45, beta_hz, 4.0, 5.0, 1.8 * answer_arousal * arousal),
        ((-0.60, 0.60), 0.30, beta_hz, 4.0, 4.5, 1.2 * answer_valence * valence),
        ((0.60, 0.60), 0.30, beta_hz, 4.0, 4.5, -1.2 * answer_valence * valence),
    )
    total = np.zeros((len(arousal), len(electrodes)))
    for place, spread, peak_hz, width_hz, amplitude_uv, log_power in rhythms:
        wave = coloured_noise(rng, len(arousal), EEG_RATE_HZ, bump(peak_hz, width_hz))[0]
        own = amplitude_uv * rng.lognormal(0, 0.2)
        total += np.outer(
            own * np.exp(log_power / 2) * wave, _spread(place, electrodes, width=spread)
        )
    return total


def _spread(
    place: tuple[float, float] | FloatArray, electrodes: FloatArray, *, width: float
) -> FloatArray:
    """(electrodes,): how strongly a source at `place` is seen by each."""
    distance = np.linalg.norm(electrodes - np.asarray(place), axis=1)
    return np.asarray(np.exp(-0.5 * (distance / width) ** 2))


def _add_blinks(rng: np.random.Generator, samples: FloatArray, channels: tuple[str, ...]) -> None:
    """Eyes are a battery: a lid that slides over them lifts the front of the head by 100 uV."""
    reach = np.array([_BLINK_REACH.get(name, 0.0) for name in channels])
    height_uv = rng.uniform(80, 140)
    for part in bursts(
        rng, len(samples), EEG_RATE_HZ, per_min=rng.uniform(8, 18), length_s=(0.25, 0.4)
    ):
        lid = np.hanning(part.stop - part.start) * height_uv * rng.uniform(0.7, 1.2)
        samples[part] += np.outer(lid, reach)


def _add_muscle(rng: np.random.Generator, samples: FloatArray, channels: tuple[str, ...]) -> None:
    over = [channels.index(name) for name in _ON_MUSCLE if name in channels]
    for part in bursts(rng, len(samples), EEG_RATE_HZ, per_min=1.5, length_s=(0.5, 2.0)):
        count = part.stop - part.start
        burst = coloured_noise(
            rng, count, EEG_RATE_HZ, lambda f: (f > 20) & (f < 110), rows=len(over)
        )
        samples[part, over] += burst.T * np.hanning(count)[:, None] * rng.uniform(8, 25, len(over))


def _add_mains_and_drift(rng: np.random.Generator, samples: FloatArray) -> None:
    count, channels = samples.shape
    hum = np.sin(2 * np.pi * 50.0 * np.arange(count) / EEG_RATE_HZ + rng.uniform(0, 2 * np.pi))
    samples += np.outer(hum, rng.uniform(1, 5, channels))
    drift = coloured_noise(
        rng, count, EEG_RATE_HZ, lambda f: (f < 0.2) / np.maximum(f, 0.01), rows=channels
    )
    samples += drift.T * rng.uniform(5, 25, channels) + rng.normal(0, 20, channels)


def _saturate(rng: np.random.Generator, samples: FloatArray, plan: SimulationPlan) -> None:
    """A bumped electrode leaves the amplifier at its end stop for a while."""
    for part in faults(
        rng, len(samples), EEG_RATE_HZ, per_min=plan.faults_per_min, length_s=(0.5, 2.0)
    ):
        samples[part, rng.integers(samples.shape[1])] = SATURATION_UV * rng.choice((-1, 1))
