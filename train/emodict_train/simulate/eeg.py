"""Simulated EEG: alpha and beta follow arousal and valence, artefacts lie on top."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from emodict.recording import Signal
from emodict.spec import load_spec
from emodict_train.simulate.course import Course, SimulationPlan
from emodict_train.simulate.noise import bump, bursts, coloured_noise, drop_out, faults

FloatArray = NDArray[np.float64]

EEG_RATE_HZ = 300.0
SATURATION_UV = 5000.0


# Places on the head seen from above: x to the right, y to the front, ears at 1.
_PLACES = {
    **{"Fp1": (-0.31, 0.95), "Fp2": (0.31, 0.95), "F7": (-0.81, 0.59), "F8": (0.81, 0.59)},
    **{"F3": (-0.45, 0.55), "Fz": (0.0, 0.50), "F4": (0.45, 0.55), "T3": (-1.0, 0.0), "T4": (1.0, 0.0)},
    **{"C3": (-0.5, 0.0), "Cz": (0.0, 0.0), "C4": (0.5, 0.0), "T5": (-0.81, -0.59), "T6": (0.81, -0.59)},
    **{"P3": (-0.45, -0.55), "Pz": (0.0, -0.50), "P4": (0.45, -0.55)},
    **{"O1": (-0.31, -0.95), "O2": (0.31, -0.95)},
}
EEG_CHANNELS = load_spec("emodict-1").modality("eeg").channel_names


EEG_REFERENCE = "Pz"
_ELECTRODES = (*EEG_CHANNELS, EEG_REFERENCE)


def simulate_eeg(rng: np.random.Generator, course: Course, plan: SimulationPlan) -> Signal:
    """(samples, 18) in uV against Pz: background and rhythms, with blinks, muscle, mains, drift and faults."""
    potentials = _background(rng, course) + _rhythms(rng, course)
    potentials *= rng.lognormal(0, 0.2)
    samples = potentials[:, :-1] - potentials[:, -1:]
    _add_blinks(rng, samples)
    _add_muscle(rng, samples)
    _add_mains_and_drift(rng, samples)
    _saturate(rng, samples, plan)
    drop_out(rng, samples, EEG_RATE_HZ, per_min=plan.faults_per_min)
    return Signal("eeg", EEG_RATE_HZ, "uV", EEG_CHANNELS, samples.astype(np.float32), reference=EEG_REFERENCE)


def _background(rng: np.random.Generator, course: Course) -> FloatArray:
    """(samples, electrodes): 1/f noise that neighbours share."""
    slope = rng.normal(1.1, 0.12)
    count = round(course.duration_s * EEG_RATE_HZ)
    sources = coloured_noise(
        rng, count, EEG_RATE_HZ, lambda f: np.maximum(f, 0.5) ** (-slope / 2), rows=len(_ELECTRODES)
    )
    places = np.array([_PLACES[name] for name in _ELECTRODES])
    mixing = np.stack([_spread(place, width=0.45) for place in places])
    mixing /= np.linalg.norm(mixing, axis=0)
    return np.asarray(9.0 * sources.T @ mixing)


def _rhythms(rng: np.random.Generator, course: Course) -> FloatArray:
    """(samples, electrodes): alpha gives way to arousal, and shifts to the side that valence leaves idle."""
    arousal, valence = course.arousal(EEG_RATE_HZ), course.valence(EEG_RATE_HZ)
    answer_arousal, answer_valence = rng.lognormal(0, 0.2, 2)
    alpha_hz, beta_hz = rng.normal(10.2, 0.6), rng.normal(20.0, 1.5)
    # Each rhythm: where it sits, its peak and width, its amplitude in uV, and its log power in time.
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
    total = np.zeros((len(arousal), len(_ELECTRODES)))
    for place, spread, peak_hz, width_hz, amplitude_uv, log_power in rhythms:
        wave = coloured_noise(rng, len(arousal), EEG_RATE_HZ, bump(peak_hz, width_hz))[0]
        own = amplitude_uv * rng.lognormal(0, 0.2)
        total += np.outer(own * np.exp(log_power / 2) * wave, _spread(place, width=spread))
    return total


def _spread(place: tuple[float, float] | FloatArray, *, width: float) -> FloatArray:
    """(electrodes,): how strongly a source at `place` is seen by each."""
    electrodes = np.array([_PLACES[name] for name in _ELECTRODES])
    distance = np.linalg.norm(electrodes - np.asarray(place), axis=1)
    return np.asarray(np.exp(-0.5 * (distance / width) ** 2))


def _add_blinks(rng: np.random.Generator, samples: FloatArray) -> None:
    """Eyes are a battery: a lid that slides over them lifts the front of the head by 100 uV."""
    front = {"Fp1": 1.0, "Fp2": 1.0, "F7": 0.35, "F8": 0.35, "F3": 0.3, "F4": 0.3, "Fz": 0.3}
    reach = np.array([front.get(name, 0.0) for name in EEG_CHANNELS])
    height_uv = rng.uniform(80, 140)
    for part in bursts(rng, len(samples), EEG_RATE_HZ, per_min=rng.uniform(8, 18), length_s=(0.25, 0.4)):
        lid = np.hanning(part.stop - part.start) * height_uv * rng.uniform(0.7, 1.2)
        samples[part] += np.outer(lid, reach)


def _add_muscle(rng: np.random.Generator, samples: FloatArray) -> None:
    jaw = [EEG_CHANNELS.index(name) for name in ("T3", "T4", "F7", "F8")]
    for part in bursts(rng, len(samples), EEG_RATE_HZ, per_min=1.5, length_s=(0.5, 2.0)):
        count = part.stop - part.start
        burst = coloured_noise(rng, count, EEG_RATE_HZ, lambda f: (f > 20) & (f < 110), rows=len(jaw))
        samples[part, jaw] += burst.T * np.hanning(count)[:, None] * rng.uniform(8, 25, len(jaw))


def _add_mains_and_drift(rng: np.random.Generator, samples: FloatArray) -> None:
    count, channels = samples.shape
    hum = np.sin(2 * np.pi * 50.0 * np.arange(count) / EEG_RATE_HZ + rng.uniform(0, 2 * np.pi))
    samples += np.outer(hum, rng.uniform(1, 5, channels))
    drift = coloured_noise(rng, count, EEG_RATE_HZ, lambda f: (f < 0.2) / np.maximum(f, 0.01), rows=channels)
    samples += drift.T * rng.uniform(5, 25, channels) + rng.normal(0, 20, channels)


def _saturate(rng: np.random.Generator, samples: FloatArray, plan: SimulationPlan) -> None:
    """A bumped electrode leaves the amplifier at its end stop for a while."""
    for part in faults(rng, len(samples), EEG_RATE_HZ, per_min=plan.faults_per_min, length_s=(0.5, 2.0)):
        samples[part, rng.integers(samples.shape[1])] = SATURATION_UV * rng.choice((-1, 1))
