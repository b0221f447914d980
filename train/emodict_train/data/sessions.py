"""Training rows from recordings whose trials carry the truth: session.h5 files, data sets."""

from __future__ import annotations

from pathlib import Path

from emodict.errors import RecordingError, TableError
from emodict.features.spec import FeatureSpec
from emodict.recording.recording import Recording
from emodict.recording.session import open_session
from emodict_desk.importers import IMPORTERS
from emodict_desk.importers.kinds import kind_of
from emodict_desk.importers.on_the_way import imported
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
        return _source(recording, path, spec)


def is_of_data_set(path: Path) -> bool:
    """Whether this is a person of a data set that is read as it was published."""
    kind = kind_of(path)
    return kind is not None and IMPORTERS[kind].for_training


def read_of_data_set(path: Path, spec: FeatureSpec) -> Source:
    """All rows of a person of a data set; what its import says is logged.

    Raises:
        RecordingError: it cannot be imported, or lacks what the spec needs.
    """
    return _source(imported(path, RecordingError(f"{path} is not of a data set")), path, spec)


def _source(recording: Recording, path: Path, spec: FeatureSpec) -> Source:
    trials = recording.trials
    if trials is None or trials.distribution is None or not len(trials):
        raise TableError(
            f"{path} has no truth to train on",
            expected="/trials with a distribution and label_names",
            fix=f"Label it: emodict-session label --template '{path}', or leave it out",
        )
    table = table_from_recording(recording, spec, name=path.stem)
    return Source(path, table, marks_of(recording, table.windows.start_s, spec.modality_names))
