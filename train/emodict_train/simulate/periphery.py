"""Simulated PPG and GSR, both of NeuroKit2: heart rate and skin responses follow arousal."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emodict.errors import MissingDependencyError
from emodict.recording.recording import Signal
from emodict_train.simulate.course import Course, SimulationPlan
from emodict_train.simulate.noise import bump, bursts, coloured_noise, drop_out

FloatArray = NDArray[np.float64]

PPG_RATE_HZ, GSR_RATE_HZ = 100.0, 4.0
GSR_STEP_US = 0.00128  # the wrist sensor's resolution: neighbours are often equal


def simulate_ppg(rng: np.random.Generator, course: Course, plan: SimulationPlan) -> Signal:
    """(samples, 1): a pulse whose rate and height follow arousal, with motion and dropouts."""
    samples = pulse_wave(rng, draw_heart_rate_bpm(rng, course))
    # Arousal narrows the vessels of the skin: the pulse shrinks.
    samples *= (
        40
        * rng.lognormal(0, 0.1)
        * np.exp(-1.0 * rng.lognormal(0, 0.2) * course.arousal(PPG_RATE_HZ))
    )
    samples += rng.normal(0, 0.3, len(samples))
    _add_motion(rng, samples)
    column = samples[:, None]
    drop_out(rng, column, PPG_RATE_HZ, per_min=plan.faults_per_min)
    return Signal("ppg", PPG_RATE_HZ, "a.u.", ("ppg",), column.astype(np.float32))


def draw_heart_rate_bpm(rng: np.random.Generator, course: Course) -> FloatArray:
    """(samples,) at PPG_RATE_HZ: a person's own rate, up with arousal and delight."""
    arousal, valence = course.arousal(PPG_RATE_HZ), course.valence(PPG_RATE_HZ)
    resting = np.clip(rng.normal(70, 4), 55, 90)
    level = resting + rng.lognormal(0, 0.2) * (18 * arousal + 10 * valence)
    breath_hz = rng.uniform(0.2, 0.3)
    breath = np.sin(2 * np.pi * breath_hz * course.times_s(PPG_RATE_HZ) + rng.uniform(0, 2 * np.pi))
    # The swing is what variability of the heart rate is made of; arousal flattens it.
    swing = 0.05 * rng.lognormal(0, 0.2) * np.exp(-1.2 * arousal + 0.5 * valence)
    slow = coloured_noise(rng, len(level), PPG_RATE_HZ, lambda f: f < 0.1)[0]
    return np.asarray(level * (1 + swing * breath + 0.015 * slow))


def pulse_wave(rng: np.random.Generator, heart_rate_bpm: FloatArray) -> FloatArray:
    """(samples,) at PPG_RATE_HZ, height about 1.5: NeuroKit2's pulse,
    its time bent to the heart rate.

    One even pulse a second is simulated for the whole sitting, then read at the beats that have
    passed by each sample: the rate may change at any time, and the wave has no seams.
    """
    beats = np.cumsum(heart_rate_bpm) / 60 / PPG_RATE_HZ
    even_rate_hz = 2 * PPG_RATE_HZ
    even = _neurokit().ppg_simulate(
        # NeuroKit2 knows no wave after the last whole beat, hence some more than is needed.
        duration=math.ceil(beats[-1]) + 4,
        sampling_rate=round(even_rate_hz),
        heart_rate=60,
        frequency_modulation=0,
        ibi_randomness=0.04,
        motion_amplitude=0,
        powerline_amplitude=0,
        burst_amplitude=0,
        random_state=rng,
    )
    return np.asarray(np.interp(beats, np.arange(len(even)) / even_rate_hz, even))


def _add_motion(rng: np.random.Generator, samples: FloatArray) -> None:
    for part in bursts(rng, len(samples), PPG_RATE_HZ, per_min=0.8, length_s=(1.5, 4.0)):
        count = part.stop - part.start
        shake = coloured_noise(rng, count, PPG_RATE_HZ, bump(rng.uniform(0.8, 2.5), 0.7))[0]
        samples[part] += shake * np.hanning(count) * rng.uniform(20, 70)


def simulate_gsr(rng: np.random.Generator, course: Course, plan: SimulationPlan) -> Signal:
    """(samples, 1) in uS: a tonic level and responses that follow
    arousal, in the sensor's steps.
    """
    arousal = course.arousal(GSR_RATE_HZ)
    tonic_us = rng.lognormal(np.log(2.0), 0.2)
    answer = rng.lognormal(0, 0.2)
    sweat = _responses(rng, course, answer * arousal)
    level = 1 + 0.8 * answer * _lagged(arousal, lag_s=6.0, rate_hz=GSR_RATE_HZ)
    wander = coloured_noise(
        rng, len(arousal), GSR_RATE_HZ, lambda f: (f < 0.02) / np.maximum(f, 0.002)
    )[0]
    samples = tonic_us * (level + 0.15 * sweat + 0.04 * wander) + rng.normal(
        0, 0.0006, len(arousal)
    )
    column = np.rint(np.maximum(samples, 0.01) / GSR_STEP_US)[:, None] * GSR_STEP_US
    drop_out(rng, column, GSR_RATE_HZ, per_min=plan.faults_per_min)
    return Signal("gsr", GSR_RATE_HZ, "uS", ("gsr",), column.astype(np.float32))


def _responses(rng: np.random.Generator, course: Course, arousal: FloatArray) -> FloatArray:
    """(samples,): NeuroKit2's skin responses, without seams,
    more of them where there is more arousal.
    """
    edges_s = np.sort(np.concatenate([course.trials.start_s, course.trials.stop_s]))
    edges = np.unique([0, *np.rint(edges_s * GSR_RATE_HZ).astype(int), len(arousal)])
    total = np.zeros(len(arousal))
    carried = 0.0
    for start, stop in itertools.pairwise(edges):
        expected = (stop - start) / GSR_RATE_HZ * (0.03 + 0.35 * arousal[start:stop].mean())
        piece = _skin_responses(rng, stop - start, number=math.floor(expected + rng.uniform()))
        # What is left of the piece before fades as a response does;
        # nothing jumps where two pieces meet.
        fading = np.exp(-np.arange(stop - start + 1) / GSR_RATE_HZ / 3.0)
        piece += (carried - piece[0]) * fading
        total[start:stop] = piece[:-1]
        carried = float(piece[-1])
    return total


def _skin_responses(rng: np.random.Generator, count: int, *, number: int) -> FloatArray:
    """(count + 1,): `number` responses of height 1 and the first sample of what follows."""
    duration_s = math.ceil(count / GSR_RATE_HZ) + 1
    simulated = _neurokit().eda_simulate(
        duration=duration_s,
        sampling_rate=round(GSR_RATE_HZ),
        scr_number=number,
        noise=0,
        drift=0,
        random_state=rng,
    )
    return np.asarray(simulated[: count + 1], dtype=np.float64) - 1.0


def _lagged(values: FloatArray, *, lag_s: float, rate_hz: float) -> FloatArray:
    """`values` as something slow follows them: a one-pole low-pass."""
    from scipy.signal import lfilter

    keep = math.exp(-1 / (lag_s * rate_hz))
    return np.asarray(lfilter([1 - keep], [1, -keep], values))


def _neurokit() -> Any:
    try:
        import neurokit2
    except ImportError as error:
        raise MissingDependencyError(
            "neurokit2", extra="train", purpose="Simulating people"
        ) from error
    return neurokit2
