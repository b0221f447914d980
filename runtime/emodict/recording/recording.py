"""Recording: one person's signals, face, trials and events on one clock."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from emodict.errors import ClockError, InputError, RecordingError
from emodict.showing import Shown

FloatArray = NDArray[np.floating[Any]]

# The names of 1958 and of today's 10-10 system for the same four places on the head.
_OLD_CHANNEL_NAMES = {"T7": "T3", "T8": "T4", "P7": "T5", "P8": "T6"}

# Nobody records longer in one sitting; Unix times and broken counters do reach further.
LONGEST_S = 30 * 24 * 3600.0
# A pause in a sitting is not a day;
# every second of a gap costs a row of features, whoever claims it.
LONGEST_GAPS_S, GAPS_PER_SAMPLED_S = 24 * 3600.0, 100.0

# Of one picture: more than the largest camera has.
MOST_PIXELS = 1 << 26

# What a distribution may miss one by: labels are written with a few digits.
LABEL_SUM_ATOL = 1e-3


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
        raise_first(self._problems())

    def _problems(self) -> Iterator[RecordingError]:
        yield from rate_problems(self.modality, self.rate_hz)
        yield from channel_problems(self.modality, self.samples.shape, self.channel_names)
        if not math.isfinite(self.start_offset_s):
            yield RecordingError(
                f"{self.modality}: start_offset is not a time",
                expected="seconds",
                got=self.start_offset_s,
            )
        for name, values in (("timestamps", self.timestamps_s), ("sequence", self.sequence)):
            if values is not None:
                yield from clock_problems(
                    self.modality, name, np.asarray(values), self.sample_count
                )
        yield from length_problems(self.modality, self.stop_s, self.sample_count / self.rate_hz)

    @property
    def sample_count(self) -> int:
        return int(self.samples.shape[0])

    @property
    def start_s(self) -> float:
        """The first sample, from the recording's start."""
        if self.timestamps_s is not None and self.sample_count:
            return float(self.timestamps_s[0])
        return self.start_offset_s

    @property
    def stop_s(self) -> float:
        """End of the last sample, from the recording's start."""
        if self.timestamps_s is not None and self.sample_count:
            return float(self.timestamps_s[-1]) + 1.0 / self.rate_hz
        count = self.sample_count
        if self.sequence is not None and count:
            count = int(self.sequence[-1]) - int(self.sequence[0]) + 1
        return self.start_offset_s + count / self.rate_hz

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """samples[start:stop] as they are held, (samples, channels).

        Raises:
            RecordingError: that part of the file is damaged.
        """
        try:
            return np.asarray(self.samples[start:stop])
        except OSError as error:
            if not getattr(self.samples, "id", True):
                raise RecordingError(
                    f"{self.modality}: the recording is closed", fix="Read it before that"
                ) from error
            file = getattr(getattr(self.samples, "file", None), "filename", "the recording")
            raise RecordingError(
                f"{file}: samples {start} to {stop} of {self.modality} cannot be read: {error}",
                fix="Copy or record the file again",
            ) from error

    def channel_columns(self, wanted: Sequence[str]) -> list[int]:
        """Columns of the wanted channels, matched by name, old and new 10-20 names being equal.

        Raises:
            RecordingError: a channel is missing; it is named.
        """
        columns = {canonical_channel(name): i for i, name in enumerate(self.channel_names)}
        missing = [name for name in wanted if canonical_channel(name) not in columns]
        if missing:
            raise RecordingError(
                f"{self.modality}: {'channels' if len(missing) > 1 else 'channel'} "
                f"{', '.join(missing)} missing",
                expected=f"{len(wanted)} channels {' '.join(wanted)}",
                got=" ".join(self.channel_names),
                fix="Name the channels by the 10-20 system, "
                "or train a model for these (--channels)",
            )
        return [columns[canonical_channel(name)] for name in wanted]


