"""Streams of the Lab Streaming Layer as a source of a live run."""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emodict.errors import EmodictError, InputError, StreamError
from emodict.features.spec import FeatureSpec
from emodict.live.clock import counts_samples
from emodict.live.liblsl import (
    Inlet,
    LostError,
    NotYetError,
    Resolver,
    StreamInfo,
    library,
    local_clock_s,
)
from emodict.live.lsl_streams import (
    Picked,
    Wanted,
    asked_of,
    channels_of,
    choose,
    describe_streams,
    identity,
    looked_for,
    pick,
)
from emodict.live.source import FIRST_WAIT_S, Chunk, Connected, LiveStream, Lost, SensorEvent
from emodict.live.stamps import SampleClock
from emodict.recording.modalities import modality_of

logger = logging.getLogger(__name__)

# The streams are read together, at most so often:
# a wake-up per sample would cost more than the samples.
READ_STEP_S = 0.1
# Streams answer within half a second of being looked for;
# a choice made sooner would fall on the quickest.
LOOK_AROUND_S = 1.0
# A mistake in the setup is told at the start; later nothing stops a run.
FIRST_LOOK_S = 6.0
_LOOK_EVERY_S = 0.25
_AGAIN_S = 1.0
_ANSWER_S = 3.0
# A stream that is silent for so long is asked whether it is still there,
# and given up without an answer.
SILENT_S = 2.0
UNANSWERED_S = 3.0
_CORRECTION_EVERY_S = 1.0
_COUNTER_SAMPLES = 16


class LslSource:
    """Finds the wanted sensors among the streams on the network,
    and finds them again. A context manager.

    Args:
        spec: its sensors are wanted, with their channels and units; video is left out.
        names: NAME, NAME@HOST or NAME:CHANNEL by modality, where several could be it.
        places: of the electrodes, in the order of an EEG stream that does not name its channels.
        wait_s: how long a first sensor is looked for.

    Raises:
        InputError: nothing that streams carry is wanted.
        StreamError: a stream is named for what is not wanted.
    """

    finished = False
    session = "live"
    simulated = False

    def __init__(
        self,
        spec: FeatureSpec,
        *,
        names: Mapping[str, str] | None = None,
        places: Sequence[str] = (),
        wait_s: float = FIRST_WAIT_S,
    ) -> None:
        self._names, self._places, self._wait_s = dict(names or {}), places, wait_s
        self._wanted = {
            modality.name: modality
            for modality in spec.modalities
            if modality_of(modality.name).types
        }
        if not self._wanted:
            what = "This model reads only the face, which LSL does not carry"
            raise InputError(what, got="--live lsl", fix="Use --camera 0 instead")
        unknown = sorted(set(self._names) - set(self._wanted))
        if unknown:
            raise StreamError(
                f"A stream is named for {', '.join(unknown)}, which is not wanted",
                expected=f"one of {', '.join(self._wanted)}",
                fix="Correct --stream MODALITY=NAME",
            )
        self._news: queue.SimpleQueue[_Link | StreamError] = queue.SimpleQueue()
        self._links: dict[str, _Link] = {}
        # Of each modality the last link, live or lost.
        self._known: dict[str, _Link] = {}
        self._stop = threading.Event()
        self._keepers: list[threading.Thread] = []
        self._last_read_s = -READ_STEP_S

    @property
    def name(self) -> str:
        """For people."""
        return "LSL"

    def now_s(self) -> float:
        """This machine's LSL clock."""
        return local_clock_s()

    def poll(self, timeout_s: float) -> Sequence[SensorEvent]:
        """See `LiveSource.poll`.

        Raises:
            StreamError: before a first sensor was found: there is none,
                or streams cannot be used or distinguished.
        """
        until_s = time.monotonic() + timeout_s
        while True:
            now_s = time.monotonic()
            time.sleep(max(0.0, min(self._last_read_s + READ_STEP_S, until_s) - now_s))
            self._last_read_s = time.monotonic()
            events = [*self._arrived(), *self._read()]
            if events or self._last_read_s >= until_s:
                self._require_a_sensor()
                return events

    def _require_a_sensor(self) -> None:
        if self._known or time.monotonic() - self._entered_s < self._wait_s:
            return
        with Resolver() as resolver:
            time.sleep(LOOK_AROUND_S)
            seen = describe_streams(resolver.results())
        wanted = ", or ".join(looked_for(name, self._names.get(name)) for name in self._wanted)
        raise StreamError(
            f"No sensor was found in {self._wait_s:g} s",
            expected=f"an LSL stream {wanted}",
            got=seen,
            fix="Start the program that sends it, in the same network; "
            "--wait SECONDS looks for longer",
        )

    def _first_look(self) -> bool:
        """Is a mistake in the setup still told by ending the run?"""
        return not self._known or time.monotonic() - self._entered_s < FIRST_LOOK_S

    def _arrived(self) -> list[SensorEvent]:
        events: list[SensorEvent] = []
        while not self._news.empty():
            news = self._news.get()
            if isinstance(news, StreamError):
                raise news
            if (before := self._known.get(news.stream.modality)) is not None:
                news.resume(before)
            self._links[news.stream.modality] = self._known[news.stream.modality] = news
            events.append(Connected(news.stream, self.now_s()))
        return events

    def _read(self) -> list[SensorEvent]:
        events: list[SensorEvent] = []
        for modality, link in list(self._links.items()):
            try:
                events += link.pull()
            except LostError as error:
                del self._links[modality]
                link.gone.set()
                events.append(Lost(modality, self.now_s(), str(error).rstrip(".")))
        return events

    def __enter__(self) -> LslSource:
        library()
        self._entered_s = time.monotonic()
        for modality, wanted in self._wanted.items():
            name = self._names.get(modality)
            keeper = _Keeper(wanted, name, self._news, self._stop, self._first_look, self._places)
            thread = threading.Thread(target=keeper.run, name=f"lsl-{modality}", daemon=True)
            thread.start()
            self._keepers.append(thread)
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._keepers:
            thread.join(timeout=2 * _ANSWER_S)
        self._links.clear()


