"""How the scores of a questionnaire become a distribution over its emotions: by name."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emodict.errors import RecordingError

Float64Array = NDArray[np.float64]

# Watson, Clark & Tellegen, Journal of Personality and Social Psychology 54:1063 (1988).
PANAS = (
    "Interested", "Excited", "Strong", "Enthusiastic", "Proud",
    "Alert", "Inspired", "Determined", "Attentive", "Active",
    "Distressed", "Upset", "Guilty", "Scared", "Hostile",
    "Irritable", "Ashamed", "Nervous", "Jittery", "Afraid",
)  # fmt: skip
# What else questionnaires ask for, as it is written in the heads of tables.
COMMON_EMOTIONS = frozenset((
    "joy", "joyful", "happy", "happiness", "cheerful", "glad", "content", "contentment",
    "delighted", "pleased", "amused", "amusement", "fun", "elated", "ecstatic", "euphoric",
    "excitement", "enthusiasm", "interest", "calm", "calmness", "relaxed", "relaxation", "serene",
    "serenity", "peaceful", "tenderness", "tender", "love", "loving", "affection", "liking",
    "trust", "gratitude", "grateful", "hope", "hopeful", "pride", "awe", "admiration",
    "inspiration", "anticipation", "surprise", "surprised", "astonished", "curious", "curiosity",
    "nostalgia", "relief", "relieved", "sympathy", "compassion", "empathy", "confident", "sad",
    "sadness", "sorrow", "grief", "depressed", "gloomy", "lonely", "loneliness", "hurt",
    "despair", "disappointed", "disappointment", "bored", "boredom", "tired", "angry", "anger",
    "mad", "rage", "furious", "annoyed", "annoyance", "irritated", "frustrated", "frustration",
    "hostility", "hate", "contempt", "disgust", "disgusted", "fear", "fearful", "frightened",
    "terrified", "horror", "panic", "anxiety", "anxious", "worried", "worry", "tense", "tension",
    "stress", "stressed", "uneasy", "shame", "guilt", "embarrassed", "embarrassment", "jealous",
    "jealousy", "envy", "envious", "confused", "confusion", "neutral", "pleasant", "unpleasant",
))  # fmt: skip
# `1-5`, `0..100`, `-3 to 3`.
_SCALE = re.compile(r"\s*(-?\d+(?:\.\d+)?)\s*(?:-|\.\.|to|:)\s*(-?\d+(?:\.\d+)?)\s*")
# PANAS has five steps: of any other scale an answer counts as it would on that one.
_STEPS_OF_PANAS = 4.0


@dataclass(frozen=True)
class Scale:
    """The lowest and the highest answer that a questionnaire allows."""

    lowest: float
    highest: float

    def __post_init__(self) -> None:
        if not self.lowest < self.highest:
            raise RecordingError(
                f"{self} is not a scale",
                expected="its lowest answer, then its highest, such as 1-5",
            )

    def __str__(self) -> str:
        return f"{self.lowest:g} to {self.highest:g}"


PANAS_SCALE = Scale(1.0, 5.0)
# (trials, emotions), and the scale where it is known -> the same shape, each row with sum 1, or of
# NaN where the scores say nothing that a distribution could.
ScoresToShares = Callable[[Float64Array, "Scale | None"], Float64Array]


def read_scale(text: str) -> Scale:
    """`1-5`, `0..100` or `-3..3` -> the scale.

    Raises:
        RecordingError: it is written in another way, or its lowest answer comes last.
    """
    found = _SCALE.fullmatch(text)
    if found is None:
        raise RecordingError(
            f"--scale {text} is not a scale",
            expected="its lowest and its highest answer: 1-5, 0-100, -3..3",
        )
    return Scale(float(found.group(1)), float(found.group(2)))


def share(scores: Float64Array, scale: Scale | None = None) -> Float64Array:
    """Score / sum, as the paper makes distributions of PANAS scores; NaN where all are 0.

    Raises:
        RecordingError: a score below 0, of which there is no share.
    """
    if (scores < 0).any():
        raise RecordingError(
            "Scores below 0 have no share of a sum",
            expected="scores of 0 and more",
            got=f"{np.nanmin(scores):g}",
            fix="Count from the lowest answer: --scores above-lowest --scale LOWEST..HIGHEST",
        )
    sums = scores.sum(axis=1, keepdims=True)
    shares: Float64Array = np.divide(scores, sums, out=np.full_like(scores, np.nan), where=sums > 0)
    return shares


def above_lowest(scores: Float64Array, scale: Scale | None) -> Float64Array:
    """(score - lowest) / sum of these: what was answered with the lowest has no share at all."""
    return share(scores - _needed(scale, "above-lowest").lowest)


def softmax(scores: Float64Array, scale: Scale | None) -> Float64Array:
    """exp(score) / sum of these, the scores as they would be on PANAS's scale of 1 to 5."""
    known = _needed(scale, "softmax")
    steps = _STEPS_OF_PANAS * (scores - known.lowest) / (known.highest - known.lowest)
    return share(np.exp(steps))


def _needed(scale: Scale | None, name: str) -> Scale:
    if scale is None:
        raise RecordingError(
            f"--scores {name} needs the scale that was answered on",
            expected="its lowest and its highest answer",
            fix="Name it: --scale 1-5",
        )
    return scale


SCORES: Mapping[str, ScoresToShares] = {
    "share": share,
    "above-lowest": above_lowest,
    "softmax": softmax,
}
FORMULAS = {
    "share": "score / sum",
    "above-lowest": "(score - lowest of the scale) / sum",
    "softmax": "exp(score, on 1 to 5) / sum",
}


def scores_to_shares(name: str) -> ScoresToShares:
    """The function of that name.

    Raises:
        RecordingError: there is none.
    """
    if name not in SCORES:
        raise RecordingError(f"--scores {name} is not known", expected=tuple(SCORES))
    return SCORES[name]


def label_attributes(name: str, source: str, scale: Scale | None) -> dict[str, str]:
    """For Recording.attributes: where the labels come from, and how scores became shares."""
    found = {"labels": source, "scores_to_shares": f"{name}: {FORMULAS[name]}"}
    return found if scale is None else {**found, "scale": str(scale)}
