"""Ticking: progress with the time left, and never silent for long."""

from __future__ import annotations

import contextlib
import math
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from emodict.cli.app import Progress, duration
from emodict.cli.start import importing

Rows = TypeVar("Rows")

# How often a terminal's bar and a log's line are renewed, whatever the work is at.
TERMINAL_S, LOG_S = 1.0, 2.5


@dataclass(frozen=True)
class _Told:
    """What was last said: `left_s` was left at `at_s`; NaN where nothing is known yet."""

    share: float
    what: str
    note: str
    left_s: float
    at_s: float


@dataclass
class _Said:
    """When anything was last said."""

    at_s: float


# The command's first imports were silent for about a second.
_said = _Said(time.monotonic() - 1.0)


class Ticking(Progress):
    """A bar, or lines in a log, that a thread renews with what was told last.

    Args:
        what: what is said first, such as how much there is to do; empty: the title alone.
    """

    def __init__(
        self, title: str, what: str = "", *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__(title, 1)
        self._clock, self._began_s = clock, clock()
        self._told = _Told(0.0, what, "", math.nan, self._began_s)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._tick, daemon=True)

    def __enter__(self) -> Ticking:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        super().__exit__()

    def tell(self, share: float, what: str, note: str, *, left_s: float | None = None) -> None:
        """A share from 0 to 1 is done, `what` says how much of what; at 1 it is shown at once.

        Args:
            left_s: NaN where it is not known; None:
                as if the work went on as fast as it did until now.
        """
        now = self._clock()
        if left_s is None:
            left_s = (now - self._began_s) * (1 - share) / share if share > 0 else math.nan
        self._told = _Told(share, what, note, left_s, now)
        if share >= 1:
            self.renew()

    def tell_file(self, path: Path, done: int, total: int) -> None:
        """Of `total` files `done` are read, and this one comes next."""
        self.tell(done / total, f"{done}/{total} files", path.name)

    def renew(self) -> None:
        """Show what was last told, and the time left by now: 1 s at least until all is done."""
        told = self._told
        left_s = told.left_s - (self._clock() - told.at_s)
        if not math.isnan(left_s):
            left_s = max(1.0, left_s) if told.share < 1 else 0.0
        title = f"{self._title} {told.what}".rstrip()
        parts = [
            title,
            *([f"{duration(left_s)} left"] if told.what else []),
            *([told.note] if told.note else []),
        ]
        self.draw(told.share, ", ".join(parts))

    def _tick(self) -> None:
        every_s = TERMINAL_S if self._terminal else LOG_S
        # The first wait began with what another bar said last.
        while not self._ended.wait(max(0.0, every_s - (time.monotonic() - _said.at_s))):
            self.renew()
            _said.at_s = time.monotonic()


@contextlib.contextmanager
def starting() -> Iterator[None]:
    """While what is slow to import is imported."""
    with Ticking("Starting PyTorch"), importing("emodict-train"):
        yield


def require_there(data: Sequence[Path]) -> None:
    """Refuse a path that is not there before PyTorch is started, which takes seconds.

    Raises:
        InputError: there is no such file or folder.
    """
    from emodict_train.data import expand_paths

    for path in data:
        expand_paths(path)


def read_shown(read: Callable[..., Rows], data: Sequence[Path], **chosen: Any) -> Rows:
    """What `read` makes of the data, while it is shown which file is being read."""
    with Ticking("Reading") as progress:
        return read(data, **chosen, on_file=progress.tell_file)
