"""Recording: one person's signals, face, trials and events on one clock."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from emodict.errors import RecordingError

FloatArray = NDArray[np.floating[Any]]

# The names of 1958 and of today's 10-10 system for the same four places on the head.
_OLD_CHANNEL_NAMES = {"T7": "T3", "T8": "T4", "P7": "T5", "P8": "T6"}


class Samples(Protocol):
    """What a signal's data must be able to do: an array, or a dataset in an open file."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    def __getitem__(self, key: Any, /) -> Any: ...


@dataclass(frozen=True)
class Signal:
    """One sensor's samples, (samples, channels), time first; NaN means missing.

    Attributes:
        unit: of the samples; converted to the spec's unit where emodict knows how.
        start_offset_s: time of the first sample after the recording's start.
        timestamps_s: one per sample, from the recording's start; they win over rate_hz.
        sequence: one counter per sample; where it jumps, samples are missing.
    """

    modality: str
    rate_hz: float
    unit: str
    channel_names: tuple[str, ...]
    samples: Samples
    reference: str = ""
    start_offset_s: float = 0.0
    timestamps_s: FloatArray | None = None
    sequence: NDArray[np.integer[Any]] | None = None

    def __post_init__(self) -> None:
        _check_rate(self.modality, self.rate_hz)
        _check_channels(self)
        if not math.isfinite(self.start_offset_s):
            raise RecordingError(
                f"{self.modality}: start_offset is not a time", expected="seconds", got=self.start_offset_s
            )
        for name, values in (("timestamps", self.timestamps_s), ("sequence", self.sequence)):
            if values is not None:
                _check_clock(self.modality, name, np.asarray(values), self.sample_count)

    @property
    def sample_count(self) -> int:
        return int(self.samples.shape[0])

    @property
    def stop_s(self) -> float:
        """End of the last sample, from the recording's start."""
        if self.timestamps_s is not None and self.sample_count:
            return float(self.timestamps_s[-1]) + 1.0 / self.rate_hz
        count = self.sample_count
        if self.sequence is not None and count:
            count = int(self.sequence[-1]) - int(self.sequence[0]) + 1
        return self.start_offset_s + count / self.rate_hz

    def channel_columns(self, wanted: Sequence[str]) -> list[int]:
        """Columns of the wanted channels, matched by name, old and new 10-20 names being equal.

        Raises:
            RecordingError: a channel is missing; it is named.
        """
        columns = {canonical_channel(name): i for i, name in enumerate(self.channel_names)}
        missing = [name for name in wanted if canonical_channel(name) not in columns]
        if missing:
            raise RecordingError(
                f"{self.modality}: channel{'s' * (len(missing) > 1)} {', '.join(missing)} missing",
                expected=f"{len(wanted)} channels {' '.join(wanted)}",
                got=" ".join(self.channel_names),
                fix="Name the channels by the 10-20 system, or use a model trained on these channels",
            )
        return [columns[canonical_channel(name)] for name in wanted]


@dataclass(frozen=True)
class FaceVideo:
    """A face, once per frame, in ONE of four forms; timestamps_s is (frames,)."""

    timestamps_s: FloatArray
    embedding: Samples | None = None
    frames: Samples | None = None
    jpeg: Samples | None = None
    external_file: str | None = None
    frame_rate_hz: float | None = None
    color_order: str = "BGR"

    FORMS = ("embedding", "frames", "jpeg", "external_file")

    def __post_init__(self) -> None:
        given = [form for form in self.FORMS if getattr(self, form) is not None]
        if len(given) != 1:
            raise RecordingError(
                "video: a face is held in one form", expected=f"one of {', '.join(self.FORMS)}", got=given
            )
        if given[0] != "external_file":
            _check_clock(
                "video", "timestamps", np.asarray(self.timestamps_s), int(getattr(self, given[0]).shape[0])
            )

    @property
    def form(self) -> str:
        return next(form for form in self.FORMS if getattr(self, form) is not None)

    @property
    def stop_s(self) -> float:
        return float(self.timestamps_s[-1]) if len(self.timestamps_s) else 0.0


