"""LivePipeline: what happens at the sensors in, the rows that are due out, whatever stalls,
drops out or comes back.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emodict.errors import InputError
from emodict.features import FeatureStream
from emodict.features.plausible import Watch
from emodict.features.quality import without_unusable
from emodict.features.spec import FeatureSpec
from emodict.features.stream import channel_count
from emodict.features.windows import FeatureWindows, concatenate
from emodict.live.channels import columns_for
from emodict.live.placing import Placer
from emodict.live.rarely import ChangeLogger, RarelyLogger
from emodict.live.row import ABSENT, LIVE, LOST, STALLED
from emodict.live.source import Chunk, Connected, LiveStream, Lost, SensorEvent
from emodict.recording.modalities import modality_of

logger = logging.getLogger(__name__)

# How long after the end of its second a row waits for a sensor that is live: radio links
# deliver in bursts of a few hundred milliseconds. With the second itself, a sensor that stalls
# is invalid within two.
PATIENCE_S = 1.0
# What the last sample of a second takes to get here.
ARRIVAL_S = 0.02
# A sample that claims to be from so far in the future has a broken clock;
# to wait for its time would take memory.
AHEAD_S = 60.0
# Clocks are compared with sums of sample periods, which are rounded.
_ROUNDING_S = 1e-6


@dataclass
class _Sensor:
    """One modality of the model."""

    stream: LiveStream | None = None
    # Of the stream's columns those that the model reads, in its order; None: all.
    columns: list[int] | None = None
    state: str = ABSENT
    placer: Placer | None = None
    late_before: int = 0
    ended: bool = False
    # Chunks wait until they complete a second:
    # a dozen small ones cost as much as one large one each.
    waiting: list[Chunk] = field(default_factory=list)
    watch: Watch | None = None
    # How many of its doubts were logged.
    doubts_said: int = 0
    complete_at_s: float = -math.inf
    newest_s: float = -math.inf

    @property
    def late(self) -> int:
        return self.late_before + (self.placer.late if self.placer else 0)

    @property
    def doubts(self) -> tuple[str, ...]:
        return self.watch.doubts if self.watch is not None else ()


class LivePipeline:
    """Rows of features from live streams.

    Args:
        spec: the model's features.
        unmixing: (channels, channels) that the EEG is multiplied by.
        invert: the modalities whose signals are turned upside down.

    The run's second 0 begins with the first `Connected`. `push` takes what a source tells, `take`
    gives the rows that are complete, `flush` ends the waiting for sensors that do not deliver.
    """

    def __init__(
        self,
        spec: FeatureSpec,
        *,
        unmixing: NDArray[np.float64] | None = None,
        invert: Collection[str] = (),
    ) -> None:
        self._spec, self._invert = spec, frozenset(invert)
        # Sensors that are not there yet begin when they come: FeatureStream.restart.
        self._features = FeatureStream(
            spec, {m.name: m.rate_hz for m in spec.modalities}, unmixing=unmixing
        )
        self._sensors = {m.name: _Sensor() for m in spec.modalities}
        self._rows: list[FeatureWindows] = []
        self._log, self._states = RarelyLogger(logger), ChangeLogger(logger)
        self.start_s: float | None = None

    def push(self, event: SensorEvent) -> None:
        """Take one event; those of modalities that the model does not use are passed over.

        Raises:
            StreamError: a stream lacks channels that the model reads.
        """
        name = event.stream.modality if isinstance(event, Connected) else event.modality
        sensor = self._sensors.get(name)
        if sensor is None or sensor.ended:
            return
        if isinstance(event, Connected):
            self._connect(name, sensor, event)
        elif isinstance(event, Chunk):
            self._place(name, sensor, event)
        elif isinstance(event, Lost):
            sensor.state = LOST
            self._states.changed(name, "lost", f" ({event.reason})" if event.reason else "")
        else:
            self._end(name, sensor)

    def take(self) -> FeatureWindows | None:
        """The rows that are complete and were not taken yet; None where there is none."""
        rows, self._rows = self._rows, []
        rows = [part for part in rows if len(part)]
        return concatenate(self._spec, rows) if rows else None

    def flush(self, now_s: float) -> None:
        """Complete the rows that have waited long enough;
        whoever is missing from them is invalid there.
        """
        self._states.say_due()
        while self.start_s is not None:
            second = self._features.next_second
            missing = self._features.missing(second)
            if not missing or now_s < self._deadline_s(second, missing):
                return
            for name in missing:
                self._drain(name, self._sensors[name])
            for name in self._features.missing(second):
                self._drop(name, second + 1)

    def wait_s(self, now_s: float, longest_s: float) -> float:
        """How long nothing can become due, at most `longest_s`."""
        if self.start_s is None:
            return longest_s
        second = self._features.next_second
        deadline_s = self._deadline_s(second, self._features.missing(second))
        # A source that reads in steps is asked when the last samples should be there,
        # and then again and again.
        there_s = max(self.end_s(second) + ARRIVAL_S - now_s, ARRIVAL_S)
        return min(longest_s, there_s, max(0.0, deadline_s - now_s))

    def end_s(self, second: float) -> float:
        """When a second of the run is over, on the source's clock."""
        assert self.start_s is not None
        return self.start_s + second + 1.0

    def finish(self) -> None:
        """No more will happen: complete what is left."""
        if self.start_s is None:
            return
        for name, sensor in self._sensors.items():
            self._drain(name, sensor)
        self._keep(self._features.finish())

    def state(self, name: str) -> tuple[str, LiveStream | None, int]:
        """(state, stream, late samples) of a modality."""
        sensor = self._sensors[name]
        return sensor.state, sensor.stream, sensor.late

    def doubts(self) -> tuple[str, ...]:
        """A sentence for each thing in the signals of the last minutes that cannot
        be; a new one is logged.
        """
        sensors = self._sensors.values()
        for sensor in sensors:
            for doubt in sensor.doubts[sensor.doubts_said :]:
                logger.warning("%s", doubt)
            # Their figures change with every look; only one more is news.
            sensor.doubts_said = max(sensor.doubts_said, len(sensor.doubts))
        return tuple(doubt for sensor in sensors for doubt in sensor.doubts)

    @property
    def absent(self) -> dict[str, str]:
        """The modalities whose sensors were never seen, and that this is why they are invalid."""
        sensors = self._sensors.items()
        return {name: "its sensor was never seen" for name, s in sensors if s.state == ABSENT}

    def _deadline_s(self, second: int, missing: list[str]) -> float:
        """Sensors that are live are waited for;
        of the others nothing can be expected once the second is over.
        """
        end_s = self.end_s(second) - _ROUNDING_S
        return max((self._patience_ends_s(end_s, name) for name in missing), default=end_s)

    def _patience_ends_s(self, end_s: float, name: str) -> float:
        """Until when a row waits for a sensor; for one that is resampled longer,
        as long as it goes on delivering.
        """
        sensor = self._sensors[name]
        if sensor.state != LIVE:
            return end_s
        needed_s = min(sensor.newest_s, end_s + self._features.ahead_s(name))
        return max(end_s, needed_s) + PATIENCE_S

    def _connect(self, name: str, sensor: _Sensor, connected: Connected) -> None:
        if self.start_s is None:
            self.start_s = connected.time_s
        columns = columns_for(connected.stream, self._spec.modality(name))
        self._drain(name, sensor)
        again = sensor.stream is not None
        same_rate = (
            again
            and sensor.stream is not None
            and sensor.stream.rate_hz == connected.stream.rate_hz
        )
        sensor.stream, sensor.columns = connected.stream, columns
        if again and sensor.state != LIVE:
            self._states.changed(
                name, "back", "" if same_rate else f", now at {connected.stream.rate_hz:g} Hz"
            )
        sensor.state = LIVE
        # At the old rate the samples go on where they belong; a new rate,
        # like a new sensor, begins with a second.
        if not same_rate:
            since = math.ceil(connected.time_s - self.start_s - _ROUNDING_S)
            modality = self._spec.modality(name)
            sensor.watch = Watch(
                name,
                connected.stream.rate_hz,
                modality.unit,
                modality.channel_names,
                inverted=name in self._invert,
            )
            sensor.doubts_said = 0
            self._restart(name, max(since, self._features.earliest_restart(name)), dropped=False)

    def _place(self, name: str, sensor: _Sensor, chunk: Chunk) -> None:
        if sensor.placer is None:
            raise InputError(f"{name}: samples came before the stream was connected")
        if sensor.state != LIVE:
            sensor.state = LIVE
            self._states.changed(name, "samples come again")
        if not len(chunk.times_s):
            return
        sensor.waiting.append(chunk)
        sensor.newest_s = float(chunk.times_s[-1])
        if chunk.times_s[-1] >= sensor.complete_at_s or self._overdue(
            name, float(chunk.times_s[-1])
        ):
            self._drain(name, sensor)

    def _overdue(self, name: str, time_s: float) -> bool:
        """The next row still lacks this modality,
        whose resampler looks a little beyond the second.
        """
        second = self._features.next_second
        return time_s >= self.end_s(second) and name in self._features.missing(second)

    def _drain(self, name: str, sensor: _Sensor) -> None:
        """Turn the chunks that wait into features."""
        if not sensor.waiting:
            return
        assert sensor.placer is not None
        assert sensor.stream is not None
        assert self.start_s is not None
        samples = np.concatenate([chunk.samples for chunk in sensor.waiting])
        times_s = np.concatenate([chunk.times_s for chunk in sensor.waiting])
        sensor.waiting.clear()
        if sensor.columns is not None:
            samples = samples[:, sensor.columns]
        if name in self._invert:
            samples = -samples
        assert sensor.watch is not None
        sensor.watch.push(samples)
        plausible = times_s < self.end_s(self._features.next_second) + AHEAD_S
        if not plausible.all():
            self._log.warning("%s: times in the far future, left out", name)
            samples, times_s = samples[plausible], times_s[plausible]
        # Between ticks samples are interpolated,
        # which would spread one that is none over its neighbours.
        usable = without_unusable(self._spec.modality(name), np.asarray(samples, dtype=np.float64))
        self._keep(self._features.push(name, sensor.placer.place(usable, times_s)))
        if len(times_s):
            # The last sample of a second comes a period before its end,
            # and its clock may be half a period early.
            early_s = 1.5 / sensor.stream.rate_hz
            whole_s = math.floor(float(times_s[-1]) - self.start_s + early_s)
            sensor.complete_at_s = self.start_s + whole_s + 1 - early_s

    def _end(self, name: str, sensor: _Sensor) -> None:
        self._drain(name, sensor)
        sensor.ended = True
        sensor.state = LOST if sensor.stream is not None else ABSENT
        self._keep(self._features.end(name))

    def _drop(self, name: str, second: int) -> None:
        sensor = self._sensors[name]
        if sensor.state == LIVE:
            sensor.state = STALLED
            self._states.changed(name, "nothing comes any more")
        self._restart(name, second, dropped=True)

    def _restart(self, name: str, second: int, *, dropped: bool) -> None:
        """From this second on the modality is expected, the samples before it are given up."""
        assert self.start_s is not None
        sensor = self._sensors[name]
        rate_hz = None if sensor.stream is None else sensor.stream.rate_hz
        self._keep(self._features.restart(name, second, rate_hz=rate_hz))
        if sensor.stream is not None:
            sensor.late_before = sensor.late
            sensor.complete_at_s = -math.inf
            modality = self._spec.modality(name)
            sensor.placer = Placer(
                sensor.stream.rate_hz,
                channel_count(modality),
                anchor_s=self.start_s + second,
                # Ties, and the one face a second, are moved and never mixed with their neighbours.
                snapped=modality.kind == "embedding" or modality_of(name).coarse,
                missed_before=dropped,
            )

    def _keep(self, rows: Any) -> None:
        if len(rows):
            self._rows.append(rows)
