"""session.h5, format "emodict-session" version 1: read as a stream, written whole."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from emodict.atomic import atomic_path
from emodict.errors import RecordingError
from emodict.recording import Event, FaceVideo, Recording, Signal, Trials

if TYPE_CHECKING:
    import h5py

FORMAT = "emodict-session"
FORMAT_VERSION = 1
CHUNK_S = 10.0
_ROOT_ATTRIBUTES = ("session_id", "subject_id", "start_time", "device", "software")


@contextlib.contextmanager
def open_session(path: str | os.PathLike[str]) -> Iterator[Recording]:
    """Open a session.h5; its samples stay in the file and are read as they are sliced.

    Raises:
        RecordingError: the file is missing, is not HDF5, is cut off, or is not a session of version 1.
    """
    with _open_hdf5(Path(path)) as file:
        _check_format(file, path)
        try:
            recording = _read_recording(file, Path(path))
        except (KeyError, TypeError, ValueError, OSError) as error:
            raise RecordingError(
                f"{path} is damaged or incomplete: {error}", fix=f"emodict-session validate '{path}'"
            ) from error
        yield recording


def write_session(recording: Recording, path: str | os.PathLike[str]) -> None:
    """Write a recording as session.h5, whole or not at all; data as float32, gzip + shuffle."""
    import h5py

    with atomic_path(path) as part, h5py.File(part, "w") as file:
        file.attrs["format"] = FORMAT
        file.attrs["format_version"] = FORMAT_VERSION
        for name in _ROOT_ATTRIBUTES:
            file.attrs[name] = getattr(recording, name)
        for name, value in recording.attributes.items():
            file.attrs[name] = value
        for signal in recording.signals.values():
            _write_signal(file, signal)
        if recording.face is not None:
            _write_face(file, recording.face)
        if recording.trials is not None:
            _write_trials(file, recording.trials)
        if recording.events:
            _write_events(file, recording.events)


def _open_hdf5(path: Path) -> h5py.File:
    import h5py

    if not path.is_file():
        raise RecordingError(
            f"There is no file {path}" if not path.exists() else f"{path} is a folder",
            expected="a session.h5",
            fix="Check the path; emodict-session import makes a session from other recordings",
        )
    if not h5py.is_hdf5(path):
        raise RecordingError(
            f"{path} is not an HDF5 file",
            expected="a session.h5",
            got=f"a file that starts with {_head(path)!r}",
            fix="emodict-session import makes a session from other recordings",
        )
    try:
        return h5py.File(path, "r")
    except OSError as error:
        raise RecordingError(
            f"{path} is HDF5 but cannot be opened, probably cut off: {error}",
            fix="Copy or record it again",
        ) from error


def _head(path: Path) -> bytes:
    with path.open("rb") as handle:
        return handle.read(8)


def _check_format(file: h5py.File, path: str | os.PathLike[str]) -> None:
    format_name, version = _text(file.attrs.get("format", "")), file.attrs.get("format_version")
    if format_name != FORMAT:
        raise RecordingError(
            f"{path} is HDF5 but not a session",
            expected=f"the attribute format = '{FORMAT}'",
            got=repr(format_name) if format_name else "no such attribute",
            fix="emodict-session import makes a session from other recordings",
        )
    if version != FORMAT_VERSION:
        raise RecordingError(
            f"{path} is a session of another version",
            expected=f"format_version {FORMAT_VERSION}",
            got=version,
            fix="Read it with the emodict that wrote it",
        )


def _read_recording(file: h5py.File, path: Path) -> Recording:
    signals = {name: _read_signal(name, group) for name, group in file.get("signals", {}).items()}
    face = file.get("video/face")
    return Recording(
        **{name: _text(file.attrs.get(name, "")) for name in _ROOT_ATTRIBUTES},
        signals=signals,
        face=None if face is None else _read_face(face, path),
        trials=_read_trials(file["trials"]) if "trials" in file else None,
        events=_read_events(file["events"]) if "events" in file else (),
        attributes={
            k: _text(v)
            for k, v in file.attrs.items()
            if k not in (*_ROOT_ATTRIBUTES, "format", "format_version")
        },
    )


def _read_signal(modality: str, group: h5py.Group) -> Signal:
    for name, kind in (("data", "dataset"), ("sampling_rate", "attribute"), ("units", "attribute")):
        if name not in (group if kind == "dataset" else group.attrs):
            raise RecordingError(f"/signals/{modality} has no {kind} '{name}'")
    if group["data"].dtype.kind not in "fiu":
        raise RecordingError(f"/signals/{modality}/data holds no numbers", got=group["data"].dtype)
    names = group.attrs.get("channel_names", [modality])
    return Signal(
        modality=modality,
        rate_hz=_number(group.attrs["sampling_rate"], f"/signals/{modality} sampling_rate"),
        unit=_text(group.attrs["units"]),
        channel_names=tuple(_text(name) for name in names),
        samples=group["data"],
        reference=_text(group.attrs.get("reference", "")),
        start_offset_s=_number(group.attrs.get("start_offset", 0.0), f"/signals/{modality} start_offset"),
        timestamps_s=group["timestamps"][:].astype(np.float64) if "timestamps" in group else None,
        sequence=group["sequence"][:] if "sequence" in group else None,
    )


def _read_face(group: h5py.Group, path: Path) -> FaceVideo:
    external = group.attrs.get("external_file")
    rate = group.attrs.get("frame_rate")
    return FaceVideo(
        timestamps_s=group["timestamps"][:] if "timestamps" in group else np.empty(0),
        embedding=group.get("embedding"),
        frames=group.get("frames"),
        jpeg=group.get("jpeg"),
        external_file=None if external is None else str(path.parent / _text(external)),
        frame_rate_hz=None if rate is None else _number(rate, "/video/face frame_rate"),
        color_order=_text(group.attrs.get("color_order", "BGR")),
    )


def _read_trials(group: h5py.Group) -> Trials:
    truth = group["distribution"][:].astype(np.float64) if "distribution" in group else None
    names = tuple(_text(name) for name in group.attrs.get("label_names", ()))
    return Trials(
        start_s=group["start"][:].astype(np.float64),
        stop_s=group["stop"][:].astype(np.float64),
        trial_id=tuple(_text(name) for name in group["trial_id"][:]),
        distribution=truth,
        label_names=names,
    )


def _read_events(group: h5py.Group) -> tuple[Event, ...]:
    columns = (group["onset"][:], group["code"][:], group["description"][:])
    return tuple(Event(float(o), int(c), _text(d)) for o, c, d in zip(*columns, strict=True))


def _write_signal(file: h5py.File, signal: Signal) -> None:
    group = file.create_group(f"signals/{signal.modality}")
    rows = max(1, min(signal.sample_count, round(signal.rate_hz * CHUNK_S)))
    data = group.create_dataset(
        "data",
        shape=signal.samples.shape,
        dtype=np.float32,
        chunks=(rows, signal.samples.shape[1]),
        compression="gzip",
        shuffle=True,
    )
    # Chunk by chunk, so that a recording in another file is never in memory whole.
    for start in range(0, signal.sample_count, rows):
        data[start : start + rows] = signal.samples[start : start + rows]
    group.attrs["sampling_rate"] = signal.rate_hz
    group.attrs["units"] = signal.unit
    group.attrs["channel_names"] = list(signal.channel_names)
    group.attrs["reference"] = signal.reference
    group.attrs["start_offset"] = signal.start_offset_s
    for name, values in (("timestamps", signal.timestamps_s), ("sequence", signal.sequence)):
        if values is not None:
            group.create_dataset(name, data=values, compression="gzip", shuffle=True)


def _write_face(file: h5py.File, face: FaceVideo) -> None:
    import h5py

    group = file.create_group("video/face")
    group.create_dataset("timestamps", data=np.asarray(face.timestamps_s, dtype=np.float64))
    if face.external_file is not None:
        group.attrs["external_file"] = face.external_file
    elif face.embedding is not None:
        group.create_dataset("embedding", data=np.asarray(face.embedding[:], dtype=np.float32))
    elif face.frames is not None:
        group.create_dataset("frames", data=face.frames[:], compression="gzip", shuffle=True)
    else:
        group.create_dataset("jpeg", data=face.jpeg, dtype=h5py.vlen_dtype(np.uint8))
    if face.frame_rate_hz is not None:
        group.attrs["frame_rate"] = face.frame_rate_hz
    group.attrs["color_order"] = face.color_order


def _write_trials(file: h5py.File, trials: Trials) -> None:
    import h5py

    group = file.create_group("trials")
    group.create_dataset("start", data=np.asarray(trials.start_s, dtype=np.float64))
    group.create_dataset("stop", data=np.asarray(trials.stop_s, dtype=np.float64))
    group.create_dataset("trial_id", data=list(trials.trial_id), dtype=h5py.string_dtype())
    if trials.distribution is not None:
        group.create_dataset("distribution", data=np.asarray(trials.distribution, dtype=np.float64))
        group.attrs["label_names"] = list(trials.label_names)


def _write_events(file: h5py.File, events: tuple[Event, ...]) -> None:
    import h5py

    group = file.create_group("events")
    group.create_dataset("onset", data=np.array([e.onset_s for e in events], dtype=np.float64))
    group.create_dataset("code", data=np.array([e.code for e in events], dtype=np.int64))
    group.create_dataset(
        "description", data=[e.description for e in events], dtype=h5py.string_dtype()
    )


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _number(value: Any, name: str) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        raise RecordingError(f"{name} is not a number", got=repr(value)) from None