@dataclass(frozen=True)
class Trials:
    """Stretches of a recording with, where known, the true distribution of each, (trials, labels)."""

    start_s: FloatArray
    stop_s: FloatArray
    trial_id: tuple[str, ...]
    distribution: FloatArray | None = None
    label_names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not len(self.start_s) == len(self.stop_s) == len(self.trial_id):
            raise RecordingError("trials: start, stop and trial_id differ in length")
        if np.any(~(np.asarray(self.stop_s) > np.asarray(self.start_s))):
            raise RecordingError("trials: a trial must stop after it starts")
        if self.distribution is not None:
            shape = (len(self.trial_id), len(self.label_names))
            if np.shape(self.distribution) != shape:
                raise RecordingError(
                    "trials: the distribution's shape is wrong",
                    expected=f"(trials, labels) = {shape}",
                    got=np.shape(self.distribution),
                )

    def __len__(self) -> int:
        return len(self.trial_id)


@dataclass(frozen=True)
class Event:
    """Something that happened at one moment."""

    onset_s: float
    code: int
    description: str = ""


@dataclass(frozen=True)
class Recording:
    """All that was recorded of one person in one sitting; times count from `start_time`."""

    session_id: str
    subject_id: str
    signals: Mapping[str, Signal]
    face: FaceVideo | None = None
    trials: Trials | None = None
    events: tuple[Event, ...] = ()
    start_time: str = ""
    device: str = ""
    software: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)

    @property
    def modality_names(self) -> tuple[str, ...]:
        return (*self.signals, *(("video",) if self.face is not None else ()))

    @property
    def duration_s(self) -> float:
        stops = [signal.stop_s for signal in self.signals.values()]
        if self.face is not None:
            stops.append(self.face.stop_s)
        return max(stops, default=0.0)


def canonical_channel(name: str) -> str:
    """`EEG P3-Pz`, `p3` and `P3` are one channel; T7 T8 P7 P8 are T3 T4 T5 T6."""
    bare = name.strip().removeprefix("EEG ").split("-")[0].strip().upper()
    return _OLD_CHANNEL_NAMES.get(bare, bare)


def _check_rate(modality: str, rate_hz: float) -> None:
    if not (math.isfinite(rate_hz) and rate_hz > 0):
        raise RecordingError(
            f"{modality}: the sampling rate cannot be used",
            expected="a positive number of Hz",
            got=rate_hz,
            fix=f"Set the attribute sampling_rate of /signals/{modality}",
        )


def _check_channels(signal: Signal) -> None:
    shape, names = signal.samples.shape, signal.channel_names
    if len(shape) != 2 or shape[1] != len(names):
        raise RecordingError(
            f"{signal.modality}: data and channel names disagree",
            expected=f"data of shape (samples, {len(names)})",
            got=tuple(shape),
            fix="Write data time first, one column per channel name",
        )
    counts = Counter(canonical_channel(name) for name in names)
    twice = sorted(name for name, count in counts.items() if count > 1)
    if twice:
        raise RecordingError(
            f"{signal.modality}: channel {', '.join(twice)} is there twice",
            expected="each channel once",
            got=" ".join(names),
            fix="Rename or remove one of them",
        )


def _check_clock(modality: str, name: str, values: NDArray[Any], sample_count: int) -> None:
    if values.shape != (sample_count,):
        raise RecordingError(
            f"{modality}: {name} and data disagree",
            expected=f"one of {name} per sample, shape ({sample_count},)",
            got=values.shape,
        )
    back = np.flatnonzero(~(np.diff(values) > 0))
    if len(back) or (sample_count and not np.isfinite(values[0])):
        at = int(back[0]) if len(back) else 0
        raise RecordingError(
            f"{modality}: {name} run back at sample {at + 1}",
            expected="values that grow from sample to sample",
            got=f"{values[at]} then {values[min(at + 1, sample_count - 1)]}",
            fix="Sort the samples by time, or leave the timestamps out and give sampling_rate",
        )
