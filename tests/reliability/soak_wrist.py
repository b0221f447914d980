"""A SIMULATED wrist as a live source: EEG, pulse, skin and face, with faults,
at full speed on a clock of its own.
"""

from __future__ import annotations

import dataclasses
import heapq
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tests.reliability import soak_faults as faults
from tests.reliability.soak_faults import Fault, draw_faults

from emodict.features.spec import FeatureSpec
from emodict.live.source import Chunk, Connected, LiveStream, Lost, SensorEvent
from emodict.live.stamps import SampleClock

Float64Array = NDArray[np.float64]

# Parts in a million by which the sensors' clocks run fast (+) or slow (-).
DRIFT = {"eeg": 50e-6, "ppg": -50e-6, "gsr": 50e-6, "video": 0.0}
RATE_HZ = {"eeg": 300.0, "ppg": 64.0, "gsr": 4.0, "video": 1.0}
# What a pulse sensor that was away may come back with.
OTHER_RATE_HZ = {"ppg": 100.0}
CHUNK_S = {"eeg": 0.2, "ppg": 0.25, "gsr": 0.5, "video": 1.0}
STAMP_JITTER_S = 0.002
LATENCY_S = (0.005, 0.06)
# EEG is placed by a counter of its packages that wraps as a Muse's does.
COUNTER_TURNS = 256
# The clock of a source starts anywhere.
T0_S = 5000.25


@dataclass
class _Connection:
    """A sensor from one connect to the next loss:
    its samples n lie at begin_s + n / rate, times the drift.
    """

    stream: LiveStream
    begin_s: float
    clock: SampleClock | None
    sent: int = 0
    period_s: float = field(init=False)

    def __post_init__(self) -> None:
        self.period_s = 1 / self.stream.rate_hz / (1 + DRIFT[self.stream.modality])

    def until(self, end_s: float) -> tuple[NDArray[np.intp], Float64Array]:
        """(numbers, true times) of the samples taken before `end_s` and not yet sent."""
        stop = max(self.sent, math.ceil((end_s - self.begin_s) / self.period_s - 1e-9))
        numbers = np.arange(self.sent, stop)
        self.sent = stop
        return numbers, self.begin_s + numbers * self.period_s


@dataclass(frozen=True)
class _Packet:
    """Samples on their way, with the stamps and numbers that the device gave them."""

    connection: _Connection
    samples: Float64Array
    stamps_s: Float64Array
    numbers: NDArray[np.intp]

    def only(self, kept: NDArray[np.bool_]) -> _Packet:
        """Some of the samples."""
        return _Packet(self.connection, self.samples[kept], self.stamps_s[kept], self.numbers[kept])


_Sent = tuple[float, "_Packet | Connected | Lost"]


