"""Simulated people: whole recordings whose emotions are known, because they were planted.

Such data prove that the chain works from file to distribution, and that a model recovers an effect that
was put in. They say nothing on how well emotions can be recognised in real people: how the body answers
an emotion is decided here, by the constants below, and not by nature.

The course of one sitting is drawn first (`draw_course`): which emotion, how strong, when. Every sensor then
follows its valence and arousal in its own way, the face each of the ten emotions; a person's own baseline,
strength of response, noise and faults lie on top. Signals start at time 0 on one clock.
"""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft, next_fast_len

import emodict
from emodict.errors import InputError, MissingDependencyError, OutputError
from emodict.recording import Event, FaceVideo, Recording, Signal, Trials
from emodict.session import write_session

FloatArray = NDArray[np.float64]

LABEL_NAMES = (
    *("Inspired", "Alert", "Excited", "Enthusiastic", "Determined"),
    *("Afraid", "Upset", "Nervous", "Scared", "Distressed"),
)
POSITIVE, NEGATIVE = slice(0, 5), slice(5, 10)
MAX_SCORE = 5
# How much each emotion stirs the body, between calm (0) and stirred (1).
AROUSAL = np.array([0.10, 0.30, 0.70, 0.40, 0.10, 1.00, 0.70, 0.80, 1.00, 0.80])
# (positive, negative) strength of the three kinds of film that a sitting mixes in random order.
KINDS = ((2.6, 0.2), (0.2, 2.6), (1.7, 1.7))

EEG_RATE_HZ, PPG_RATE_HZ, GSR_RATE_HZ, FACE_RATE_HZ = 300.0, 100.0, 4.0, 1.0
COURSE_RATE_HZ = 10.0
FACE_DIMS = 32
GSR_STEP_US = 0.00128  # the wrist sensor's resolution: neighbours are often equal
SATURATION_UV = 5000.0
# An emotion builds up, and fades, with this time constant.
BUILD_UP_S = 2.0
# What all simulated people have in common hangs on this seed alone, so that a model trained on the people of
# one seed can be tested on those of another.
POPULATION_SEED = 20240847

# Places on the head seen from above: x to the right, y to the front, ears at 1.
_PLACES = {
    **{"Fp1": (-0.31, 0.95), "Fp2": (0.31, 0.95), "F7": (-0.81, 0.59), "F8": (0.81, 0.59)},
    **{"F3": (-0.45, 0.55), "Fz": (0.0, 0.50), "F4": (0.45, 0.55), "T3": (-1.0, 0.0), "T4": (1.0, 0.0)},
    **{"C3": (-0.5, 0.0), "Cz": (0.0, 0.0), "C4": (0.5, 0.0), "T5": (-0.81, -0.59), "T6": (0.81, -0.59)},
    **{"P3": (-0.45, -0.55), "Pz": (0.0, -0.50), "P4": (0.45, -0.55)},
    **{"O1": (-0.31, -0.95), "O2": (0.31, -0.95)},
}
EEG_CHANNELS = (
    *("P3", "C3", "F3", "Fz", "F4", "C4", "P4", "Cz", "Fp1"),
    *("Fp2", "T3", "T5", "O1", "O2", "F7", "F8", "T6", "T4"),
)
EEG_REFERENCE = "Pz"
_ELECTRODES = (*EEG_CHANNELS, EEG_REFERENCE)


@dataclass(frozen=True)
class SimulationPlan:
    """What every simulated person goes through.

    Attributes:
        rest_s: before, between and after trials; each rest is up to a fifth shorter or longer.
        faults_per_min: dropouts of each sensor, saturations of an EEG channel and absences of the face;
            at least one of each in a recording, none at 0.
    """

    trials: int = 10
    trial_s: float = 24.0
    rest_s: float = 5.0
    faults_per_min: float = 0.3

    def __post_init__(self) -> None:
        _check(self.trials >= 1, "A simulated person needs trials", "at least 1", self.trials)
        _check(1 <= self.trial_s < math.inf, "The trials' length cannot be used", "at least 1 s", self.trial_s)
        _check(0 <= self.rest_s < math.inf, "The rest between trials cannot be used", "0 s or more", self.rest_s)
        _check(
            0 <= self.faults_per_min <= 6,
            "The number of faults cannot be used",
            "0 to 6 a minute",
            self.faults_per_min,
        )