@dataclass(frozen=True)
class FaceVideo:
    """A face, once per frame, in ONE of four forms; timestamps_s is (frames,).

    Attributes:
        external_file: a video's path, absolute or from the folder of the session.h5.
        features: what an embedding is, its kind as the first word:
            "vgg16-clean 1f2e...", "hog"; "" if unknown.
    """

    timestamps_s: FloatArray
    embedding: Samples | None = None
    frames: Samples | None = None
    jpeg: Samples | None = None
    external_file: str | None = None
    frame_rate_hz: float | None = None
    color_order: str = "BGR"
    features: str = ""

    FORMS = ("embedding", "frames", "jpeg", "external_file")

    def __post_init__(self) -> None:
        raise_first(self._problems())

    def _problems(self) -> Iterator[RecordingError]:
        given = [form for form in self.FORMS if getattr(self, form) is not None]
        if len(given) != 1:
            yield RecordingError(
                "video: a face is held in one form", expected=self.FORMS, got=given
            )
        elif given[0] != "external_file":
            shape = tuple(getattr(self, given[0]).shape)
            yield from _face_problems(given[0], shape)
            yield from clock_problems(
                "video", "timestamps", np.asarray(self.timestamps_s), int(shape[0])
            )
        # A face counts once a second; of a video beside the session only its times are known here.
        yield from length_problems("video", self.stop_s, float(len(self.timestamps_s)))

    @property
    def form(self) -> str:
        return next(form for form in self.FORMS if getattr(self, form) is not None)

    @property
    def stop_s(self) -> float:
        return float(self.timestamps_s[-1]) if len(self.timestamps_s) else 0.0


@dataclass(frozen=True)
class Trials:
    """Stretches of a recording with, where known,
    the true distribution of each, (trials, labels).
    """

    start_s: FloatArray
    stop_s: FloatArray
    trial_id: tuple[str, ...]
    distribution: FloatArray | None = None
    label_names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        raise_first(trial_problems(self.start_s, self.stop_s, self.trial_id))
        shape = (len(self.trial_id), len(self.label_names))
        if self.distribution is not None and np.shape(self.distribution) != shape:
            raise RecordingError(
                "trials: the distribution's shape is wrong",
                expected=f"(trials, labels) = {shape}",
                got=np.shape(self.distribution),
                fix="Write one row per trial and one column per name in label_names",
            )

    @cached_property
    def truth(self) -> NDArray[np.float64]:
        """(trials, labels), each row summing to 1; only for trials that have a distribution.

        Raises:
            RecordingError: a trial's label row is not a distribution;
                the trial and the sum are named.
        """
        values = np.asarray(self.distribution, dtype=np.float64)
        raise_first(
            distribution_problems(
                values, lambda row: f"trials: the label row of trial '{self.trial_id[row]}'"
            )
        )
        return values

    def __len__(self) -> int:
        return len(self.trial_id)


@dataclass(frozen=True)
class _UpsideDown:
    """Samples with their sign turned, as they are read."""

    samples: Samples

    @property
    def shape(self) -> tuple[int, ...]:
        return self.samples.shape

    def __getitem__(self, key: Any) -> NDArray[Any]:
        # Times a float: whole numbers without a sign have no other side.
        return np.asarray(self.samples[key]) * -1.0


@dataclass(frozen=True)
class Event:
    """Something that happened at one moment."""

    onset_s: float
    code: int
    description: str = ""


