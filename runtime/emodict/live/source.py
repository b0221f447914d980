"""What a live run reads from: streams of samples on the clock of this machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

# How long a first sensor is looked for, unless told otherwise.
FIRST_WAIT_S = 30.0


@dataclass(frozen=True)
class LiveStream:
    """One sensor's stream, as it is while it lasts.

    Attributes:
        modality: eeg, ppg, gsr or video.
        rate_hz: of its samples, as the device states it.
        channel_names: of its columns; the names by which a model finds its channels.
        unit: of its samples, such as "uV"; what a recording of it says.
        device: what it calls itself, for people.
        measured: the rate is what its samples showed, not what it announced;
            it was connected before.
    """

    modality: str
    rate_hz: float
    channel_names: tuple[str, ...]
    unit: str
    device: str = ""
    measured: bool = False


@dataclass(frozen=True)
class Connected:
    """A stream appeared, or appeared again, perhaps at another rate; its samples follow."""

    stream: LiveStream
    time_s: float


@dataclass(frozen=True)
class Chunk:
    """Samples of one stream, in order.

    Attributes:
        samples: (samples, channels) float64 in the stream's unit,
            NaN where the device says that one is missing.
        times_s: (samples,) when each was taken, on the source's clock: even,
            but for gaps and the device's drift.
    """

    modality: str
    samples: NDArray[np.floating[Any]]
    times_s: NDArray[np.float64]


@dataclass(frozen=True)
class Lost:
    """The stream is gone for now: its device said goodbye, or its connection broke."""

    modality: str
    time_s: float
    reason: str = ""


@dataclass(frozen=True)
class Ended:
    """The stream will never bring another sample:
    the recording that is replayed has no more of it.
    """

    modality: str


SensorEvent = Connected | Chunk | Lost | Ended


class LiveSource(Protocol):
    """Where samples come from; a context manager.

    The clock of `now_s` and of all times is the source's own: seconds that never run backwards.
    """

    @property
    def name(self) -> str:
        """What it is, for people: "LSL", "BrainFlow SYNTHETIC_BOARD", "replay of sub-01.h5"."""
        ...

    @property
    def session(self) -> str:
        """What the rows are filed under: the session that is replayed, or "live"."""
        ...

    @property
    def simulated(self) -> bool:
        """The signals are of no real person: a synthetic board,
        the replay of a simulated session.
        """
        ...

    def now_s(self) -> float:
        """The time now, on the clock of the samples' times."""
        ...

    def poll(self, timeout_s: float) -> Sequence[SensorEvent]:
        """What happened since the last call, in order;
        waits for something to happen, at most `timeout_s`.

        Waiting longer than that would delay a row.
        Nothing ever raises because a device went away: that is `Lost`.
        """
        ...

    @property
    def finished(self) -> bool:
        """Nothing will ever happen again: the end of a replay.
        A real sensor may always come back.
        """
        ...

    def __enter__(self) -> LiveSource: ...

    def __exit__(self, *_: object) -> None: ...