@dataclass(frozen=True)
class Course:
    """What a person feels in a sitting.

    Attributes:
        scores: (trials, emotions) PANAS scores, 1..5.
        intensity: (steps, emotions) between 0 and about 1, COURSE_RATE_HZ steps a second.
    """

    trials: Trials
    scores: NDArray[np.int64]
    intensity: FloatArray

    @property
    def duration_s(self) -> float:
        return len(self.intensity) / COURSE_RATE_HZ

    def times_s(self, rate_hz: float) -> FloatArray:
        return np.arange(round(self.duration_s * rate_hz)) / rate_hz

    def arousal(self, rate_hz: float) -> FloatArray:
        """(samples,) from 0, calm, to about 1."""
        return self._at(self.times_s(rate_hz), self.intensity @ (AROUSAL / AROUSAL.sum()))

    def valence(self, rate_hz: float) -> FloatArray:
        """(samples,) from about -1, unpleasant, to about 1."""
        balance = self.intensity[:, POSITIVE].mean(axis=1) - self.intensity[:, NEGATIVE].mean(axis=1)
        return self._at(self.times_s(rate_hz), balance)

    def intensity_at(self, times_s: FloatArray) -> FloatArray:
        """(times, emotions)."""
        return np.stack([self._at(times_s, column) for column in self.intensity.T], axis=1)

    def _at(self, times_s: FloatArray, values: FloatArray) -> FloatArray:
        return np.interp(times_s, np.arange(len(values)) / COURSE_RATE_HZ, values)


def simulate_people(
    folder: str | os.PathLike[str],
    *,
    people: int,
    plan: SimulationPlan,
    seed: int,
    on_person: Callable[[Path], None] | None = None,
) -> list[Path]:
    """Write sub-01.h5, sub-02.h5, ... into `folder`, which is made if need be.

    Person k hangs on the seed and on k alone, not on how many there are.

    Raises:
        InputError: people or seed cannot be used.
        OutputError: the folder or a file cannot be written.
    """
    _check(people >= 1, "There is nobody to simulate", "at least 1 person", people)
    _check(seed >= 0, "The seed cannot be used", "0 or more", seed)
    made = _make_folder(Path(folder))
    paths = []
    for number, sequence in enumerate(np.random.SeedSequence(seed).spawn(people), start=1):
        subject_id = f"sub-{number:02d}"
        path = made / f"{subject_id}.h5"
        write_session(simulate_person(np.random.default_rng(sequence), subject_id=subject_id, plan=plan), path)
        paths.append(path)
        if on_person is not None:
            on_person(path)
    return paths


def simulate_person(rng: np.random.Generator, *, subject_id: str, plan: SimulationPlan) -> Recording:
    """One person's sitting: the signals, the true distribution of each trial, and its scores as events."""
    # A stream for each part, so that a change to one leaves the others as they were.
    for_course, for_eeg, for_ppg, for_gsr, for_face = rng.spawn(5)
    course = draw_course(for_course, plan)
    signals = (
        _simulate_eeg(for_eeg, course, plan),
        _simulate_ppg(for_ppg, course, plan),
        _simulate_gsr(for_gsr, course, plan),
    )
    return Recording(
        session_id=f"{subject_id}-simulated",
        subject_id=subject_id,
        signals={signal.modality: signal for signal in signals},
        face=_simulate_face(for_face, course, plan),
        trials=course.trials,
        events=_score_events(course),
        start_time="2024-01-01T09:00:00+00:00",
        device="simulated",
        software=f"emodict simulate {emodict.__version__}",
        attributes={"simulated": "true"},
    )


# --- what is felt -------------------------------------------------------------------------------------------


def draw_course(rng: np.random.Generator, plan: SimulationPlan) -> Course:
    """Draw the trials' times and scores, and how the emotions rise and fade."""
    scores = draw_scores(rng, plan.trials)
    start_s, stop_s, duration_s = _draw_times(rng, plan)
    trials = Trials(
        start_s=start_s,
        stop_s=stop_s,
        trial_id=tuple(f"trial-{number:02d}" for number in range(1, plan.trials + 1)),
        distribution=scores / scores.sum(axis=1, keepdims=True),
        label_names=LABEL_NAMES,
    )
    times_s = np.arange(round(duration_s * COURSE_RATE_HZ)) / COURSE_RATE_HZ
    presence = _presence(times_s[:, None], start_s, stop_s)
    # Nobody feels one thing evenly for half a minute: a fifth up and down, within some ten seconds.
    wavering = _noise(rng, len(times_s), COURSE_RATE_HZ, lambda f: f < 0.1, rows=len(LABEL_NAMES))
    intensity = presence @ ((scores - 1) / (MAX_SCORE - 1)) * np.exp(0.2 * wavering.T)
    return Course(trials, scores, intensity)