class _Link:
    """One stream while it lasts; `pull` is the reader's, everything else the keeper's.

    Attributes:
        gone: set by the reader when the stream is lost.
        mute: set by the keeper when the stream is silent and no longer answers.
    """

    def __init__(
        self,
        inlet: Inlet,
        wanted: Wanted,
        *,
        correction_s: float,
        name: str | None = None,
        places: Sequence[str] = (),
    ) -> None:
        self.inlet = inlet
        info = inlet.info
        asked = asked_of(info, name) if name else None
        self._picked: Picked = pick(
            wanted,
            info.name,
            channels_of(info.xml(), info.channel_count),
            channel=asked.channel if asked else "",
            places=places,
        )
        self._columns = list(self._picked.columns)
        self.stream = LiveStream(
            modality=wanted.name,
            rate_hz=info.rate_hz,
            channel_names=self._picked.names,
            unit=wanted.unit,
            device=f"{info.name} on {info.hostname}" if info.hostname else info.name,
        )
        self.gone, self.mute = threading.Event(), threading.Event()
        self.heard_s = time.monotonic()
        self._correction_s, self._corrected_s = correction_s, time.monotonic()
        self._announced_hz = info.rate_hz
        self._clock = self._new_clock(None) if self._picked.counter is None else None
        self._waiting: list[tuple[NDArray[Any], NDArray[np.float64]]] = []

    def resume(self, before: _Link) -> None:
        """The same device as before sends at the rate that was measured then."""
        same = (
            identity(self.inlet.info) == identity(before.inlet.info)
            and self._announced_hz == before._announced_hz
        )
        if same and before.stream.measured:
            self.stream = before.stream
            self._clock = None if self._clock is None else self._new_clock(None)

    def pull(self) -> Sequence[SensorEvent]:
        """What has come since the last call.

        Raises:
            LostError: nothing more will come.
        """
        if self.mute.is_set():
            raise LostError("It is silent and does not answer")
        self._correct()
        values, stamps_s = self.inlet.pull()
        if not len(stamps_s):
            return ()
        self.heard_s = time.monotonic()
        stamps_s += self._correction_s
        if self._clock is None:
            self._waiting.append((values, stamps_s))
            if sum(len(stamps) for _, stamps in self._waiting) < _COUNTER_SAMPLES:
                return ()
            values, stamps_s = (np.concatenate(parts) for parts in zip(*self._waiting, strict=True))
            self._clock = self._new_clock(self._counter(values))
        return self._events(self._clock, values, stamps_s)

    def _correct(self) -> None:
        """LSL measures the other clock again every 2 s; where it cannot,
        the last measurement holds.
        """
        if time.monotonic() - self._corrected_s >= _CORRECTION_EVERY_S:
            self._corrected_s = time.monotonic()
            with contextlib.suppress(NotYetError):
                self._correction_s = self.inlet.time_correction_s(timeout_s=0.0)

    def _new_clock(self, counter: int | None) -> SampleClock:
        return SampleClock(self.stream.rate_hz, counter=counter, of=self.stream.modality)

    def _counter(self, values: NDArray[Any]) -> int | None:
        """The column of the counter, if it does count samples."""
        if counts_samples(values[:, self._picked.counter]):
            return self._picked.counter
        logger.warning(
            "%s: the counter of '%s' does not count samples.",
            self.stream.modality,
            self.inlet.info.name,
        )
        return None

    def _events(
        self, clock: SampleClock, values: NDArray[Any], stamps_s: NDArray[np.float64]
    ) -> list[SensorEvent]:
        values, times_s = clock.place(values, stamps_s, local_clock_s())
        if not len(times_s):
            return []
        chunk = Chunk(
            self.stream.modality, values[:, self._columns] * self._picked.factors, times_s
        )
        if clock.rate_hz == self.stream.rate_hz:
            return [chunk]
        self.stream = replace(self.stream, rate_hz=clock.rate_hz, measured=True)
        return [Connected(self.stream, float(times_s[0])), chunk]


