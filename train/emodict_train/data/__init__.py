"""Training data of every kind as one FeatureTable: sessions, the released sample,
DMER folders, EDL tables.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from emodict.errors import InputError, TableError
from emodict.features.spec import DEFAULT_SPEC_ID, FeatureSpec, load_spec
from emodict_desk.sensors import ALL_SENSORS, Sensors
from emodict_desk.tables.table import FeatureTable, no_parts, read_table
from emodict_train.data.copies import Source, without_copies
from emodict_train.data.dmer import is_dmer_folder, read_dmer_folder
from emodict_train.data.edl import read_edl
from emodict_train.data.sessions import is_of_data_set, read_of_data_set, read_session

OnFile = Callable[[Path, int, int], None]


def read_training_data(
    paths: Sequence[Path],
    *,
    spec_id: str | None = None,
    part: str | None = None,
    sensors: Sensors = ALL_SENSORS,
    allow_copies: bool = False,
    on_file: OnFile = lambda path, done, total: None,
) -> FeatureTable:
    """Read and join all data.

    Args:
        paths: session.h5 files or folders of them; .npz tables; the .mat sample; DMER subject
            folders or a folder of those; people of other data sets, or a folder of those; EDL
            tables (.csv).
        spec_id: the features to compute from sessions,
            emodict-1 unless told otherwise; tables bring their own.
        part: which part of a .mat sample that holds several.
        sensors: only these modalities and EEG channels are read.
        allow_copies: keep recordings that hold the same windows together; else they are refused.

    Raises:
        InputError: nothing to read, tables that do not go together, or the same windows twice.
    """
    if part is not None and not any(path.suffix == ".mat" for path in paths):
        raise no_parts(paths[0])
    files = [file for path in paths for file in expand_paths(path)]
    if not files:
        raise InputError(
            "There is nothing to train on",
            expected="at least one file or folder",
            fix="emodict-train simulate DIR makes people to try it on",
        )
    spec = _spec_of_sessions(files, spec_id, sensors)
    sources = []
    for i, file in enumerate(files):
        on_file(file, i, len(files))
        sources.append(_read_one(file, spec, sensors=sensors, part=part))
    return without_copies(sources, allowed=allow_copies)


def _spec_of_sessions(
    files: Sequence[Path], spec_id: str | None, sensors: Sensors
) -> FeatureSpec | None:
    """The features to compute from sessions; None where there are only tables."""
    if any(file.suffix == ".h5" or is_of_data_set(file) for file in files):
        return sensors.of(load_spec(spec_id or DEFAULT_SPEC_ID))
    if spec_id is None:
        return None
    raise TableError(
        "--spec chooses features for sessions, and there are none",
        expected="session.h5 files",
        got=", ".join(file.name for file in files[:3]),
        fix="Leave --spec out: tables bring their features with them",
    )


def expand_paths(path: Path) -> list[Path]:
    """The files to read: a folder stands for the sessions, or the DMER subjects, in it.

    Raises:
        InputError: a path that is not there, or a folder with nothing to read in it.
    """
    if not path.exists():
        raise InputError(
            f"There is no file or folder {path}",
            expected="training data",
            fix="Check the path and its spelling",
        )
    if not path.is_dir():
        return [path]
    if is_dmer_folder(path):
        return [path]
    if is_of_data_set(path):
        return [path]
    inside = sorted(path.glob("*.h5")) or [
        entry for entry in sorted(path.iterdir()) if is_dmer_folder(entry) or is_of_data_set(entry)
    ]
    if not inside:
        raise InputError(
            f"There is nothing to train on in the folder {path}",
            expected="session.h5 files, DMER subject folders with datas.mat and eegfea.mat, "
            "or people of another data set that emodict reads (docs/datasets.md)",
            fix="Name a folder that holds them itself, or the files one by one",
        )
    return inside


def _read_one(
    path: Path, spec: FeatureSpec | None, *, sensors: Sensors, part: str | None
) -> Source:
    if path.suffix == ".h5" and spec is not None:
        # Chosen before anything is computed: what is not wanted need not be in the recording.
        return read_session(path, spec)
    if spec is not None and is_of_data_set(path):
        return read_of_data_set(path, spec)
    return Source(path, sensors.of(_read_ready_made(path, part=part)))


def _read_ready_made(path: Path, *, part: str | None) -> FeatureTable:
    if path.is_dir():
        return read_dmer_folder(path)
    readers = {
        ".npz": lambda: read_table(path),
        ".mat": lambda: read_table(path, part=part),
        ".csv": lambda: read_edl(path),
    }
    if path.suffix not in readers:
        raise TableError(
            f"{path} is not training data",
            expected=f"a folder, or a file ending in {', '.join(('.h5', *readers))}",
            got=path.suffix or "no ending",
            fix="Write a recording as a session.h5 first: docs/session-format.md",
        )
    return readers[path.suffix]()
