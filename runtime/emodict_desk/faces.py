"""Face features of a video: or of the pictures of a session, into a session."""

from __future__ import annotations

import dataclasses
import os
import shutil
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from emodict.errors import RecordingError
from emodict.face.detect import FaceFinder
from emodict.face.embed import FaceEmbedder
from emodict.face.stream import FaceRows, FaceStream, join_face_rows
from emodict.face.track import HOLD_S
from emodict.face.video import TimedFrame, Wants, face_frames, video_frames
from emodict.files.atomic import atomic_path
from emodict.files.hdf5_writing import hdf5_to_write
from emodict.recording.recording import FaceVideo, Recording
from emodict.recording.session import check_format, open_hdf5, write_face

OnProgress = Callable[[float], None]
# Where frames come from, given which of them are wanted.
Source = Callable[[Wants], Generator[TimedFrame, None, None]]


@dataclass(frozen=True)
class FaceReport:
    """How many seconds had a face, and what looked for it.

    Attributes:
        seconds: from the first frame's to the last frame's.
        found: of them, seconds in which a face was seen.
        held: seconds described from where the face was last seen.
    """

    seconds: int
    found: int
    held: int
    detector: str
    features: str

    @property
    def without(self) -> int:
        """Seconds without a face."""
        return self.seconds - self.found - self.held

    def __str__(self) -> str:
        return (
            f"{self.seconds} s of video: a face in {self.found}, held over {self.held}, "
            f"none in {self.without}; "
            f"detector: {self.detector}; features: {self.features}" + self._warning()
        )

    def _warning(self) -> str:
        if self.found or not self.seconds:
            return ""
        return (
            "\nWarning: no face was found in it, so no second of it can be used. "
            "Is it the right video?"
        )


def faces_of_video(
    path: Path,
    finder: FaceFinder,
    embedder: FaceEmbedder,
    *,
    offset_s: float = 0.0,
    hold_s: float = HOLD_S,
    on_progress: OnProgress | None = None,
) -> tuple[FaceVideo, FaceReport]:
    """Face features of a video file that starts `offset_s` after the recording does, once a second.

    A second without a face holds NaN.

    Raises:
        RecordingError: the file is not a video.
    """

    def source(wants: Wants) -> Generator[TimedFrame, None, None]:
        for frame, time_s in video_frames(path, wants=lambda own_s: wants(own_s + offset_s)):
            yield frame, time_s + offset_s

    return faces_of_frames(source, finder, embedder, hold_s=hold_s, on_progress=on_progress)


def faces_of_recording(
    recording: Recording,
    finder: FaceFinder,
    embedder: FaceEmbedder,
    *,
    hold_s: float = HOLD_S,
    on_progress: OnProgress | None = None,
) -> tuple[Recording, FaceReport]:
    """The recording with features in the place of its pictures.

    Raises:
        RecordingError: it has no pictures, or one cannot be read.
    """
    face = recording.face
    if face is None:
        raise RecordingError(
            f"Session '{recording.session_id}' has no face",
            expected="pictures in /video/face",
            fix="Add a video",
        )

    def source(wants: Wants) -> Generator[TimedFrame, None, None]:
        return face_frames(face, wants=wants)

    features, report = faces_of_frames(
        source, finder, embedder, hold_s=hold_s, on_progress=on_progress
    )
    return dataclasses.replace(recording, face=features), report


def faces_of_frames(
    source: Source,
    finder: FaceFinder,
    embedder: FaceEmbedder,
    *,
    hold_s: float = HOLD_S,
    on_progress: OnProgress | None = None,
) -> tuple[FaceVideo, FaceReport]:
    """Face features of timed frames, once a second;
    the source is asked for no more frames than that.
    """
    stream = FaceStream(finder, embedder, hold_s=hold_s)
    parts: list[FaceRows] = []
    with closing(source(lambda time_s: time_s >= 0 and stream.wants(time_s))) as frames:
        for frame, time_s in frames:
            parts.append(stream.push(frame, time_s))
            if on_progress is not None:
                on_progress(time_s)
    if not parts:
        raise RecordingError(
            "video: there is no picture in the recording's time",
            expected="pictures after the recording's start",
            fix="Correct the offset",
        )
    return _face_of(parts, finder, embedder)


def _face_of(
    parts: list[FaceRows], finder: FaceFinder, embedder: FaceEmbedder
) -> tuple[FaceVideo, FaceReport]:
    rows = join_face_rows(parts, dims=embedder.dims)
    # Before the first frame nothing was filmed: these seconds are not part of the video.
    filmed = slice(len(parts[0]) - 1, None)
    found, held = rows.found[filmed], rows.held[filmed]
    face = FaceVideo(
        timestamps_s=rows.time_s[filmed],
        embedding=rows.embedding[filmed],
        frame_rate_hz=1.0,
        features=embedder.features,
    )
    report = FaceReport(
        len(found), int(found.sum()), int(held.sum()), finder.description, embedder.features
    )
    return face, report


def add_face(source: str | os.PathLike[str], face: FaceVideo, path: str | os.PathLike[str]) -> None:
    """Copy a session.h5 byte by byte and give the copy this face; `path` may be the source itself.

    Raises:
        RecordingError: the source is not a session, or has a face already.
    """
    with open_hdf5(Path(source)) as file:
        check_format(file, source)
        if "video/face" in file:
            raise RecordingError(
                f"{source} has a face already",
                expected="a session without /video/face",
                fix="Leave it as it is",
            )
    with atomic_path(path) as part:
        shutil.copyfile(source, part)
        with hdf5_to_write(part, "r+") as file:
            write_face(file, face, Path(path).parent)