def draw_scores(rng: np.random.Generator, trials: int) -> NDArray[np.int64]:
    """(trials, emotions) PANAS scores: emotions of a cluster come together, and mixed states do occur."""
    kinds = rng.permutation(np.arange(trials) % len(KINDS))
    cluster = np.array(KINDS)[kinds] + rng.normal(0, 0.45, (trials, 2))
    single = rng.normal(0, 0.6, (trials, len(LABEL_NAMES)))
    scores = np.rint(1 + np.repeat(cluster, 5, axis=1) + single)
    return np.clip(scores, 1, MAX_SCORE).astype(np.int64)


def _draw_times(rng: np.random.Generator, plan: SimulationPlan) -> tuple[FloatArray, FloatArray, float]:
    """Starts and stops to the millisecond, and the whole seconds that hold them all."""
    rests_s = np.round(plan.rest_s * rng.uniform(0.8, 1.2, plan.trials + 1), 3)
    start_s = np.cumsum(rests_s[:-1]) + plan.trial_s * np.arange(plan.trials)
    stop_s = start_s + plan.trial_s
    return start_s, stop_s, float(math.ceil(stop_s[-1] + rests_s[-1]))


def _presence(times_s: FloatArray, start_s: FloatArray, stop_s: FloatArray) -> FloatArray:
    """(times, trials): the share of its strength that a trial's emotion has at a time."""
    risen = 1 - np.exp(-np.clip(times_s - start_s, 0, stop_s - start_s) / BUILD_UP_S)
    return np.asarray(risen * np.exp(-np.maximum(times_s - stop_s, 0) / BUILD_UP_S))


def _score_events(course: Course) -> tuple[Event, ...]:
    return tuple(
        Event(float(start_s), code=1, description="PANAS " + " ".join(map(str, scores)))
        for start_s, scores in zip(course.trials.start_s, course.scores, strict=True)
    )


# --- EEG ----------------------------------------------------------------------------------------------------


def _simulate_eeg(rng: np.random.Generator, course: Course, plan: SimulationPlan) -> Signal:
    potentials = _background(rng, course) + _rhythms(rng, course)
    potentials *= rng.lognormal(0, 0.2)
    samples = potentials[:, :-1] - potentials[:, -1:]
    _add_blinks(rng, samples)
    _add_muscle(rng, samples)
    _add_mains_and_drift(rng, samples)
    _saturate(rng, samples, plan)
    _drop_out(rng, samples, EEG_RATE_HZ, plan)
    return Signal("eeg", EEG_RATE_HZ, "uV", EEG_CHANNELS, samples.astype(np.float32), reference=EEG_REFERENCE)


def _background(rng: np.random.Generator, course: Course) -> FloatArray:
    """(samples, electrodes): 1/f noise that neighbours share."""
    slope = rng.normal(1.1, 0.12)
    count = round(course.duration_s * EEG_RATE_HZ)
    sources = _noise(rng, count, EEG_RATE_HZ, lambda f: np.maximum(f, 0.5) ** (-slope / 2), rows=len(_ELECTRODES))
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
        wave = _noise(rng, len(arousal), EEG_RATE_HZ, _bump(peak_hz, width_hz))[0]
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
    for part in _bursts(rng, len(samples), EEG_RATE_HZ, per_min=rng.uniform(8, 18), length_s=(0.25, 0.4)):
        lid = np.hanning(part.stop - part.start) * height_uv * rng.uniform(0.7, 1.2)
        samples[part] += np.outer(lid, reach)


def _add_muscle(rng: np.random.Generator, samples: FloatArray) -> None:
    jaw = [EEG_CHANNELS.index(name) for name in ("T3", "T4", "F7", "F8")]
    for part in _bursts(rng, len(samples), EEG_RATE_HZ, per_min=1.5, length_s=(0.5, 2.0)):
        count = part.stop - part.start
        burst = _noise(rng, count, EEG_RATE_HZ, lambda f: (f > 20) & (f < 110), rows=len(jaw))
        samples[part, jaw] += burst.T * np.hanning(count)[:, None] * rng.uniform(8, 25, len(jaw))


