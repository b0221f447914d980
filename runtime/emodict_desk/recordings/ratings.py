"""Ratings of trials: what they say, and what they do not."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emodict.errors import RecordingError
from emodict_desk.recordings.scores import PANAS, PANAS_SCALE, Scale, scores_to_shares
from emodict_desk.wording import count_of

Float64Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

PERCENT, WHOLE = 100.0, 1.0
# No questionnaire has such answers, and sums of larger ones lose the smaller.
_LARGEST_SCORE = 1e6
# Per cents are rounded to whole ones, each of up to twenty in a direction of its own.
_ROUNDED = 0.02


@dataclass(frozen=True)
class Ratings:
    """A row for each trial, as it stands in the table.

    Attributes:
        source: the file's name, for messages.
        onset_s, stop_s: (trials,) from the session's start; NaN where the table does not say.
        scores: (trials, emotions), NaN where an answer is missing.
        stimulus_word: what the table calls the things that trials are named by, such as film;
            "" where it calls them trials.
        notes: what was assumed or left out, as sentences.
    """

    source: str
    trial: tuple[str, ...]
    onset_s: Float64Array
    stop_s: Float64Array
    emotions: tuple[str, ...]
    scores: Float64Array
    stimulus_word: str = ""
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.trial)


@dataclass(frozen=True)
class Judged:
    """Ratings of which each trial has a distribution.

    Attributes:
        shares: (trials, emotions), each row with sum 1.
        scale: what was answered on; None where nobody knows, and nobody has to.
        said: sentences on what was assumed, left out or is doubtful.
    """

    ratings: Ratings
    shares: Float64Array
    scale: Scale | None
    said: tuple[str, ...]


def judge(ratings: Ratings, *, function: str = "share", scale: Scale | None = None) -> Judged:
    """Shares of the trials whose items are all there, and a sentence for all that is odd.

    Raises:
        RecordingError: an answer that the scale does not have, a function that does not go with
            the scores, or no trial whose items are all there.
    """
    convert = scores_to_shares(function)
    _check_size(ratings)
    said = list(ratings.notes)
    if scale is None and _are_percents(ratings.scores):
        said += _say_percents(ratings, function)
    else:
        scale = scale or _usual_scale(ratings, said)
    ratings, left_out = _complete(ratings)
    _check_scale(ratings, scale)
    shares = convert(ratings.scores, scale)
    said += [*left_out, *_say_even(ratings, scale, shares)]
    there = _complete_rows(shares)
    said += [_nothing_felt(ratings.trial[i]) for i in np.flatnonzero(~there)]
    if not there.any():
        raise RecordingError(
            f"{ratings.source}: no trial can have a distribution",
            expected="a trial with an answer to each item",
            got="; ".join(said),
        )
    return Judged(_some(ratings, there), shares[there], scale, tuple(said))


def _complete_rows(numbers: Float64Array) -> Mask:
    """(rows,) whether none of a row is missing."""
    return np.asarray(~np.isnan(numbers).any(axis=1))


def _sums_to(scores: Float64Array, whole: float) -> Mask:
    """(trials,) whether all answers are there and sum to a whole."""
    sums = np.where(_complete_rows(scores), scores.sum(axis=1), np.nan)
    return np.asarray(np.abs(sums / whole - 1) <= _ROUNDED)


def _are_percents(scores: Float64Array) -> bool:
    """Most trials' answers sum to 100 or to 1: they are shares, and not answers on a scale."""
    return any(2 * _sums_to(scores, whole).sum() > len(scores) for whole in (PERCENT, WHOLE))


def _say_percents(ratings: Ratings, function: str) -> Iterator[str]:
    """What is said of per cents, and of trials that do not sum to a hundred.

    Raises:
        RecordingError: another function than `share` is asked for.
    """
    whole = next(
        w for w in (PERCENT, WHOLE) if 2 * _sums_to(ratings.scores, w).sum() > len(ratings)
    )
    if function != "share":
        raise RecordingError(
            f"{ratings.source}: the scores of a trial sum to {whole:g}: they are shares already",
            expected="--scores share, or none",
            got=f"--scores {function}",
            fix="Leave --scores out, or name the scale that was answered on: --scale 0-100",
        )
    complete, fits = _complete_rows(ratings.scores), _sums_to(ratings.scores, whole)
    whose = (
        "each trial's scores sum"
        if fits[complete].all()
        else f"the scores of {fits.sum()} of {complete.sum()} trials sum"
    )
    yield f"{whose} to {whole:g}: they are taken for shares"
    for i in np.flatnonzero(complete & ~fits):
        got = ratings.scores[i].sum()
        yield (
            f"trial '{ratings.trial[i]}': its scores sum to {got:g}, not {whole:g}; "
            "they are divided by their sum"
        )