class _Sensor:
    """One modality: what it measures, and what its faults make of it."""

    def __init__(
        self, name: str, stream: LiveStream, seconds: int, rng: np.random.Generator
    ) -> None:
        self.name, self._stream, self._seconds, self._rng = name, stream, seconds, rng
        self.faults = list(draw_faults(name, seconds, rng, period_s=1 / stream.rate_hz))
        self._coming = iter(self.faults)
        self._fault = next(self._coming, None)
        self._level = 5.0
        self._frozen: Float64Array | None = None
        self._swap: _Packet | None = None

    def sent(self) -> Iterator[tuple[float, _Sent]]:
        """(when it was sent, (when it arrives, what)) of everything, in order of sending."""
        # An exact face a second; all others begin with some phase.
        begin_s = 0.0 if self.name in ("eeg", "video") else self._rng.uniform(0.0, 0.2)
        connection = self._connect(self._stream, begin_s)
        yield begin_s, (begin_s, Connected(connection.stream, T0_S + begin_s))
        size_s = CHUNK_S[self.name]
        for k in range(round(self._seconds / size_s)):
            end_s = (k + 1) * size_s
            fault = self._current(k * size_s)
            if fault is not None and fault.kind == faults.AWAY and fault.start_s < end_s:
                yield from ((end_s, what) for what in self._away(fault, connection, end_s))
                if end_s >= fault.stop_s:
                    connection = self._connect(self._returning(), fault.stop_s)
                    yield end_s, (end_s, Connected(connection.stream, T0_S + fault.stop_s))
                    yield from ((end_s, what) for what in self._deliver(None, connection, end_s))
                continue
            yield from ((end_s, what) for what in self._deliver(fault, connection, end_s))

    def _current(self, now_s: float) -> Fault | None:
        """The fault that is on, or comes next."""
        while self._fault is not None and self._fault.stop_s <= now_s:
            self._fault, self._frozen = next(self._coming, None), None
        return self._fault

    def _connect(self, stream: LiveStream, begin_s: float) -> _Connection:
        counter = 0 if self.name == "eeg" else None
        clock = (
            None
            if self.name == "video"
            else SampleClock(stream.rate_hz, counter=counter, of=self.name)
        )
        return _Connection(stream, begin_s, clock)

    def _returning(self) -> LiveStream:
        rates = [self._stream.rate_hz, OTHER_RATE_HZ.get(self.name, self._stream.rate_hz)]
        old = self._stream
        return LiveStream(
            old.modality, float(self._rng.choice(rates)), old.channel_names, old.unit, old.device
        )

    def _away(self, fault: Fault, connection: _Connection, end_s: float) -> Iterator[_Sent]:
        """The last samples before a loss, and the loss."""
        numbers, times_s = connection.until(end_s)
        if fault.happened:
            return
        kept = times_s < fault.start_s
        # The span without samples, as good as known:
        # from the first that is missing to the last before it is back.
        fault.first_s = float(connection.begin_s + (numbers[0] + kept.sum()) * connection.period_s)
        fault.last_s = fault.stop_s - connection.period_s
        if kept.any():
            taken = _Packet(connection, self._measure(times_s[kept]), times_s[kept], numbers[kept])
            yield end_s, self._stamped(taken)
        yield end_s + 0.1, Lost(self.name, T0_S + end_s, "out of reach")

    def _deliver(
        self, fault: Fault | None, connection: _Connection, end_s: float
    ) -> Iterator[_Sent]:
        """What is taken until `end_s`, and what the fault makes of it."""
        numbers, times_s = connection.until(end_s)
        if not len(times_s):
            return
        taken = _Packet(connection, self._measure(times_s), times_s, numbers)
        arrival_s = end_s + self._rng.uniform(*LATENCY_S)
        hit = np.zeros(len(times_s), bool)
        if fault is not None:
            hit = (times_s >= fault.start_s) & (times_s < fault.stop_s)
        if fault is None or not hit.any():
            yield from self._swapped_in(arrival_s, self._stamped(taken))
        elif fault.kind in (faults.LOST, faults.SILENT):
            fault.befell(times_s[hit])
            if not hit.all():
                yield arrival_s, self._stamped(taken.only(~hit))
        elif fault.kind in (faults.HELD_BACK, faults.TOO_LATE, faults.TWICE, faults.SWAPPED):
            yield from self._misdelivered(fault, arrival_s, self._stamped(taken), times_s)
        else:
            fault.befell(times_s[hit])
            if fault.jump_s:
                taken = dataclasses.replace(taken, stamps_s=times_s + fault.jump_s * hit)
            else:
                self._spoil(fault.kind, taken.samples, hit)
            yield arrival_s, self._stamped(taken)

    def _misdelivered(
        self, fault: Fault, arrival_s: float, packet: _Packet, times_s: Float64Array
    ) -> Iterator[_Sent]:
        """A whole packet late, twice, or after the next one."""
        if fault.kind == faults.SWAPPED:
            if fault.happened:
                yield from self._swapped_in(arrival_s, packet)
                return
            self._swap = packet
        elif fault.kind == faults.TWICE:
            yield arrival_s, packet
            yield arrival_s + self._rng.uniform(0.0, 0.3), packet
        else:
            yield max(arrival_s, fault.stop_s), packet
        fault.befell(times_s)

    def _swapped_in(self, arrival_s: float, packet: _Packet) -> Iterator[_Sent]:
        """A packet, and after it the one that it has overtaken."""
        yield arrival_s, packet
        if self._swap is not None:
            yield arrival_s + 1e-3, self._swap
            self._swap = None

    def _stamped(self, taken: _Packet) -> _Packet:
        """With the device's stamps in place of true times:
        on the source's clock, and with jitter.
        """
        jitter_s = 0.0
        if taken.connection.clock is not None:
            jitter_s = self._rng.normal(scale=STAMP_JITTER_S, size=len(taken.stamps_s))
        return dataclasses.replace(taken, stamps_s=T0_S + taken.stamps_s + jitter_s)

    def _measure(self, times_s: Float64Array) -> Float64Array:
        """Noise of the kind a healthy sensor gives."""
        count = len(times_s)
        if self.name == "gsr":
            steps = 0.01 * self._rng.standard_normal(count) + 0.001 * (5.0 - self._level)
            levels = self._level + np.cumsum(steps)
            self._level = float(levels[-1]) if count else self._level
            return levels[:, None]
        if self.name == "ppg":
            return (np.sin(2 * np.pi * 1.2 * times_s) + 0.05 * self._rng.standard_normal(count))[
                :, None
            ]
        scale = 20.0 if self.name == "eeg" else 1.0
        return scale * self._rng.standard_normal((count, len(self._stream.channel_names)))

    def _spoil(self, kind: str, samples: Float64Array, hit: NDArray[np.bool_]) -> None:
        """Change what was measured, in place."""
        channel = 0 if self._frozen is None else int(self._frozen[0])
        if self._frozen is None:
            channel = int(self._rng.integers(samples.shape[1]))
            self._frozen = np.array([channel, samples[hit][0, channel]])
        values: dict[str, Any] = {
            faults.NAN: math.nan,
            faults.INFINITE: self._rng.choice([math.inf, -math.inf]),
            # Of skin conductance, a lost contact.
            faults.ABSURD: 0.0 if self.name == "gsr" else 1e30,
            faults.SATURATED: 4000.0 if self.name == "eeg" else 8.0,
        }
        samples[hit, channel] = values.get(kind, self._frozen[1])


