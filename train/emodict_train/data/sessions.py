"""Training rows from session.h5 files whose trials carry the truth."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from emodict.errors import TableError
from emodict.features import extract_features
from emodict.session import open_session
from emodict.spec import load_spec
from emodict.table import FeatureTable
from emodict.truth import check_distributions, trial_of_rows


def read_session_table(path: Path, *, spec_id: str) -> FeatureTable:
    """The rows that lie inside a trial, with the trial's distribution.

    Raises:
        TableError: the session's trials carry no truth.
    """
    spec = load_spec(spec_id)
    with open_session(path) as recording:
        trials = recording.trials
        if trials is None or trials.distribution is None or not len(trials):
            raise TableError(
                f"{path} has no truth to train on",
                expected="/trials with a distribution and label_names",
                fix="Write the labels into the session, or leave it out",
            )
        windows = extract_features(recording, spec)
        truth = check_distributions(trials)
        trial = trial_of_rows(windows.start_s, spec, trials)
        inside = trial >= 0
        subject = recording.subject_id or path.stem
        session = recording.session_id or path.stem
        names = np.array([f"{session}/{name}" for name in trials.trial_id])
        return FeatureTable(
            windows=windows.slice(inside),
            emotions=trials.label_names,
            labels=truth[trial[inside]],
            subject=np.full(int(inside.sum()), subject),
            trial=names[trial[inside]],
            source=path.name,
            simulated=recording.simulated,
        )