# Of answers on a slider, or on a scale of seven, fewer are whole numbers from 1 to 5.
_NEARLY_ALL = 0.8


def _usual_scale(ratings: Ratings, said: list[str]) -> Scale | None:
    """PANAS's, where all items are PANAS's and nearly all answers possible on it.

    Of a few that are not, one was mistyped, or the scale is another: the check of the scale asks.
    """
    scores = ratings.scores[~np.isnan(ratings.scores)]
    lowest, highest = PANAS_SCALE.lowest, PANAS_SCALE.highest
    possible = (scores == np.round(scores)) & (scores >= lowest) & (scores <= highest)
    likely = scores.size > 0 and possible.mean() >= _NEARLY_ALL and scores.min() >= 0
    if set(ratings.emotions) <= set(PANAS) and likely:
        said.append(f"its items are PANAS's: taken for answers on a scale of {PANAS_SCALE}")
        return PANAS_SCALE
    return None


def _complete(ratings: Ratings) -> tuple[Ratings, list[str]]:
    """The trials with an answer to each item, and a sentence for each of the others."""
    missing = np.isnan(ratings.scores)
    sentences = []
    for i in np.flatnonzero(missing.any(axis=1)):
        names = _names(ratings.emotions, missing[i])
        sentences.append(f"trial '{ratings.trial[i]}' is left out: no answer to {names}")
    if missing.any(axis=1).all():
        raise RecordingError(
            f"{ratings.source}: no trial has an answer to each item",
            expected="a number in each column of an emotion",
            got="; ".join(sentences[:3]),
            fix="Fill them in, or take columns out that nobody was asked",
        )
    return _some(ratings, _complete_rows(ratings.scores)), sentences


def _check_size(ratings: Ratings) -> None:
    """Refuse a number that nobody can have answered."""
    for trial, emotion in np.argwhere(np.abs(ratings.scores) > _LARGEST_SCORE):
        raise RecordingError(
            f"{ratings.source}: trial '{ratings.trial[trial]}', {ratings.emotions[emotion]}: "
            "not an answer",
            expected=f"a number of at most {_LARGEST_SCORE:,.0f}",
            got=f"{ratings.scores[trial, emotion]:g}",
            fix="Correct it",
        )


def _check_scale(ratings: Ratings, scale: Scale | None) -> None:
    """Refuse an answer that the scale does not have."""
    if scale is None:
        return
    beyond = (ratings.scores < scale.lowest) | (ratings.scores > scale.highest)
    for trial, emotion in np.argwhere(beyond):
        raise RecordingError(
            f"{ratings.source}: trial '{ratings.trial[trial]}', {ratings.emotions[emotion]}: "
            "the scale has no such answer",
            expected=str(scale),
            got=f"{ratings.scores[trial, emotion]:g}",
            fix="Correct it, or name the scale with --scale LOWEST-HIGHEST",
        )


def _say_even(ratings: Ratings, scale: Scale | None, shares: Float64Array) -> Iterator[str]:
    """A sentence for each trial whose answers are all the same."""
    there = _complete_rows(shares)
    for i in np.flatnonzero(there & (np.ptp(ratings.scores, axis=1) == 0)):
        answer = ratings.scores[i, 0]
        lowest = ", the lowest of the scale" if scale is not None and answer == scale.lowest else ""
        yield (
            f"trial '{ratings.trial[i]}': each answer is {answer:g}{lowest}: "
            "its distribution is even, and says nothing of which emotion was felt"
        )


def _nothing_felt(trial: str) -> str:
    return f"trial '{trial}' is left out: each answer is the lowest, and nothing has no shares"


def _names(names: Sequence[str], which: Mask) -> str:
    """Those that are meant; of many how many there are."""
    meant = [name for name, wanted in zip(names, which, strict=True) if wanted]
    return (
        ", ".join(meant)
        if len(meant) <= 3
        else f"{', '.join(meant[:3])} and {count_of(len(meant) - 3, 'more', 'more')}"
    )


def _some(ratings: Ratings, which: Mask) -> Ratings:
    """Some of the trials."""
    return dataclasses.replace(
        ratings,
        trial=tuple(name for name, wanted in zip(ratings.trial, which, strict=True) if wanted),
        onset_s=ratings.onset_s[which],
        stop_s=ratings.stop_s[which],
        scores=ratings.scores[which],
    )
