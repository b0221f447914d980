"""Training rows from session.h5 files whose trials carry the truth."""

from __future__ import annotations

from pathlib import Path

from emodict.errors import TableError
from emodict.features.spec import FeatureSpec
from emodict.recording.session import open_session
from emodict_desk.tables.table import FeatureTable, table_from_recording


def read_session_table(path: Path, spec: FeatureSpec) -> FeatureTable:
    """All rows of a session, with the distribution of the trial they lie in.

    Raises:
        TableError: the session's trials carry no truth.
        RecordingError: it has none of the spec's modalities, or lacks an EEG channel.
    """
    with open_session(path) as recording:
        trials = recording.trials
        if trials is None or trials.distribution is None or not len(trials):
            raise TableError(
                f"{path} has no truth to train on",
                expected="/trials with a distribution and label_names",
                fix="Write the labels into the session, or leave it out",
            )
        return table_from_recording(recording, spec, name=path.stem)
