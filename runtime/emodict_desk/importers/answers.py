"""Answers that a data set brings with its signals: trials with truth, and how it was made."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from emodict.errors import RecordingError
from emodict.recording.recording import Signal, Trials
from emodict_desk.importers.form import Option
from emodict_desk.recordings.account import Account
from emodict_desk.recordings.ratings import Ratings, judge
from emodict_desk.recordings.scores import SCORES, Scale, label_attributes
from emodict_desk.recordings.within import Mask, check_within, say_cut, starts_within
from emodict_desk.tables.stimuli import STIMULUS

# Of every kind that carries answers.
SCORES_OPTION = Option(
    "scores", "NAME", f"How scores become shares: {', '.join(SCORES)}; by default share."
)


@dataclasses.dataclass(frozen=True)
class Asked:
    """What was asked after each trial of a sitting.

    Attributes:
        source: the file that has the answers, for messages.
        stimulus: what trials are named by, such as film: trials of one name are of one such thing,
            whoever had it; "" where no two people had the same.
        scores: of each trial its answers, NaN where there is none.
    """

    source: str
    stimulus: str
    emotions: tuple[str, ...]
    scale: Scale
    trial: Sequence[str]
    start_s: Sequence[float]
    stop_s: Sequence[float]
    scores: Sequence[Sequence[float]]


def answered(
    asked: Asked, account: Account, *, function: str, signals: Mapping[str, Signal]
) -> tuple[Trials, dict[str, str]]:
    """The trials with truth, and what the recording's attributes say of it.

    Raises:
        RecordingError: an answer that the scale does not have, none that can be used, or no trial
            in the time of the signals.
    """
    if not asked.trial:
        raise RecordingError(f"{asked.source} holds no answers", expected="a row for each trial")
    ratings = Ratings(
        source=asked.source,
        trial=tuple(asked.trial),
        onset_s=np.asarray(asked.start_s, dtype=np.float64),
        stop_s=np.asarray(asked.stop_s, dtype=np.float64),
        emotions=asked.emotions,
        scores=np.asarray(asked.scores, dtype=np.float64),
    )
    judged = judge(ratings, function=function, scale=asked.scale)
    for sentence in judged.said:
        account.note(sentence)
    kept = judged.ratings
    trials = trials_within(
        Trials(kept.onset_s, kept.stop_s, kept.trial, judged.shares, kept.emotions),
        signals,
        account,
        of=asked.source,
    )
    attributes = label_attributes(function, asked.source, judged.scale)
    return trials, {**attributes, STIMULUS: asked.stimulus} if asked.stimulus else attributes


def trials_within(
    trials: Trials, signals: Mapping[str, Signal], account: Account, *, of: str
) -> Trials:
    """The trials that begin in the time of the signals; the others are left out, and named.

    Raises:
        RecordingError: there is none, or one takes longer than any sitting.
    """
    duration_s = max((signal.stop_s for signal in signals.values()), default=0.0)
    within = starts_within(trials, duration_s)
    if within.any():
        for i in np.flatnonzero(~within):
            account.leave_out(f"trial {trials.trial_id[i]}", "not in the recording")
        trials = _some(trials, within)
    check_within(trials, duration_s, of=of, fix="Take the files as they were published")
    for sentence in say_cut(trials, duration_s):
        account.note(sentence)
    return trials


def _some(trials: Trials, which: Mask) -> Trials:
    rows = np.flatnonzero(which)
    return dataclasses.replace(
        trials,
        start_s=np.asarray(trials.start_s)[rows],
        stop_s=np.asarray(trials.stop_s)[rows],
        trial_id=tuple(trials.trial_id[i] for i in rows),
        distribution=trials.truth[rows],
    )
