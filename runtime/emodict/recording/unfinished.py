"""Sessions that are still being recorded, or whose recording was cut off:
how much of them can be relied on.
"""

from __future__ import annotations

import fcntl
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from emodict.recording.recording import Samples

if TYPE_CHECKING:
    import h5py

STILL_GOING_ON = "still going on when this was read"
CUT_OFF = "cut off before its end; at most its last 2 s are lost"


class FirstRows:
    """Samples of which the last ones are not all there yet."""

    def __init__(self, samples: Samples, rows: int) -> None:
        self._samples = samples
        self.shape = (rows, *samples.shape[1:])

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any, /) -> Any:
        rows, rest = (key[0], key[1:]) if isinstance(key, tuple) else (key, ())
        if isinstance(rows, slice):
            rows = slice(*rows.indices(len(self)))
        elif not -len(self) <= rows < len(self):
            raise IndexError(f"row {rows} of {len(self)}")
        elif rows < 0:
            rows += len(self)
        there = (rows, *rest)
        return self._samples[there]


def is_unfinished(group: h5py.Group) -> bool:
    """Whether this is of a file that its writer has not closed."""
    return bool(group.file.swmr_mode)


def what_became_of(path: Path) -> str:
    """Why an unfinished session is unfinished."""
    return CUT_OFF if is_cut_off(path) else STILL_GOING_ON


def is_cut_off(path: Path) -> bool:
    """Whether nobody records into an unfinished session any more."""
    with path.open("rb") as handle:
        try:
            # Its recorder holds a lock for as long as it lives (of POSIX: HDF5
            # uses the other kind itself).
            fcntl.lockf(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return False
    return True


def rows_written(group: h5py.Group, clock: str, *others: str) -> int:
    """How many rows of an unfinished group are whole: their time,
    which is written last, is there.
    """
    times = group[clock][:]
    broken = np.flatnonzero(~np.isfinite(times))
    count = int(broken[0]) if len(broken) else len(times)
    return min([count, *(len(group[name]) for name in others)])
