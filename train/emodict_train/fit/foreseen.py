"""Foreseen: the share of a fit that is done, and the time left by what its epochs took."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field


def expected_epochs(best: int, done: int, *, patience: int, most: int) -> tuple[int, int]:
    """(epochs of early stopping, epochs of the final models),
    as after `done` with the best at `best`.

    What gets better is expected to go on for as long again, the less so the longer ago it last did.
    """
    hope = 1 - (done - best) / patience
    final = min(most, round(best * (1 + hope)))
    return min(most, max(done, final + patience)), final


@dataclass
class Foreseen:
    """The work of a fit in rows that are trained on; the clock says what one takes.

    Attributes:
        held_out_rows: that an epoch of early stopping trains on, summed over the folds.
        final_rows: that an epoch of the final models trains on, summed over the members.
        patience, most: epochs, of early stopping.
    """

    held_out_rows: int
    final_rows: int
    patience: int
    most: int
    clock: Callable[[], float] = time.monotonic
    _held_out: int = 0
    _already: float = 0.0
    _started_s: float = field(init=False)

    def __post_init__(self) -> None:
        self._started_s = self.clock()

    def go_on(self, *, held_out: int | None = None, final: float = 0.0) -> None:
        """So many epochs of each kind were done before, in a time that is not known; None:
        as many as are known of.
        """
        self._held_out = self._held_out if held_out is None else held_out
        self._already, self._started_s = self._rows(self._held_out, final), self.clock()

    def stopping_early(self, best: int, done: int) -> tuple[float, float]:
        """(share, seconds left) after `done` epochs of early stopping, the best being `best`."""
        self._held_out = done
        expected = expected_epochs(best, done, patience=self.patience, most=self.most)
        return self._told(self._rows(done, 0), self._rows(*expected))

    def training(self, done: float, epochs: int) -> tuple[float, float]:
        """(share, seconds left) after `done` of the epochs of the final models."""
        return self._told(self._rows(self._held_out, done), self._rows(self._held_out, epochs))

    def _rows(self, held_out: float, final: float) -> float:
        return held_out * self.held_out_rows + final * self.final_rows

    def _told(self, done: float, expected: float) -> tuple[float, float]:
        """NaN where nothing is done yet."""
        own = done - self._already
        left_s = (self.clock() - self._started_s) * (expected - done) / own if own > 0 else math.nan
        return own / (expected - self._already) if own > 0 else 0.0, left_s
