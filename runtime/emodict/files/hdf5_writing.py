"""HDF5 files of emodict's: whatever fails while one is written is raised."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import h5py


@contextlib.contextmanager
def hdf5_to_write(part: Path, mode: str) -> Iterator[h5py.File]:
    """A temporary file, "w" to begin with nothing or "r+" to be added to.

    HDF5 writes much of a file when its objects are closed, and h5py closes them in finalisers,
    where Python can do no more than print an error. It is raised here: a file with a hole in it
    must not pass for a whole one.

    Raises:
        OSError: the disk is full, or refuses for another reason.
    """
    import h5py

    failed: list[BaseException] = []
    # Cython prints the error by the one, and then tells the other.
    printing, unraisable = sys.excepthook, sys.unraisablehook

    def print_others(
        kind: type[BaseException], error: BaseException, trace: TracebackType | None
    ) -> None:
        if not isinstance(error, OSError):
            printing(kind, error, trace)

    def keep(told: sys.UnraisableHookArgs) -> None:
        if isinstance(told.exc_value, OSError) and "h5py" in str(told.object):
            failed.append(told.exc_value)
        else:
            unraisable(told)

    sys.excepthook, sys.unraisablehook = print_others, keep
    try:
        # Without HDF5's lock: nobody else knows the file,
        # and on NFS it would meet the one of atomic_path.
        with h5py.File(part, mode, locking=False) as file:
            yield file
    finally:
        sys.excepthook, sys.unraisablehook = printing, unraisable
    if failed:
        raise failed[0]
