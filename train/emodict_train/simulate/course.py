"""What a simulated person feels in a sitting: trials, scores, and how emotions rise and fade."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emodict.errors import InputError
from emodict.recording.recording import Trials
from emodict_desk.tables.table import DMER_EMOTIONS
from emodict_train.simulate.noise import coloured_noise
from emodict_train.simulate.scalp import channels_to_simulate

FloatArray = NDArray[np.float64]

MAX_SCORE = 5
POSITIVE, NEGATIVE = slice(0, 5), slice(5, 10)


# How much each emotion stirs the body, between calm (0) and stirred (1).
AROUSAL = np.array([0.10, 0.30, 0.70, 0.40, 0.10, 1.00, 0.70, 0.80, 1.00, 0.80])
# (positive, negative) strength of the three kinds of film that a sitting mixes in random order.
KINDS = ((2.6, 0.2), (0.2, 2.6), (1.7, 1.7))
COURSE_RATE_HZ = 10.0


# An emotion builds up, and fades, with this time constant.
BUILD_UP_S = 2.0


@dataclass(frozen=True)
class SimulationPlan:
    """What every simulated person goes through.

    Attributes:
        rest_s: before, between and after trials; each rest is up to a fifth shorter or longer.
        faults_per_min: dropouts of each sensor, saturations of an EEG channel and absences of the
            face; at least one of each in a recording, none at 0.
        baseline_s: a longer rest before the first trial, on top of rest_s,
            to take a person's baseline from.
        eeg_channels: where the EEG is taken; () for the 18 places of the headset.
    """

    trials: int = 10
    trial_s: float = 24.0
    rest_s: float = 5.0
    faults_per_min: float = 0.3
    baseline_s: float = 0.0
    eeg_channels: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        channels_to_simulate(self.eeg_channels)
        require(self.trials >= 1, "A simulated person needs trials", "at least 1", self.trials)
        require(
            1 <= self.trial_s < math.inf,
            "The trials' length cannot be used",
            "at least 1 s",
            self.trial_s,
        )
        require(
            0 <= self.rest_s < math.inf,
            "The rest between trials cannot be used",
            "0 s or more",
            self.rest_s,
        )
        require(
            0 <= self.faults_per_min <= 6,
            "The number of faults cannot be used",
            "0 to 6 a minute",
            self.faults_per_min,
        )
        require(
            0 <= self.baseline_s < math.inf,
            "The baseline's length cannot be used",
            "0 s or more",
            self.baseline_s,
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
        balance = self.intensity[:, POSITIVE].mean(axis=1) - self.intensity[:, NEGATIVE].mean(
            axis=1
        )
        return self._at(self.times_s(rate_hz), balance)

    def intensity_at(self, times_s: FloatArray) -> FloatArray:
        """(times, emotions)."""
        return np.stack([self._at(times_s, column) for column in self.intensity.T], axis=1)

    def _at(self, times_s: FloatArray, values: FloatArray) -> FloatArray:
        return np.interp(times_s, np.arange(len(values)) / COURSE_RATE_HZ, values)


def draw_course(rng: np.random.Generator, plan: SimulationPlan) -> Course:
    """Draw the trials' times and scores, and how the emotions rise and fade."""
    scores = draw_scores(rng, plan.trials)
    start_s, stop_s, duration_s = _draw_times(rng, plan)
    trials = Trials(
        start_s=start_s,
        stop_s=stop_s,
        trial_id=tuple(f"trial-{number:02d}" for number in range(1, plan.trials + 1)),
        distribution=scores / scores.sum(axis=1, keepdims=True),
        label_names=DMER_EMOTIONS,
    )
    times_s = np.arange(round(duration_s * COURSE_RATE_HZ)) / COURSE_RATE_HZ
    presence = _presence(times_s[:, None], start_s, stop_s)
    # Nobody feels one thing evenly for half a minute: a fifth up and down, within some ten seconds.
    wavering = coloured_noise(
        rng, len(times_s), COURSE_RATE_HZ, lambda f: f < 0.1, rows=len(DMER_EMOTIONS)
    )
    intensity = presence @ ((scores - 1) / (MAX_SCORE - 1)) * np.exp(0.2 * wavering.T)
    return Course(trials, scores, intensity)


def draw_scores(rng: np.random.Generator, trials: int) -> NDArray[np.int64]:
    """(trials, emotions) PANAS scores: emotions of a cluster come together,
    and mixed states do occur.
    """
    kinds = rng.permutation(np.arange(trials) % len(KINDS))
    cluster = np.array(KINDS)[kinds] + rng.normal(0, 0.45, (trials, 2))
    single = rng.normal(0, 0.6, (trials, len(DMER_EMOTIONS)))
    scores = np.rint(1 + np.repeat(cluster, 5, axis=1) + single)
    return np.clip(scores, 1, MAX_SCORE).astype(np.int64)


def _draw_times(
    rng: np.random.Generator, plan: SimulationPlan
) -> tuple[FloatArray, FloatArray, float]:
    """Starts and stops to the millisecond, and the whole seconds that hold them all."""
    rests_s = np.round(plan.rest_s * rng.uniform(0.8, 1.2, plan.trials + 1), 3)
    rests_s[0] += plan.baseline_s
    start_s = np.cumsum(rests_s[:-1]) + plan.trial_s * np.arange(plan.trials)
    stop_s = start_s + plan.trial_s
    return start_s, stop_s, float(math.ceil(stop_s[-1] + rests_s[-1]))


def _presence(times_s: FloatArray, start_s: FloatArray, stop_s: FloatArray) -> FloatArray:
    """(times, trials): the share of its strength that a trial's emotion has at a time."""
    risen = 1 - np.exp(-np.clip(times_s - start_s, 0, stop_s - start_s) / BUILD_UP_S)
    return np.asarray(risen * np.exp(-np.maximum(times_s - stop_s, 0) / BUILD_UP_S))


def require(fine: bool, what: str, expected: str, got: object) -> None:
    """Refuse what the user asked for unless it is fine."""
    if not fine:
        raise InputError(what, expected=expected, got=got)
