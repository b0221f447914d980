"""Training rows from session.h5 files whose trials carry the truth."""

from __future__ import annotations

from pathlib import Path

from emodict.errors import TableError
from emodict.features.spec import FeatureSpec
from emodict.recording.session import open_session
from emodict_desk.tables.table import table_from_recording
from emodict_train.data.copies import Source
from emodict_train.data.marks import marks_of


def read_session(path: Path, spec: FeatureSpec) -> Source:
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
        table = table_from_recording(recording, spec, name=path.stem)
        return Source(path, table, marks_of(recording, table.windows.start_s, spec.modality_names))
