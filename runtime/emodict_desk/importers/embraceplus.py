"""Empatica EmbracePlus: the Avro files that the wristband's cloud delivers,
one for every 15 to 30 minutes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emodict.errors import MissingDependencyError, RecordingError
from emodict.recording.recording import Event, Recording, Signal
from emodict_desk.importers.avro_blocks import Bounded, check_blocks
from emodict_desk.importers.clock import start_and_times, utc_text
from emodict_desk.importers.form import Form
from emodict_desk.importers.kinds import check_there, read_head, wrong_kind
from emodict_desk.importers.spool import Growing, Spool
from emodict_desk.recordings.account import Account

_EXPECTED = "an EmbracePlus .avro file, or a folder of them"
_MAGIC = b"Obj\x01"
# Field of rawData, modality, unit, nominal rate. Empatica writes BVP in nW, EDA in uS.
_SENSORS = (("bvp", "ppg", "a.u.", 64.0), ("eda", "gsr", "uS", 4.0))
_TAG_CODE = 1
# The device's own clock is off by this much at most; beyond it is another rate.
_RATE_TOLERANCE = 0.01
# In a short file the rate is an estimate over its samples, of which one more or less lies within.
_ESTIMATED_SAMPLES = 1.0
# Files that meet overlap by some samples where the two clocks differ;
# more than this, and one is there twice.
_OVERLAP_S = 2.0


def read_embraceplus(
    source: Path, /, *, subject_id: str | None = None, session_id: str | None = None
) -> Recording:
    """Read Empatica EmbracePlus raw data: an .avro file, or the folder of one day's files.

    Files are joined in the order of their time; pauses between them are gaps, and a file of a
    folder that cannot be read is one, too, and named. rawData.bvp becomes ppg, rawData.eda gsr,
    tags events (schema of Empatica's support article "Raw data in the Empatica Cloud").

    Raises:
        RecordingError: no file that can be read, or the same time twice.
        MissingDependencyError: fastavro is not installed.
    """
    path = Path(source)
    files = _files(path)
    account = Account(
        f"EmbracePlus {'file' if path.is_file() else f'folder, {len(files)} files,'} {path.name}"
    )
    joined = _Joined(account)
    for file in sorted(files, key=_start_in_name):
        joined.take(file, may_be_left_out=len(files) > 1)
    if joined.first_refusal is not None and not joined.streams:
        raise joined.first_refusal
    if not joined.streams:
        raise RecordingError(f"{path} holds no samples of BVP or EDA", expected=_EXPECTED)
    origin_s = min(stream.times_s[0] for stream in joined.streams.values())
    start = utc_text(origin_s)
    if start is None:
        raise RecordingError(
            f"{path}: the start is not a time",
            expected="microseconds since 1970",
            got=origin_s * 1e6,
        )
    return Recording(
        session_id=session_id or path.stem,
        subject_id=subject_id or joined.participant or path.stem,
        signals={m: stream.signal(m, origin_s) for m, stream in joined.streams.items()},
        events=tuple(
            Event(tag_s - origin_s, _TAG_CODE, "button") for tag_s in sorted(joined.tags_s)
        ),
        start_time=start,
        device="Empatica EmbracePlus",
        attributes=account.attributes(),
    )


def looks_like_embraceplus(path: Path, head: bytes) -> bool:
    """An Avro file, or a folder that holds one."""
    return head.startswith(_MAGIC) or (path.is_dir() and any(path.glob("*.avro")))


@dataclass
class _Stream:
    rate_hz: float
    unit: str
    samples: Spool = field(default_factory=lambda: Spool(1))
    times: Growing = field(default_factory=Growing)

    @property
    def times_s(self) -> NDArray[np.float64]:
        return self.times.all()

    def signal(self, modality: str, origin_s: float) -> Signal:
        start_s, times_s = start_and_times(self.times_s - origin_s, self.rate_hz)
        return Signal(
            modality, self.rate_hz, self.unit, (modality,), self.samples, "", start_s, times_s
        )


@dataclass(frozen=True)
class _Part:
    """What one file has of one sensor; times_s is (samples,) Unix time."""

    name: str
    modality: str
    rate_hz: float
    unit: str
    values: NDArray[np.float32]
    times_s: NDArray[np.float64]


class _Joined:
    """What the files read so far hold together."""

    def __init__(self, account: Account) -> None:
        self.account = account
        self.streams: dict[str, _Stream] = {}
        self.tags_s: list[float] = []
        self.participant = ""
        self.first_refusal: RecordingError | None = None

    def take(self, file: Path, *, may_be_left_out: bool) -> None:
        """Add the file; one that cannot be read is named where it may be left out.

        Raises:
            RecordingError: it cannot be read, or holds the time of the one before it again.
        """
        try:
            raw, parts, tags_s, participant = _contents(file)
        except RecordingError as refusal:
            if not may_be_left_out:
                raise
            self.first_refusal = self.first_refusal or refusal
            why = str(refusal).removeprefix(str(file)).partition(". ")[0].strip(" :,.")
            self.account.leave_out(file.name, why)
            return
        for part in parts:
            self._append(part, file)
        for name in {name for name, *_ in _SENSORS} - {part.name for part in parts}:
            self.account.leave_out(f"{name} of {file.name}", "no samples")
        self.tags_s += tags_s
        self.participant = participant or self.participant
        self._leave_out_others(raw)

    def _leave_out_others(self, raw: dict[str, Any]) -> None:
        known = {name for name, *_ in _SENSORS} | {"tags"}
        others = (n for n, part in raw.items() if n not in known and _holds_something(part))
        for name in sorted(others):
            if f"{name} (not used)" not in self.account.left_out:
                self.account.leave_out(name, "not used")

    def _append(self, part: _Part, file: Path) -> None:
        stream = self.streams.setdefault(part.modality, _Stream(part.rate_hz, part.unit))
        after = part.times_s > stream.times.last
        overlap_s = stream.times.last - part.times_s[0]
        if overlap_s > _OVERLAP_S:
            raise RecordingError(
                f"{file}: {part.name} starts {overlap_s:.1f} s before the file before it ends",
                expected="files that follow on each other",
                fix="Take files that are there twice, or of another wristband, out of the folder",
            )
        if not after.all():
            self.account.leave_out(
                f"{int((~after).sum())} samples of {part.name} in {file.name}",
                "before the last file's end",
            )
        stream.samples.append(part.values[after, None])
        stream.times.append(part.times_s[after])


def _contents(file: Path) -> tuple[dict[str, Any], list[_Part], list[float], str]:
    """rawData, its sensors, the tags (Unix time in s), and the participant's code."""
    try:
        content = _load(file)
        raw = content.get("rawData")
        if not isinstance(raw, dict):
            raise RecordingError(
                f"{file} is Avro of another schema",
                expected="a record with rawData",
                got=[*content],
            )
        found = (_part(raw.get(row[0]) or {}, file, *row) for row in _SENSORS)
        tags_s = [float(t) / 1e6 for t in (raw.get("tags") or {}).get("tagsTimeMicros") or ()]
        participant = str((content.get("enrollment") or {}).get("participantID") or "")
        return raw, [part for part in found if part is not None], tags_s, participant
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise RecordingError(
            f"{file} is Avro of another schema: {type(error).__name__}: {error}",
            expected=_EXPECTED,
        ) from error


def _part(
    part: dict[str, Any], file: Path, name: str, modality: str, unit: str, nominal_hz: float
) -> _Part | None:
    """One sensor of a file; None where it has no samples.

    Raises:
        RecordingError: it was sampled at another rate than the sensor's.
    """
    values, rate_hz = part.get("values") or (), float(part.get("samplingFrequency") or 0.0)
    if not values or not rate_hz > 0:
        return None
    off = abs(rate_hz / nominal_hz - 1)
    if off > max(_RATE_TOLERANCE, _ESTIMATED_SAMPLES / len(values)):
        raise RecordingError(
            f"{file}: {name} has another sampling rate",
            expected=f"{nominal_hz:g} Hz",
            got=f"{rate_hz:g}",
        )
    placed_hz = nominal_hz if off > _RATE_TOLERANCE else rate_hz
    times_s = float(part["timestampStart"]) / 1e6 + np.arange(len(values)) / placed_hz
    return _Part(name, modality, nominal_hz, unit, np.asarray(values, dtype=np.float32), times_s)


def _holds_something(part: object) -> bool:
    return isinstance(part, dict) and any(
        isinstance(value, list) and value for value in part.values()
    )


def _files(path: Path) -> Sequence[Path]:
    if not path.is_dir():
        check_there(path, _EXPECTED)
        return [path]
    files = list(path.glob("*.avro"))
    if not files:
        raise wrong_kind(path, _EXPECTED)
    return files


def _start_in_name(file: Path) -> tuple[int, str]:
    """Files are called PARTICIPANT_UNIXTIME.avro."""
    last = file.stem.rpartition("_")[2]
    return (int(last) if last.isdigit() else 0), file.name


def _load(file: Path) -> dict[str, Any]:
    """The one record of the file."""
    if not read_head(file).startswith(_MAGIC):
        raise wrong_kind(file, _EXPECTED)
    try:
        import fastavro
    except ImportError:
        raise MissingDependencyError(
            "fastavro", extra="embraceplus", purpose="Reading EmbracePlus files"
        ) from None
    try:
        with Bounded(file) as handle:
            reader = fastavro.reader(handle)
            check_blocks(handle, reader.codec, reader.writer_schema)
            record = next(iter(reader), None)
    except Exception as error:
        # A cut-off file makes fastavro fail in too many ways to name.
        raise RecordingError(
            f"{file} is cut off or damaged: {type(error).__name__}: {error}".rstrip(": "),
            fix="Download it again",
        ) from error
    if not isinstance(record, dict):
        raise RecordingError(
            f"{file} holds no record", expected="one session", fix="Download it again"
        )
    return record


FORM = Form(read_embraceplus, looks_like_embraceplus)
