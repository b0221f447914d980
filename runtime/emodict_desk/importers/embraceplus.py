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
# Files that meet overlap by some samples where the two clocks differ;
# more than this, and one is there twice.
_OVERLAP_S = 2.0


def read_embraceplus(
    source: Path, /, *, subject_id: str | None = None, session_id: str | None = None
) -> Recording:
    """Read Empatica EmbracePlus raw data: an .avro file, or the folder of one day's files.

    Files are joined in the order of their time; pauses between them are gaps. rawData.bvp
    becomes ppg, rawData.eda gsr, tags events (schema of Empatica's support article "Raw data
    in the Empatica Cloud").

    Raises:
        RecordingError: no such file, one of another schema or cut off, or the same time twice.
        MissingDependencyError: fastavro is not installed.
    """
    path = Path(source)
    files = _files(path)
    account = Account(
        f"EmbracePlus {'file' if path.is_file() else f'folder, {len(files)} files,'} {path.name}"
    )
    joined = _Joined(account)
    for file in sorted(files, key=_start_in_name):
        try:
            joined.take(_load(file), file)
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise RecordingError(
                f"{file} is Avro of another schema: {type(error).__name__}: {error}",
                expected=_EXPECTED,
            ) from error
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


class _Joined:
    """What the files read so far hold together."""

    def __init__(self, account: Account) -> None:
        self.account = account
        self.streams: dict[str, _Stream] = {}
        self.tags_s: list[float] = []
        self.participant = ""

    def take(self, content: dict[str, Any], file: Path) -> None:
        raw = content.get("rawData")
        if not isinstance(raw, dict):
            raise RecordingError(
                f"{file} is Avro of another schema",
                expected="a record with rawData",
                got=[*content],
            )
        for name, modality, unit, rate_hz in _SENSORS:
            self._take_sensor(raw.get(name) or {}, file, name, _Stream(rate_hz, unit), modality)
        self.tags_s += [float(t) / 1e6 for t in (raw.get("tags") or {}).get("tagsTimeMicros") or ()]
        self.participant = str(
            (content.get("enrollment") or {}).get("participantID") or self.participant
        )
        known = {name for name, *_ in _SENSORS} | {"tags"}
        for name in sorted(
            n for n, part in raw.items() if n not in known and _holds_something(part)
        ):
            if f"{name} (not used)" not in self.account.left_out:
                self.account.leave_out(name, "not used")

    def _take_sensor(
        self, part: dict[str, Any], file: Path, name: str, empty: _Stream, modality: str
    ) -> None:
        values, rate_hz = part.get("values") or (), float(part.get("samplingFrequency") or 0.0)
        if not values or not rate_hz > 0:
            self.account.leave_out(f"{name} of {file.name}", "no samples")
            return
        if abs(rate_hz / empty.rate_hz - 1) > _RATE_TOLERANCE:
            raise RecordingError(
                f"{file}: {name} has another sampling rate",
                expected=f"{empty.rate_hz:g} Hz",
                got=f"{rate_hz:g}",
            )
        stream = self.streams.setdefault(modality, empty)
        times_s = float(part["timestampStart"]) / 1e6 + np.arange(len(values)) / rate_hz
        after = times_s > stream.times.last
        overlap_s = stream.times.last - times_s[0]
        if overlap_s > _OVERLAP_S:
            raise RecordingError(
                f"{file}: {name} starts {overlap_s:.1f} s before the file before it ends",
                expected="files that follow on each other",
                fix="Take files that are there twice, or of another wristband, out of the folder",
            )
        if not after.all():
            self.account.leave_out(
                f"{int((~after).sum())} samples of {name} in {file.name}",
                "before the last file's end",
            )
        stream.samples.append(np.asarray(values, dtype=np.float32)[after, None])
        stream.times.append(times_s[after])


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
