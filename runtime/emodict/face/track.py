"""The face's place from second to second:
a face that is lost for a moment is looked for where it was last.
"""

from __future__ import annotations

from dataclasses import dataclass

from emodict.face.crop import FaceBox

# A detector loses a face that turns away or behind a hand for a second or two; after that
# nobody may be there. Looks come once a second: 2.5 s is two looks missed, however much the
# camera's clock jitters.
HOLD_S = 2.5


@dataclass(frozen=True)
class Sighting:
    """A face's place: seen just now, or `held`, that is where it was last seen."""

    box: FaceBox
    held: bool


class LastBox:
    """Remembers the last box for `hold_s` seconds."""

    def __init__(self, hold_s: float = HOLD_S) -> None:
        self._hold_s = hold_s
        self._box: FaceBox | None = None
        self._seen_s = 0.0

    def update(self, box: FaceBox | None, time_s: float) -> Sighting | None:
        """What a look at `time_s` has found -> the place to use,
        None once nothing was seen for too long.
        """
        if box is not None:
            self._box, self._seen_s = box, time_s
            return Sighting(box, held=False)
        if self._box is None or not 0 <= time_s - self._seen_s <= self._hold_s:
            self._box = None
            return None
        return Sighting(self._box, held=True)
