"""record: a live source kept as a session, without a model;
and how its streams are doing meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from emodict.errors import RecordingError
from emodict.live.recorder import SessionRecorder
from emodict.live.source import Chunk, Connected, Ended, LiveSource, LiveStream, Lost, SensorEvent
from emodict.recording.grid import GAP_PERIODS

# The rate is measured over this much of the past.
_RATE_OVER_S = 10.0
_LONGEST_WAIT_S = 0.25


@dataclass
class StreamCount:
    """What one modality has brought so far.

    Attributes:
        gaps, missing_s: how often samples are missing between two others, and how much that is.
        state: live, lost or ended.
    """

    stream: LiveStream
    state: str = "live"
    samples: int = 0
    gaps: int = 0
    missing_s: float = 0.0
    _last_s: float = float("nan")
    _recent: list[tuple[float, int]] = field(default_factory=list)

    @property
    def measured_hz(self) -> float:
        """Samples a second, gaps included, in the last seconds; NaN before it can be told."""
        if len(self._recent) < 2:
            return float("nan")
        (start_s, _), (stop_s, _) = self._recent[0], self._recent[-1]
        return sum(count for _, count in self._recent[1:]) / (stop_s - start_s)

    def add(self, chunk: Chunk) -> None:
        """Count samples, which must not be none."""
        steps_s = np.diff(chunk.times_s, prepend=self._last_s)
        period_s = 1 / self.stream.rate_hz
        gaps = steps_s > GAP_PERIODS * period_s
        self.gaps += int(np.count_nonzero(gaps))
        self.missing_s += float((steps_s[gaps] - period_s).sum())
        self.samples += len(chunk.times_s)
        self._last_s = float(chunk.times_s[-1])
        self._recent = [r for r in self._recent if self._last_s - r[0] <= _RATE_OVER_S]
        self._recent.append((self._last_s, len(chunk.times_s)))


def record(
    source: LiveSource,
    recorder: SessionRecorder,
    *,
    seconds: float | None = None,
    each_second: Callable[[float, Sequence[StreamCount]], object] = lambda elapsed_s, counts: None,
) -> Sequence[StreamCount]:
    """Keep all that happens until the source is finished, `seconds` are over,
    or Ctrl-C; what was brought.

    The source and the recorder are entered and left by the caller.

    Raises:
        OutputError: the disk is full or too slow.
    """
    counts: dict[str, StreamCount] = {}
    start_s = source.now_s()
    told = 0
    try:
        while not source.finished and recorder.failure is None:
            elapsed_s = source.now_s() - start_s
            if seconds is not None and elapsed_s >= seconds:
                break
            if elapsed_s >= told + 1:
                told = int(elapsed_s)
                each_second(elapsed_s, tuple(counts.values()))
            for event in source.poll(_LONGEST_WAIT_S):
                recorder.keep(event)
                _count(counts, event)
    except KeyboardInterrupt:
        # The way a recording of no set length ends.
        pass
    recorder.require_whole()
    return tuple(counts.values())


def require_samples(counts: Sequence[StreamCount], source: LiveSource) -> None:
    """Refuse a recording of nothing.

    Raises:
        RecordingError: not one sample came.
    """
    if not any(count.samples for count in counts):
        raise RecordingError(
            f"{source.name} has brought no samples", fix="Check that the sensors are on and sending"
        )


def _count(counts: dict[str, StreamCount], event: SensorEvent) -> None:
    if isinstance(event, Connected):
        stream = event.stream
        count = counts.setdefault(stream.modality, StreamCount(stream))
        if count.stream != stream:
            count.stream, count._recent = stream, []
        count.state = "live"
    elif isinstance(event, Lost):
        counts[event.modality].state = "lost"
    elif isinstance(event, Ended):
        counts[event.modality].state = "ended"
    elif len(event.times_s):
        counts[event.modality].add(event)
