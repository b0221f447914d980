"""Answers that a data set brings with its signals: trials with truth, and how it was made."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from emodict.errors import RecordingError
from emodict.recording.recording import Trials
from emodict_desk.importers.form import Option
from emodict_desk.recordings.account import Account
from emodict_desk.recordings.ratings import Ratings, judge
from emodict_desk.recordings.scores import SCORES, Scale, label_attributes
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


def answered(asked: Asked, account: Account, *, function: str) -> tuple[Trials, dict[str, str]]:
    """The trials with truth, and what the recording's attributes say of it.

    Raises:
        RecordingError: an answer that the scale does not have, or none that can be used.
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
    trials = Trials(kept.onset_s, kept.stop_s, kept.trial, judged.shares, kept.emotions)
    attributes = label_attributes(function, asked.source, judged.scale)
    return trials, {**attributes, STIMULUS: asked.stimulus} if asked.stimulus else attributes