def _add_mains_and_drift(rng: np.random.Generator, samples: FloatArray) -> None:
    count, channels = samples.shape
    hum = np.sin(2 * np.pi * 50.0 * np.arange(count) / EEG_RATE_HZ + rng.uniform(0, 2 * np.pi))
    samples += np.outer(hum, rng.uniform(1, 5, channels))
    drift = _noise(rng, count, EEG_RATE_HZ, lambda f: (f < 0.2) / np.maximum(f, 0.01), rows=channels)
    samples += drift.T * rng.uniform(5, 25, channels) + rng.normal(0, 20, channels)


def _saturate(rng: np.random.Generator, samples: FloatArray, plan: SimulationPlan) -> None:
    """A bumped electrode leaves the amplifier at its end stop for a while."""
    for part in _faults(rng, len(samples), EEG_RATE_HZ, plan, length_s=(0.5, 2.0)):
        samples[part, rng.integers(samples.shape[1])] = SATURATION_UV * rng.choice((-1, 1))


# --- PPG ----------------------------------------------------------------------------------------------------


def _simulate_ppg(rng: np.random.Generator, course: Course, plan: SimulationPlan) -> Signal:
    samples = pulse_wave(rng, draw_heart_rate_bpm(rng, course))
    # Arousal narrows the vessels of the skin: the pulse shrinks.
    samples *= 40 * rng.lognormal(0, 0.1) * np.exp(-1.0 * rng.lognormal(0, 0.2) * course.arousal(PPG_RATE_HZ))
    samples += rng.normal(0, 0.3, len(samples))
    _add_motion(rng, samples)
    column = samples[:, None]
    _drop_out(rng, column, PPG_RATE_HZ, plan)
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
    slow = _noise(rng, len(level), PPG_RATE_HZ, lambda f: f < 0.1)[0]
    return np.asarray(level * (1 + swing * breath + 0.015 * slow))


def pulse_wave(rng: np.random.Generator, heart_rate_bpm: FloatArray) -> FloatArray:
    """(samples,) at PPG_RATE_HZ, height about 1.5: NeuroKit2's pulse, its time bent to the heart rate.

    One even pulse a second is simulated for the whole sitting, then read at the beats that have passed by
    each sample: the rate may change at any time, and the wave has no seams.
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
    for part in _bursts(rng, len(samples), PPG_RATE_HZ, per_min=0.8, length_s=(1.5, 4.0)):
        count = part.stop - part.start
        shake = _noise(rng, count, PPG_RATE_HZ, _bump(rng.uniform(0.8, 2.5), 0.7))[0]
        samples[part] += shake * np.hanning(count) * rng.uniform(20, 70)


# --- GSR ----------------------------------------------------------------------------------------------------


def _simulate_gsr(rng: np.random.Generator, course: Course, plan: SimulationPlan) -> Signal:
    arousal = course.arousal(GSR_RATE_HZ)
    tonic_us = rng.lognormal(np.log(2.0), 0.2)
    answer = rng.lognormal(0, 0.2)
    sweat = _responses(rng, course, answer * arousal)
    level = 1 + 0.8 * answer * _lagged(arousal, lag_s=6.0, rate_hz=GSR_RATE_HZ)
    wander = _noise(rng, len(arousal), GSR_RATE_HZ, lambda f: (f < 0.02) / np.maximum(f, 0.002))[0]
    samples = tonic_us * (level + 0.15 * sweat + 0.04 * wander) + rng.normal(0, 0.0006, len(arousal))
    column = np.rint(np.maximum(samples, 0.01) / GSR_STEP_US)[:, None] * GSR_STEP_US
    _drop_out(rng, column, GSR_RATE_HZ, plan)
    return Signal("gsr", GSR_RATE_HZ, "uS", ("gsr",), column.astype(np.float32))


def _responses(rng: np.random.Generator, course: Course, arousal: FloatArray) -> FloatArray:
    """(samples,): NeuroKit2's skin responses, without seams, more of them where there is more arousal."""
    edges_s = np.sort(np.concatenate([course.trials.start_s, course.trials.stop_s]))
    edges = np.unique([0, *np.rint(edges_s * GSR_RATE_HZ).astype(int), len(arousal)])
    total = np.zeros(len(arousal))
    carried = 0.0
    for start, stop in itertools.pairwise(edges):
        expected = (stop - start) / GSR_RATE_HZ * (0.03 + 0.35 * arousal[start:stop].mean())
        piece = _skin_responses(rng, stop - start, number=math.floor(expected + rng.uniform()))
        # What is left of the piece before fades as a response does; nothing jumps where two pieces meet.
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