@dataclass(frozen=True, repr=False)
class Recording(Shown):
    """All that was recorded of one person in one sitting; times count from `start_time`.

    Attributes:
        unusable: what is wrong with each modality of the file that cannot be used, and is left out.
        file: where the samples stay until they are read; closed by `close`,
            or at the end of a `with`.
    """

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
    unusable: Mapping[str, str] = field(default_factory=dict)
    file: Any = field(default=None, compare=False)

    def __enter__(self) -> Recording:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file, where there is one: no more samples can be read."""
        if self.file is not None:
            self.file.close()

    @property
    def modality_names(self) -> tuple[str, ...]:
        return (*self.signals, *(("video",) if self.face is not None else ()))

    def require_usable(self, modalities: Iterable[str]) -> None:
        """Refuse a modality that is broken in its file.

        Raises:
            RecordingError: one of them is; it says what is wrong.
        """
        for name in modalities:
            if name in self.unusable:
                fix = f"Or do without {name}: a model of the others, or --modalities"
                raise RecordingError(self.unusable[name], fix=fix if self.modality_names else None)

    @property
    def simulated(self) -> bool:
        """True where the recording says that it is of a simulated person."""
        return self.attributes.get("simulated") == "true"

    def inverted(self, modalities: Sequence[str]) -> Recording:
        """The recording with these signals upside down, which it then says.

        Raises:
            RecordingError: it has none of that name.
        """
        strange = [name for name in modalities if name not in self.signals]
        if strange:
            raise RecordingError(
                f"--invert {strange[0]}: there is no such signal", expected=tuple(self.signals)
            )
        if not modalities:
            return self
        turned = {
            name: replace(signal, samples=_UpsideDown(signal.samples))
            for name, signal in self.signals.items()
            if name in modalities
        }
        attributes = {**self.attributes, "inverted": ", ".join(modalities)}
        return replace(self, signals={**self.signals, **turned}, attributes=attributes)

    @property
    def duration_s(self) -> float:
        stops = [signal.stop_s for signal in self.signals.values()]
        if self.face is not None:
            stops.append(self.face.stop_s)
        return max(stops, default=0.0)


def canonical_channel(name: str) -> str:
    """`EEG P3-Pz`, `p3` and `P3` are one channel; T7 T8 P7 P8 are T3 T4 T5 T6."""
    bare = channel_and_reference(name)[0].upper()
    return _OLD_CHANNEL_NAMES.get(bare, bare)


def channel_and_reference(label: str) -> tuple[str, str]:
    """`EEG P3-Pz` -> ("P3", "Pz"); the reference is "" where the label names none."""
    bare = re.sub(r"^EEG\s+", "", label.strip(), flags=re.IGNORECASE)
    name, _, reference = bare.partition("-")
    return name.strip(), reference.strip()


def raise_first(problems: Iterator[InputError]) -> None:
    """What a constructor does with problems, of which `emodict-session validate` lists all."""
    for problem in problems:
        raise problem


def rate_problems(modality: str, rate_hz: float) -> Iterator[RecordingError]:
    """What is wrong with a sampling rate."""
    if not (math.isfinite(rate_hz) and rate_hz > 0):
        yield RecordingError(
            f"{modality}: the sampling rate cannot be used",
            expected="a positive number of Hz",
            got=rate_hz,
            fix=f"Set the attribute sampling_rate of /signals/{modality}",
        )


def length_problems(modality: str, stop_s: float, sampled_s: float) -> Iterator[ClockError]:
    """Times that no sitting has: days, or few samples that claim days,
    so that nearly all is gap.
    """
    if stop_s > LONGEST_S:
        yield ClockError(
            f"{modality}: the last sample lies {stop_s / 86400:.0f} days after the start",
            expected=f"at most {LONGEST_S / 86400:.0f}",
            fix="Count timestamps in seconds from start_time (not Unix time)",
        )
    elif stop_s > LONGEST_GAPS_S + GAPS_PER_SAMPLED_S * sampled_s:
        yield ClockError(
            f"{modality}: nearly all of it is missing",
            expected=f"gaps of at most {LONGEST_GAPS_S / 3600:.0f} h, "
            f"or {GAPS_PER_SAMPLED_S:.0f} times the samples",
            got=f"{sampled_s:.0f} s of samples in {stop_s / 3600:.0f} h",
            fix="Count timestamps in seconds from start_time, or cut the recording into its parts",
        )


def channel_problems(
    modality: str, shape: tuple[int, ...], names: Sequence[str]
) -> Iterator[RecordingError]:
    """Where the columns of the data are not one per distinct channel name."""
    if len(shape) != 2 or shape[1] != len(names):
        yield RecordingError(
            f"{modality}: data and channel names disagree",
            expected=f"data of shape (samples, {len(names)})",
            got=tuple(shape),
            fix="Write data time first, one column per channel name",
        )
    counts = Counter(canonical_channel(name) for name in names)
    twice = sorted(name for name, count in counts.items() if count > 1)
    if twice:
        yield RecordingError(
            f"{modality}: channel {', '.join(twice)} is there twice",
            expected="each channel once",
            got=" ".join(names),
            fix="Rename or remove one of them",
        )


def clock_problems(
    modality: str, name: str, values: NDArray[Any], sample_count: int
) -> Iterator[ClockError]:
    """Where timestamps or counters are not one per sample, finite and growing:
    the first place of each kind.
    """
    if values.shape != (sample_count,):
        yield ClockError(
            f"{modality}: {name} and data disagree",
            expected=f"one of {name} per sample, shape ({sample_count},)",
            got=values.shape,
            fix=f"Write one of {name} per sample, or leave it out",
        )
    if values.dtype.kind not in "fiu" or not np.isfinite(values).all():
        yield ClockError(
            f"{modality}: {name} holds something that is not a finite number",
            expected="a finite number per sample",
            fix=f"Leave the {name} out, or write it whole",
        )
        return
    # Compared, not subtracted: an unsigned counter that runs back has a positive difference.
    back = np.flatnonzero(values[1:] <= values[:-1])
    if len(back):
        at = int(back[0])
        yield ClockError(
            f"{modality}: the values of {name} stand still or run back at sample {at + 1}",
            expected="values that grow from sample to sample",
            got=f"{values[at]} then {values[at + 1]}",
            fix=f"Sort the samples by time, or leave {name} out",
        )


def trial_problems(
    start_s: FloatArray, stop_s: FloatArray, trial_id: Sequence[str]
) -> Iterator[RecordingError]:
    """A trial stops after it starts, and before the next one starts: a second has one truth."""
    if not len(start_s) == len(stop_s) == len(trial_id):
        yield RecordingError(
            "trials: start, stop and trial_id differ in length",
            expected="one of each per trial",
            got=f"{len(start_s)}, {len(stop_s)} and {len(trial_id)}",
            fix="Write the three with one entry per trial",
        )
        return
    last: int | None = None
    for at in np.argsort(start_s, kind="stable").tolist():
        if not stop_s[at] > start_s[at]:
            yield RecordingError(
                f"trials: trial '{trial_id[at]}' does not stop after it starts",
                expected="start < stop, in seconds",
                got=f"{start_s[at]:g} to {stop_s[at]:g}",
                fix="Correct its times",
            )
        if last is not None and start_s[at] < stop_s[last]:
            yield RecordingError(
                f"trials: '{trial_id[last]}' and '{trial_id[at]}' overlap",
                expected="one trial at a time",
                got=f"the first stops at {stop_s[last]:g} s, "
                f"the second starts at {start_s[at]:g} s",
                fix="Correct their times, or keep one of them",
            )
        last = at if last is None or stop_s[at] > stop_s[last] else last


def distribution_problems(
    values: NDArray[np.float64],
    name_row: Callable[[int], str],
    *,
    error: type[InputError] = RecordingError,
) -> Iterator[InputError]:
    """Each row of (rows, labels) that is not non-negative with sum 1."""
    sums = values.sum(axis=1)
    bad = np.flatnonzero(~((values >= 0).all(axis=1) & (np.abs(sums - 1) <= LABEL_SUM_ATOL)))
    several = f" ({len(bad)} such rows)" if len(bad) > 1 else ""
    for row in bad.tolist():
        yield error(
            f"{name_row(row)} is not a distribution{several}",
            expected="non-negative numbers that sum to 1",
            got=f"sum {sums[row]:.6g}, smallest {values[row].min():.4g}",
            fix="Divide each row of scores by its sum",
        )


def _face_problems(form: str, shape: tuple[int, ...]) -> Iterator[RecordingError]:
    expected = {
        "embedding": ("frames", "dims"),
        "frames": ("frames", "height", "width", "3"),
        "jpeg": ("frames",),
    }[form]
    if len(shape) != len(expected) or (form == "frames" and shape[3] != 3):
        yield RecordingError(
            f"video: {form} has the wrong shape", expected=f"({', '.join(expected)})", got=shape
        )
    elif form == "frames" and shape[1] * shape[2] > MOST_PIXELS:
        yield RecordingError(
            "video: the frames are too large", expected=f"at most {MOST_PIXELS} pixels", got=shape
        )
