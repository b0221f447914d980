"""SessionRecorder: everything a live run hears goes into a session.h5 that can be read
even if the run is killed.
"""

from __future__ import annotations

import datetime
import logging
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import numpy as np

import emodict
from emodict.errors import OutputError
from emodict.files.atomic import check_writable, output_error
from emodict.live.growing_file import GrowingFile, GrowingSignal
from emodict.live.source import Chunk, Connected, Ended, LiveStream, Lost, SensorEvent

logger = logging.getLogger(__name__)

# What was heard is on its way to the disk this long;
# a killed run loses that much, and what a write takes.
FLUSH_EVERY_S = 1.0
# What may wait for a slow disk: minutes of all sensors.
# After that the recording stops, and the rows go on.
MOST_WAITING_BYTES = 32 << 20
# A replay at full speed brings more than that in a second.
_WRITE_AT_BYTES = 4 << 20
# A disk that hangs must not keep the program from ending.
CLOSE_WITHIN_S = 30.0


@dataclass
class _Layout:
    """A stream as it is stored: samples of one modality at one rate, with one set of channels."""

    stream: LiveStream
    signal: GrowingSignal
    last_s: float = -np.inf
    out_of_order: int = 0


class SessionRecorder:
    """Keeps all that happens in a session.h5; a context manager.

    The file is whole after every second: of a run that is killed all but the last 2 s can be read.
    Writing happens in a thread of its own. A disk that is full or too slow ends the recording,
    which is said once; nothing else ends. A stream that comes back at another rate or with other
    channels goes on in a signal of its own: `eeg`, `eeg_2`.

    Args:
        path: a new session.h5.
        start_s: time 0 of the recording, on the clock of the samples.
        start_unix_s: the same moment since 1970; now if not given.
        simulated: the signals are of no real person, which the recording then says.
        patient: `keep` waits for the disk where it must,
            as in a replay that is quicker than any disk.

    Raises:
        OutputError: the file exists, or cannot be written.
    """

    def __init__(
        self,
        path: Path,
        *,
        start_s: float,
        start_unix_s: float | None = None,
        subject_id: str = "",
        session_id: str | None = None,
        simulated: bool = False,
        patient: bool = False,
    ) -> None:
        self.path = Path(path)
        self._start_s, self._patient = start_s, patient
        attributes = {
            "session_id": self.path.stem if session_id is None else session_id,
            "subject_id": subject_id,
            "start_time": _utc_text(time.time() if start_unix_s is None else start_unix_s),
            "software": f"emodict {emodict.__version__}",
        }
        self._file = _new_file(
            self.path, {**attributes, **({"simulated": "true"} if simulated else {})}
        )
        self._streams: dict[str, LiveStream] = {}
        self._layouts: dict[str, list[_Layout]] = {}
        self._heard = threading.Condition()
        self._waiting: list[SensorEvent | tuple[float, str]] = []
        self._waiting_bytes = 0
        self._closing = False
        self._failure: str | None = None
        self._thread = threading.Thread(target=self._run, name="emodict-recorder", daemon=True)
        self._thread.start()

    @property
    def failure(self) -> str | None:
        """Why the recording stopped before its end, as a sentence; None while all is well."""
        return self._failure

    def require_whole(self) -> None:
        """To be called after the end, by whoever must not take a part for the whole.

        Raises:
            OutputError: the recording stopped before its end.
        """
        if self._failure is not None:
            raise OutputError(self._failure)

    def keep(self, event: SensorEvent) -> SensorEvent:
        """Keep this, and hand it on; returns at once.
        The arrays of a chunk must not change afterwards.
        """
        size = event.samples.nbytes + event.times_s.nbytes if isinstance(event, Chunk) else 0
        self._hear(event, size)
        return event

    def note(self, time_s: float, description: str) -> None:
        """Keep an event of the listener's own."""
        self._hear((time_s, description), len(description))

    def close(self) -> None:
        """Write what is waiting, and finish the file."""
        with self._heard:
            self._closing = True
            self._heard.notify_all()
        self._thread.join(CLOSE_WITHIN_S)
        if self._thread.is_alive():
            self._fail(
                f"Recording {self.path} is not finished: "
                f"the disk has not answered for {CLOSE_WITHIN_S:g} s"
            )

    def __enter__(self) -> SessionRecorder:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _hear(self, what: SensorEvent | tuple[float, str], size: int) -> None:
        if self._failure is not None:
            return
        with self._heard:
            if self._patient:
                self._heard.wait_for(
                    lambda: self._waiting_bytes < _WRITE_AT_BYTES or self._failure is not None
                )
            fits = self._waiting_bytes + size <= MOST_WAITING_BYTES
            if fits:
                self._waiting.append(what)
                self._waiting_bytes += size
            if self._waiting_bytes >= _WRITE_AT_BYTES:
                self._heard.notify_all()
        if not fits:
            self._fail(
                f"Recording {self.path} stopped: the disk is too slow. "
                f"What was written until now can be read"
            )

    def _fail(self, sentence: str) -> None:
        if self._failure is None:
            self._failure = sentence
            logger.warning("%s", sentence)

    def _run(self) -> None:
        """The writing thread, from the first second to the last."""
        try:
            while self._failure is None:
                with self._heard:
                    self._heard.wait_for(
                        lambda: self._closing or self._waiting_bytes >= _WRITE_AT_BYTES,
                        FLUSH_EVERY_S,
                    )
                    closing = self._closing
                    heard, self._waiting, self._waiting_bytes = self._waiting, [], 0
                    self._heard.notify_all()
                self._write(heard)
                if closing:
                    break
            self._file.close()
        except Exception as error:
            # Whatever it is: the rows go on, and this thread has nobody else to tell.
            self._fail(
                f"Recording {self.path} stopped: {_reason(error)}. "
                f"What was written until now can be read"
            )
            self._file.abandon()
            with self._heard:
                self._heard.notify_all()

    def _write(self, heard: list[SensorEvent | tuple[float, str]]) -> None:
        events: list[tuple[float, str]] = []
        for what in heard:
            if isinstance(what, Chunk):
                self._take(what)
            elif isinstance(what, Connected):
                self._connect(what.stream)
                events.append((what.time_s - self._start_s, _describe(what.stream)))
            elif isinstance(what, Lost):
                reason = f": {what.reason}" if what.reason else ""
                events.append((what.time_s - self._start_s, f"{what.modality} lost{reason}"))
            elif isinstance(what, Ended):
                events.append((self._last_s(what.modality), f"{what.modality} ended"))
            else:
                events.append((what[0] - self._start_s, what[1]))
        for layouts in self._layouts.values():
            for layout in layouts:
                if layout.out_of_order and layout.signal.has_news:
                    count, layout.out_of_order = layout.out_of_order, 0
                    events.append(
                        (
                            layout.last_s,
                            f"{count} samples out of order left out of {layout.signal.name}",
                        )
                    )
        self._file.write(events)

    def _connect(self, stream: LiveStream) -> None:
        before = self._streams.get(stream.modality)
        self._streams[stream.modality] = stream
        for layout in self._layouts.get(stream.modality, ()):
            # What came before came at that rate, too.
            if stream.measured and layout.stream == before:
                layout.stream = layout.signal.stream = stream
                self._file.amend_rate(layout.signal)

    def _take(self, chunk: Chunk) -> None:
        """Add samples to their signal;
        what is no later than the sample before cannot be stored, and is counted.
        """
        layout = self._layout(self._streams[chunk.modality])
        times_s = chunk.times_s - self._start_s
        latest = np.maximum.accumulate(np.concatenate([[layout.last_s], times_s]))
        kept = times_s > latest[:-1]
        layout.out_of_order += int(np.count_nonzero(~kept))
        if kept.any():
            layout.signal.add(chunk.samples[kept], times_s[kept])
            layout.last_s = float(latest[-1])

    def _layout(self, stream: LiveStream) -> _Layout:
        """Where this stream goes: on in a signal of the same rate,
        channels and unit, or into a new one.
        """
        layouts = self._layouts.setdefault(stream.modality, [])
        for layout in layouts:
            if _form(layout.stream) == _form(stream):
                return layout
        name = stream.modality if not layouts else f"{stream.modality}_{len(layouts) + 1}"
        layouts.append(_Layout(stream, self._file.add(name, stream)))
        return layouts[-1]

    def _last_s(self, modality: str) -> float:
        """When the last sample of that modality was taken, 0 if there was none."""
        return max((layout.last_s for layout in self._layouts.get(modality, ())), default=0.0)


