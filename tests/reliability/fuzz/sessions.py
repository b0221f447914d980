"""Targets: session.h5, whole, unfinished and as no HDF5 library would be asked to write it."""

from __future__ import annotations

import contextlib
import functools
import io
import itertools
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from tests.reliability.fuzz.edits import edits_of
from tests.reliability.fuzz.importers import use_recording
from tests.reliability.fuzz.target import Target

from emodict.errors import EmodictError
from emodict.face.video import face_frames
from emodict.features.spec import load_spec
from emodict.live.replay import ReplaySource
from emodict.recording.recording import Event, FaceVideo, Recording, Signal, Trials
from emodict.recording.session import open_session, write_session
from emodict_desk.importers.opensignals import read_opensignals
from emodict_desk.recordings.repair import repair_session
from emodict_desk.recordings.summary import inspect_session
from emodict_desk.recordings.validate import validate_session
from emodict_desk.tables.table import table_from_recording

SECONDS = 6
_SPEC = load_spec("emodict-1")


def small_recording(*, jpeg: bool = False) -> Recording:
    """Six seconds of a wrist and a face, one trial with truth, one event;
    every number is made up.
    """
    rng = np.random.default_rng(0)
    ppg = Signal("ppg", 100.0, "a.u.", ("ppg",), rng.normal(size=(SECONDS * 100, 1)).astype("f4"))
    times_s = np.arange(SECONDS * 4) / 4
    gsr = Signal(
        "gsr", 4.0, "uS", ("gsr",), 5 + times_s[:, None].astype("f4"), timestamps_s=times_s
    )
    frames_s = np.arange(SECONDS) + 0.5
    if jpeg:
        face = FaceVideo(frames_s, jpeg=_pictures())
    else:
        face = FaceVideo(frames_s, embedding=rng.normal(size=(SECONDS, 32)).astype("f4"))
    return Recording(
        "s",
        "p",
        {"ppg": ppg, "gsr": gsr},
        face,
        Trials(np.array([1.0]), np.array([5.0]), ("t",), np.full((1, 2), 0.5), ("a", "b")),
        (Event(2.0, 1, "x"),),
        "2025-01-31T00:21:17Z",
    )


def _pictures() -> Any:
    import cv2

    picture = cv2.imencode(".jpg", np.zeros((16, 16, 3), np.uint8))[1].reshape(-1)
    pictures = np.empty(SECONDS, dtype=object)
    pictures[:] = [picture] * SECONDS
    return pictures


@functools.cache
def session_bytes(*, jpeg: bool = False) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        write_session(small_recording(jpeg=jpeg), Path(folder) / "s.h5")
        return (Path(folder) / "s.h5").read_bytes()


# ---- edits of the objects in it ----


class _Choice:
    """Numbers of an edit, handed out one by one."""

    def __init__(self, what: int, value: int) -> None:
        self._left = what * 256 + value

    def of(self, many: Any) -> Any:
        self._left, at = divmod(self._left, len(many))
        return many[at]


_TYPES: tuple[Any, ...] = (
    "f4",
    "f8",
    "<f2",
    ">i4",
    "u8",
    "i1",
    "bool",
    "c8",
    "S1",
    "S300",
    h5py.string_dtype(),
    h5py.string_dtype("ascii"),
    h5py.vlen_dtype(np.uint8),
    h5py.vlen_dtype(np.float64),
    h5py.enum_dtype({"a": 0, "b": 1}),
    h5py.ref_dtype,
    h5py.regionref_dtype,
    np.dtype([("a", "f8"), ("b", h5py.string_dtype())]),
    np.dtype("V8"),
    np.dtype(("f4", (3,))),
    np.dtype(("f8", (200, 200))),
    "longdouble",
)
_SHAPES: tuple[Any, ...] = (
    None,
    (),
    (0,),
    (1,),
    (6,),
    (24,),
    (600,),
    (24, 1),
    (600, 1),
    (6, 32),
    (6, 4, 4, 3),
    (0, 0),
    (0, 1),
    (1, 2),
    (2, 2),
    (24, 0),
    (6, 0),
    (1, 1, 1, 1, 1),
    (3_000_000,),
    (3_000_000, 1),
    (6, 1000, 1000, 3),
    (1, 400_000),
)
_FILLS = (0, 1, -1, np.nan, np.inf, 1e300, -1e300, 1e-320, 2**31, 2.5e6, 1e9)
_ATTRIBUTES: tuple[Any, ...] = (
    np.float64(0),
    np.float64(-1),
    np.nan,
    np.inf,
    1e-300,
    1e300,
    1e12,
    1e-3,
    2**63,
    "",
    "x",
    "x" * 40_000,
    b"\xff\xfe",
    "\x1b[2J",
    "../../escape.mp4",
    "/etc/passwd",
    "a\x00b",
    np.array([]),
    np.array(["a", "a"], dtype=h5py.string_dtype()),
    np.array(["p"] * 3000, dtype=h5py.string_dtype()),
    np.zeros((2, 2)),
    h5py.Empty("f4"),
    h5py.Empty(h5py.string_dtype()),
    np.array([(1.0, 2)], dtype=[("a", "f8"), ("b", "i4")]),
    np.void(b"1234"),
    True,
    1,
    2,
    "mV",
    "1",
    "true",
    "hog",
    np.array([b"\xff"], dtype="S1"),
    np.complex64(1j),
    "RGB",
)


