"""Samples on their way from another maker's file: they grow block by block,
and lie on disk once they are many.
"""

from __future__ import annotations

import math
import tempfile
import weakref
from typing import Any

import numpy as np
from numpy.typing import NDArray

# An hour of 18 channels at 300 Hz is 78 MB: shorter recordings never touch the disk.
IN_MEMORY_BYTES = 32 << 20


_TAKEN_ROWS, _NEAR = 8192, 4


class Spool:
    """(samples, channels) float32, written once from front to back and read back by slices.

    Holds a nameless temporary file, gone with the last reference to it.
    """

    def __init__(self, channels: int) -> None:
        # Closed with the last reference: the samples live as long as the Signal that holds them.
        self._file = tempfile.SpooledTemporaryFile(max_size=IN_MEMORY_BYTES)  # noqa: SIM115
        weakref.finalize(self, self._file.close)
        self._channels = channels
        self._rows = 0

    def append(self, block: NDArray[Any]) -> None:
        """Add (samples, channels) at the end."""
        samples = np.ascontiguousarray(block, dtype=np.float32).reshape(-1, self._channels)
        self._file.seek(0, 2)
        self._file.write(samples.tobytes())
        self._rows += len(samples)

    @property
    def shape(self) -> tuple[int, int]:
        return self._rows, self._channels

    def __len__(self) -> int:
        return self._rows

    def __getitem__(self, key: Any) -> Any:
        """A copy of the rows asked for; a second index picks channels."""
        rows, rest = (key[0], key[1:]) if isinstance(key, tuple) else (key, ())
        if not isinstance(rows, slice):
            return np.asarray(self[:])[key]
        start, stop, step = rows.indices(self._rows)
        low, high = (start, stop) if step > 0 else (stop + 1, start + 1)
        block = self._read(low, max(low, high))
        block = block[::step] if step > 0 else block[::-1][::-step]
        return block[:, rest[0]] if rest else block

    def take(self, rows: NDArray[np.int64], /, axis: int = 0) -> Spool:
        """A spool of these rows, in this order;
        rows that stood near one another are read at once.
        """
        taken = Spool(self._channels)
        for start in range(0, len(rows), _TAKEN_ROWS):
            some = rows[start : start + _TAKEN_ROWS]
            low, high = int(some.min()), int(some.max()) + 1
            near = high - low <= _NEAR * len(some)
            block = (
                self._read(low, high)[some - low]
                if near
                else np.concatenate([self._read(i, i + 1) for i in some])
            )
            taken.append(block)
        return taken

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.asarray(self[:], dtype=dtype)

    def _read(self, low: int, high: int) -> NDArray[np.float32]:
        row_bytes = self._channels * np.dtype(np.float32).itemsize
        self._file.seek(low * row_bytes)
        content = self._file.read((high - low) * row_bytes)
        return np.frombuffer(content, dtype=np.float32).reshape(high - low, self._channels).copy()


class Growing:
    """A column of float64 that grows block by block: times and counters,
    of which the format wants all at once.
    """

    def __init__(self) -> None:
        self._blocks: list[NDArray[np.float64]] = []

    def append(self, block: NDArray[Any]) -> None:
        """Add numbers at the end."""
        self._blocks.append(np.asarray(block, dtype=np.float64))

    @property
    def last(self) -> float:
        """The number added last; minus infinity before the first."""
        return float(self._blocks[-1][-1]) if self._blocks and len(self._blocks[-1]) else -math.inf

    def all(self) -> NDArray[np.float64]:
        """All numbers so far, as one array."""
        return np.concatenate([*self._blocks, np.empty(0)])