# --- face ---------------------------------------------------------------------------------------------------


def face_map() -> FloatArray:
    """(emotions, dims): the face that each emotion makes, the same in all simulated people."""
    return np.random.default_rng(POPULATION_SEED).normal(0, 1, (len(LABEL_NAMES), FACE_DIMS))


def _simulate_face(rng: np.random.Generator, course: Course, plan: SimulationPlan) -> FaceVideo:
    """A person's own face, what the emotions do to it, and noise; no row while the face is out of sight."""
    times_s = course.times_s(FACE_RATE_HZ) + rng.uniform(0.05, 0.95)
    identity = rng.normal(0, 0.4, FACE_DIMS)
    expressed = rng.lognormal(0, 0.2) * course.intensity_at(times_s) @ face_map()
    embedding = identity + 0.35 * expressed + rng.normal(0, 1.3, (len(times_s), FACE_DIMS))
    seen = np.ones(len(times_s), dtype=bool)
    for part in _faults(rng, len(times_s), FACE_RATE_HZ, plan, length_s=(2.0, 5.0)):
        seen[part] = False
    return FaceVideo(
        timestamps_s=times_s[seen], embedding=embedding[seen].astype(np.float32), frame_rate_hz=FACE_RATE_HZ
    )


# --- what they share ----------------------------------------------------------------------------------------


def _noise(
    rng: np.random.Generator,
    count: int,
    rate_hz: float,
    amplitude: Callable[[FloatArray], NDArray[Any]],
    *,
    rows: int = 1,
) -> FloatArray:
    """(rows, count) of Gaussian noise, variance 1, whose spectrum is `amplitude` of the frequency in Hz."""
    length = next_fast_len(max(count, 8), real=True)
    shape = np.asarray(amplitude(np.arange(length // 2 + 1) * (rate_hz / length)), dtype=np.float64)
    shape[0] = 0.0
    if not shape.any():
        # Too short for what was asked: the slowest wave that fits.
        shape[1] = 1.0
    spectrum = rng.standard_normal((rows, len(shape), 2)).view(np.complex128)[..., 0] * shape
    # Parseval: two bins, of positive and negative frequency, with two unit normals in each.
    scale = length / math.sqrt(4 * float(np.sum(shape**2)))
    return np.asarray(irfft(spectrum, length, axis=1)[:, :count] * scale)


def _bump(peak_hz: float, width_hz: float) -> Callable[[FloatArray], FloatArray]:
    return lambda f: np.asarray(np.exp(-0.5 * ((f - peak_hz) / width_hz) ** 2))


def _bursts(
    rng: np.random.Generator,
    count: int,
    rate_hz: float,
    *,
    per_min: float,
    length_s: tuple[float, float],
    at_least: int = 0,
) -> list[slice]:
    """Stretches of samples at random times."""
    number = max(at_least, int(rng.poisson(per_min * count / rate_hz / 60)))
    lengths = np.maximum(1, np.rint(rng.uniform(*length_s, number) * rate_hz)).astype(int)
    starts = (rng.uniform(0, 1, number) * np.maximum(1, count - lengths)).astype(int)
    return [slice(int(a), min(count, int(a + n))) for a, n in zip(starts, lengths, strict=True)]


def _faults(
    rng: np.random.Generator,
    count: int,
    rate_hz: float,
    plan: SimulationPlan,
    *,
    length_s: tuple[float, float],
) -> list[slice]:
    if plan.faults_per_min == 0:
        return []
    return _bursts(rng, count, rate_hz, per_min=plan.faults_per_min, length_s=length_s, at_least=1)


def _drop_out(rng: np.random.Generator, samples: FloatArray, rate_hz: float, plan: SimulationPlan) -> None:
    """The radio loses the sensor for a few seconds."""
    for part in _faults(rng, len(samples), rate_hz, plan, length_s=(1.5, 5.0)):
        samples[part] = np.nan


def _neurokit() -> Any:
    try:
        import neurokit2
    except ImportError as error:
        raise MissingDependencyError("neurokit2", extra="train", purpose="Simulating people") from error
    return neurokit2


def _make_folder(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"Cannot make the folder {folder}: {error.strerror}", fix="Choose another folder") from error
    return folder


def _check(fine: bool, what: str, expected: str, got: object) -> None:
    if not fine:
        raise InputError(what, expected=expected, got=got)