def _places(file: h5py.File) -> list[str]:
    names: list[str] = []
    file.visit(names.append)
    return sorted(names)


def _replace_data(file: h5py.File, place: str, choice: _Choice) -> None:
    kind, shape, fill = choice.of(_TYPES), choice.of(_SHAPES), choice.of(_FILLS)
    del file[place]
    if shape is None:
        file.create_dataset(place, data=h5py.Empty(np.dtype(kind)))
        return
    data = file.create_dataset(place, shape=shape, dtype=kind)
    with contextlib.suppress(TypeError, ValueError, OverflowError):
        # h5py itself does not survive a number put in place of a reference.
        if data.size and data.size < 10_000 and data.dtype.kind in "fiubcS":
            data[...] = str(fill).encode() if data.dtype.kind == "S" else fill


def _clock(file: h5py.File, place: str, choice: _Choice) -> None:
    """Other numbers of the same kind and shape, or about it."""
    if not isinstance(file[place], h5py.Dataset) or file[place].dtype.kind not in "fiu":
        return
    if file[place].size is None or file[place].size > 1_000_000:
        return
    shape, kind = file[place].shape, file[place].dtype
    rows = choice.of((shape[0] if shape else 1, 1, 2, 23, 50))
    values = np.arange(rows) * choice.of((1.0, 0.25, 1e-9, 1e5, -1.0, 0.0, 1e300)) + choice.of(
        (0.0, -1e9, 1e12, 2e6)
    )
    if choice.of((0, 1)):
        values[-1] = choice.of((np.nan, np.inf, 2.5e6, -5.0, 1e18))
    with np.errstate(all="ignore"):
        new = np.broadcast_to(
            values.reshape(-1, *[1] * (len(shape) - 1)), (rows, *shape[1:])
        ).astype(kind)
    del file[place]
    file.create_dataset(place, data=new)


def _link(file: h5py.File, place: str, choice: _Choice) -> None:
    other = choice.of(["/", "/signals", "nowhere", place, *_places(file)])
    del file[place]
    kind = choice.of(
        (h5py.SoftLink, lambda to: h5py.ExternalLink("/etc/passwd", to), lambda to: file.get(to))
    )
    linked = kind(other)
    if linked is not None:
        file[place] = linked


def _other_object(file: h5py.File, place: str, choice: _Choice) -> None:
    del file[place]
    if choice.of((0, 1)):
        file.create_group(f"{place}/{choice.of(('x', 'data', 'timestamps'))}")
    else:
        file[place] = np.dtype(choice.of(("f4", "S3")))


def _chunked(file: h5py.File, place: str, choice: _Choice) -> None:
    """Claims a lot, and holds nothing or a bomb."""
    kind, much = choice.of(("f4", "f8", "S8", "u1")), choice.of((10_000, 20_000_000, 10**9, 10**15))
    shape = choice.of(((much,), (much, 1), (6, much), (1, much), (much, 32)))
    chunk = choice.of((1, 1000, 4_000_000))
    chunks = tuple(min(most, size) for most, size in zip((chunk, 1000), shape, strict=False))
    packed, fill = choice.of((None, "gzip", "lzf")), choice.of((None, 0))
    del file[place]
    file.create_dataset(
        place, shape=shape, dtype=kind, chunks=chunks, compression=packed, fillvalue=fill
    )


