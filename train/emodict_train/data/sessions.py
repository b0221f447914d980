"""Training rows from session.h5 files whose trials carry the truth."""

from __future__ import annotations

from pathlib import Path

from emodict.errors import TableError
from emodict.session import open_session
from emodict.spec import load_spec
from emodict.table import FeatureTable, table_from_recording


def read_session_table(path: Path, *, spec_id: str) -> FeatureTable:
    """All rows of a session, with the distribution of the trial they lie in.

    Raises:
        TableError: the session's trials carry no truth.
    """
    with open_session(path) as recording:
        trials = recording.trials
        if trials is None or trials.distribution is None or not len(trials):
            raise TableError(
                f"{path} has no truth to train on",
                expected="/trials with a distribution and label_names",
                fix="Write the labels into the session, or leave it out",
            )
        return table_from_recording(recording, load_spec(spec_id), name=path.stem)
