"""Another maker's recording where a session.h5 is expected: imported into memory, and said."""

from __future__ import annotations

import logging
from pathlib import Path

from emodict.errors import RecordingError
from emodict.files.hdf5 import DAMAGE
from emodict.recording.recording import Recording
from emodict_desk.importers import IMPORTERS
from emodict_desk.importers.kinds import (
    E4_FILES,
    describe,
    kinds_of,
    only_kind_of,
    recordings_in,
)
from emodict_desk.wording import count_of

logger = logging.getLogger(__name__)


def imported(path: Path, otherwise: RecordingError, *, again: bool = False) -> Recording:
    """The recording, by the importer that knows the file; what an import would say is logged.

    Of a file that is read `again`, it is not said once more.

    Samples of a long one wait in a nameless temporary file.

    Raises:
        RecordingError: `otherwise` where no importer knows it; else what the importer says.
    """
    if _is_meant_for_a_session(path) or not kinds_of(path):
        raise _not_for_a_run(path) or otherwise
    kind = only_kind_of(path)
    try:
        recording = IMPORTERS[kind].read(path)
    except RecordingError as error:
        why = str(error).removeprefix(f"{path}: ").removeprefix(f"{path}, ").rstrip(".")
        raise RecordingError(
            f"{path} is not a session.h5, and cannot be imported on the way, as {kind}: {why}",
            fix=f"Import it first: emodict-session import {kind} '{path}' -o session.h5",
        ) from error
    said = [
        f"{name.replace('_', ' ')}: {recording.attributes[name]}"
        for name in ("left_out", "notes")
        if name in recording.attributes
    ]
    level = logging.DEBUG if again else logging.WARNING
    logger.log(
        level,
        "%s: imported on the way, as %s%s",
        path.name,
        kind,
        "".join(f"; {words}" for words in said),
    )
    return recording


def _is_meant_for_a_session(path: Path) -> bool:
    """By its name, or HDF5 that is damaged or calls itself one: reading it says what is wrong."""
    import h5py

    if not path.is_file() or not h5py.is_hdf5(path):
        return path.suffix == ".h5" and not path.is_dir()
    try:
        with h5py.File(path, "r") as file:
            return "format" in file.attrs
    except DAMAGE:
        return True


def _not_for_a_run(path: Path) -> RecordingError | None:
    """What to give instead of a folder that is not a recording, or one file of a folder that is."""
    if path.is_dir():
        return _no_session_in(path)
    if path.is_file() and path.name in E4_FILES:
        return RecordingError(
            f"{path} is one file of an Empatica E4",
            expected="the folder that it lies in",
            fix=f"Give that: '{path.resolve().parent}'",
        )
    return None


def _no_session_in(folder: Path) -> RecordingError:
    found = recordings_in(folder)
    names = " ".join(f"'{path}'" for path in found[:2]) + (" ..." if len(found) > 2 else "")
    return RecordingError(
        f"There is no session in the folder {folder}",
        expected="session.h5 files, or a recording that `emodict-session import` knows",
        got=f"{count_of(len(found), 'recording')} to import" if found else describe(folder),
        fix=f"Give the files themselves: {names}" if found else "Check the path",
    )
