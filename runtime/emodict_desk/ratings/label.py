"""Ratings into a session: its trials, each with a distribution over the emotions rated."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from emodict.errors import RecordingError
from emodict.files.atomic import atomic_path
from emodict.files.hdf5_writing import hdf5_to_write
from emodict.recording.recording import Recording, Trials
from emodict.recording.session import open_session, write_trials
from emodict_desk.ratings.table import read_ratings
from emodict_desk.recordings.ratings import Judged, Ratings, judge
from emodict_desk.recordings.scores import Scale, label_attributes
from emodict_desk.recordings.within import check_within, say_cut
from emodict_desk.tables.stimuli import STIMULUS
from emodict_desk.wording import count_of

Float64Array = NDArray[np.float64]


@dataclass(frozen=True)
class Labelled:
    """What a session was given."""

    trials: Trials
    attributes: dict[str, str]
    said: tuple[str, ...]

    def __str__(self) -> str:
        names = ", ".join(self.trials.label_names)
        what = f"{count_of(len(self.trials), 'trial')} labelled with {names}"
        return "\n".join([*self.said, f"{what}, by {self.attributes['scores_to_shares']}"])


def label_session(
    source: Path,
    ratings: Path,
    out: Path,
    *,
    function: str = "share",
    scale: Scale | None = None,
    emotions: Sequence[str] = (),
) -> Labelled:
    """Copy a session byte by byte and give the copy these labels; `out` may be the source itself.

    `emotions` names the columns of scores, where words for emotions do not.

    Raises:
        RecordingError: ratings that cannot be used or do not fit the session, a session that has
            labels already and would lose them, or one that is still being written.
    """
    judged = judge(read_ratings(ratings, emotions), function=function, scale=scale)
    with open_session(source) as recording:
        _refuse(recording, source, out)
        labelled = labelled_by(judged, recording, function)
    with atomic_path(out) as part:
        shutil.copyfile(source, part)
        with hdf5_to_write(part, "r+") as file:
            file.pop("trials", None)
            write_trials(file, labelled.trials)
            file.attrs.update(labelled.attributes)
    return labelled


def labelled_by(judged: Judged, recording: Recording, function: str) -> Labelled:
    """The trials of judged ratings in this recording, and what its attributes say of them.

    Raises:
        RecordingError: times that are missing, or lie outside of the recording.
    """
    ratings = judged.ratings
    start_s, stop_s = _times(ratings, recording)
    trials = Trials(start_s, stop_s, ratings.trial, judged.shares, ratings.emotions)
    check_within(trials, recording.duration_s, of=ratings.source)
    said = (*judged.said, *say_cut(trials, recording.duration_s))
    attributes = label_attributes(
        function, f"{ratings.source}, {'; '.join(said)}".rstrip(", "), judged.scale
    )
    if ratings.stimulus_word:
        attributes[STIMULUS] = ratings.stimulus_word
    return Labelled(trials, attributes, said)


def refuse_losing_labels(out: Path) -> None:
    """Refuse to replace a session by one that is read anew: what was answered would be lost.

    Raises:
        RecordingError: `out` is a session that has labels.
    """
    if not out.is_file():
        return
    try:
        with open_session(out) as held:
            labelled = _has_labels(held)
    except RecordingError:
        # What cannot be read has no labels that could be used.
        return
    if labelled:
        raise RecordingError(
            f"{out} has labels, and they would be lost",
            expected="a file that is not there yet, or a session without labels",
            fix="Name another to write with -o, or delete this one first",
        )


def _has_labels(recording: Recording) -> bool:
    return recording.trials is not None and recording.trials.distribution is not None


def _refuse(recording: Recording, source: Path, out: Path) -> None:
    if _has_labels(recording) and out.exists() and out.samefile(source):
        raise RecordingError(
            f"{source} has labels already, and they would be lost",
            expected="a session without labels, or another file to write",
            fix=f"-o {source.stem}-labelled.h5",
        )
    if "recording" in recording.attributes:
        raise RecordingError(
            f"{source} cannot be labelled: {recording.attributes['recording']}",
            expected="a recording that was ended",
            fix=f"Make a whole one of it: emodict-session repair '{source}' -o whole.h5",
        )


def _times(ratings: Ratings, recording: Recording) -> tuple[Float64Array, Float64Array]:
    """Start and stop of each trial: of the table, or else of the session's trial of that name."""
    start_s, stop_s = ratings.onset_s.copy(), ratings.stop_s.copy()
    known = (
        {}
        if recording.trials is None
        else {name: i for i, name in enumerate(recording.trials.trial_id)}
    )
    for i in np.flatnonzero(np.isnan(start_s) | np.isnan(stop_s)):
        name = ratings.trial[i]
        if name not in known or recording.trials is None:
            raise RecordingError(
                f"{ratings.source}: trial '{name}' has no onset and stop, "
                "and the session has no trial of that name",
                expected="seconds from the session's start in the columns onset and stop",
                got=f"trials {', '.join(known)}" if known else "a session without trials",
                fix="emodict-session label --template SESSION.h5 writes a table with times",
            )
        start_s[i], stop_s[i] = (
            float(at[known[name]]) for at in (recording.trials.start_s, recording.trials.stop_s)
        )
    return start_s, stop_s