class _Keeper:
    """Looks for one modality's stream while it is missing, in a thread of its own:
    opening one may take seconds.
    """

    def __init__(
        self,
        wanted: Wanted,
        name: str | None,
        news: queue.SimpleQueue[_Link | StreamError],
        stop: threading.Event,
        first_look: Callable[[], bool],
        places: Sequence[str],
    ) -> None:
        self._first_look, self._places = first_look, places
        self._wanted, self._name, self._news, self._stop = wanted, name, news, stop
        self._before: tuple[str, str, str] | None = None
        self._said = ""

    def run(self) -> None:
        while not self._stop.is_set():
            link = self._searched()
            if link is None:
                return
            self._before = identity(link.inlet.info)
            self._news.put(link)
            self._watch(link)
            link.inlet.close()

    def _searched(self) -> _Link | None:
        """A stream's link, as soon as there is one; None if the run is over before."""
        with Resolver() as resolver:
            since_s = time.monotonic()
            while not self._stop.wait(_LOOK_EVERY_S):
                try:
                    link = self._found(resolver.results(), looking_s=time.monotonic() - since_s)
                except StreamError as error:
                    self._refuse(error)
                    self._stop.wait(_AGAIN_S)
                else:
                    if link is not None:
                        return link
        return None

    def _found(self, streams: list[StreamInfo], *, looking_s: float) -> _Link | None:
        back = self._before is not None and any(
            identity(stream) == self._before for stream in streams
        )
        if not back and looking_s < LOOK_AROUND_S:
            return None
        chosen = choose(streams, self._wanted.name, name=self._name, before=self._before)
        if isinstance(chosen, StreamInfo):
            return self._opened(chosen)
        if looking_s > FIRST_LOOK_S:
            self._say_nothing_is_there(streams)
        return None

    def _say_nothing_is_there(self, streams: list[StreamInfo]) -> None:
        wanted, seen = looked_for(self._wanted.name, self._name), describe_streams(streams)
        self._say(
            f"{self._wanted.name}: no LSL stream {wanted} so far (there is {seen}); still looking"
        )

    def _opened(self, stream: StreamInfo) -> _Link | None:
        try:
            inlet = Inlet(stream, timeout_s=_ANSWER_S)
        except (LostError, NotYetError):
            return None
        link = None
        try:
            inlet.open(timeout_s=_ANSWER_S)
            link = _Link(
                inlet,
                self._wanted,
                correction_s=self._correction_s(inlet),
                name=self._name,
                places=self._places,
            )
        except (LostError, NotYetError):
            # It is looked for again.
            return None
        finally:
            if link is None:
                inlet.close()
        return link

    def _correction_s(self, inlet: Inlet) -> float:
        try:
            return inlet.time_correction_s(timeout_s=_ANSWER_S)
        except NotYetError:
            self._say(
                f"{self._wanted.name}: '{inlet.info.name}' on {inlet.info.hostname} does not "
                f"tell its clock, so its "
                "samples cannot be placed in time; its UDP ports 16572 to 16604 must be "
                "open. Trying again"
            )
            raise

    def _refuse(self, error: EmodictError) -> None:
        if isinstance(error, StreamError) and self._first_look():
            self._news.put(error)
        else:
            self._say(str(error).rstrip("."))

    def _say(self, sentence: str) -> None:
        if sentence != self._said:
            self._said = sentence
            logger.warning("%s.", sentence)

    def _watch(self, link: _Link) -> None:
        """Wait until the stream is gone; one that is silent is asked whether it is still there."""
        while not (self._stop.is_set() or link.gone.wait(_LOOK_EVERY_S)):
            if time.monotonic() - link.heard_s > SILENT_S and not link.mute.is_set():
                self._ask(link)

    def _ask(self, link: _Link) -> None:
        with Resolver() as resolver:
            since_s = time.monotonic()
            while not (self._stop.is_set() or link.gone.wait(_LOOK_EVERY_S)):
                if time.monotonic() - link.heard_s <= SILENT_S:
                    return
                if link.inlet.info.uid in {stream.uid for stream in resolver.results()}:
                    since_s = time.monotonic()
                elif time.monotonic() - since_s > UNANSWERED_S:
                    link.mute.set()
                    return
