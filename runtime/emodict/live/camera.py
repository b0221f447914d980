"""A camera beside the other sensors: its face rows join what another source tells."""

from __future__ import annotations

import contextlib
import math
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path

from emodict.errors import InputError
from emodict.face.detect import open_finder
from emodict.face.embed import FaceEmbedder, open_embedder
from emodict.face.live import LiveFaces, live_camera
from emodict.face.stream import FaceStream
from emodict.face.video import TimedFrame, video_frames
from emodict.features.face_kinds import face_kinds
from emodict.features.spec import HOG, FeatureSpec
from emodict.live.source import Chunk, Connected, LiveSource, LiveStream, SensorEvent

VIDEO = "video"
# What is known of a face is asked for at least this often.
_TOLD_WITHIN_S = 0.1


class WithCamera:
    """A LiveSource that adds the modality video to another one; second 0 is when it is entered.

    Args:
        source: the other sensors.
        camera: a camera's number, or a video file that plays at its own pace.
        spec: of the model: its face features are computed.
        face: what describes the face, `hog`, a face.onnx or a face.plan; None: what the spec needs,
            if no file is needed for it.
        face_model: the YuNet model that finds the face; None: the one installed.

    Raises:
        InputError: the model reads no face, or needs a face.onnx.
    """

    def __init__(
        self,
        source: LiveSource,
        camera: str,
        spec: FeatureSpec,
        *,
        face: str | None = None,
        face_model: Path | None = None,
    ) -> None:
        self._source = source
        self._alone = isinstance(source, NoSensors)
        self.name = f"camera {camera}" if self._alone else f"{source.name}, camera {camera}"
        finder = open_finder(face_model)
        self._embedder = _embedder(spec, face)
        stream = FaceStream(finder, self._embedder)
        self._stream = LiveStream(
            VIDEO,
            1.0,
            spec.modality(VIDEO).feature_names,
            self._embedder.features,
            device=f"camera {camera}",
        )
        self._through = threading.Event()
        self._faces = _open(camera, stream, lambda: self.now_s() - self._start_s, self._through)
        self._start_s = 0.0
        self._announced = False

    @property
    def session(self) -> str:
        return self._source.session

    @property
    def simulated(self) -> bool:
        return self._source.simulated

    @property
    def finished(self) -> bool:
        """The other sensors are, or a video file that is alone is through."""
        return self._source.finished or (self._alone and self._through.is_set())

    def now_s(self) -> float:
        return self._source.now_s()

    def poll(self, timeout_s: float) -> Sequence[SensorEvent]:
        """What the other source tells, and the seconds of the face that are known."""
        events: list[SensorEvent] = []
        if not self._announced:
            self._announced = True
            events.append(Connected(self._stream, self._start_s))
        events += self._source.poll(timeout_s)
        rows = self._faces.take(self.now_s() - self._start_s)
        if len(rows):
            events.append(Chunk(VIDEO, rows.embedding, self._start_s + rows.start_s))
        return events

    def __enter__(self) -> WithCamera:
        with contextlib.ExitStack() as stack:
            stack.callback(self._embedder.close)
            stack.enter_context(self._source)
            self._start_s = self._source.now_s()
            stack.enter_context(self._faces)
            self._open = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()


class NoSensors:
    """A clock and nothing else: the source beside which a camera is alone."""

    name, session, simulated, finished = "no other sensor", "live", False, False

    def now_s(self) -> float:
        return time.monotonic()

    def poll(self, timeout_s: float) -> Sequence[SensorEvent]:
        time.sleep(min(timeout_s, 0.05))
        return ()

    def __enter__(self) -> NoSensors:
        return self

    def __exit__(self, *_: object) -> None:
        return None


def _embedder(spec: FeatureSpec, face: str | None) -> FaceEmbedder:
    if VIDEO not in spec.modality_names:
        raise InputError(
            "--camera does nothing: this model reads no face",
            expected=spec.sensors,
            fix="Leave it out",
        )
    kinds = face_kinds(spec)
    if face is None and HOG not in kinds:
        raise InputError(
            "This model needs face features of a network",
            expected=f"--face face.onnx ({' or '.join(kinds) or 'as it was trained on'})",
            fix="Make one: emodict-export --face vgg16.pth -o face.onnx",
        )
    embedder = open_embedder(HOG if face is None else face)
    kind = embedder.features.partition(" ")[0]
    if kinds and kind not in kinds:
        embedder.close()
        raise InputError(
            "These are not the face features this model was trained on",
            expected=" or ".join(kinds),
            got=embedder.features,
        )
    return embedder


def _open(
    camera: str, stream: FaceStream, clock: Callable[[], float], through: threading.Event
) -> LiveFaces:
    if camera.isdecimal():
        return live_camera(int(camera), stream, clock)
    path = Path(camera)
    if not path.is_file():
        raise InputError(
            f"There is no video {camera}", expected="a camera's number, or a video file"
        )
    # A file that is through does not begin again, as a camera would that was plugged in again.
    return LiveFaces(
        stream,
        lambda wants: _paced(video_frames(path, wants=wants), clock, through),
        retry_s=threading.TIMEOUT_MAX,
    )


def _paced(
    frames: Iterator[TimedFrame], clock: Callable[[], float], through: threading.Event
) -> Generator[TimedFrame, None, None]:
    """The frames of a file, none before its time;
    it is through when its last second is over and told.
    """
    for frame, time_s in frames:
        wait_s = time_s - clock()
        if wait_s > 0:
            time.sleep(wait_s)
        yield frame, time_s
    time.sleep(max(0.0, math.ceil(clock()) + 2 * _TOLD_WITHIN_S - clock()))
    through.set()