class SimulatedWrist:
    """A LiveSource of four sensors and their faults; the clock goes as fast as it is asked.

    Stamps and counters go through the clocks that real sources place their samples with.
    """

    def __init__(self, spec: FeatureSpec, seconds: int, seed: int) -> None:
        self.name, self.session, self.simulated = "a SIMULATED wrist", "soak", True
        streams = np.random.default_rng(seed).spawn(len(spec.modalities))
        self._sensors = [
            _Sensor(
                m.name, _stream(m.name, m.channel_names or m.feature_names, m.unit), seconds, rng
            )
            for m, rng in zip(spec.modalities, streams, strict=True)
        ]
        self._sending = [sensor.sent() for sensor in self._sensors]
        self._heads = [next(sending) for sending in self._sending]
        self._arriving: list[tuple[float, int, _Packet | Connected | Lost]] = []
        self._count = 0
        self._now_s = 0.0
        self.samples: dict[str, int] = dict.fromkeys(spec.modality_names, 0)

    @property
    def faults(self) -> list[Fault]:
        return [fault for sensor in self._sensors for fault in sensor.faults]

    def now_s(self) -> float:
        return T0_S + self._now_s

    @property
    def finished(self) -> bool:
        return not self._arriving and all(head[0] == math.inf for head in self._heads)

    def poll(self, timeout_s: float) -> Sequence[SensorEvent]:
        """What arrives next, if it arrives within the timeout;
        the clock goes on to it, or by the timeout.
        """
        until_s = self._now_s + timeout_s
        self._send(until_s)
        if not self._arriving or self._arriving[0][0] > until_s:
            self._now_s = until_s
            return ()
        self._now_s = max(self._now_s, self._arriving[0][0])
        events: list[SensorEvent] = []
        while self._arriving and self._arriving[0][0] <= self._now_s:
            what = heapq.heappop(self._arriving)[2]
            event = self._placed(what) if isinstance(what, _Packet) else what
            if event is not None:
                events.append(event)
        return events

    def _send(self, until_s: float) -> None:
        """Put on the way what is sent by then."""
        for i, sending in enumerate(self._sending):
            while self._heads[i][0] <= until_s:
                arrival_s, what = self._heads[i][1]
                self._count += 1
                heapq.heappush(self._arriving, (arrival_s, self._count, what))
                self._heads[i] = next(sending, (math.inf, self._heads[i][1]))

    def _placed(self, packet: _Packet) -> Chunk | None:
        """Times for the stamps, as the sources of LSL and BrainFlow find them."""
        clock, stream = packet.connection.clock, packet.connection.stream
        samples, times_s = packet.samples, packet.stamps_s
        if clock is not None:
            columns = np.column_stack([packet.numbers % COUNTER_TURNS, samples])
            columns, times_s = clock.place(columns, times_s, self.now_s())
            samples = columns[:, 1:]
            if clock.rate_hz != stream.rate_hz:
                raise AssertionError(
                    f"{stream.modality}: {clock.rate_hz} Hz were measured, "
                    f"{stream.rate_hz} Hz are right"
                )
        self.samples[stream.modality] += len(times_s)
        return Chunk(stream.modality, samples, times_s) if len(times_s) else None

    def __enter__(self) -> SimulatedWrist:
        return self

    def __exit__(self, *_: object) -> None:
        return None


def _stream(name: str, channels: tuple[str, ...], unit: str) -> LiveStream:
    return LiveStream(name, RATE_HZ[name], channels, unit, "SIMULATED wrist")
