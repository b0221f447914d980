"""session.h5, format "emodict-session" version 1: read as a stream, written whole."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from emodict.errors import ClockError, RecordingError
from emodict.files.atomic import atomic_path
from emodict.files.hdf5 import DAMAGE, check_contents, check_cut_off, members, open_to_read
from emodict.recording.recording import Event, FaceVideo, Recording, Samples, Signal, Trials
from emodict.recording.unfinished import (
    FirstRows,
    is_cut_off,
    is_unfinished,
    rows_written,
    what_became_of,
)

if TYPE_CHECKING:
    import h5py

_T = TypeVar("_T")

FORMAT = "emodict-session"
FORMAT_VERSION = 1
CHUNK_S = 10.0
# Far beyond every recording, far within every memory.
MOST_TRIALS, MOST_LABELS, MOST_EVENTS = 100_000, 100, 500_000
HOW_TO_GET_ONE = (
    "emodict-session import makes one from recordings of other makers (docs/importing.md); "
    "emodict.recording.write_session from anything else (docs/session-format.md)"
)
ROOT_ATTRIBUTES = ("session_id", "subject_id", "start_time", "device", "software")


def open_session(path: str | os.PathLike[str]) -> Recording:
    """Open a session.h5, in a `with` or until `close`;
    its samples stay in the file and are read as they are sliced.

    Of a session whose recording was cut off, or still goes on, all is read that is whole;
    `attributes["recording"]` then says so. A modality that cannot be used is left out where there
    are others: see `unusable`.

    Raises:
        RecordingError: the file is missing, is not HDF5, is cut off,
            or is not a session of version 1.
    """
    with contextlib.ExitStack() as opened:
        file = opened.enter_context(open_hdf5(Path(path)))
        check_format(file, path)
        try:
            recording = _read_recording(file, Path(path))
        except RecordingError as error:
            raise _said_of(path, error) from error
        except DAMAGE as error:
            raise RecordingError(
                f"{path} is damaged or incomplete: {error}",
                fix=f"emodict-session validate '{path}'",
            ) from error
        opened.pop_all()
        return recording


def write_session(recording: Recording, path: str | os.PathLike[str]) -> None:
    """Write a recording as session.h5, whole or not at all; data as float32, gzip + shuffle."""
    from emodict.files.hdf5_writing import hdf5_to_write

    with atomic_path(path) as part, hdf5_to_write(part, "w") as file:
        own = {name: getattr(recording, name) for name in ROOT_ATTRIBUTES}
        own |= {"format": FORMAT, "format_version": FORMAT_VERSION}
        for name, value in {**recording.attributes, **own}.items():
            file.attrs[name] = _fit(value) if isinstance(value, str) else value
        for signal in recording.signals.values():
            _write_signal(file, signal)
        if recording.face is not None:
            write_face(file, recording.face, Path(path).parent)
        if recording.trials is not None:
            write_trials(file, recording.trials)
        if recording.events:
            _write_events(file, recording.events)


def open_hdf5(path: Path) -> h5py.File:
    """Open an HDF5 file for reading.

    Raises:
        RecordingError: it is missing, cannot be read, is not HDF5, is cut off,
            or could do harm (see check_contents).
    """
    import h5py

    if not path.is_file():
        raise RecordingError(
            f"There is no file {path}" if not path.exists() else f"{path} is a folder",
            expected="a session.h5",
            fix=f"Check the path. {HOW_TO_GET_ONE}",
        )
    if not os.access(path, os.R_OK):
        raise RecordingError(f"{path} cannot be read: no permission", fix=f"chmod u+r '{path}'")
    if not h5py.is_hdf5(path):
        from emodict.files.mistaken import mistaken_for

        starts = (
            f"a file that starts with {_head(path)!r}" if path.stat().st_size else "an empty file"
        )
        got, fix = mistaken_for(path) or (starts, HOW_TO_GET_ONE)
        raise RecordingError(
            f"{path} is not an HDF5 file", expected="a session.h5", got=got, fix=fix
        )
    file = _opened(path)
    try:
        check_contents(file)
    except RecordingError:
        file.close()
        raise
    return file


def _opened(path: Path) -> h5py.File:
    try:
        return open_to_read(path)
    except OSError as error:
        with contextlib.suppress(*DAMAGE):
            # A recording that nobody closed, or that still goes on.
            if is_cut_off(path):
                check_cut_off(path)
            return open_to_read(path, swmr=True)
        raise RecordingError(
            f"{path} is HDF5 but cannot be opened, probably cut off: {error}",
            fix="Copy or record it again",
        ) from error


def _head(path: Path) -> bytes:
    with path.open("rb") as handle:
        return handle.read(8)


def check_format(file: h5py.File, path: str | os.PathLike[str]) -> None:
    """Refuse HDF5 that is not a session of this version."""
    try:
        format_name, version = (
            read_text(file.attrs.get("format", "")),
            file.attrs.get("format_version"),
        )
    except DAMAGE as error:
        raise RecordingError(
            f"{path} is damaged: {error}", fix="Copy or record it again"
        ) from error
    if format_name != FORMAT:
        results = format_name == "emodict-predictions"
        raise RecordingError(
            f"{path} is HDF5 but not a session",
            expected=f"the attribute format = '{FORMAT}'",
            got=repr(format_name) if format_name else "no such attribute",
            fix="It holds results of emodict-run: leave it out, or keep results elsewhere"
            if results
            else HOW_TO_GET_ONE,
        )
    if version != FORMAT_VERSION:
        raise RecordingError(
            f"{path} is a session of another version",
            expected=f"format_version {FORMAT_VERSION}",
            got="no such attribute" if version is None else version,
            fix="Read it with the emodict that wrote it",
        )


def _read_recording(file: h5py.File, path: Path) -> Recording:
    unusable: dict[str, RecordingError] = {}
    found = members(file.get("signals", {}))
    read = {
        name: _unless_broken(unusable, name, read_signal, name, group)
        for name, group in found.items()
    }
    signals = {name: signal for name, signal in read.items() if signal is not None}
    face = file.get("video/face")
    face = None if face is None else _unless_broken(unusable, "video", read_face, face, path)
    if unusable and not signals and face is None:
        raise next(iter(unusable.values()))
    sentences = {name: str(_said_of(path, error)) for name, error in unusable.items()}
    return Recording(
        signals=signals, face=face, unusable=sentences, file=file, **other_fields(file, path)
    )


def other_fields(file: h5py.File, path: Path) -> dict[str, Any]:
    """What Recording is made of besides its signals and its face."""
    texts = {name: read_text(value) for name, value in members(file.attrs).items()}
    unfinished = {"recording": what_became_of(path)} if is_unfinished(file) else {}
    own = (*ROOT_ATTRIBUTES, "format", "format_version")
    return {
        **{name: texts.get(name, "") for name in ROOT_ATTRIBUTES},
        "trials": read_trials(file["trials"]) if "trials" in file else None,
        "events": read_events(file["events"]) if "events" in file else (),
        "attributes": {name: text for name, text in texts.items() if name not in own} | unfinished,
    }


def _unless_broken(
    broken: dict[str, RecordingError], name: str, read: Callable[..., _T], *args: Any
) -> _T | None:
    """One modality; of one that is broken, its error is kept,
    without the frames that hold the file.
    """
    try:
        return read(*args)
    except RecordingError as error:
        broken[name] = error.with_traceback(None)
    except DAMAGE as error:
        broken[name] = RecordingError(f"{name}: is damaged: {error}", fix="Copy or record it again")
    return None


def _said_of(path: str | os.PathLike[str], error: RecordingError) -> RecordingError:
    """An error of a file's content with the file's name,
    and the way to repair it where there is one.
    """
    fix = (
        f"Or emodict-session repair '{path}' -o REPAIRED.h5"
        if isinstance(error, ClockError)
        else None
    )
    return RecordingError(f"{path}: {error}", fix=fix)


def missing_parts(group: h5py.Group) -> list[str]:
    """What a signal cannot do without and this group does not have."""
    missing = [] if "data" in group else ["dataset 'data'"]
    return missing + [
        f"attribute '{n}'" for n in ("sampling_rate", "units") if n not in group.attrs
    ]


def read_channel_names(modality: str, group: h5py.Group) -> tuple[str, ...]:
    """The attribute channel_names, be it many names or one; a signal without it is one channel."""
    return _texts(group.attrs.get("channel_names", modality))


def read_signal(modality: str, group: h5py.Group) -> Signal:
    """/signals/<modality>; its samples stay in the file."""
    return Signal(**signal_fields(modality, group))


def signal_fields(modality: str, group: h5py.Group) -> dict[str, Any]:
    """What Signal is made of, its times and channels unchecked."""
    missing = missing_parts(group)
    if missing:
        raise RecordingError(
            f"{modality}: /signals/{modality} has no {', no '.join(missing)}",
            fix="Write it with emodict.recording.write_session, "
            "or add what is missing (docs/session-format.md)",
        )
    if group["data"].dtype.kind not in "fiu":
        raise RecordingError(
            f"{modality}: data holds no numbers",
            expected="floating point or whole numbers",
            got=group["data"].dtype,
            fix="Write the samples as float32",
        )
    unfinished = is_unfinished(group) and "timestamps" in group
    rows = rows_written(group, "timestamps", "data") if unfinished else None
    return {
        "modality": modality,
        "rate_hz": _number(group.attrs["sampling_rate"], f"{modality}: sampling_rate"),
        "unit": read_text(group.attrs["units"]),
        "channel_names": read_channel_names(modality, group),
        "samples": group["data"] if rows is None else FirstRows(group["data"], rows),
        "reference": read_text(group.attrs.get("reference", "")),
        "start_offset_s": _number(
            group.attrs.get("start_offset", 0.0), f"{modality}: start_offset"
        ),
        "timestamps_s": group["timestamps"][:rows].astype(np.float64)
        if "timestamps" in group
        else None,
        "sequence": group["sequence"][:] if "sequence" in group else None,
    }


def read_face(group: h5py.Group, path: Path) -> FaceVideo:
    """/video/face; its pictures or embeddings stay in the file at `path`."""
    external = group.attrs.get("external_file")
    rate = group.attrs.get("frame_rate")
    times_s = group["timestamps"][:].astype(np.float64) if "timestamps" in group else np.empty(0)
    embedding = group.get("embedding")
    if is_unfinished(group) and embedding is not None:
        rows = rows_written(group, "timestamps", "embedding")
        times_s, embedding = times_s[:rows], FirstRows(embedding, rows)
    for name in ("embedding", "frames"):
        if name in group and group[name].dtype.kind not in "fiu":
            raise RecordingError(
                f"video: {name} holds no numbers", got=group[name].dtype, fix="Record it again"
            )
    return FaceVideo(
        timestamps_s=times_s,
        embedding=embedding,
        frames=group.get("frames"),
        jpeg=group.get("jpeg"),
        external_file=None
        if external is None
        else str(path.parent.absolute() / read_text(external)),
        frame_rate_hz=None if rate is None else _number(rate, "video: frame_rate"),
        color_order=read_text(group.attrs.get("color_order", "BGR")),
        features=read_text(group.attrs.get("features", "")),
    )


def _require_few(group: h5py.Group, names: Sequence[str], most: int) -> None:
    """Refuse more entries than any recording has: each becomes an object."""
    for name in names:
        if name in group and group[name].size is not None and group[name].size > most:
            raise RecordingError(
                f"{group.name.lstrip('/')}: {name} is too large",
                expected=f"at most {most} entries",
                got=group[name].size,
            )


def read_trials(group: h5py.Group) -> Trials:
    """/trials."""
    return Trials(**trial_fields(group))


def trial_fields(group: h5py.Group) -> dict[str, Any]:
    """What Trials is made of, unchecked."""
    _require_few(group, ("start", "stop", "trial_id"), MOST_TRIALS)
    _require_few(group, ("distribution",), MOST_TRIALS * MOST_LABELS)
    truth = group["distribution"][:].astype(np.float64) if "distribution" in group else None
    return {
        "start_s": group["start"][:].astype(np.float64),
        "stop_s": group["stop"][:].astype(np.float64),
        "trial_id": tuple(read_text(name) for name in group["trial_id"][:]),
        "distribution": truth,
        "label_names": _texts(group.attrs.get("label_names", ())),
    }


def read_events(group: h5py.Group) -> tuple[Event, ...]:
    """/events."""
    names = ("onset", "code", "description")
    _require_few(group, names, MOST_EVENTS)
    rows = rows_written(group, *names) if is_unfinished(group) else None
    columns = [group[name][:rows] for name in names]
    return tuple(Event(float(o), int(c), read_text(d)) for o, c, d in zip(*columns, strict=True))


def _write_signal(file: h5py.File, signal: Signal) -> None:
    group = file.create_group(f"signals/{signal.modality}")
    rows = max(1, min(signal.sample_count, round(signal.rate_hz * CHUNK_S)))
    data = _create_streamed(group, "data", np.float32, signal.samples.shape, rows)
    # Chunk by chunk, so that a recording in another file is never in memory whole.
    for start in range(0, signal.sample_count, rows):
        data[start : start + rows] = signal.read(start, start + rows)
    group.attrs["sampling_rate"] = signal.rate_hz
    group.attrs["units"] = _fit(signal.unit)
    group.attrs["channel_names"] = [_fit(name) for name in signal.channel_names]
    group.attrs["reference"] = _fit(signal.reference)
    group.attrs["start_offset"] = signal.start_offset_s
    for name, values in (("timestamps", signal.timestamps_s), ("sequence", signal.sequence)):
        if values is not None:
            group.create_dataset(name, data=values, compression="gzip", shuffle=True)


def write_face(file: h5py.File, face: FaceVideo, folder: Path) -> None:
    """/video/face of a session in this folder."""
    import h5py

    group = file.create_group("video/face")
    group.create_dataset("timestamps", data=np.asarray(face.timestamps_s, dtype=np.float64))
    if face.external_file is not None:
        group.attrs["external_file"] = _beside(Path(face.external_file), folder.absolute())
    elif face.embedding is not None:
        group.create_dataset("embedding", data=np.asarray(face.embedding[:], dtype=np.float32))
    elif face.frames is not None:
        _write_frames(group, face.frames)
    elif face.jpeg is not None:
        jpeg = group.create_dataset("jpeg", shape=face.jpeg.shape, dtype=h5py.vlen_dtype(np.uint8))
        for i in range(len(jpeg)):
            jpeg[i] = face.jpeg[i]
    if face.frame_rate_hz is not None:
        group.attrs["frame_rate"] = face.frame_rate_hz
    group.attrs["color_order"] = _fit(face.color_order)
    if face.features:
        group.attrs["features"] = _fit(face.features)


def _write_frames(group: h5py.Group, frames: Samples) -> None:
    data = _create_streamed(group, "frames", np.uint8, frames.shape, 1)
    for i in range(frames.shape[0]):
        data[i] = frames[i]


def _create_streamed(
    group: h5py.Group, name: str, dtype: type[np.generic], shape: tuple[int, ...], rows: int
) -> h5py.Dataset:
    """A compressed dataset, `rows` of its first axis per chunk."""
    if not all(shape):
        # HDF5 has no chunks for nothing.
        return group.create_dataset(name, shape=shape, dtype=dtype)
    chunks = (rows, *shape[1:])
    return group.create_dataset(
        name, shape=shape, dtype=dtype, chunks=chunks, compression="gzip", shuffle=True
    )


def _beside(video: Path, folder: Path) -> str:
    """A video in the session's folder is named without that folder,
    so that both can move together.
    """
    return str(video.relative_to(folder) if video.is_relative_to(folder) else video)


def write_trials(file: h5py.File, trials: Trials) -> None:
    """/trials, which must not be there yet."""
    import h5py

    group = file.create_group("trials")
    group.create_dataset("start", data=np.asarray(trials.start_s, dtype=np.float64))
    group.create_dataset("stop", data=np.asarray(trials.stop_s, dtype=np.float64))
    group.create_dataset(
        "trial_id", data=[_fit(name) for name in trials.trial_id], dtype=h5py.string_dtype()
    )
    if trials.distribution is not None:
        group.create_dataset("distribution", data=np.asarray(trials.distribution, dtype=np.float64))
        group.attrs["label_names"] = [_fit(name) for name in trials.label_names]


def _write_events(file: h5py.File, events: tuple[Event, ...]) -> None:
    import h5py

    group = file.create_group("events")
    group.create_dataset("onset", data=np.array([e.onset_s for e in events], dtype=np.float64))
    group.create_dataset("code", data=np.array([e.code for e in events], dtype=np.int64))
    group.create_dataset(
        "description", data=[_fit(e.description) for e in events], dtype=h5py.string_dtype()
    )


def read_text(value: Any) -> str:
    """An attribute or an entry as text, whatever it was written as."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _fit(text: str) -> str:
    """What HDF5 can hold of a text that came from another file: no NUL,
    and nothing that UTF-8 has no bytes for.
    """
    return text.replace("\0", "").encode("utf-8", "replace").decode()


def _texts(value: Any) -> tuple[str, ...]:
    """An attribute of one string or of many."""
    return tuple(read_text(item) for item in np.ravel(np.asarray(value, dtype=object)))


def _number(value: Any, name: str) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        raise RecordingError(
            f"{name} is not a number",
            expected="a number",
            got=repr(value),
            fix="Correct the attribute",
        ) from None
