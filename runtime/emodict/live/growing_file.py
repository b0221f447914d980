"""GrowingFile: a session.h5 that grows and can be read at every moment,
whatever becomes of the program.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from emodict.files.atomic import atomic_path
from emodict.live.source import LiveStream
from emodict.recording.session import FORMAT, FORMAT_VERSION

if TYPE_CHECKING:
    import h5py

# A chunk is written again as long as it grows, and 8 hours are to be few thousand chunks.
CHUNK_S = 2.0
_CHUNK_ROWS_AT_LEAST = 64
# HDF5 can let only strings of a fixed length grow (docs: no variable length under SWMR).
_DEVICE_BYTES = 240
# Beyond the samples themselves: what HDF5 keeps about chunks, and begun chunks of all datasets.
_SPARE_BYTES = 1 << 20
_DESCRIPTION_BYTES = 240


class GrowingSignal:
    """Samples on their way into one group of the file."""

    def __init__(self, name: str, stream: LiveStream) -> None:
        self.name, self.stream = name, stream
        self._samples: list[NDArray[Any]] = []
        self._times_s: list[NDArray[np.float64]] = []

    @property
    def has_news(self) -> bool:
        return bool(self._times_s)

    @property
    def path(self) -> str:
        """Where it lies in the file."""
        return (
            self.name.replace("video", "/video/face", 1)
            if self.is_face
            else f"/signals/{self.name}"
        )

    @property
    def is_face(self) -> bool:
        return self.stream.modality == "video"

    @property
    def dataset(self) -> str:
        """What the samples are called there."""
        return "embedding" if self.is_face else "data"

    @property
    def waiting_bytes(self) -> int:
        return sum(part.nbytes for part in (*self._samples, *self._times_s))

    def add(self, samples: NDArray[Any], times_s: NDArray[np.float64]) -> None:
        """(samples, channels) and their times, later than all before."""
        self._samples.append(samples)
        self._times_s.append(times_s)

    def take(self) -> tuple[NDArray[Any], NDArray[np.float64]]:
        """All that was added since the last call."""
        samples, times_s = np.concatenate(self._samples), np.concatenate(self._times_s)
        self._samples, self._times_s = [], []
        return samples, times_s


class GrowingFile:
    """A session.h5 in HDF5's SWMR mode,
    in which the file on the disk is consistent after every single write.

    SWMR promises that of datasets that grow. A stream that appears later is more than
    that, so the order is ours: its group is made whole on the disk first, and linked into
    the file last. To leave SWMR for it would be worse: HDF5 opens a file in neither mode
    whose writer died outside it.

    Raises (all methods): OSError or RuntimeError where the disk refuses.
    """

    def __init__(self, path: Path, attributes: Mapping[str, str]) -> None:
        import h5py

        self._signals: list[GrowingSignal] = []
        with atomic_path(path, replace=False) as part:
            # Without HDF5's own locks, which would refuse the file while a reader looks at it.
            self._file = h5py.File(part, "w", libver="latest", locking=False)
            try:
                self._lay_out(attributes)
                self._file.swmr_mode = True
            except BaseException:
                self._file.close()
                raise
        # A lock that lasts as long as this process:
        # by it a reader knows a growing file from one that was cut off.
        self._mark = os.open(path, os.O_RDWR)
        with contextlib.suppress(OSError):
            fcntl.lockf(self._mark, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def _lay_out(self, attributes: Mapping[str, str]) -> None:
        """A session without signals."""
        for name, value in {**attributes, "format": FORMAT}.items():
            self._file.attrs[name] = value
        self._file.attrs["format_version"] = FORMAT_VERSION
        # Changed in place later, for which it must have its full length from the start.
        self._file.attrs.create("device", b"", dtype=f"S{_DEVICE_BYTES}")
        self._file.create_group("signals")
        self._file.create_group("video")
        events = self._file.create_group("events")
        for name, kind in (
            ("onset", "f8"),
            ("code", "i8"),
            ("description", f"S{_DESCRIPTION_BYTES}"),
        ):
            _create_growing(events, name, (), kind, _CHUNK_ROWS_AT_LEAST)

    def add(self, name: str, stream: LiveStream) -> GrowingSignal:
        """A new signal, or a face where the stream is video;
        it appears in the file with its first samples.
        """
        self._signals.append(GrowingSignal(name, stream))
        return self._signals[-1]

    def amend_rate(self, signal: GrowingSignal) -> None:
        """The stream of a signal has shown another rate than it announced."""
        if signal.path in self._file:
            self._file[signal.path].attrs.modify("sampling_rate", signal.stream.rate_hz)

    def write(self, events: Sequence[tuple[float, str]]) -> None:
        """Write what was added since the last call, and events (onset_s, description)."""
        news = [signal for signal in self._signals if signal.has_news]
        self._require_room(sum(signal.waiting_bytes for signal in news))
        new = [signal for signal in news if signal.path not in self._file]
        if new:
            self._link(new)
        commits = [(f"{signal.path}/timestamps", self._append_samples(signal)) for signal in news]
        if events:
            text = [_fitting(description, _DESCRIPTION_BYTES) for _, description in events]
            self._append("/events/code", np.zeros(len(events), dtype=np.int64))
            self._append("/events/description", np.array(text, dtype=f"S{_DESCRIPTION_BYTES}"))
            commits.append(("/events/onset", np.array([onset_s for onset_s, _ in events])))
        # A sample counts once its time is there, so its time is written after it.
        self._flush()
        self._require_room(sum(times_s.nbytes for _, times_s in commits))
        for path, times_s in commits:
            self._append(path, times_s)
        self._flush()

    def close(self) -> None:
        """Finish the file."""
        self._file.close()
        os.fdatasync(self._mark)
        os.close(self._mark)

    def abandon(self) -> None:
        """Leave a file that cannot be written any more as it is."""
        with contextlib.suppress(OSError, RuntimeError, ValueError):
            self._file.close()
        with contextlib.suppress(OSError):
            os.close(self._mark)

    def _flush(self) -> None:
        """Onto the disk itself: a battery that runs empty must not take what the
        system still held in memory.
        """
        self._file.flush()
        os.fdatasync(self._mark)

    def _require_room(self, size: int) -> None:
        """Stop while HDF5 can still finish the file:
        a write that fails later takes the whole program with it.

        Raises:
            OSError: the disk, the quota or the limit of files has no room for so many bytes more.
        """
        end = os.fstat(self._mark).st_size
        os.posix_fallocate(self._mark, end, size + _SPARE_BYTES)
        os.ftruncate(self._mark, end)

    def _append_samples(self, signal: GrowingSignal) -> NDArray[np.float64]:
        """Write the samples; their times, still to be written."""
        samples, times_s = signal.take()
        self._append(f"{signal.path}/{signal.dataset}", samples)
        return times_s

    def _append(self, path: str, values: NDArray[Any]) -> None:
        data = self._file[path]
        count = len(data)
        data.resize(count + len(values), axis=0)
        data[count:] = values

    def _link(self, new: Iterable[GrowingSignal]) -> None:
        """Add groups to the file, each one whole on the disk before anything points at it."""
        import h5py

        groups = {signal: self._make_group(signal) for signal in new}
        self._flush()
        for signal, group in groups.items():
            h5py.h5o.link(group.id, self._file.id, signal.path.encode())
            self._file.flush()
        devices = dict.fromkeys(
            signal.stream.device for signal in self._signals if signal.stream.device
        )
        self._file.attrs.modify("device", _fitting(", ".join(devices), _DEVICE_BYTES))

    def _make_group(self, signal: GrowingSignal) -> h5py.Group:
        """A group without a name, which no reader can see yet."""
        import h5py

        stream = signal.stream
        group = h5py.Group(h5py.h5g.create(self._file.id, None))
        rows = max(_CHUNK_ROWS_AT_LEAST, round(stream.rate_hz * CHUNK_S))
        _create_growing(group, signal.dataset, (len(stream.channel_names),), "f4", rows)
        _create_growing(group, "timestamps", (), "f8", rows)
        if signal.is_face:
            attributes = {"frame_rate": stream.rate_hz, "features": stream.unit}
        else:
            attributes = {"sampling_rate": stream.rate_hz, "units": stream.unit}
            attributes |= {"channel_names": list(stream.channel_names), "device": stream.device}
        for name, value in attributes.items():
            group.attrs[name] = value
        return group


def _create_growing(
    group: h5py.Group, name: str, channels: tuple[int, ...], kind: str, rows: int
) -> None:
    """An empty dataset of rows; what is not written reads as missing."""
    group.create_dataset(
        name,
        shape=(0, *channels),
        maxshape=(None, *channels),
        chunks=(rows, *channels),
        dtype=kind,
        fillvalue=np.nan if kind in ("f4", "f8") else None,
    )


def _fitting(text: str, size: int) -> bytes:
    """UTF-8, cut between two letters where it is too long."""
    return text.encode()[:size].decode("utf-8", "ignore").encode()