def _form(stream: LiveStream) -> tuple[float, tuple[str, ...], str]:
    return stream.rate_hz, stream.channel_names, stream.unit


def _describe(stream: LiveStream) -> str:
    device = f" from {stream.device}" if stream.device else ""
    return (
        f"{stream.modality} connected{device}: {stream.rate_hz:g} Hz, "
        f"{_channels(len(stream.channel_names))}"
    )


def _reason(error: Exception) -> str:
    """Why the disk refused, in words."""
    if isinstance(error, OSError):
        return (
            str(output_error(Path(), error))
            .partition(": ")[2]
            .partition(". Nothing was left behind")[0]
        )
    return f"a fault in emodict itself: {type(error).__name__}: {error}"


def _utc_text(unix_s: float) -> str:
    moment = datetime.datetime.fromtimestamp(unix_s, tz=datetime.timezone.utc)
    return moment.isoformat().replace("+00:00", "Z")


def require_new_file(path: Path) -> None:
    """Refuse where a recording could not begin.

    Raises:
        OutputError: the file exists, has another ending than .h5, or cannot be written.
    """
    check_writable(path, ending=".h5")
    if path.exists():
        raise OutputError(
            f"Cannot record to {path}: it exists, and a recording is never overwritten",
            fix="Choose another name",
        )


def _new_file(path: Path, attributes: Mapping[str, str]) -> GrowingFile:
    """A session that holds nothing yet; it appears whole."""
    require_new_file(path)
    return GrowingFile(path, attributes)


def _channels(count: int) -> str:
    return "1 channel" if count == 1 else f"{count} channels"
