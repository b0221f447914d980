"""A recording as a live source: its samples at the times they were taken, at any speed."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from emodict.errors import InputError
from emodict.features.source import check_source, source_blocks, source_rate_hz
from emodict.features.spec import FeatureSpec, ModalitySpec
from emodict.live.source import Chunk, Connected, Ended, LiveStream, SensorEvent
from emodict.recording.recording import Recording
from emodict.recording.session import open_session

# Sensors deliver a few times a second; at full speed larger pieces are quicker.
CHUNK_S = 0.1
FAST_CHUNK_S = 1.0


class ReplaySource:
    """A LiveSource that plays a session.h5; its clock counts the recording's seconds.

    Args:
        path: the session.
        spec: whose modalities are played, in its units and channels, at the recording's rates.
        speed: seconds of the recording in one second of ours; infinite: as fast as they are taken.
    """

    def __init__(self, path: Path, spec: FeatureSpec, *, speed: float = 1.0) -> None:
        if not speed > 0:
            raise InputError(
                "A replay runs forwards", expected="--speed above 0, or max", got=speed
            )
        self.name = f"replay of {path.name}"
        self._path, self._spec, self._speed = path, spec, speed
        self._stack = contextlib.ExitStack()
        self._now_s = 0.0
        self.session, self.simulated = path.stem, False
        self.finished = False

    def __enter__(self) -> ReplaySource:
        recording = self._stack.enter_context(open_session(self._path))
        recording.require_usable(self._spec.modality_names)
        self.simulated = recording.simulated
        self.session = recording.session_id or self._path.stem
        present = [m for m in self._spec.modalities if m.name in recording.modality_names]
        for modality in present:
            check_source(recording, modality, self._spec)
        self._coming = _in_time(
            recording, present, FAST_CHUNK_S if math.isinf(self._speed) else CHUNK_S
        )
        self._next = next(self._coming, None)
        self._began_s = time.monotonic()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def now_s(self) -> float:
        """Seconds of the recording."""
        if not math.isinf(self._speed):
            self._now_s = (time.monotonic() - self._began_s) * self._speed
        return self._now_s

    def poll(self, timeout_s: float) -> Sequence[SensorEvent]:
        """What has been reached; at full speed the next second."""
        if self._next is None:
            self.finished = True
            return ()
        due_s = self._next[0]
        if math.isinf(self._speed):
            self._now_s = due_s
        elif (wait_s := (due_s - self.now_s()) / self._speed) > 0:
            time.sleep(min(wait_s, timeout_s))
        events: list[SensorEvent] = []
        now_s = self.now_s()
        while self._next is not None and self._next[0] <= now_s:
            events.append(self._next[1])
            self._next = next(self._coming, None)
        return events


def _in_time(
    recording: Recording, present: Sequence[ModalitySpec], chunk_s: float
) -> Iterator[tuple[float, SensorEvent]]:
    """(when it is known, what happened), in order of time."""
    for modality in present:
        yield 0.0, Connected(_stream_of(recording, modality), time_s=0.0)
    chunks = {m.name: _chunks(recording, m, chunk_s) for m in present}
    heads = {name: next(chunk, None) for name, chunk in chunks.items()}
    while heads:
        name = min(heads, key=lambda name: math.inf if heads[name] is None else heads[name][0])  # type: ignore[index]
        head = heads[name]
        if head is None:
            yield from ((0.0, Ended(name)) for name in heads)
            return
        yield head
        heads[name] = next(chunks[name], None)
        if heads[name] is None:
            del heads[name]
            yield head[0], Ended(name)


def _chunks(
    recording: Recording, modality: ModalitySpec, chunk_s: float
) -> Iterator[tuple[float, Chunk]]:
    rate_hz = source_rate_hz(recording, modality)
    first = 0
    for block in source_blocks(recording, modality):
        size = max(1, round(chunk_s * rate_hz))
        for start in range(0, len(block), size):
            samples: NDArray[np.float64] = block[start : start + size]
            count = np.arange(first, first + len(samples))
            first += len(samples)
            # A sample is known when it has been taken;
            # the one face of a second when the second is over.
            known_s = float(count[-1] + 1) / rate_hz
            yield known_s, Chunk(modality.name, samples, count / rate_hz)


def _stream_of(recording: Recording, modality: ModalitySpec) -> LiveStream:
    return LiveStream(
        modality=modality.name,
        rate_hz=source_rate_hz(recording, modality),
        channel_names=modality.channel_names or modality.feature_names,
        unit=modality.unit,
        device=recording.device,
    )