def _move(file: h5py.File, place: str, choice: _Choice) -> None:
    names = (
        "signals/eeg",
        "signals/video",
        "signals/../x",
        "signals/\x1b",
        "video/face/frames",
        "video/face/jpeg",
        "signals/gsr/sequence",
        "trials",
        "events",
        "signals/ppg/timestamps",
    )
    to = choice.of(names)
    if to not in file:
        file.copy(place, to)


def _attribute(file: h5py.File, place: str, choice: _Choice) -> None:
    thing = choice.of((file[place], file))
    known = (
        "sampling_rate",
        "units",
        "channel_names",
        "start_offset",
        "reference",
        "format",
        "format_version",
        "session_id",
        "external_file",
        "frame_rate",
        "color_order",
        "features",
        "label_names",
        "start_time",
        "simulated",
        "x",
    )
    thing.attrs[choice.of((*thing.attrs, *known))] = choice.of(_ATTRIBUTES)


def _drop(file: h5py.File, place: str, choice: _Choice) -> None:
    names = choice.of(([], list(file[place].attrs)))
    if names:
        del file[place].attrs[choice.of(names)]
    else:
        del file[place]


_EDITS = (
    _replace_data,
    _clock,
    _link,
    _other_object,
    _chunked,
    _move,
    _attribute,
    _attribute,
    _drop,
)


def edited_session(data: bytes) -> bytes:
    """The first byte: how the file is left. Then edits;
    those that HDF5 itself refuses are left out.
    """
    left, rest = data[:1] or b"\0", data[1:]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "s.h5"
        with h5py.File(path, "w", libver="latest" if left[0] & 1 else "earliest") as file:
            with h5py.File(io.BytesIO(session_bytes(jpeg=bool(left[0] & 2)))) as base:
                for name in base:
                    base.copy(name, file)
                for name, value in base.attrs.items():
                    file.attrs[name] = value
            for where, what, value in edits_of(rest):
                places = _places(file)
                if not places:
                    break
                choice = _Choice(what * 256 + value, where & 255)
                with contextlib.suppress(
                    TypeError, ValueError, KeyError, OSError, RuntimeError, AttributeError
                ):
                    choice.of(_EDITS)(file, places[(where >> 8) % len(places)], choice)
            if left[0] & 1:
                # As a recording that was cut off leaves it.
                with contextlib.suppress(ValueError, RuntimeError, OSError):
                    file.swmr_mode = True
            file.flush()
            return path.read_bytes()


def _looked_at(path: Path) -> Iterator[Any]:
    yield lambda: inspect_session(path)
    yield lambda: read_opensignals(path)
    yield lambda: _used(path)
    yield lambda: _played(path)
    yield lambda: repair_session(path, path.with_name("repaired.h5"))


def _used(path: Path) -> None:
    with open_session(path) as recording:
        use_recording(recording, path.parent / "out")
        with contextlib.suppress(EmodictError):
            table_from_recording(recording, _SPEC, name="s")
        if recording.face is not None:
            for _ in itertools.islice(face_frames(recording.face), 10):
                pass


def _played(path: Path) -> None:
    with ReplaySource(path, _SPEC, speed=float("inf")) as source:
        while not source.finished:
            source.poll(0.0)


def use_session(path: Path) -> None:
    """All that is done with a session; each by itself,
    and refused as a whole if none can be done.
    """
    validate_session(path)
    refusals = []
    for work in _looked_at(path):
        try:
            work()
        except EmodictError as error:
            refusals.append(error)
    if len(refusals) == len(list(_looked_at(path))):
        raise refusals[0]


def _use_picture(path: Path) -> None:
    """One picture of a session: its bytes go to a decoder that is not ours."""
    coded = np.empty(1, dtype=object)
    coded[0] = np.frombuffer(path.read_bytes(), dtype=np.uint8)
    list(face_frames(FaceVideo(np.array([0.5]), jpeg=coded)))


TARGETS = [
    Target("picture", "a.jpg", _use_picture, lambda: [_pictures()[0].tobytes()]),
    Target(
        "session.h5",
        "s.h5",
        use_session,
        lambda: [session_bytes(), session_bytes(jpeg=True), edited_session(b"\1")],
    ),
    Target(
        "session.h5, edited",
        "s.h5",
        use_session,
        lambda: [b"", b"\1", b"\2"],
        edited_session,
        edited=True,
    ),
]
