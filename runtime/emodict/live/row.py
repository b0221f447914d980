"""What a live run tells its listeners once a second."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from emodict.engine.manifest import Manifest
from emodict.results.prediction import Prediction

# States of a modality, as people read them.
ABSENT, LIVE, STALLED, LOST = "absent", "live", "stalled", "lost"


@dataclass(frozen=True)
class SensorState:
    """How one modality is doing.

    Attributes:
        state: absent (never seen), live, stalled (connected, but nothing comes)
            or lost (gone, or said goodbye).
        valid, quality: of the row.
        late_samples: samples so far that came after their row was out, and were left out of it.
    """

    modality: str
    state: str
    device: str
    rate_hz: float
    valid: bool
    quality: float
    late_samples: int = 0


@dataclass(frozen=True)
class LiveRow:
    """One second.

    Attributes:
        prediction: of exactly one row; its start_s counts from the start of the run.
        unix_s: when the second began, seconds since 1970.
        delay_s: from the second's end, on the source's clock, to the moment the row was ready.
    """

    prediction: Prediction
    sensors: tuple[SensorState, ...]
    unix_s: float
    delay_s: float


class Listener(Protocol):
    """Something that wants every row: a table on the screen, a file, an outlet,
    a page. A context manager.
    """

    def begin(self, manifest: Manifest, source: str) -> None:
        """Told once, before the first row."""
        ...

    def row(self, row: LiveRow) -> None:
        """Told once a second; must return at once and keep what it cannot do at once to itself."""
        ...

    def __enter__(self) -> Listener: ...

    def __exit__(self, *_: object) -> None: ...
